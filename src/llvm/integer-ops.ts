// Operations on integers of any width. All are total: where LLVM has poison or undefined behaviour (shift counts,
// division), the operand is made harmless first and the result chosen with a select. Integers of 128 bits and more that
// are cut at 64 bits live in vector registers, so moving and masking them is done on <n x i64>.

import type { IrFunction } from "./function.ts";
import { IrValue, laneType, type Target } from "./value.ts";

const mask = (width: number): bigint => (1n << BigInt(width)) - 1n;

/** Integer half of the vocabulary of operations. */
export class IrIntegerOps {
  readonly target: Target;
  /** The function being written; the owner changes it from function to function. */
  fn: IrFunction;

  readonly #loaded = new WeakSet<IrValue>();

  constructor(fn: IrFunction) {
    this.fn = fn;
    this.target = fn.module.target;
  }

  w(value: IrValue): number {
    return value.width;
  }

  int(width: number, value: number | bigint): IrValue {
    return IrValue.constant(width, BigInt(value));
  }

  constantOf(value: IrValue): bigint | undefined {
    return value.constant;
  }

  add(a: IrValue, b: IrValue): IrValue {
    if (a.constant === 0n) return b;
    if (b.constant === 0n) return a;
    return this.#binary("add", a, b, (x, y) => x + y);
  }

  sub(a: IrValue, b: IrValue): IrValue {
    if (b.constant === 0n) return a;
    return this.#binary("sub", a, b, (x, y) => x - y);
  }

  mul(a: IrValue, b: IrValue): IrValue {
    return this.#binary("mul", a, b, (x, y) => x * y);
  }

  udiv(a: IrValue, b: IrValue): IrValue {
    return this.#divide("udiv", a, b);
  }

  urem(a: IrValue, b: IrValue): IrValue {
    return this.#divide("urem", a, b);
  }

  sdiv(a: IrValue, b: IrValue): IrValue {
    return this.#divide("sdiv", a, b);
  }

  srem(a: IrValue, b: IrValue): IrValue {
    return this.#divide("srem", a, b);
  }

  and(a: IrValue, b: IrValue): IrValue {
    if (a.constant === 0n || b.constant === mask(b.width)) return a;
    if (b.constant === 0n || a.constant === mask(a.width)) return b;
    return this.#logic("and", a, b, (x, y) => x & y);
  }

  or(a: IrValue, b: IrValue): IrValue {
    if (a.constant === 0n) return b;
    if (b.constant === 0n) return a;
    return this.#logic("or", a, b, (x, y) => x | y);
  }

  xor(a: IrValue, b: IrValue): IrValue {
    if (a.constant === 0n) return b;
    if (b.constant === 0n) return a;
    if (a === b) return this.int(a.width, 0);
    return this.#logic("xor", a, b, (x, y) => x ^ y);
  }

  not(a: IrValue): IrValue {
    return this.xor(a, this.int(a.width, mask(a.width)));
  }

  neg(a: IrValue): IrValue {
    return this.#binary("sub", this.int(a.width, 0), a, (x, y) => x - y);
  }

  shl(a: IrValue, count: IrValue): IrValue {
    if (count.constant === 0n) return a;
    if (count.constant !== undefined && count.constant < BigInt(a.width)) {
      const by = Number(count.constant);
      if (a.constant !== undefined) return this.int(a.width, a.constant << count.constant);
      if (isVectorShaped(a) && by % 8 === 0) return this.#moveBytes(a, -by / 8);
    }
    return this.#shift("shl", a, count, () => this.int(a.width, 0));
  }

  lshr(a: IrValue, count: IrValue): IrValue {
    if (count.constant === 0n) return a;
    if (count.constant !== undefined && count.constant < BigInt(a.width)) {
      const by = Number(count.constant);
      if (a.constant !== undefined) return this.int(a.width, a.constant >> count.constant);
      if (isVectorShaped(a) && by % 8 === 0) return this.#moveBytes(a, by / 8);
    }
    return this.#shift("lshr", a, count, () => this.int(a.width, 0));
  }

  ashr(a: IrValue, count: IrValue): IrValue {
    const last = this.int(a.width, a.width - 1);
    return this.#binary("ashr", a, this.select(this.ult(count, last), count, last), (x, y) => signed(x, a.width) >> y);
  }

  rotl(a: IrValue, count: IrValue): IrValue {
    return this.fshl(a, a, count);
  }

  rotr(a: IrValue, count: IrValue): IrValue {
    return this.fshr(a, a, count);
  }

  fshl(hi: IrValue, lo: IrValue, count: IrValue): IrValue {
    return this.#funnel("fshl", hi, lo, count);
  }

  fshr(hi: IrValue, lo: IrValue, count: IrValue): IrValue {
    return this.#funnel("fshr", hi, lo, count);
  }

  eq(a: IrValue, b: IrValue): IrValue {
    return this.#compare("eq", a, b, (x, y) => x === y);
  }

  ne(a: IrValue, b: IrValue): IrValue {
    return this.#compare("ne", a, b, (x, y) => x !== y);
  }

  ult(a: IrValue, b: IrValue): IrValue {
    return this.#compare("ult", a, b, (x, y) => x < y);
  }

  ule(a: IrValue, b: IrValue): IrValue {
    return this.#compare("ule", a, b, (x, y) => x <= y);
  }

  slt(a: IrValue, b: IrValue): IrValue {
    return this.#compare("slt", a, b, (x, y) => signed(x, a.width) < signed(y, a.width));
  }

  sle(a: IrValue, b: IrValue): IrValue {
    return this.#compare("sle", a, b, (x, y) => signed(x, a.width) <= signed(y, a.width));
  }

  select(condition: IrValue, ifOne: IrValue, ifZero: IrValue): IrValue {
    same(ifOne, ifZero);
    if (condition.constant !== undefined) return condition.constant === 1n ? ifOne : ifZero;
    if (ifOne === ifZero) return ifOne;
    if (ifOne.width === 1 && ifOne.constant === 1n && ifZero.constant === 0n) return condition;
    const type = commonType(ifOne, ifZero);
    const [c, x, y] = [this.fn.text(condition, "i1"), this.fn.typed(ifOne, type), this.fn.typed(ifZero, type)];
    return this.fn.value(ifOne.width, type, `select i1 ${c}, ${x}, ${y}`);
  }

  zext(a: IrValue, width: number): IrValue {
    if (width === a.width) return a;
    if (a.constant !== undefined) return this.int(width, a.constant);
    if (width >= 128 && width % 64 === 0) {
      if (a.width <= 64) {
        if (this.target === "aarch64" && width === 128 && a.width >= 32) return this.#zeroExtendScalar(a);
        const low = this.fn.typed(this.zext(a, 64), "i64");
        const type = laneType(width, 64);
        return this.fn.value(width, type, `insertelement ${type} zeroinitializer, ${low}, i64 0`);
      }
      if (a.width % 64 === 0) return this.#words(a, width, 0);
    }
    return this.#cast("zext", a, width);
  }

  /**
   * To 128 bits. Every aarch64 instruction that writes a scalar to a vector register zeroes the rest of it, which LLVM knows of
   * loads only that nobody else uses: what is made here is opaque to it.
   */
  #zeroExtendScalar(a: IrValue): IrValue {
    const { fn } = this;
    const type = "<2 x i64>";
    if (this.#loaded.has(a)) {
      const lanes = laneType(128, a.width);
      const vector = fn.emit(`insertelement ${lanes} zeroinitializer, ${fn.typed(a, `i${a.width}`)}, i64 0`);
      const same = fn.emit(`bitcast ${lanes} ${vector} to ${type}`);
      return fn.value(128, type, `call ${type} asm "", "=w,0"(${type} ${same}) memory(none)`);
    }
    const letter = a.width === 32 ? "s" : "d";
    if (/float|double/.test(a.type)) {
      const rhs = `call ${type} asm "fmov \${0:${letter}}, \${1:${letter}}", "=w,w"(${fn.typed(a, a.type)}) memory(none)`;
      return fn.value(128, type, rhs);
    }
    const from = a.width === 32 ? "w" : "x";
    const operand = fn.typed(a, `i${a.width}`);
    return fn.value(
      128,
      type,
      `call ${type} asm "fmov \${0:${letter}}, \${1:${from}}", "=w,r"(${operand}) memory(none)`,
    );
  }

  /** Notes that a value comes from memory and that nobody has used it yet. */
  noteLoaded(a: IrValue): IrValue {
    this.#loaded.add(a);
    return a;
  }

  sext(a: IrValue, width: number): IrValue {
    if (width === a.width) return a;
    if (a.constant !== undefined) return this.int(width, signed(a.constant, a.width));
    return this.#cast("sext", a, width);
  }

  trunc(a: IrValue, width: number): IrValue {
    return this.bits(a, 0, width);
  }

  bits(a: IrValue, low: number, width: number): IrValue {
    if (low < 0 || low + width > a.width) throw new Error(`internal error: bits ${low}+${width} of ${a.width}`);
    if (width === a.width) return a;
    if (a.constant !== undefined) return this.int(width, a.constant >> BigInt(low));
    if (isVectorShaped(a)) {
      if (width <= 64 && low % width === 0 && width >= 8 && width % 8 === 0 && 64 % width === 0) {
        const type = laneType(a.width, width);
        return this.fn.value(width, `i${width}`, `extractelement ${this.fn.typed(a, type)}, i64 ${low / width}`);
      }
      if ((low & 63) + width <= 64) return this.bits(this.bits(a, low & ~63, 64), low & 63, width);
      if (low % 64 === 0 && width % 64 === 0) return this.#words(a, width, low / 64);
      if (low % 8 === 0 && width % 64 === 0 && width >= 128) return this.bits(this.#moveBytes(a, low / 8), 0, width);
    }
    let from = this.fn.integer(a);
    if (low > 0) from = this.fn.emit(`lshr i${a.width} ${from}, ${low}`);
    return this.fn.value(width, `i${width}`, `trunc i${a.width} ${from} to i${width}`);
  }

  concat(...parts: IrValue[]): IrValue {
    if (parts.length === 1) return parts[0]!;
    const width = parts.reduce((sum, part) => sum + part.width, 0);
    if (parts.every((part) => part.constant !== undefined)) {
      return this.int(
        width,
        parts.reduce((value, part) => (value << BigInt(part.width)) | part.constant!, 0n),
      );
    }
    if (width >= 128 && parts.every((part) => part.width % 64 === 0)) return this.#concatWords(width, parts);
    let result = this.zext(parts[parts.length - 1]!, width);
    let shift = parts[parts.length - 1]!.width;
    for (let i = parts.length - 2; i >= 0; i--) {
      result = this.or(result, this.shl(this.zext(parts[i]!, width), this.int(width, shift)));
      shift += parts[i]!.width;
    }
    return result;
  }

  popcount(a: IrValue): IrValue {
    return this.#count("llvm.ctpop", a, false);
  }

  clz(a: IrValue): IrValue {
    return this.#count("llvm.ctlz", a, true);
  }

  ctz(a: IrValue): IrValue {
    return this.#count("llvm.cttz", a, true);
  }

  lookup(
    { name, entries }: { readonly name: string; readonly entries: readonly number[] },
    width: 8 | 16,
    index: IrValue,
  ): IrValue {
    const type = `[${entries.length} x i${width}]`;
    const contents = entries.map((entry) => `i${width} ${entry}`).join(", ");
    this.fn.module.declare(`@hc_table_${name} = private unnamed_addr constant ${type} [${contents}]`);
    const at = `getelementptr ${type}, ptr @hc_table_${name}, i64 0, ${this.fn.typed(this.zext(index, 64), "i64")}`;
    return this.fn.value(width, `i${width}`, `load i${width}, ptr ${this.fn.emit(at)}`);
  }

  bswap(a: IrValue): IrValue {
    if (a.width === 8) return a;
    const type = `i${a.width}`;
    return this.fn.named(
      a.width,
      type,
      this.fn.intrinsic(`llvm.bswap.${type}`, type, [`${type} ${this.fn.integer(a)}`]),
    );
  }

  #binary(op: string, a: IrValue, b: IrValue, fold: (x: bigint, y: bigint) => bigint): IrValue {
    same(a, b);
    if (a.constant !== undefined && b.constant !== undefined) return this.int(a.width, fold(a.constant, b.constant));
    const type = `i${a.width}`;
    return this.fn.value(a.width, type, `${op} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  #logic(op: string, a: IrValue, b: IrValue, fold: (x: bigint, y: bigint) => bigint): IrValue {
    same(a, b);
    if (a.constant !== undefined && b.constant !== undefined) return this.int(a.width, fold(a.constant, b.constant));
    const type = commonType(a, b);
    return this.fn.value(a.width, type, `${op} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  #divide(op: "udiv" | "urem" | "sdiv" | "srem", a: IrValue, b: IrValue): IrValue {
    same(a, b);
    const zero = this.int(a.width, 0);
    let bad = this.eq(b, zero);
    if (op === "sdiv" || op === "srem") {
      const overflow = this.and(this.eq(b, this.not(zero)), this.eq(a, this.int(a.width, 1n << BigInt(a.width - 1))));
      bad = this.or(bad, overflow);
    }
    const divisor = this.select(bad, this.int(a.width, 1), b);
    const type = `i${a.width}`;
    const rhs = `${op} ${type} ${this.fn.text(a, type)}, ${this.fn.text(divisor, type)}`;
    return this.select(bad, zero, this.fn.value(a.width, type, rhs));
  }

  #shift(op: "shl" | "lshr", a: IrValue, count: IrValue, tooFar: () => IrValue): IrValue {
    same(a, count);
    const inside = this.ult(count, this.int(a.width, a.width));
    if (inside.constant === 0n) return tooFar();
    const type = `i${a.width}`;
    const shifted = this.fn.value(
      a.width,
      type,
      `${op} ${type} ${this.fn.text(a, type)}, ${this.fn.text(count, type)}`,
    );
    return this.select(inside, shifted, tooFar());
  }

  #funnel(op: "fshl" | "fshr", hi: IrValue, lo: IrValue, count: IrValue): IrValue {
    same(hi, lo);
    same(hi, count);
    if ((hi.width & (hi.width - 1)) !== 0) return this.#oddFunnel(op, hi, lo, count);
    const type = `i${hi.width}`;
    const parameters = [hi, lo, count].map((v) => `${type} ${this.fn.text(v, type)}`);
    return this.fn.named(hi.width, type, this.fn.intrinsic(`llvm.${op}.${type}`, type, parameters));
  }

  /** Widths that are no power of two (rotations through carry), whose counts LLVM would divide in full width. */
  #oddFunnel(op: "fshl" | "fshr", hi: IrValue, lo: IrValue, count: IrValue): IrValue {
    const width = hi.width;
    const size = this.int(64, width);
    let by = this.urem(width > 64 ? this.bits(count, 0, 64) : this.zext(count, 64), size);
    if (width > 64) {
      const high = this.urem(this.zext(this.bits(count, 64, width - 64), 64), size);
      const scale = this.int(64, (1n << 64n) % BigInt(width));
      by = this.urem(this.add(by, this.mul(high, scale)), size);
    }
    const rest = this.sub(size, by);
    const fit = (value: IrValue): IrValue => (width < 64 ? this.trunc(value, width) : this.zext(value, width));
    const [left, right] = op === "fshl" ? [by, rest] : [rest, by];
    return this.or(this.shl(hi, fit(left)), this.lshr(lo, fit(right)));
  }

  #compare(predicate: string, a: IrValue, b: IrValue, fold: (x: bigint, y: bigint) => boolean): IrValue {
    same(a, b);
    if (a.constant !== undefined && b.constant !== undefined) return this.int(1, fold(a.constant, b.constant) ? 1 : 0);
    const type = `i${a.width}`;
    return this.fn.value(1, "i1", `icmp ${predicate} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  #cast(op: string, a: IrValue, width: number): IrValue {
    return this.fn.value(width, `i${width}`, `${op} i${a.width} ${this.fn.integer(a)} to i${width}`);
  }

  #count(name: string, a: IrValue, total: boolean): IrValue {
    const type = `i${a.width}`;
    const parameters = [`${type} ${this.fn.integer(a)}`];
    // The declared type of the flag is i1; `false` makes the count of zero the width instead of poison.
    if (total) parameters.push("i1 false");
    return this.fn.named(a.width, type, this.fn.intrinsic(`${name}.${type}`, type, parameters));
  }

  /** `width` bits as 64-bit words of `a` from word `first`; words beyond a's end are zero. */
  #words(a: IrValue, width: number, first: number): IrValue {
    const words = a.width / 64;
    const type = laneType(a.width, 64);
    const indices: string[] = [];
    for (let i = 0; i < width / 64; i++) indices.push(`i32 ${Math.min(first + i, words)}`);
    const rhs = `shufflevector ${this.fn.typed(a, type)}, ${type} zeroinitializer, <${indices.length} x i32> <${indices.join(", ")}>`;
    return this.fn.value(width, laneType(width, 64), rhs);
  }

  /** Moves a vector-shaped value `by` bytes down (up if negative), zeroes coming in. */
  #moveBytes(a: IrValue, by: number): IrValue {
    const bytes = a.width / 8;
    const type = laneType(a.width, 8);
    const indices: string[] = [];
    for (let i = 0; i < bytes; i++) indices.push(`i32 ${i + by >= 0 && i + by < bytes ? i + by : bytes}`);
    const rhs = `shufflevector ${this.fn.typed(a, type)}, ${type} zeroinitializer, <${bytes} x i32> <${indices.join(", ")}>`;
    return this.fn.value(a.width, type, rhs);
  }

  #concatWords(width: number, parts: readonly IrValue[]): IrValue {
    const type = laneType(width, 64);
    let low = 0;
    let result: IrValue | undefined;
    for (const part of [...parts].reverse()) {
      const words = part.width / 64;
      if (result === undefined) {
        result = this.zext(part, width);
      } else if (part.constant !== 0n && words === 1) {
        const rhs = `insertelement ${this.fn.typed(result, type)}, ${this.fn.typed(part, "i64")}, i64 ${low}`;
        result = this.fn.value(width, type, rhs);
      } else if (part.constant !== 0n) {
        const wide = this.#words(part, width, 0);
        const indices: string[] = [];
        for (let i = 0; i < width / 64; i++) {
          indices.push(`i32 ${i >= low && i < low + words ? width / 64 + i - low : i}`);
        }
        const rhs = `shufflevector ${this.fn.typed(result, type)}, ${this.fn.typed(wide, type)}, <${indices.length} x i32> <${indices.join(", ")}>`;
        result = this.fn.value(width, type, rhs);
      }
      low += words;
    }
    return result!;
  }
}

function signed(value: bigint, width: number): bigint {
  return BigInt.asIntN(width, value);
}

function same(a: IrValue, b: IrValue): void {
  if (a.width !== b.width) throw new Error(`internal error: widths ${a.width} and ${b.width} differ`);
}

/** Whether a value is better kept in a vector register than in general ones. */
function isVectorShaped(a: IrValue): boolean {
  return a.width >= 128 && a.width % 64 === 0 && !(a.width === 128 && a.type === "i128");
}

/** The type on which to move or mask two values of one width. */
function commonType(a: IrValue, b: IrValue): string {
  if (!isVectorShaped(a) && !isVectorShaped(b)) return `i${a.width}`;
  const typeOf = (v: IrValue): string | undefined =>
    v.type.startsWith("<") && !/float|double|half/.test(v.type) ? v.type : undefined;
  return typeOf(a) ?? typeOf(b) ?? laneType(a.width, 64);
}
