// Operations on the lanes of a wide integer.

import { IrIntegerOps } from "./integer-ops.ts";
import { floatType, type IrValue, laneType } from "./value.ts";

/** Lane operations that are one IR instruction. */
const INSTRUCTIONS = { add: "add", sub: "sub", mul: "mul", and: "and", or: "or", xor: "xor" } as const;
/** Lane comparisons. */
const PREDICATES = {
  eq: "eq",
  ne: "ne",
  ugt: "ugt",
  sgt: "sgt",
  ult: "ult",
  slt: "slt",
  uge: "uge",
  sge: "sge",
  ule: "ule",
  sle: "sle",
} as const;
/** Lane operations that are one intrinsic. */
const INTRINSICS = {
  umin: "llvm.umin",
  umax: "llvm.umax",
  smin: "llvm.smin",
  smax: "llvm.smax",
  uaddSat: "llvm.uadd.sat",
  saddSat: "llvm.sadd.sat",
  usubSat: "llvm.usub.sat",
  ssubSat: "llvm.ssub.sat",
} as const;
type Composed = "uavg" | "umulHigh" | "smulHigh" | "shl" | "lshr" | "ashr" | "rotl" | "rotr";
/** Names of lane operations; the vocabulary's LaneOp. */
export type IrLaneOp = keyof typeof INSTRUCTIONS | keyof typeof PREDICATES | keyof typeof INTRINSICS | Composed;
/** Names of unary lane operations; the vocabulary's LaneOp1. */
export type IrLaneOp1 = "abs" | "neg" | "not" | "popcount" | "clz";
/** The vocabulary's ways of narrowing; both saturating ones take signed lanes. */
export type IrNarrowing = "truncate" | "saturateSigned" | "saturateUnsigned";

function has<T extends object>(table: T, key: PropertyKey): key is keyof T {
  return Object.hasOwn(table, key);
}

/** Lane half of the vocabulary of operations. */
export class IrLaneOps extends IrIntegerOps {
  lanes(op: IrLaneOp, laneBits: number, a: IrValue, b: IrValue): IrValue {
    if (op === "and") return this.and(a, b);
    if (op === "or") return this.or(a, b);
    if (op === "xor") return this.xor(a, b);
    if (op === "eq" && a === b) return this.not(this.int(a.width, 0));
    const type = laneType(a.width, laneBits);
    const [x, y] = [this.fn.text(a, type), this.fn.text(b, type)];
    if (has(INSTRUCTIONS, op)) return this.fn.value(a.width, type, `${INSTRUCTIONS[op]} ${type} ${x}, ${y}`);
    if (has(PREDICATES, op)) {
      const bits = this.fn.emit(`icmp ${PREDICATES[op]} ${type} ${x}, ${y}`);
      return this.fn.value(a.width, type, `sext ${bitType(a.width / laneBits)} ${bits} to ${type}`);
    }
    if (has(INTRINSICS, op)) return this.#intrinsic(INTRINSICS[op], laneBits, a, [a, b]);
    return this.#composed(op, laneBits, a, b);
  }

  lanes1(op: IrLaneOp1, laneBits: number, a: IrValue): IrValue {
    switch (op) {
      case "not":
        return this.not(a);
      case "neg":
        return this.lanes("sub", laneBits, this.int(a.width, 0), a);
      case "popcount":
        return this.#intrinsic("llvm.ctpop", laneBits, a, [a]);
      case "clz":
        return this.#intrinsic("llvm.ctlz", laneBits, a, [a], ["i1 false"]);
      case "abs":
        return this.#intrinsic("llvm.abs", laneBits, a, [a], ["i1 false"]);
    }
  }

  lane(a: IrValue, laneBits: number, index: number): IrValue {
    return this.bits(a, laneBits * index, laneBits);
  }

  setLane(a: IrValue, laneBits: number, index: number, value: IrValue): IrValue {
    if (a.width === laneBits) return value;
    if (a.constant === 0n && index === 0) return this.zext(value, a.width);
    // As what it is: an integer could get into a general register.
    const lanes = /^(?:float|double)$/.test(value.type) ? floatType : laneType;
    const type = lanes(a.width, laneBits);
    const lane = this.fn.typed(value, lanes(laneBits, laneBits));
    const rhs = `insertelement ${this.fn.typed(a, type)}, ${lane}, i64 ${index}`;
    return this.fn.value(a.width, type, rhs);
  }

  laneAt(a: IrValue, laneBits: number, index: IrValue): IrValue {
    const lanes = a.width / laneBits;
    if (lanes === 1) return a;
    const wrapped = this.and(index.width >= 64 ? this.trunc(index, 64) : this.zext(index, 64), this.int(64, lanes - 1));
    const type = laneType(a.width, laneBits);
    const rhs = `extractelement ${this.fn.typed(a, type)}, ${this.fn.typed(wrapped, "i64")}`;
    return this.fn.value(laneBits, `i${laneBits}`, rhs);
  }

  shuffle(laneBits: number, a: IrValue, b: IrValue, indices: readonly number[]): IrValue {
    const lanes = a.width / laneBits;
    const width = indices.length * laneBits;
    if (lanes === 1) return this.concat(...[...indices].reverse().map((i) => (i === 0 ? a : b)));
    if (indices.length === 1) {
      const index = indices[0]!;
      return index < lanes ? this.lane(a, laneBits, index) : this.lane(b, laneBits, index - lanes);
    }
    const type = laneType(a.width, laneBits);
    const list = indices.map((i) => `i32 ${i}`).join(", ");
    const rhs = `shufflevector ${this.fn.typed(a, type)}, ${this.fn.typed(b, type)}, <${indices.length} x i32> <${list}>`;
    return this.fn.value(width, laneType(width, laneBits), rhs);
  }

  permute(laneBits: number, a: IrValue, indices: IrValue): IrValue {
    const lanes = a.width / laneBits;
    if (lanes === 1) return a;
    const known = indices.constant;
    if (known !== undefined) {
      const number = (i: number): number => Number(BigInt.asUintN(16, known >> BigInt(i * laneBits))) & (lanes - 1);
      return this.shuffle(
        laneBits,
        a,
        a,
        Array.from({ length: lanes }, (_, i) => number(i)),
      );
    }
    if (this.target === "aarch64" && a.width >= 128) return this.#tablePermute(laneBits, a, indices);
    const type = laneType(a.width, laneBits);
    let result = "zeroinitializer";
    for (let i = 0; i < lanes; i++) {
      const value = this.laneAt(a, laneBits, this.lane(indices, laneBits, i));
      result = this.fn.emit(`insertelement ${type} ${result}, ${this.fn.typed(value, `i${laneBits}`)}, i64 ${i}`);
    }
    return this.fn.named(a.width, type, result);
  }

  splat(value: IrValue, width: number): IrValue {
    const lanes = width / value.width;
    if (lanes === 1) return value;
    if (value.constant !== undefined) return this.concat(...Array.from({ length: lanes }, () => value));
    const type = laneType(width, value.width);
    const one = this.fn.emit(
      `insertelement ${type} zeroinitializer, ${this.fn.typed(value, `i${value.width}`)}, i64 0`,
    );
    const rhs = `shufflevector ${type} ${one}, ${type} zeroinitializer, <${lanes} x i32> zeroinitializer`;
    return this.fn.value(width, type, rhs);
  }

  blend(laneBits: number, mask: IrValue, ifOne: IrValue, ifZero: IrValue): IrValue {
    const lanes = ifOne.width / laneBits;
    if (lanes === 1) return this.select(this.trunc(mask, 1), ifOne, ifZero);
    const wide = this.expandMask(mask, laneBits);
    const type = laneType(ifOne.width, laneBits);
    const bits = this.fn.emit(`icmp ne ${this.fn.typed(wide, type)}, zeroinitializer`);
    const rhs = `select ${bitType(lanes)} ${bits}, ${this.fn.typed(ifOne, type)}, ${this.fn.typed(ifZero, type)}`;
    return this.fn.value(ifOne.width, type, rhs);
  }

  signMask(a: IrValue, laneBits: number): IrValue {
    const lanes = a.width / laneBits;
    if (lanes === 1) return this.bits(a, laneBits - 1, 1);
    if (this.target === "aarch64" && laneBits === 8 && a.width > 128) return this.#byteSigns(a);
    // aarch64's code generator finds its short sequence for one vector register at a time.
    if (a.width > 128) {
      const parts: IrValue[] = [];
      for (let low = 0; low < a.width; low += 128) parts.unshift(this.signMask(this.bits(a, low, 128), laneBits));
      return this.concat(...parts);
    }
    const type = laneType(a.width, laneBits);
    const bits = this.fn.emit(`icmp slt ${this.fn.typed(a, type)}, zeroinitializer`);
    return this.fn.value(lanes, `i${lanes}`, `bitcast <${lanes} x i1> ${bits} to i${lanes}`);
  }

  /** Signs of the bytes of several vector registers: each byte keeps its own bit of eight, and neighbours are added up. */
  #byteSigns(a: IrValue): IrValue {
    const type = laneType(128, 8);
    const ownBits = this.splat(this.int(64, 0x8040201008040201n), 128);
    let parts: string[] = [];
    for (let low = 0; low < a.width; low += 128) {
      const negative = this.fn.emit(`icmp slt ${this.fn.typed(this.bits(a, low, 128), type)}, zeroinitializer`);
      const lanes = this.fn.value(128, type, `sext <16 x i1> ${negative} to ${type}`);
      parts.push(this.fn.typed(this.and(lanes, ownBits), type));
    }
    // Adding neighbours three times makes a byte of eight; with two registers each time, there is one in the end.
    const add = (x: string, y: string): string =>
      `${type} ${this.fn.intrinsic("llvm.aarch64.neon.addp.v16i8", type, [x, y])}`;
    for (let round = 0; round < 3; round++) {
      const pairs: string[] = [];
      for (let i = 0; i < parts.length; i += 2) pairs.push(add(parts[i]!, parts[i + 1] ?? parts[i]!));
      parts = pairs;
    }
    const sums = this.fn.named(128, type, parts[0]!.slice(type.length + 1));
    return this.trunc(sums, a.width / 8);
  }

  expandMask(mask: IrValue, laneBits: number): IrValue {
    const lanes = mask.width;
    if (lanes === 1) return this.sext(mask, laneBits);
    const width = lanes * laneBits;
    const type = laneType(width, laneBits);
    // Each lane gets the piece of the mask in which its bit lies, and tests it: no instruction set of ours other than
    // AVX-512 has a better way, and code generators make of a bitcast to <n x i1> far worse.
    const pieceBits = Math.min(lanes <= laneBits ? laneBits : laneBits, 64);
    const pieces = Math.max(1, lanes / pieceBits);
    const source = this.zext(mask, Math.max(mask.width, pieceBits));
    let spread: IrValue;
    if (pieces === 1) {
      spread = this.splat(source, width);
    } else {
      const indices = Array.from({ length: lanes }, (_, i) => Math.floor(i / pieceBits));
      spread = this.shuffle(pieceBits, source, source, indices);
    }
    let testBits = 0n;
    for (let i = 0; i < lanes; i++) testBits |= 1n << BigInt(i * laneBits + (i % pieceBits));
    const bit = this.and(spread, this.int(width, testBits));
    const bits = this.fn.emit(`icmp ne ${this.fn.typed(bit, type)}, zeroinitializer`);
    return this.fn.value(width, type, `sext ${bitType(lanes)} ${bits} to ${type}`);
  }

  widen(a: IrValue, from: number, to: number, signed: boolean): IrValue {
    const [source, target] = [laneType(a.width, from), laneType((a.width / from) * to, to)];
    const rhs = `${signed ? "sext" : "zext"} ${this.fn.typed(a, source)} to ${target}`;
    return this.fn.value((a.width / from) * to, target, rhs);
  }

  narrow(a: IrValue, from: number, to: number, how: IrNarrowing): IrValue {
    const lanes = a.width / from;
    const constant = (value: bigint): IrValue => this.splat(this.int(from, value), a.width);
    let value = a;
    if (how !== "truncate") {
      const unsigned = how === "saturateUnsigned";
      const high = (1n << BigInt(unsigned ? to : to - 1)) - 1n;
      value = this.lanes("smax", from, value, constant(unsigned ? 0n : -(1n << BigInt(to - 1))));
      value = this.lanes("smin", from, value, constant(high));
    }
    const target = laneType(lanes * to, to);
    return this.fn.value(lanes * to, target, `trunc ${this.fn.typed(value, laneType(a.width, from))} to ${target}`);
  }

  #intrinsic(name: string, laneBits: number, like: IrValue, operands: IrValue[], more: string[] = []): IrValue {
    const type = laneType(like.width, laneBits);
    const lanes = like.width / laneBits;
    const suffix = lanes === 1 ? `i${laneBits}` : `v${lanes}i${laneBits}`;
    const parameters = [...operands.map((operand) => this.fn.typed(operand, type)), ...more];
    return this.fn.named(like.width, type, this.fn.intrinsic(`${name}.${suffix}`, type, parameters));
  }

  #composed(op: Composed, laneBits: number, a: IrValue, b: IrValue): IrValue {
    const splat = (value: number): IrValue => this.splat(this.int(laneBits, value), a.width);
    switch (op) {
      case "rotl":
        return this.#intrinsic("llvm.fshl", laneBits, a, [a, a, b]);
      case "rotr":
        return this.#intrinsic("llvm.fshr", laneBits, a, [a, a, b]);
      case "ashr":
        return this.#plain("ashr", laneBits, a, this.lanes("umin", laneBits, b, splat(laneBits - 1)));
      case "shl":
      case "lshr": {
        if (this.target === "aarch64" && a.width % 128 === 0 && b.constant === undefined) {
          return this.#shiftEach(op, laneBits, a, b);
        }
        const inside = this.lanes("ult", laneBits, b, splat(laneBits));
        const shifted = this.#plain(op, laneBits, a, this.and(b, splat(laneBits - 1)));
        return this.and(inside, shifted);
      }
      case "uavg":
      case "umulHigh":
      case "smulHigh":
        return this.#widened(op, laneBits, a, b);
    }
  }

  #plain(op: string, laneBits: number, a: IrValue, b: IrValue): IrValue {
    const type = laneType(a.width, laneBits);
    return this.fn.value(a.width, type, `${op} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  #widened(op: "uavg" | "umulHigh" | "smulHigh", laneBits: number, a: IrValue, b: IrValue): IrValue {
    const wide = laneBits * 2;
    const signed = op === "smulHigh";
    const [x, y] = [this.widen(a, laneBits, wide, signed), this.widen(b, laneBits, wide, signed)];
    const splat = (value: number): IrValue => this.splat(this.int(wide, value), x.width);
    if (op !== "uavg") {
      const product = this.#plain("lshr", wide, this.lanes("mul", wide, x, y), splat(laneBits));
      return this.narrow(product, wide, laneBits, "truncate");
    }
    const sum = this.lanes("add", wide, this.lanes("add", wide, x, y), splat(1));
    return this.narrow(this.#plain("lshr", wide, sum, splat(1)), wide, laneBits, "truncate");
  }

  /** aarch64 shifts each lane by a signed count, of which it reads the low byte, and clears it if the count is large. */
  #shiftEach(op: "shl" | "lshr", laneBits: number, a: IrValue, b: IrValue): IrValue {
    const counts = this.lanes("umin", laneBits, b, this.splat(this.int(laneBits, laneBits), b.width));
    const signed = op === "shl" ? counts : this.lanes1("neg", laneBits, counts);
    const type = laneType(128, laneBits);
    const parts: IrValue[] = [];
    for (let low = 0; low < a.width; low += 128) {
      const [value, count] = [a, signed].map((whole) => this.fn.typed(this.bits(whole, low, 128), type));
      const name = `llvm.aarch64.neon.ushl.v${128 / laneBits}i${laneBits}`;
      parts.unshift(this.fn.named(128, type, this.fn.intrinsic(name, type, [value!, count!])));
    }
    return parts.length === 1 ? parts[0]! : this.concat(...parts);
  }

  /** Byte table look-ups: aarch64's tbl takes up to four registers of table and gives zero outside of it. */
  #tablePermute(laneBits: number, a: IrValue, indices: IrValue): IrValue {
    const lanes = a.width / laneBits;
    const bytes = laneBits / 8;
    let index = this.and(indices, this.splat(this.int(laneBits, lanes - 1), a.width));
    if (bytes > 1) {
      // Lane index n becomes the bytes n*bytes, n*bytes+1, …: multiply by 0x…0202 and add 0x…0100.
      let scale = 0n;
      let offsets = 0n;
      for (let i = 0; i < bytes; i++) {
        scale |= BigInt(bytes) << BigInt(8 * i);
        offsets |= BigInt(i) << BigInt(8 * i);
      }
      index = this.lanes("mul", laneBits, index, this.splat(this.int(laneBits, scale), a.width));
      index = this.lanes("add", 8, index, this.splat(this.int(laneBits, offsets), a.width));
    }
    const chunk = "<16 x i8>";
    const chunkText = (value: IrValue, i: number): string => this.fn.typed(this.bits(value, i * 128, 128), chunk);
    const tables = a.width / 128;
    const name = `llvm.aarch64.neon.tbl${tables}.v16i8`;
    const results: IrValue[] = [];
    for (let i = 0; i < tables; i++) {
      const parameters = Array.from({ length: tables }, (_, t) => chunkText(a, t));
      const result = this.fn.intrinsic(name, chunk, [...parameters, chunkText(index, i)]);
      results.unshift(this.fn.named(128, chunk, result));
    }
    return this.concat(...results);
  }

  /** A value as floating-point lanes. */
  protected floats(value: IrValue, laneBits: number): string {
    return this.fn.text(value, floatType(value.width, laneBits));
  }
}

/** The LLVM type of one bit a lane. */
export function bitType(lanes: number): string {
  return lanes === 1 ? "i1" : `<${lanes} x i1>`;
}
