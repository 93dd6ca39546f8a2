// Floating-point operations, with the results that x86's SSE gives on every target.
//
// Operations that round are constrained intrinsics with dynamic rounding, so that LLVM neither folds them in the wrong
// rounding mode nor moves them over a change of it. NaN results are chosen here and not left to the instruction: LLVM
// may swap the operands of a commutative operation, and aarch64 has another priority (signalling before quiet) and a
// positive default NaN. Where a value's user passes NaNs on, the choice is left to that (PendingValue): one look at the
// results of a chain of operations, or of several side by side, is enough.

import { bitType, IrLaneOps } from "./lane-ops.ts";
import { type Exact, floatType, type IrValue, laneType, mangle, PendingValue, partsOf } from "./value.ts";

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
/** Operations in a row whose NaNs nobody looks at: looking then takes code for each of them. */
const MAX_DEPTH = 6;
/** Registers with values whose NaNs nobody has looked at. */
const MAX_REGISTERS = 4;
const MANTISSA_BITS = { 32: 23, 64: 52 } as const;

/** The whole vocabulary of operations as LLVM IR. */
export class IrOps extends IrLaneOps {
  /** Whether NaNs may be looked at later; not where code branches behind this class's back. */
  protected readonly delaysNans: boolean = false;
  /** Pending values that nothing pending has been made of. */
  readonly #last = new Set<PendingValue>();

  fp(op: IrFpOp, laneBits: 32 | 64, a: IrValue, b: IrValue): IrValue {
    if (op === "min" || op === "max") {
      return this.#passing(laneBits, [a, b], ([x, y]) => {
        const first = this.#comparison(op === "min" ? "olt" : "ogt", laneBits, x!, y!);
        return this.#select(first, laneBits, x!, y!);
      });
    }
    return this.#rounding(laneBits, [a, b], ([x, y]) => this.#constrained(`f${op}`, laneBits, a.width, [x!, y!]));
  }

  fsqrt(laneBits: 32 | 64, a: IrValue): IrValue {
    return this.#rounding(laneBits, [a], (operands) => this.#constrained("sqrt", laneBits, a.width, operands));
  }

  fma(laneBits: 32 | 64, a: IrValue, b: IrValue, c: IrValue, negateProduct: boolean, addend: IrNegation): IrValue {
    const compute = ([x, y, z]: readonly IrValue[]): IrValue => {
      const factor = negateProduct ? this.#negate(laneBits, x!, "all") : x!;
      return this.#constrained("fma", laneBits, a.width, [factor, y!, this.#negate(laneBits, z!, addend)]);
    };
    return this.#rounding(laneBits, [a, b, c], compute, negateProduct || addend !== "none");
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
    // Whatever NaN it is, it compares the same.
    const bits = this.#fcmpBits(PREDICATES[predicate], laneBits, this.#fast(laneBits, a), this.#fast(laneBits, b));
    const type = laneType(a.width, laneBits);
    return this.fn.value(a.width, type, `sext ${bitType(a.width / laneBits)} ${bits} to ${type}`);
  }

  fpToInt(laneBits: 32 | 64, a: IrValue, to: number, rounding: IrRounding, signed: boolean): IrValue {
    // Code generators have no short way to 64-bit lanes from singles but by doubles, which hold every single.
    if (laneBits === 32 && to === 64 && a.width > 32) {
      return this.fpToInt(64, this.fpConvert(32, this.#fast(32, a), 64), to, rounding, signed);
    }
    return this.#laneByLane(laneBits, this.#fast(laneBits, a), (value, lanes) => {
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
    const convert = (value: IrValue, lanes: number): IrValue => {
      const [from, type] = [laneType(value.width, laneBits), floatType(to * lanes, to)];
      const name = `llvm.experimental.constrained.${signed ? "si" : "ui"}tofp.${mangle(type)}.${mangle(from)}`;
      const parameters = [this.fn.typed(value, from), ...DYNAMIC];
      return this.fn.named(to * lanes, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
    };
    // LLVM makes vectors of singles from 64-bit lanes by way of doubles, which rounds twice.
    return laneBits > to ? this.#oneByOne(laneBits, a, convert) : this.#laneByLane(laneBits, a, convert);
  }

  fpConvert(laneBits: 16 | 32 | 64, a: IrValue, to: 16 | 32 | 64): IrValue {
    if (laneBits === to) return a;
    return this.#passing(laneBits, [a], ([x]) => this.#convert(laneBits, x!, to), to);
  }

  #convert(laneBits: 16 | 32 | 64, a: IrValue, to: 16 | 32 | 64): IrValue {
    return this.#laneByLane(laneBits, a, (value, lanes) => {
      const [from, type] = [floatType(value.width, laneBits), floatType(to * lanes, to)];
      const wider = to > laneBits;
      const name = `llvm.experimental.constrained.fp${wider ? "ext" : "trunc"}.${mangle(type)}.${mangle(from)}`;
      const parameters = [`${from} ${this.fn.text(value, from)}`, ...(wider ? DYNAMIC.slice(1) : DYNAMIC)];
      return this.fn.named(to * lanes, type, this.fn.intrinsic(name, type, parameters, " strictfp"));
    });
  }

  fpRound(laneBits: 32 | 64, a: IrValue, rounding: IrRounding): IrValue {
    return this.#passing(laneBits, [a], ([x]) => this.#round(laneBits, x!, rounding));
  }

  #round(laneBits: 32 | 64, a: IrValue, rounding: IrRounding): IrValue {
    return this.#laneByLane(laneBits, a, (value) => {
      if (rounding === "current") return this.#constrained("nearbyint", laneBits, value.width, [value]);
      const type = floatType(value.width, laneBits);
      const name = `llvm.${ROUNDINGS[rounding]}.${mangle(type)}`;
      return this.fn.named(value.width, type, this.fn.intrinsic(name, type, [`${type} ${this.fn.text(value, type)}`]));
    });
  }

  /** All lanes at once on aarch64, whose conversions of vectors are those of scalars; else one after the other. */
  #laneByLane(laneBits: number, a: IrValue, convert: (value: IrValue, lanes: number) => IrValue): IrValue {
    if (this.target === "aarch64") return convert(a, a.width / laneBits);
    return this.#oneByOne(laneBits, a, convert);
  }

  #oneByOne(laneBits: number, a: IrValue, convert: (value: IrValue, lanes: number) => IrValue): IrValue {
    const lanes = a.width / laneBits;
    if (lanes === 1) return convert(a, 1);
    const results = Array.from({ length: lanes }, (_, i) => convert(this.lane(a, laneBits, i), 1));
    return this.concat(...results.reverse());
  }

  #constrained(op: string, laneBits: 32 | 64, width: number, operands: readonly IrValue[]): IrValue {
    const type = floatType(width, laneBits);
    const parameters = operands.map((operand) => `${type} ${this.fn.text(operand, type)}`);
    const name = `llvm.experimental.constrained.${op}.${mangle(type)}`;
    const modes = op === "trunc" ? DYNAMIC.slice(1) : DYNAMIC;
    return this.fn.named(width, type, this.fn.intrinsic(name, type, [...parameters, ...modes], " strictfp"));
  }

  #fcmpBits(predicate: string, laneBits: 32 | 64, a: IrValue, b: IrValue): string {
    const type = floatType(a.width, laneBits);
    return this.fn.emit(`fcmp ${predicate} ${type} ${this.fn.text(a, type)}, ${this.fn.text(b, type)}`);
  }

  /** A comparison that LLVM does not take together with a choice: to its minimum and maximum all NaNs are quiet. */
  #comparison(predicate: string, laneBits: 32 | 64, a: IrValue, b: IrValue): string {
    const type = floatType(a.width, laneBits);
    const operands = [a, b].map((operand) => `${type} ${this.fn.text(operand, type)}`);
    const name = `llvm.experimental.constrained.fcmp.${mangle(type)}`;
    const parameters = [...operands, `metadata !"${predicate}"`, ...DYNAMIC.slice(1)];
    return this.fn.intrinsic(name, bitType(a.width / laneBits), parameters, " strictfp");
  }

  #select(bits: string, laneBits: 32 | 64, ifOne: IrValue, ifZero: IrValue): IrValue {
    const type = floatType(ifOne.width, laneBits);
    const condition = `${bitType(ifOne.width / laneBits)} ${bits}`;
    const rhs = `select ${condition}, ${type} ${this.fn.text(ifOne, type)}, ${type} ${this.fn.text(ifZero, type)}`;
    return this.fn.value(ifOne.width, type, rhs);
  }

  /** Moves lanes and bits: what is pending stays so where it moves as a whole. */
  override bits(a: IrValue, low: number, width: number): IrValue {
    if (!isPending(a) || width === a.width || low % a.laneBits !== 0 || width % a.laneBits !== 0)
      return super.bits(a, low, width);
    const lanes = (a.lanes >>> (low / a.laneBits)) & everyLane(width, a.laneBits);
    if (lanes === 0) return super.bits(a.fast, low, width);
    return this.#moved(a.laneBits, lanes, [a], ([x]) => super.bits(x!, low, width));
  }

  override concat(...parts: IrValue[]): IrValue {
    const laneBits = parts.find(isPending)?.laneBits;
    if (laneBits === undefined || parts.length === 1 || !this.#fit(laneBits, parts)) return super.concat(...parts);
    let lanes = 0;
    for (const part of parts) lanes = (lanes << (part.width / laneBits)) | (isPending(part) ? part.lanes : 0);
    return this.#moved(laneBits, lanes, parts, (values) => super.concat(...values));
  }

  override zext(a: IrValue, width: number): IrValue {
    if (!isPending(a) || width === a.width) return super.zext(a, width);
    return this.#moved(a.laneBits, a.lanes, [a], ([x]) => super.zext(x!, width));
  }

  override setLane(a: IrValue, laneBits: number, index: number, value: IrValue): IrValue {
    if (a.width === laneBits || !(isPending(a) || isPending(value)) || !this.#fit(laneBits, [a, value]))
      return super.setLane(a, laneBits, index, value);
    const lanes = ((isPending(a) ? a.lanes : 0) & ~(1 << index)) | (isPending(value) ? 1 << index : 0);
    const move = ([x, y]: readonly IrValue[]): IrValue => super.setLane(x!, laneBits, index, y!);
    return lanes === 0 ? move([fastOf(a), value]) : this.#moved(laneBits, lanes, [a, value], move);
  }

  override shuffle(laneBits: number, a: IrValue, b: IrValue, indices: readonly number[]): IrValue {
    if (!(isPending(a) || isPending(b)) || !this.#fit(laneBits, [a, b])) return super.shuffle(laneBits, a, b, indices);
    const count = a.width / laneBits;
    const isSuspect = (index: number): boolean => {
      const from = index < count ? a : b;
      return isPending(from) && (from.lanes & (1 << (index % count))) !== 0;
    };
    const lanes = indices.reduce((set, index, i) => set | (isSuspect(index) ? 1 << i : 0), 0);
    const move = ([x, y]: readonly IrValue[]): IrValue => super.shuffle(laneBits, x!, y!, indices);
    return lanes === 0 ? move([fastOf(a), fastOf(b)]) : this.#moved(laneBits, lanes, [a, b], move);
  }

  /** Makes values right that are pending, with one look at all of them. */
  settle(values: Iterable<IrValue>): void {
    const pending = [...new Set([...values].flatMap(partsOf))].filter(isPending);
    for (const value of pending) this.#last.delete(value);
    if (pending.length === 0) return;
    const { fn } = this;
    const [wrong, join] = [fn.newLabel("nan"), fn.newLabel("number")];
    const fast = pending.map((value) => fn.text(value.fast, value.fast.type));
    const isNan = this.#hasNan(pending);
    const before = fn.label;
    fn.branch(isNan, wrong, join, true);
    fn.begin(wrong);
    // Keeps code generators from computing all this in advance, to save the branch.
    fn.effect('call void asm sideeffect "", ""()');
    const known: Exact = new Map();
    const exact = pending.map((value) => fn.text(value.exact(known), value.fast.type));
    const after = fn.label;
    fn.jump(join);
    fn.begin(join);
    pending.forEach((value, i) => {
      const { type } = value.fast;
      const name = fn.emit(`phi ${type} [ ${fast[i]}, %${before} ], [ ${exact[i]}, %${after} ]`);
      value.views.push({ type, name, block: fn.block });
    });
  }

  /** Whether a lane that may be wrong is a NaN. */
  #hasNan(pending: readonly PendingValue[]): IrValue {
    const { fn } = this;
    const [scalars, vectors] = [new Map<string, string[]>(), new Map<string, string[]>()];
    const add = (map: Map<string, string[]>, type: string, text: string): void => {
      const list = map.get(type);
      if (list) list.push(text);
      else map.set(type, [text]);
    };
    // The larger of two is a NaN if one is. By arm64's own intrinsic: LLVM 19 crashes on llvm.maximum of such a maximum and
    // another intrinsic of the same operands (a sum, say), as it looks for the inverse of what is no minimum or maximum.
    const maximum = fn.module.target === "aarch64" ? "llvm.aarch64.neon.fmax" : "llvm.maximum";
    const larger = (type: string, texts: string[], left: number): void => {
      while (texts.length > left) {
        const [x, y] = texts.splice(0, 2);
        texts.push(fn.intrinsic(`${maximum}.${mangle(type)}`, type, [`${type} ${x}`, `${type} ${y}`]));
      }
    };
    for (const { fast, laneBits, lanes } of pending) {
      const scalar = floatType(laneBits, laneBits);
      if (fast.width > laneBits && lanes === everyLane(fast.width, laneBits)) {
        for (let low = 0; low < fast.width; low += 128) {
          const part = super.bits(fast, low, Math.min(128, fast.width));
          const type = floatType(part.width, laneBits);
          add(vectors, type, fn.text(part, type));
        }
        continue;
      }
      for (let i = 0; i < fast.width / laneBits; i++)
        if (lanes & (1 << i)) add(scalars, scalar, fn.text(super.bits(fast, i * laneBits, laneBits), scalar));
    }
    for (const [type, texts] of vectors) {
      larger(type, texts, 1);
      const scalar = type.split(" ").at(-1)!.slice(0, -1);
      const name = `llvm.vector.reduce.fmaximum.${mangle(type)}`;
      add(scalars, scalar, fn.intrinsic(name, scalar, [`${type} ${texts[0]}`]));
    }
    const found = [...scalars].map(([type, texts]) => {
      larger(type, texts, 2);
      return fn.value(1, "i1", `fcmp uno ${type} ${texts[0]}, ${texts[1] ?? texts[0]}`);
    });
    return found.reduce((x, y) => this.or(x, y));
  }

  /**
   * What an operation may use whose result says nothing of which NaN a lane is. Also if it has been made right: flags are
   * computed from it in exits that begin before that.
   */
  #fast(laneBits: number, a: IrValue): IrValue {
    return a instanceof PendingValue && a.laneBits === laneBits ? a.fast : a;
  }

  /** Whether all that is pending has lanes of this width, and none too many operations behind it; else it is made right. */
  #fit(laneBits: number, values: readonly IrValue[]): boolean {
    const isFit = values.every(
      (value) => !isPending(value) || (value.laneBits === laneBits && value.depth < MAX_DEPTH),
    );
    if (!isFit) this.settle(values);
    return isFit;
  }

  #moved(
    laneBits: number,
    lanes: number,
    operands: readonly IrValue[],
    move: (operands: readonly IrValue[]) => IrValue,
  ): IrValue {
    const depth = depthOf(operands);
    const exacts = operands.map(exactOf);
    const makeExact = (known: Exact): IrValue => move(exacts.map((exact) => exact(known)));
    return this.#pending(operands, move(operands.map(fastOf)), { laneBits, lanes, depth, makeExact });
  }

  #pending(
    operands: readonly IrValue[],
    fast: IrValue,
    more: Pick<PendingValue, "laneBits" | "lanes" | "depth" | "makeExact">,
  ): PendingValue {
    const value = new PendingValue(fast, more, (pending) => this.settle([pending]));
    for (const operand of operands) if (isPending(operand)) this.#last.delete(operand);
    this.#last.add(value);
    return value;
  }

  /** To be called where what was pending has been settled or is of no use any more. */
  forgetPending(): void {
    this.#last.clear();
  }

  /** Makes all right that is pending, before so much of it is that registers run short: each keeps its operands alive. */
  #limitPending(): void {
    let registers = 0;
    for (const { fast } of this.#last) registers += Math.max(1, fast.width / 128);
    if (registers > MAX_REGISTERS) this.settle(this.#last);
  }

  /** A result whose lanes are NaNs exactly where a lane of an operand that it takes over is one. */
  #passing(
    laneBits: number,
    operands: readonly IrValue[],
    compute: (operands: readonly IrValue[]) => IrValue,
    to = laneBits,
  ): IrValue {
    if (!operands.some(isPending) || !this.#fit(laneBits, operands)) return compute(operands);
    const lanes = operands.reduce((set, operand) => set | (isPending(operand) ? operand.lanes : 0), 0);
    return this.#moved(to, lanes, operands, compute);
  }

  /**
   * A result that is computed, with x86's NaNs: the first operand that is one, quieted; if none is, the negative default NaN.
   */
  #rounding(
    laneBits: 32 | 64,
    operands: readonly IrValue[],
    compute: (operands: readonly IrValue[]) => IrValue,
    negated = false,
  ): IrValue {
    if (this.target !== "aarch64") {
      // On x86 an invalid operation gives the right NaN by itself, and a single NaN operand is propagated (with the sign that
      // it was given); only the order of several must be restored, for which the last operand need not be looked at.
      return this.#firstNan(laneBits, negated ? operands : operands.slice(0, -1), compute(operands));
    }
    // What does not fit is not pending any more.
    this.#fit(laneBits, operands);
    const exacts = operands.map(exactOf);
    const fast = compute(operands.map(fastOf));
    const makeExact = (known: Exact): IrValue => {
      const isNan = this.#fcmpBits("uno", laneBits, fast, fast);
      const nan = this.#firstNan(
        laneBits,
        exacts.map((exact) => exact(known)),
        this.#defaultNan(laneBits, fast.width),
      );
      return this.#select(isNan, laneBits, nan, fast);
    };
    const depth = 1 + depthOf(operands);
    const lanes = everyLane(fast.width, laneBits);
    const value = this.#pending(operands, fast, { laneBits, lanes, depth, makeExact });
    if (this.delaysNans) this.#limitPending();
    else value.settle();
    return value;
  }

  /** The first operand that is a NaN, quieted, or `otherwise`; lane by lane. */
  #firstNan(laneBits: 32 | 64, operands: readonly IrValue[], otherwise: IrValue): IrValue {
    let chosen = otherwise;
    for (const operand of [...operands].reverse()) {
      const isNan = this.#fcmpBits("uno", laneBits, operand, operand);
      // Rounding quiets a NaN, and raises nothing for numbers. As integers operands would be loaded into general registers.
      const quiet = this.#constrained("trunc", laneBits, operand.width, [operand]);
      chosen = this.#select(isNan, laneBits, quiet, chosen);
    }
    return chosen;
  }

  #defaultNan(laneBits: 32 | 64, width: number): IrValue {
    const payload = (1n << (BigInt(MANTISSA_BITS[laneBits]) - 1n)) - 1n;
    return this.splat(this.int(laneBits, ((1n << BigInt(laneBits)) - 1n) ^ payload), width);
  }
}

function isPending(value: IrValue): value is PendingValue {
  return value instanceof PendingValue && !value.isSettled;
}

/** A value that is right but for NaNs. */
function fastOf(value: IrValue): IrValue {
  return isPending(value) ? value.fast : value;
}

/** What gives the right value later: of what is pending now the same, even if it has been made right elsewhere until then. */
function exactOf(value: IrValue): (known: Exact) => IrValue {
  return isPending(value) ? (known) => value.exact(known) : () => value;
}

function depthOf(values: readonly IrValue[]): number {
  return Math.max(...values.map((value) => (isPending(value) ? value.depth : 0)));
}

/** A bit for each lane. */
function everyLane(width: number, laneBits: number): number {
  return (1 << (width / laneBits)) - 1;
}

/** The bits of a number of 32 or 64 bits. */
function floatBits(laneBits: 32 | 64, value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (laneBits === 64) view.setFloat64(0, value);
  else view.setFloat32(4, value);
  return view.getBigUint64(0);
}
