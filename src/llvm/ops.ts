// Floating-point operations, with the results that x86's SSE gives on every target.
//
// Operations that round are constrained intrinsics with dynamic rounding, so that LLVM neither folds them in the wrong
// rounding mode nor moves them over a change of it. NaN results are chosen here and not left to the instruction: LLVM
// may swap the operands of a commutative operation, and aarch64 has another priority (signalling before quiet) and a
// positive default NaN.

import { bitType, IrLaneOps } from "./lane-ops.ts";
import { floatType, type IrValue, laneType, mangle } from "./value.ts";

const PREDICATES = {
  eq: "oeq",
  lt: "olt",
  le: "ole",
  unord: "uno",
  ne: "une",
  nlt: "uge",
  nle: "ugt",
  ord: "ord",
} as const;
const ROUNDINGS = { nearest: "roundeven", down: "floor", up: "ceil", zero: "trunc" } as const;
/** Names of comparison predicates; the vocabulary's FpPredicate. */
export type IrFpPredicate = keyof typeof PREDICATES;
/** The vocabulary's FpOp and Rounding. */
export type IrFpOp = "add" | "sub" | "mul" | "div" | "min" | "max";
export type IrRounding = keyof typeof ROUNDINGS | "current";
/** The vocabulary's Negation. */
export type IrNegation = "none" | "all" | "even" | "odd";

const DYNAMIC = ['metadata !"round.dynamic"', 'metadata !"fpexcept.ignore"'];
const MANTISSA_BITS = { 32: 23, 64: 52 } as const;

/** The whole vocabulary of operations as LLVM IR. */
export class IrOps extends IrLaneOps {
  fp(op: IrFpOp, laneBits: 32 | 64, a: IrValue, b: IrValue): IrValue {
    if (op === "min" || op === "max") {
      const first = this.#fcmpBits(op === "min" ? "olt" : "ogt", laneBits, a, b);
      return this.#select(first, laneBits, a, b);
    }
    const result = this.#constrained(`f${op}`, laneBits, a.width, [a, b]);
    return this.#chooseNan(laneBits, result, [a, b]);
  }

  fsqrt(laneBits: 32 | 64, a: IrValue): IrValue {
    return this.#chooseNan(laneBits, this.#constrained("sqrt", laneBits, a.width, [a]), [a]);
  }

  fma(laneBits: 32 | 64, a: IrValue, b: IrValue, c: IrValue, negateProduct: boolean, addend: IrNegation): IrValue {
    const factor = negateProduct ? this.#negate(laneBits, a, "all") : a;
    const result = this.#constrained("fma", laneBits, a.width, [factor, b, this.#negate(laneBits, c, addend)]);
    return this.#chooseNan(laneBits, result, [a, b, c], negateProduct || addend !== "none");
  }

  /** Flips signs, those of NaNs too. */
  #negate(laneBits: 32 | 64, a: IrValue, lanes: IrNegation): IrValue {
    if (lanes === "none") return a;
    const type = floatType(a.width, laneBits);
    if (lanes === "all") return this.fn.value(a.width, type, `fneg ${type} ${this.fn.text(a, type)}`);
    const sign = 1n << BigInt(lanes === "even" ? laneBits - 1 : 2 * laneBits - 1);
    return this.xor(a, this.splat(this.int(2 * laneBits, sign), a.width));
  }

  fcmp(predicate: IrFpPredicate, laneBits: 32 | 64, a: IrValue, b: IrValue): IrValue {
    const bits = this.#fcmpBits(PREDICATES[predicate], laneBits, a, b);
    const type = laneType(a.width, laneBits);
    return this.fn.value(a.width, type, `sext ${bitType(a.width / laneBits)} ${bits} to ${type}`);
  }

  fpToInt(laneBits: 32 | 64, a: IrValue, to: number, rounding: IrRounding, signed: boolean): IrValue {
    // Code generators have no short way to 64-bit lanes from singles but by doubles, which hold every single.
    if (laneBits === 32 && to === 64 && a.width > 32) {
      return this.fpToInt(64, this.fpConvert(32, a, 64), to, rounding, signed);
    }
    return this.#laneByLane(laneBits, a, (value, lanes) => {
      // The conversion cuts towards zero by itself. rint, unlike nearbyint, notes an inexact result, as x86 does.
      const whole =
        rounding === "zero"
          ? value
          : rounding === "current"
            ? this.#constrained("rint", laneBits, value.width, [value])
            : this.fpRound(laneBits, value, rounding);
      const type = floatType(value.width, laneBits);
      const target = laneType(to * lanes, to);
      const x = this.fn.text(whole, type);
      const name = `llvm.fpto${signed ? "si" : "ui"}.sat.${mangle(target)}.${mangle(type)}`;
      const converted = this.fn.intrinsic(name, target, [`${type} ${x}`]);
      // Saturation gives the indefinite integer on one side of the range already; NaN compares false.
      const limit = this.splat(this.int(laneBits, floatBits(laneBits, signed ? 2 ** (to - 1) : -1)), value.width);
      const inside = this.fn.emit(`fcmp ${signed ? "olt" : "ogt"} ${type} ${x}, ${this.fn.text(limit, type)}`);
      const indefinite = this.splat(this.int(to, signed ? 1n << BigInt(to - 1) : (1n << BigInt(to)) - 1n), to * lanes);
      const rhs = `select ${bitType(lanes)} ${inside}, ${target} ${converted}, ${this.fn.typed(indefinite, target)}`;
      return this.fn.value(to * lanes, target, rhs);
    });
  }

  intToFp(laneBits: number, a: IrValue, to: 32 | 64, signed: boolean): IrValue {
    return this.#laneByLane(laneBits, a, (value, lanes) => {
      const [from, type] = [laneType(value.width, laneBits), floatType(to * lanes, to)];
      const name = `llvm.experimental.constrained.${signed ? "si" : "ui"}tofp.${mangle(type)}.${mangle(from)}`;
      const parameters = [this.fn.typed(value, from), ...DYNAMIC];
      return this.fn.named(to * lanes, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
    });
  }

  fpConvert(laneBits: 16 | 32 | 64, a: IrValue, to: 16 | 32 | 64): IrValue {
    if (laneBits === to) return a;
    return this.#laneByLane(laneBits, a, (value, lanes) => {
      const [from, type] = [floatType(value.width, laneBits), floatType(to * lanes, to)];
      const wider = to > laneBits;
      const name = `llvm.experimental.constrained.fp${wider ? "ext" : "trunc"}.${mangle(type)}.${mangle(from)}`;
      const parameters = [`${from} ${this.fn.text(value, from)}`, ...(wider ? DYNAMIC.slice(1) : DYNAMIC)];
      return this.fn.named(to * lanes, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
    });
  }

  fpRound(laneBits: 32 | 64, a: IrValue, rounding: IrRounding): IrValue {
    return this.#laneByLane(laneBits, a, (value) => {
      if (rounding === "current") return this.#constrained("nearbyint", laneBits, value.width, [value]);
      const type = floatType(value.width, laneBits);
      const name = `llvm.${ROUNDINGS[rounding]}.${mangle(type)}`;
      return this.fn.named(value.width, type, this.fn.intrinsic(name, type, [`${type} ${this.fn.text(value, type)}`]));
    });
  }

  /** All lanes at once on aarch64, whose conversions of vectors are those of scalars; else one after the other. */
  #laneByLane(laneBits: number, a: IrValue, convert: (value: IrValue, lanes: number) => IrValue): IrValue {
    const lanes = a.width / laneBits;
    if (lanes === 1 || this.target === "aarch64") return convert(a, lanes);
    const results = Array.from({ length: lanes }, (_, i) => convert(this.lane(a, laneBits, i), 1));
    return this.concat(...results.reverse());
  }

  #constrained(op: string, laneBits: 32 | 64, width: number, operands: readonly IrValue[]): IrValue {
    const type = floatType(width, laneBits);
    const parameters = operands.map((operand) => `${type} ${this.fn.text(operand, type)}`);
    const name = `llvm.experimental.constrained.${op}.${mangle(type)}`;
    return this.fn.named(width, type, this.fn.intrinsic(name, type, [...parameters, ...DYNAMIC], " strictfp"));
  }

  #fcmpBits(predicate: string, laneBits: 32 | 64, a: IrValue, b: IrValue): string {
    const type = floatType(a.width, laneBits);
    return this.fn.emit(`fcmp ${predicate} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  #select(bits: string, laneBits: 32 | 64, ifOne: IrValue, ifZero: IrValue): IrValue {
    const type = floatType(ifOne.width, laneBits);
    const condition = `${bitType(ifOne.width / laneBits)} ${bits}`;
    const rhs = `select ${condition}, ${type} ${this.fn.text(ifOne, type)}, ${type} ${this.fn.text(ifZero, type)}`;
    return this.fn.value(ifOne.width, type, rhs);
  }

  /** The first operand that is a NaN, quieted; if none is and `result` is, the negative default NaN; else `result`. */
  #chooseNan(laneBits: 32 | 64, result: IrValue, operands: readonly IrValue[], negated = false): IrValue {
    // On x86 an invalid operation gives the right NaN by itself, and a single NaN operand is propagated (with the sign that
    // it was given); only the order of several must be restored, for which the last operand need not be looked at.
    const suspects = negated ? operands : operands.slice(0, -1);
    if (this.target !== "aarch64") return this.#firstNan(laneBits, suspects, result);
    // Results without a NaN, which nearly all are, cost a comparison and a branch; the largest lane is a NaN if one is.
    const { fn } = this;
    const type = floatType(result.width, laneBits);
    const scalar = floatType(laneBits, laneBits);
    const [wrong, join] = [fn.newLabel("nan"), fn.newLabel("number")];
    const before = fn.label;
    const resultText = fn.text(result, type);
    const largest =
      result.width === laneBits
        ? resultText
        : fn.intrinsic(`llvm.vector.reduce.fmaximum.${mangle(type)}`, scalar, [`${type} ${resultText}`]);
    const isNan = fn.emit(`fcmp uno ${scalar} ${largest}, ${largest}`);
    fn.branch(fn.named(1, "i1", isNan), wrong, join, true);
    fn.begin(wrong);
    // Keeps code generators from computing all this in advance, to save the branch.
    fn.effect('call void asm sideeffect "", ""()');
    const lanesNan = this.#fcmpBits("uno", laneBits, result, result);
    const fixed = this.#firstNan(laneBits, operands, this.#defaultNan(laneBits, result.width));
    const fixedText = fn.text(this.#select(lanesNan, laneBits, fixed, result), type);
    const after = fn.label;
    fn.jump(join);
    fn.begin(join);
    return fn.value(result.width, type, `phi ${type} [ ${resultText}, %${before} ], [ ${fixedText}, %${after} ]`);
  }

  /** The first operand that is a NaN, quieted, or `otherwise`; lane by lane. */
  #firstNan(laneBits: 32 | 64, operands: readonly IrValue[], otherwise: IrValue): IrValue {
    const quietBit = this.splat(this.int(laneBits, 1n << (BigInt(MANTISSA_BITS[laneBits]) - 1n)), otherwise.width);
    let chosen = otherwise;
    for (const operand of [...operands].reverse()) {
      const isNan = this.#fcmpBits("uno", laneBits, operand, operand);
      chosen = this.#select(isNan, laneBits, this.or(operand, quietBit), chosen);
    }
    return chosen;
  }

  #defaultNan(laneBits: 32 | 64, width: number): IrValue {
    const payload = (1n << (BigInt(MANTISSA_BITS[laneBits]) - 1n)) - 1n;
    return this.splat(this.int(laneBits, ((1n << BigInt(laneBits)) - 1n) ^ payload), width);
  }
}

/** The bits of a number of 32 or 64 bits. */
function floatBits(laneBits: 32 | 64, value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (laneBits === 64) view.setFloat64(0, value);
  else view.setFloat32(4, value);
  return view.getBigUint64(0);
}
