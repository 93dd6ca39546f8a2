// The guest's registers as the interpreter's functions see them: in CpuState, at places that may be known only at run
// time. Writes wait until the instruction commits, so that one that faults or traps half way leaves the state as it was;
// a read after a write compares its place with those of the waiting writes.

import { CpuState, type Field, offsetOf } from "../abi/index.ts";
import type { IrMemory, IrOps, IrValue } from "../llvm/index.ts";
import type { Flag } from "../sem/index.ts";

interface Write {
  /** Byte offset in CpuState (general registers), or register number. */
  readonly place: IrValue;
  readonly value: IrValue;
  /** Vector registers: whether the bits above the value become zero. */
  readonly isZeroAbove: boolean;
}

const FIELD_BITS: Readonly<Record<string, number>> = { u8: 8, u16: 16, u32: 32, i32: 32, u64: 64, i64: 64 };
const VECTOR_BITS = 512;

/** Reads and pending writes of CpuState. */
export class Registers {
  readonly #ops: IrOps;
  readonly #memory: IrMemory;
  #gprs: Write[] = [];
  #vectors: Write[] = [];
  #masks: Write[] = [];
  #x87: Write[] = [];
  #fields = new Map<string, IrValue>();
  #flags = new Map<Flag, IrValue | (() => IrValue)>();

  constructor(ops: IrOps, memory: IrMemory) {
    this.#ops = ops;
    this.#memory = memory;
  }

  /** `width` bits of the general register at a byte offset (number * 8; + 1 for a high byte). */
  gpr(offset: IrValue, width: number): IrValue {
    const ops = this.#ops;
    if (this.#gprs.length === 0) return this.#load("gpr", offset, 1, width, 1);
    const register = ops.and(offset, ops.int(64, ~7));
    let value = this.#load("gpr", register, 1, 64, 8);
    for (const write of this.#gprs) value = this.#overlayGpr(register, value, write);
    const byte = ops.shl(ops.and(offset, ops.int(64, 7)), ops.int(64, 3));
    return ops.trunc(ops.lshr(value, byte), width);
  }

  /** Writes 8, 16, 32 (zero-extending) or 64 bits. */
  setGpr(offset: IrValue, value: IrValue): void {
    const ops = this.#ops;
    const wide = ops.w(value) === 32 ? ops.zext(value, 64) : value;
    this.#gprs.push({ place: offset, value: wide, isZeroAbove: false });
  }

  vector(number: IrValue, width: number): IrValue {
    const ops = this.#ops;
    if (this.#vectors.length === 0) return this.#load("zmm", number, 64, width, Math.min(64, width / 8));
    let value = this.#load("zmm", number, 64, VECTOR_BITS, 64);
    for (const write of this.#vectors) {
      const size = ops.w(write.value);
      const keepsAll = size === VECTOR_BITS || write.isZeroAbove;
      const whole = keepsAll
        ? ops.zext(write.value, VECTOR_BITS)
        : ops.concat(ops.bits(value, size, VECTOR_BITS - size), write.value);
      value = this.#selectPlace(number, write, whole, value);
    }
    return ops.trunc(value, width);
  }

  setVector(number: IrValue, value: IrValue, above: "merge" | "zero"): void {
    this.#vectors.push({ place: number, value, isZeroAbove: above === "zero" });
  }

  mask(number: IrValue): IrValue {
    let value = this.#load("k", number, 8, 64, 8);
    for (const write of this.#masks) value = this.#selectPlace(number, write, write.value, value);
    return value;
  }

  setMask(number: IrValue, value: IrValue): void {
    this.#masks.push({ place: number, value: this.#ops.zext(value, 64), isZeroAbove: false });
  }

  x87(number: IrValue): IrValue {
    let value = this.#load("st", number, 16, 80, 16);
    for (const write of this.#x87) value = this.#selectPlace(number, write, write.value, value);
    return value;
  }

  setX87(number: IrValue, value: IrValue): void {
    this.#x87.push({ place: number, value, isZeroAbove: false });
  }

  field(name: string): IrValue {
    const waiting = this.#fields.get(name);
    if (waiting) return waiting;
    const field = fieldOf(name);
    return this.#memory.loadState(this.#fieldPointer(name), bitsOf(field), bitsOf(field) / 8);
  }

  setField(name: string, value: IrValue): void {
    const bits = bitsOf(fieldOf(name));
    if (this.#ops.w(value) !== bits) throw new Error(`internal error: ${name} has ${bits} bits`);
    this.#fields.set(name, value);
  }

  flag(flag: Flag): IrValue {
    const waiting = this.#flags.get(flag);
    if (waiting === undefined) return this.#ops.trunc(this.#memory.loadState(this.#fieldPointer(flag), 8), 1);
    if (typeof waiting !== "function") return waiting;
    const value = waiting();
    this.#flags.set(flag, value);
    return value;
  }

  setFlag(flag: Flag, value: () => IrValue): void {
    this.#flags.set(flag, value);
  }

  /** Emits the waiting writes. `keep` leaves them waiting: the commit is of one of two ways on. */
  commit(keep = false): void {
    const ops = this.#ops;
    for (const flag of [...this.#flags.keys()]) {
      this.#memory.storeState(this.#fieldPointer(flag), ops.zext(this.flag(flag), 8));
    }
    for (const [name, value] of this.#fields) {
      this.#memory.storeState(this.#fieldPointer(name), value, ops.w(value) / 8);
    }
    for (const { place, value } of this.#gprs) {
      this.#memory.storeState(this.#pointer("gpr", place, 1), value, ops.w(value) === 64 ? 8 : 1);
    }
    for (const write of this.#vectors) this.#commitVector(write);
    for (const { place, value } of this.#masks) this.#memory.storeState(this.#pointer("k", place, 8), value, 8);
    for (const { place, value } of this.#x87) this.#memory.storeState(this.#pointer("st", place, 16), value, 16);
    if (keep) return;
    this.#flags.clear();
    this.#fields.clear();
    this.#gprs = [];
    this.#vectors = [];
    this.#masks = [];
    this.#x87 = [];
  }

  /** Computes waiting flags now, in the block being written, so that blocks behind it can use them. */
  settleFlags(): void {
    for (const flag of [...this.#flags.keys()]) this.flag(flag);
  }

  #commitVector({ place, value, isZeroAbove }: Write): void {
    const ops = this.#ops;
    let low = value;
    if (isZeroAbove && ops.w(low) < 128) low = ops.zext(low, 128);
    const width = ops.w(low);
    this.#memory.storeState(this.#pointer("zmm", place, 64), low, Math.min(64, width / 8));
    if (!isZeroAbove || width === VECTOR_BITS) return;
    const rest = ops.int(VECTOR_BITS - width, 0);
    this.#memory.storeState(this.#pointer("zmm", place, 64, width / 8), rest, width / 8);
  }

  /** The register at `register` (a multiple of 8) with one waiting write laid over its old value. */
  #overlayGpr(register: IrValue, old: IrValue, write: Write): IrValue {
    const ops = this.#ops;
    const width = ops.w(write.value);
    let value = write.value;
    if (width < 64) {
      const byte = ops.shl(ops.and(write.place, ops.int(64, 7)), ops.int(64, 3));
      const hole = ops.shl(ops.int(64, (1n << BigInt(width)) - 1n), byte);
      value = ops.or(ops.and(old, ops.not(hole)), ops.shl(ops.zext(value, 64), byte));
    }
    return ops.select(ops.eq(ops.and(write.place, ops.int(64, ~7)), register), value, old);
  }

  #selectPlace(number: IrValue, write: Write, ifSame: IrValue, ifOther: IrValue): IrValue {
    return this.#ops.select(this.#ops.eq(number, write.place), ifSame, ifOther);
  }

  #load(field: string, place: IrValue, stride: number, width: number, align: number): IrValue {
    return this.#memory.loadState(this.#pointer(field, place, stride), width, align);
  }

  #pointer(field: string, place: IrValue, stride: number, more = 0): string {
    const ops = this.#ops;
    const offset = ops.add(ops.mul(place, ops.int(64, stride)), ops.int(64, offsetOf(CpuState, field) + more));
    return ops.fn.emit(`getelementptr i8, ptr %state, i64 ${ops.fn.integer(offset)}`);
  }

  #fieldPointer(name: string): string {
    return this.#ops.fn.emit(`getelementptr i8, ptr %state, i64 ${offsetOf(CpuState, name)}`);
  }
}

function fieldOf(name: string): Field {
  const field = CpuState.fields.find((f) => f.name === name);
  if (!field || field.count > 0) throw new Error(`internal error: CpuState has no scalar field ${name}`);
  return field;
}

function bitsOf(field: Field): number {
  const bits = typeof field.type === "string" ? FIELD_BITS[field.type] : undefined;
  if (bits === undefined) throw new Error(`internal error: ${field.name} is no scalar`);
  return bits;
}
