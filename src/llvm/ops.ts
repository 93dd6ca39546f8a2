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

  fma(laneBits: 32 | 64, a: IrValue, b: IrValue, c: IrValue): IrValue {
    return this.#chooseNan(laneBits, this.#constrained("fma", laneBits, a.width, [a, b, c]), [a, b, c]);
  }

  fcmp(predicate: IrFpPredicate, laneBits: 32 | 64, a: IrValue, b: IrValue): IrValue {
    const bits = this.#fcmpBits(PREDICATES[predicate], laneBits, a, b);
    const type = laneType(a.width, laneBits);
    return this.fn.value(a.width, type, `sext ${bitType(a.width / laneBits)} ${bits} to ${type}`);
  }

  fpToInt(a: IrValue, to: number, rounding: IrRounding, signed: boolean): IrValue {
    // The conversion cuts towards zero by itself. rint, unlike nearbyint, notes an inexact result, as x86 does.
    const laneBits = a.width as 32 | 64;
    const whole =
      rounding === "zero"
        ? a
        : rounding === "current"
          ? this.#constrained("rint", laneBits, a.width, [a])
          : this.fpRound(a, rounding);
    const type = floatType(a.width, a.width);
    const x = this.fn.text(whole, type);
    const name = `llvm.fpto${signed ? "si" : "ui"}.sat.i${to}.${mangle(type)}`;
    const converted = this.fn.intrinsic(name, `i${to}`, [`${type} ${x}`]);
    // Saturation gives the indefinite integer on one side of the range already; NaN compares false.
    const inside = this.fn.emit(
      signed ? `fcmp olt ${type} ${x}, ${floatText(2 ** (to - 1))}` : `fcmp ogt ${type} ${x}, ${floatText(-1)}`,
    );
    const indefinite = signed ? 1n << BigInt(to - 1) : (1n << BigInt(to)) - 1n;
    return this.fn.value(to, `i${to}`, `select i1 ${inside}, i${to} ${converted}, i${to} ${indefinite}`);
  }

  intToFp(a: IrValue, to: 32 | 64, signed: boolean): IrValue {
    const type = floatType(to, to);
    const name = `llvm.experimental.constrained.${signed ? "si" : "ui"}tofp.${mangle(type)}.i${a.width}`;
    const parameters = [`i${a.width} ${this.fn.integer(a)}`, ...DYNAMIC];
    return this.fn.named(to, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
  }

  fpConvert(a: IrValue, to: 16 | 32 | 64): IrValue {
    if (a.width === to) return a;
    const [from, type] = [floatType(a.width, a.width), floatType(to, to)];
    const operand = `${from} ${this.fn.text(a, from)}`;
    const wider = to > a.width;
    const name = `llvm.experimental.constrained.fp${wider ? "ext" : "trunc"}.${mangle(type)}.${mangle(from)}`;
    const parameters = [operand, ...(wider ? DYNAMIC.slice(1) : DYNAMIC)];
    return this.fn.named(to, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
  }

  fpRound(a: IrValue, rounding: IrRounding): IrValue {
    const laneBits = a.width as 32 | 64;
    if (rounding === "current") return this.#constrained("nearbyint", laneBits, a.width, [a]);
    const type = floatType(a.width, a.width);
    const name = `llvm.${ROUNDINGS[rounding]}.${mangle(type)}`;
    return this.fn.named(a.width, type, this.fn.intrinsic(name, type, [`${type} ${this.fn.text(a, type)}`]));
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

  #select(bits: string, laneBits: number, ifOne: IrValue, ifZero: IrValue): IrValue {
    const type = laneType(ifOne.width, laneBits);
    const condition = `${bitType(ifOne.width / laneBits)} ${bits}`;
    const rhs = `select ${condition}, ${this.fn.typed(ifOne, type)}, ${this.fn.typed(ifZero, type)}`;
    return this.fn.value(ifOne.width, type, rhs);
  }

  /** The first operand that is a NaN, quieted; if none is and `result` is, the negative default NaN; else `result`. */
  #chooseNan(laneBits: 32 | 64, result: IrValue, operands: readonly IrValue[]): IrValue {
    // On x86 an invalid operation gives the right NaN by itself, and a single NaN operand is propagated; only the order
    // of several must be restored, for which the last operand need not be looked at.
    if (this.target !== "aarch64") return this.#firstNan(laneBits, operands.slice(0, -1), result);
    const isNan = this.#fcmpBits("uno", laneBits, result, result);
    const fix = (): IrValue => this.#firstNan(laneBits, operands, this.#defaultNan(laneBits, result.width));
    if (result.width > laneBits) return this.#select(isNan, laneBits, fix(), result);
    // A scalar that is no NaN, which nearly all are, costs a comparison and a branch.
    const { fn } = this;
    const type = floatType(laneBits, laneBits);
    const [wrong, join] = [fn.newLabel("nan"), fn.newLabel("number")];
    const before = fn.label;
    const resultText = fn.text(result, type);
    fn.branch(fn.named(1, "i1", isNan), wrong, join, true);
    fn.begin(wrong);
    const fixedText = fn.text(fix(), type);
    const after = fn.label;
    fn.jump(join);
    fn.begin(join);
    return fn.value(laneBits, type, `phi ${type} [ ${resultText}, %${before} ], [ ${fixedText}, %${after} ]`);
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

/** An integral number as a floating-point constant; LLVM writes constants of type float as doubles, too. */
function floatText(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return `0x${view.getBigUint64(0).toString(16).toUpperCase().padStart(16, "0")}`;
}
