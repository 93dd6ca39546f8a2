// The operands of one instruction variant, bound to what the decoder left in hc_decoded.

import type { IrValue } from "../llvm/index.ts";
import { type Insn, Unsupported } from "../sem/index.ts";
import type { FormOperand } from "../x86/index.ts";
import type { InterpreterSem } from "./binding.ts";
import type { Variant } from "./variants.ts";

/** Highest register number of each kind; what the encoding has above that is ignored, as the CPU does. */
const NUMBER_MASKS: Readonly<Record<string, number>> = {
  gpr: 15,
  vector: 31,
  mask: 7,
  mm: 7,
  st: 7,
  segment: 7,
  other: 15,
};
const BUFFER_BYTES = 64;

/** The vocabulary's Insn for one variant. */
export class FormInsn implements Insn<IrValue> {
  readonly mnemonic: string;
  readonly code: string;
  readonly opCount: number;
  readonly encoding: "legacy" | "vex" | "evex";
  readonly locked: boolean;
  readonly rep: "none" | "rep" | "repne";
  readonly addressSize: 32 | 64;
  readonly #variant: Variant;
  readonly #sem: InterpreterSem;
  #buffer: string | null = null;

  constructor(variant: Variant, sem: InterpreterSem) {
    this.#variant = variant;
    this.#sem = sem;
    this.mnemonic = variant.form.mnemonic;
    this.code = variant.form.code;
    this.opCount = variant.form.operands.length;
    this.encoding = variant.form.encoding;
    this.locked = variant.isLocked;
    this.rep = variant.rep;
    this.addressSize = variant.addressSize;
    // The buffer must be allocated in the entry block; without a use it disappears.
    if (variant.isMasked && variant.isMemory) {
      this.#buffer = sem.fn.emit(`alloca [${BUFFER_BYTES} x i8], align 16`);
    }
  }

  width(operand: number): number {
    const { kind, width, extendedWidth } = this.#operand(operand);
    if (this.kind(operand) === "memory" || kind === "other") return this.#variant.form.memoryBits;
    return kind === "immediate" || kind === "branch" ? extendedWidth : width;
  }

  kind(operand: number): ReturnType<Insn<IrValue>["kind"]> {
    const { kind, source } = this.#operand(operand);
    return source === "rm" && this.#variant.isMemory ? "memory" : kind;
  }

  read(operand: number): IrValue {
    const sem = this.#sem;
    switch (this.kind(operand)) {
      case "gpr":
        return sem.registers.gpr(this.#gprOffset(operand), this.width(operand));
      case "vector":
        return sem.registers.vector(this.#number(operand), this.width(operand));
      case "mask":
        return sem.registers.mask(this.#number(operand));
      case "mm":
        return sem.trunc(sem.registers.x87(this.#number(operand)), 64);
      case "segment":
        return sem.trunc(this.#number(operand), 16);
      case "immediate":
        return this.immediate(operand, this.width(operand));
      case "branch":
        return sem.add(sem.decoded("next_rip"), sem.decoded("immediate"));
      case "memory":
        return this.#readMemory(operand, null);
      case "st":
      case "other":
        throw new Unsupported(`${this.code}: operand ${operand} has no value to read`);
    }
  }

  registerNumber(operand: number): IrValue {
    return this.#sem.trunc(this.#number(operand), 8);
  }

  writeScalar(operand: number, value: IrValue, above: number): void {
    this.write(operand, this.#sem.setLane(this.read(above), value.width, 0, value));
  }

  write(operand: number, value: IrValue): void {
    const sem = this.#sem;
    switch (this.kind(operand)) {
      case "gpr":
        sem.registers.setGpr(this.#gprOffset(operand), value);
        return;
      case "vector":
        sem.registers.setVector(this.#number(operand), value, this.encoding === "legacy" ? "merge" : "zero");
        return;
      case "mask":
        sem.registers.setMask(this.#number(operand), value);
        return;
      case "mm":
        sem.registers.setX87(this.#number(operand), sem.concat(sem.int(16, 0xffff), value));
        return;
      case "memory":
        sem.store(this.address(operand), value);
        return;
      default:
        throw new Unsupported(`${this.code}: operand ${operand} cannot be written`);
    }
  }

  writeIf(condition: IrValue, operand: number, value: IrValue): void {
    const sem = this.#sem;
    const offset = this.#gprOffset(operand);
    const width = sem.w(value) === 32 ? 64 : sem.w(value);
    const old = sem.registers.gpr(offset, width);
    sem.registers.setGpr(offset, sem.select(condition, sem.zext(value, width), old));
  }

  immediate(operand: number, width: number): IrValue {
    const sem = this.#sem;
    const { source, number, extendedWidth } = this.#operand(operand);
    if (source === "fixed") return sem.int(width, number);
    const stored = sem.decoded(source === "secondImmediate" ? "second_immediate" : "immediate");
    const value = sem.trunc(stored, Math.min(width, extendedWidth));
    return sem.zext(value, width);
  }

  address(operand: number, withoutSegment?: boolean): IrValue {
    if (this.kind(operand) !== "memory") throw new Unsupported(`${this.code}: operand ${operand} is no memory operand`);
    return this.#sem.decoded(withoutSegment ? "linear" : "address");
  }

  laneAddress(_operand: number, lane: number, indexBits: 32 | 64): IrValue {
    const sem = this.#sem;
    const { vsibWidth } = this.#variant.form;
    const indices = sem.registers.vector(sem.decoded("index"), vsibWidth);
    const index = sem.sext(sem.lane(indices, indexBits, lane), 64);
    return this.#cutAddress(sem.add(sem.decoded("linear"), sem.shl(index, sem.decoded("scale"))));
  }

  addressPlus(operand: number, bytes: IrValue): IrValue {
    return this.#cutAddress(this.#sem.add(this.address(operand, true), bytes));
  }

  /** A sum in the address size, with the segment base. */
  #cutAddress(linear: IrValue): IrValue {
    const sem = this.#sem;
    const cut = sem.zext(sem.trunc(linear, 32), 64);
    const isCut = sem.ne(sem.decoded("address32"), sem.int(64, 0));
    return sem.add(sem.select(isCut, cut, linear), sem.decoded("segment_base"));
  }

  segmentBase(): IrValue {
    return this.#sem.decoded("segment_base");
  }

  opmask(lanes: number): IrValue | null {
    if (!this.#variant.isMasked) return null;
    return this.#sem.trunc(this.#sem.registers.mask(this.#sem.decoded("opmask")), lanes);
  }

  setOpmask(value: IrValue): void {
    this.#sem.registers.setMask(this.#sem.decoded("opmask"), value);
  }

  zeroing(): IrValue {
    return this.#variant.form.canZero ? this.#sem.trunc(this.#sem.decoded("zeroing"), 1) : this.#sem.int(1, 0);
  }

  writeMasked(operand: number, laneBits: number, value: IrValue): void {
    const sem = this.#sem;
    const lanes = sem.w(value) / laneBits;
    const mask = this.opmask(lanes);
    if (mask === null) {
      this.write(operand, value);
      return;
    }
    if (this.kind(operand) === "memory") {
      const buffer = this.#buffer!;
      sem.memory.storeState(buffer, value);
      this.#maskedAccess("hc_masked_store", this.address(operand), mask, laneBits);
      return;
    }
    const old = sem.registers.vector(this.#number(operand), sem.w(value));
    const zero = sem.int(sem.w(value), 0);
    this.write(operand, sem.blend(laneBits, mask, value, sem.select(this.zeroing(), zero, old)));
  }

  readMasked(operand: number, laneBits: number): IrValue {
    const sem = this.#sem;
    if (this.kind(operand) !== "memory" || !this.#variant.isMasked) return this.read(operand);
    const width = this.width(operand);
    const mask = this.opmask(width / laneBits)!;
    if (this.#variant.isBroadcast || width === laneBits) return this.#readMemory(operand, mask);
    sem.memory.storeState(this.#buffer!, sem.int(width, 0));
    this.#maskedAccess("hc_masked_load", this.address(operand), mask, laneBits);
    return sem.memory.loadState(this.#buffer!, width);
  }

  readSelected(operand: number, laneBits: number): IrValue {
    return this.readMasked(operand, laneBits);
  }

  /** Reads the memory operand whole, a broadcast element as the full vector; with a mask only if a lane is selected. */
  #readMemory(operand: number, mask: IrValue | null): IrValue {
    const sem = this.#sem;
    const { memoryBits, broadcastBits } = this.#variant.form;
    const width = this.#variant.isBroadcast ? broadcastBits : memoryBits;
    const any = mask === null ? sem.int(1, 1) : sem.ne(mask, sem.int(sem.w(mask), 0));
    const value = sem.loadIf(any, width, this.address(operand));
    return this.#variant.isBroadcast ? sem.splat(value, memoryBits) : value;
  }

  #maskedAccess(name: string, address: IrValue, mask: IrValue, laneBits: number): void {
    const { fn } = this.#sem;
    fn.module.declare(`declare void @${name}(ptr, i64, i64, i32)`);
    const wide = this.#sem.zext(mask, 64);
    const parameters = `ptr ${this.#buffer!}, ${fn.typed(address, "i64")}, ${fn.typed(wide, "i64")}, i32 ${laneBits / 8}`;
    fn.effect(`call void @${name}(${parameters})`);
  }

  #operand(operand: number): FormOperand {
    const found = this.#variant.form.operands[operand];
    if (!found) throw new Error(`internal error: ${this.code} has no operand ${operand}`);
    return found;
  }

  #number(operand: number): IrValue {
    const sem = this.#sem;
    const { kind, source, number } = this.#operand(operand);
    const highest = NUMBER_MASKS[kind];
    if (highest === undefined) throw new Unsupported(`${this.code}: operand ${operand} is no register`);
    switch (source) {
      case "fixed":
        return sem.int(64, number);
      case "reg":
      case "rm":
      case "vvvv":
      case "is4":
        return sem.and(sem.decoded(source), sem.int(64, highest));
      case "opcode":
        return sem.and(sem.decoded("rm"), sem.int(64, highest));
      default:
        throw new Unsupported(`${this.code}: operand ${operand} is no register`);
    }
  }

  #gprOffset(operand: number): IrValue {
    const sem = this.#sem;
    const { width, source } = this.#operand(operand);
    const isByte = width === 8 && (source === "reg" || source === "rm" || source === "opcode");
    if (isByte) return sem.decoded(source === "reg" ? "reg8" : "rm8");
    return sem.shl(this.#number(operand), sem.int(64, 3));
  }
}
