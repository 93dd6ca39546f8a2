// Binds the vocabulary's view of an instruction to a decoded instruction: reading and writing its operands.

import type { IrValue } from "../llvm/index.ts";
import { type Insn, Unsupported } from "../sem/index.ts";
import type { Instruction, Operand } from "../x86/index.ts";
import type { LiftSem } from "./sem.ts";

/** x87 top of stack is in these bits of fsw. */
const TOP_SHIFT = 11;
/** Pages that both sides agree on (see README.md, limits). */
const PAGE_BYTES = 4096;

export class LiftInsn implements Insn<IrValue> {
  readonly #sem: LiftSem;
  readonly #insn: Instruction;
  readonly mnemonic: string;
  readonly code: string;
  readonly opCount: number;
  readonly encoding: "legacy" | "vex" | "evex";
  readonly locked: boolean;
  readonly rep: "none" | "rep" | "repne";
  readonly addressSize: 32 | 64;
  #address: IrValue | null = null;

  constructor(sem: LiftSem, insn: Instruction) {
    this.#sem = sem;
    this.#insn = insn;
    this.mnemonic = insn.mnemonic;
    this.code = insn.code;
    this.opCount = insn.operands.length;
    this.encoding = insn.encoding;
    this.locked = insn.isLocked;
    this.rep = insn.rep;
    this.addressSize = insn.addressSize;
    if (insn.rounding !== null || insn.suppressesExceptions) {
      throw new Unsupported(`${insn.code}: static rounding and exception suppression are left to the interpreter`);
    }
  }

  #operand(operand: number): Operand {
    const found = this.#insn.operands[operand];
    if (!found) throw new Error(`internal error: ${this.code} has no operand ${operand}`);
    return found;
  }

  width(operand: number): number {
    return this.#operand(operand).width;
  }

  kind(operand: number): Operand["kind"] {
    return this.#operand(operand).kind;
  }

  registerNumber(operand: number): IrValue {
    return this.#sem.int(8, this.#operand(operand).register);
  }

  read(operand: number): IrValue {
    const sem = this.#sem;
    const o = this.#operand(operand);
    switch (o.kind) {
      case "gpr":
        if (o.isHighByte) return sem.bits(sem.gpr(o.register, 64), 8, 8);
        return sem.gpr(o.register, o.width as 8 | 16 | 32 | 64);
      case "vector":
        return sem.vector(o.register, o.width);
      case "mask":
        return sem.mask(o.register);
      case "mm":
        return sem.trunc(sem.x87(sem.int(8, o.register)), 64);
      case "st":
        return sem.x87(this.#stackSlot(o.register));
      case "segment":
        return sem.int(16, o.register);
      case "immediate":
      case "branch":
        return sem.int(o.width, o.value);
      case "memory":
        return this.#readMemory(o);
      default:
        throw new Unsupported(`${this.code}: operand ${operand}`);
    }
  }

  #readMemory(o: Operand): IrValue {
    const sem = this.#sem;
    const bits = this.#insn.memory!.broadcastBits;
    if (bits > 0) return sem.splat(sem.load(bits, this.address(0)), o.width);
    if (o.width === 0) throw new Unsupported(`${this.code}: memory of unknown size`);
    return sem.load(o.width, this.address(0));
  }

  #stackSlot(i: number): IrValue {
    const sem = this.#sem;
    return sem.add(sem.bits(sem.field("fsw"), TOP_SHIFT, 3), sem.int(3, i));
  }

  write(operand: number, value: IrValue): void {
    const sem = this.#sem;
    const o = this.#operand(operand);
    switch (o.kind) {
      case "gpr":
        if (o.isHighByte) sem.setGprBits(o.register, 8, value);
        else sem.setGpr(o.register, value);
        break;
      case "vector":
        sem.setVector(o.register, value, this.encoding === "legacy" ? "merge" : "zero");
        break;
      case "mask":
        sem.setMask(o.register, value);
        break;
      case "mm":
        sem.setX87(sem.int(8, o.register), sem.concat(sem.int(16, 0xffff), value));
        break;
      case "st":
        sem.setX87(this.#stackSlot(o.register), value);
        break;
      case "memory":
        sem.store(this.address(0), value);
        break;
      default:
        throw new Unsupported(`${this.code}: writing operand ${operand}`);
    }
  }

  writeScalar(operand: number, value: IrValue, above: number): void {
    const [to, from] = [this.#operand(operand).register, this.#operand(above).register];
    this.#sem.setVector(to, this.#sem.withLow(to, from, value), "zero");
  }

  writeIf(condition: IrValue, operand: number, value: IrValue): void {
    const sem = this.#sem;
    const o = this.#operand(operand);
    if (o.kind !== "gpr" || o.isHighByte) throw new Unsupported(`${this.code}: conditional write`);
    const old = sem.gpr(o.register, 64);
    const wide =
      value.width >= 32 ? sem.zext(value, 64) : sem.concat(sem.bits(old, value.width, 64 - value.width), value);
    sem.setGpr(o.register, sem.select(condition, wide, old));
  }

  immediate(operand: number, width: number): IrValue {
    const o = this.#operand(operand);
    return this.#sem.int(width, BigInt.asIntN(o.width, o.value));
  }

  segmentBase(): IrValue {
    const { segment } = this.#insn;
    return segment === null ? this.#sem.int(64, 0) : this.#sem.field(`${segment}_base`);
  }

  address(_operand: number, withoutSegment = false): IrValue {
    if (withoutSegment) return this.#offset(null);
    this.#address ??= this.#sem.add(this.#offset(null), this.segmentBase());
    return this.#address;
  }

  laneAddress(operand: number, lane: number, indexBits: 32 | 64): IrValue {
    const sem = this.#sem;
    const memory = this.#insn.memory!;
    const indices = sem.vector(memory.index, memory.vsibWidth);
    const index = sem.sext(sem.lane(indices, indexBits, lane), 64);
    if (operand < 0) throw new Error("internal error: no operand");
    return sem.add(this.#offset(index), this.segmentBase());
  }

  addressPlus(_operand: number, bytes: IrValue): IrValue {
    const sum = this.#sem.add(this.#offset(null), bytes);
    return this.#sem.add(this.#cut(sum, this.addressSize), this.segmentBase());
  }

  /** base + index * scale + displacement in the address size. */
  #offset(vsibIndex: IrValue | null): IrValue {
    const sem = this.#sem;
    const memory = this.#insn.memory;
    if (!memory) throw new Error(`internal error: ${this.code} has no memory operand`);
    if (memory.isRipRelative) return this.#cut(sem.address(memory.displacement), memory.addressSize);
    let sum: IrValue | null = memory.base < 0 ? null : sem.gpr(memory.base, 64);
    const index = vsibIndex ?? (memory.index < 0 || memory.vsibWidth > 0 ? null : sem.gpr(memory.index, 64));
    if (index) {
      const scaled = sem.shl(index, sem.int(64, Math.log2(memory.scale)));
      sum = sum ? sem.add(sum, scaled) : scaled;
    }
    const displacement = sem.int(64, memory.displacement);
    return this.#cut(sum ? sem.add(sum, displacement) : displacement, memory.addressSize);
  }

  #cut(address: IrValue, addressSize: 32 | 64): IrValue {
    const sem = this.#sem;
    return addressSize === 32 ? sem.zext(sem.trunc(address, 32), 64) : address;
  }

  opmask(lanes: number): IrValue | null {
    return this.#insn.opmask === 0 ? null : this.#sem.trunc(this.#sem.mask(this.#insn.opmask), lanes);
  }

  setOpmask(value: IrValue): void {
    this.#sem.setMask(this.#insn.opmask, value);
  }

  zeroing(): IrValue {
    return this.#sem.int(1, this.#insn.isZeroing ? 1 : 0);
  }

  writeMasked(operand: number, laneBits: number, value: IrValue): void {
    const sem = this.#sem;
    const lanes = value.width / laneBits;
    const mask = this.opmask(lanes);
    if (!mask) {
      this.write(operand, value);
      return;
    }
    const o = this.#operand(operand);
    if (o.kind === "memory") {
      this.#storeLanes(mask, laneBits, value);
      return;
    }
    if (o.kind !== "vector") throw new Unsupported(`${this.code}: masked write`);
    const old = this.#insn.isZeroing ? sem.int(value.width, 0) : sem.vector(o.register, value.width);
    sem.setVector(o.register, sem.blend(laneBits, mask, value, old), "zero");
    sem.noteSelected(o.register, this.#insn.opmask, laneBits, value);
  }

  /**
   * Stores the lanes in `mask`. Where nobody else sees the memory, the others may be stored again as they are: what lies in one
   * page can be written if any of it can.
   */
  #storeLanes(mask: IrValue, laneBits: number, value: IrValue): void {
    const sem = this.#sem;
    const address = this.address(0);
    sem.settle([mask, value]);
    const storeEach = (): void => {
      for (let i = 0; i < value.width / laneBits; i++) {
        const at = sem.add(address, sem.int(64, (i * laneBits) / 8));
        sem.storeIf(sem.bits(mask, i, 1), at, sem.lane(value, laneBits, i));
      }
    };
    if (sem.isObserved) {
      storeEach();
      return;
    }
    const from = this.#unlessEmpty(mask, address);
    sem.part(this.#crossesPage(from, value.width), storeEach, () => {
      const stored = sem.blend(laneBits, mask, value, sem.load(value.width, from));
      sem.storeIf(sem.ne(mask, sem.int(mask.width, 0)), address, stored);
    });
  }

  /** The address, or with no lane selected one that can be read. */
  #unlessEmpty(mask: IrValue, address: IrValue): IrValue {
    const sem = this.#sem;
    const somewhere = sem.fn.named(64, "i64", sem.fn.emit("ptrtoint ptr %state to i64"));
    return sem.select(sem.ne(mask, sem.int(mask.width, 0)), address, somewhere);
  }

  #inPage(address: IrValue): IrValue {
    return this.#sem.and(address, this.#sem.int(64, PAGE_BYTES - 1));
  }

  #crossesPage(address: IrValue, width: number): IrValue {
    return this.#sem.ult(this.#sem.int(64, PAGE_BYTES - width / 8), this.#inPage(address));
  }

  /**
   * Reads all lanes at once although only those in `mask` may fault: what lies in one page can be read if any of it can,
   * and with no lane selected something else is read. What of a vector is not selected means nothing.
   */
  #readWhole(mask: IrValue, laneBits: number, address: IrValue): IrValue {
    const sem = this.#sem;
    const width = mask.width * laneBits;
    const from = this.#unlessEmpty(mask, address);
    const isAll = sem.eq(mask, sem.not(sem.int(mask.width, 0)));
    const isPartial = sem.and(this.#crossesPage(from, width), sem.not(isAll));
    if (width < 128) {
      sem.rareIf(isPartial);
      return sem.load(width, from);
    }
    sem.settle([mask]);
    return sem.either(
      isPartial,
      () => this.#readAcross(mask, laneBits, from),
      () => sem.load(width, from),
    );
  }

  /**
   * The same across a page's end. If all that is selected lies before it, what ends there is read and moved down; if lanes on
   * both sides are, both pages can be read. Only lanes behind it are the interpreter's.
   */
  #readAcross(mask: IrValue, laneBits: number, address: IrValue): IrValue {
    const sem = this.#sem;
    const width = mask.width * laneBits;
    const bytesBefore = sem.sub(sem.int(64, PAGE_BYTES), this.#inPage(address));
    const lanesBefore = sem.trunc(sem.udiv(bytesBefore, sem.int(64, laneBits / 8)), mask.width);
    const behind = sem.lshr(mask, lanesBefore);
    const zero = sem.int(mask.width, 0);
    sem.rareIf(sem.eq(mask, sem.shl(behind, lanesBefore)));
    const moved = sem.select(sem.eq(behind, zero), sem.sub(sem.int(64, width / 8), bytesBefore), sem.int(64, 0));
    const loaded = sem.load(width, sem.sub(address, moved));
    const bytes = Array.from({ length: width / 8 }, (_, i) => BigInt(i) << BigInt(8 * i)).reduce((a, b) => a | b);
    const indices = sem.lanes("add", 8, sem.int(width, bytes), sem.splat(sem.trunc(moved, 8), width));
    return sem.permute(8, loaded, indices);
  }

  readMasked(operand: number, laneBits: number): IrValue {
    const o = this.#operand(operand);
    const lanes = o.width / laneBits;
    const mask = o.kind === "memory" ? this.opmask(lanes) : null;
    if (!mask) return this.read(operand);
    const sem = this.#sem;
    const address = this.address(0);
    const isBroadcast = this.#insn.memory!.broadcastBits > 0;
    if (isBroadcast) {
      const any = sem.ne(mask, sem.int(lanes, 0));
      const all = sem.splat(sem.loadIf(any, laneBits, address), o.width);
      return sem.blend(laneBits, mask, all, sem.int(o.width, 0));
    }
    return sem.blend(laneBits, mask, this.#readWhole(mask, laneBits, address), sem.int(o.width, 0));
  }

  readSelected(operand: number, laneBits: number): IrValue {
    const o = this.#operand(operand);
    const { opmask, memory } = this.#insn;
    if (opmask === 0) return this.read(operand);
    if (o.kind === "vector") return this.#sem.selected(o.register, opmask, laneBits, o.width) ?? this.read(operand);
    if (o.kind !== "memory" || memory!.broadcastBits > 0) return this.readMasked(operand, laneBits);
    return this.#readWhole(this.opmask(o.width / laneBits)!, laneBits, this.address(0));
  }
}
