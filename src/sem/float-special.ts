// What AVX-512 adds to floating point: rounding to fractions of a power of two, exponents and mantissas as numbers,
// scaling, ranges, classes and fix-ups. They are mostly manipulations of the fields of a number, so they are written on
// integer lanes; the vocabulary's operations do the arithmetic. DAZ is looked at where a denormal operand is classified.

import { writeBits } from "./evex-compare.ts";
import { FLOATS, type FloatBits, float } from "./float-arithmetic.ts";
import { roundLanes } from "./float-convert.ts";
import { choose, laneSource, low, range, result, scalar, scalarResult } from "./simd-operands.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

/** What a number of a size looks like. */
interface Layout {
  readonly bits: FloatBits;
  readonly mantissaBits: number;
  readonly exponentBits: number;
  readonly bias: number;
  readonly quietNan: bigint;
}

function layoutOf(bits: FloatBits): Layout {
  const mantissaBits = bits === 32 ? 23 : 52;
  const exponentBits = bits === 32 ? 8 : 11;
  const bias = 2 ** (exponentBits - 1) - 1;
  const quietNan = (((1n << BigInt(exponentBits + 1)) - 1n) << 1n) | 1n;
  return { bits, mantissaBits, exponentBits, bias, quietNan: quietNan << BigInt(mantissaBits - 1) };
}
const LAYOUTS = { 32: layoutOf(32), 64: layoutOf(64) } as const;

/** One scalar, and what is known of it; every field is a value of the number's width or a bit. */
interface Parts<V> {
  readonly value: V;
  readonly sign: V;
  readonly magnitude: V;
  readonly exponent: V;
  readonly fraction: V;
  readonly isZero: V;
  readonly isDenormal: V;
  readonly isInfinite: V;
  readonly isNan: V;
  readonly isSignalling: V;
}

/** Takes a scalar apart; with DAZ a denormal is a zero. */
function takeApart<V>(s: Sem<V>, layout: Layout, raw: V): Parts<V> {
  const { bits, mantissaBits } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  const infinity = BigInt(2 * layout.bias + 1) << BigInt(mantissaBits);
  const sign = s.and(raw, int(1n << BigInt(bits - 1)));
  const rawMagnitude = s.xor(raw, sign);
  const small = s.ult(rawMagnitude, int(1n << BigInt(mantissaBits)));
  const daz = s.bits(s.field("mxcsr"), 6, 1);
  const magnitude = s.select(s.and(small, daz), int(0), rawMagnitude);
  const isZero = s.eq(magnitude, int(0));
  const isNan = s.ult(int(infinity), magnitude);
  const isQuiet = s.bits(raw, mantissaBits - 1, 1);
  return {
    value: s.or(sign, magnitude),
    sign,
    magnitude,
    exponent: s.lshr(magnitude, int(mantissaBits)),
    fraction: s.and(magnitude, int((1n << BigInt(mantissaBits)) - 1n)),
    isZero,
    isDenormal: s.and(small, s.not(isZero)),
    isInfinite: s.eq(magnitude, int(infinity)),
    isNan,
    isSignalling: s.and(isNan, s.not(isQuiet)),
  };
}

const constantOf = {
  infinity: (layout: Layout): bigint => BigInt(2 * layout.bias + 1) << BigInt(layout.mantissaBits),
  one: (layout: Layout): bigint => BigInt(layout.bias) << BigInt(layout.mantissaBits),
};

const quiet = <V>(s: Sem<V>, layout: Layout, value: V): V =>
  s.or(value, s.int(layout.bits, 1n << BigInt(layout.mantissaBits - 1)));

/** A denormal's exponent and fraction as if it were normal (the exponent may be negative, in two's complement). */
function normalize<V>(s: Sem<V>, layout: Layout, parts: Parts<V>): { exponent: V; fraction: V } {
  const { bits, mantissaBits } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  // Shift the leading one to the place of the implicit one.
  const shift = s.sub(s.clz(parts.fraction), int(bits - 1 - mantissaBits));
  const shifted = s.and(s.shl(parts.fraction, shift), int((1n << BigInt(mantissaBits)) - 1n));
  const exponent = s.sub(int(1), shift);
  return {
    exponent: s.select(parts.isDenormal, exponent, parts.exponent),
    fraction: s.select(parts.isDenormal, shifted, parts.fraction),
  };
}

type LaneCompute = <V>(s: Sem<V>, layout: Layout, lane: V, immediate: V) => V;
type LaneCompute2 = <V>(s: Sem<V>, layout: Layout, a: V, b: V, immediate: V) => V;

const join = <V>(s: Sem<V>, lanes: V[]): V => (lanes.length === 1 ? lanes[0]! : s.concat(...lanes.reverse()));
const laneOf = <V>(s: Sem<V>, value: V, bits: number, lane: number): V =>
  s.w(value) === bits ? value : s.lane(value, bits, lane);
const lastImmediate = <V>(s: Sem<V>, insn: Insn<V>): V => {
  const last = insn.opCount - 1;
  return insn.kind(last) === "immediate" ? insn.immediate(last, 8) : s.int(8, 0);
};

/** Packed dst = f(source, immediate). */
function packedOne(bits: FloatBits, compute: LaneCompute): Semantic {
  return (s, insn) => {
    const a = laneSource(s, insn, 1, bits);
    const immediate = lastImmediate(s, insn);
    const lanes = range(s.w(a) / bits, (i) => compute(s, LAYOUTS[bits], laneOf(s, a, bits, i), immediate));
    result(s, insn, bits, join(s, lanes));
  };
}

/** Scalar dst = f(operand 2, immediate), the rest from operand 1. */
function singleOne(bits: FloatBits, compute: LaneCompute): Semantic {
  return (s, insn) => {
    const value = scalar(s, insn, 2, bits);
    scalarResult(s, insn, compute(s, LAYOUTS[bits], value, lastImmediate(s, insn)));
  };
}

function packedTwo(bits: FloatBits, compute: LaneCompute2): Semantic {
  return (s, insn) => {
    const b = laneSource(s, insn, 2, bits);
    const a = insn.read(1);
    const immediate = lastImmediate(s, insn);
    const lanes = range(s.w(a) / bits, (i) =>
      compute(s, LAYOUTS[bits], laneOf(s, a, bits, i), laneOf(s, b, bits, i), immediate),
    );
    result(s, insn, bits, join(s, lanes));
  };
}

function singleTwo(bits: FloatBits, compute: LaneCompute2): Semantic {
  return (s, insn) => {
    const b = scalar(s, insn, 2, bits);
    const a = low(s, insn.read(1), bits);
    scalarResult(s, insn, compute(s, LAYOUTS[bits], a, b, lastImmediate(s, insn)));
  };
}

/** 2^exponent for an exponent of the normal range, as a number. */
function powerOfTwo<V>(s: Sem<V>, layout: Layout, exponent: V): V {
  const { bits, bias, mantissaBits } = layout;
  return s.shl(s.add(exponent, s.int(bits, bias)), s.int(bits, mantissaBits));
}

/** m of the immediates of vrndscale and vreduce, which work in units of 2^-m: bits 4 to 7. */
const unitOf = <V>(s: Sem<V>, layout: Layout, immediate: V): V => s.zext(s.bits(immediate, 4, 4), layout.bits);

/** x * 2^m rounded as the immediate says, and back. Numbers without a fraction stay as they are. */
function roundScaled<V>(s: Sem<V>, layout: Layout, lane: V, immediate: V): V {
  const { bits, bias, mantissaBits } = layout;
  const scale = unitOf(s, layout, immediate);
  const parts = takeApart(s, layout, lane);
  // What is tiny rounds as 2^-40 does, which cannot underflow.
  const isTiny = s.and(s.ult(parts.exponent, s.int(bits, bias - 40)), s.not(parts.isZero));
  const stand = s.or(parts.sign, s.int(bits, BigInt(bias - 40) << BigInt(mantissaBits)));
  const scaled = s.fp("mul", bits, s.select(isTiny, stand, parts.value), powerOfTwo(s, layout, scale));
  const rounded = s.fp("mul", bits, roundLanes(s, bits, scaled, immediate), powerOfTwo(s, layout, s.neg(scale)));
  const isWhole = s.ule(s.int(bits, bias + mantissaBits), parts.exponent);
  const special = s.select(parts.isNan, quiet(s, layout, parts.value), parts.value);
  return s.select(isWhole, special, s.or(rounded, parts.sign));
}

/**
 * vreduce: what vrndscale takes away. The difference is rounded as the immediate says, too. It is inexact only where x was
 * rounded away from 0 to 2^-m and is less than half of that, so in the modes up and down, which then cut off.
 */
function reduce<V>(s: Sem<V>, layout: Layout, lane: V, immediate: V): V {
  const { bits } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  const parts = takeApart(s, layout, lane);
  const rounded = roundScaled(s, layout, parts.value, immediate);
  const unit = powerOfTwo(s, layout, s.neg(unitOf(s, layout, immediate)));
  const magnitudeMask = int((1n << BigInt(bits - 1)) - 1n);
  const difference = s.fp("sub", bits, parts.value, rounded);
  // unit - (unit - |x|) is exact; where it is less than |x|, the difference had been rounded up.
  const cutOff = s.fp("sub", bits, unit, parts.magnitude);
  const isAbove = s.trunc(s.fcmp("lt", bits, s.fp("sub", bits, unit, cutOff), parts.magnitude), 1);
  const exact = s.sub(cutOff, s.zext(isAbove, bits));
  const awayFromZero = s.and(s.eq(s.and(rounded, magnitudeMask), unit), s.ult(parts.magnitude, unit));
  const opposite = s.xor(parts.sign, s.not(magnitudeMask));
  const value = s.select(awayFromZero, s.or(opposite, exact), difference);
  // A difference of equals is negative in the mode down.
  const mode = roundingOf(s, immediate);
  const isDown = s.eq(mode, s.int(2, 1));
  const zero = s.select(isDown, s.not(magnitudeMask), int(0));
  const isZero = s.eq(s.and(rounded, magnitudeMask), parts.magnitude);
  const forSpecial = s.select(parts.isNan, quiet(s, layout, parts.value), int(0));
  return s.select(s.or(parts.isNan, parts.isInfinite), forSpecial, s.select(isZero, zero, value));
}

/** The rounding mode of an immediate: its bits 0 and 1, or mxcsr's if bit 2 is set. */
function roundingOf<V>(s: Sem<V>, immediate: V): V {
  return s.select(s.bits(immediate, 2, 1), s.bits(s.field("mxcsr"), 13, 2), s.bits(immediate, 0, 2));
}

/** vgetexp: floor(log2(|x|)) as a number. */
function getExponent<V>(s: Sem<V>, layout: Layout, lane: V): V {
  const { bits, bias } = layout;
  const parts = takeApart(s, layout, lane);
  const { exponent } = normalize(s, layout, parts);
  const number = s.intToFp(bits, s.sub(exponent, s.int(bits, bias)), bits, true);
  const infinity = constantOf.infinity(layout);
  const minusInfinity = s.int(bits, infinity | (1n << BigInt(bits - 1)));
  const nan = quiet(s, layout, parts.value);
  const large = s.select(parts.isInfinite, s.int(bits, infinity), number);
  return s.select(parts.isNan, nan, s.select(parts.isZero, minusInfinity, large));
}

/** vgetmant: the significand in one of four intervals (bits 0, 1), with a sign rule (bits 2, 3). */
function getMantissa<V>(s: Sem<V>, layout: Layout, lane: V, immediate: V): V {
  const { bits, bias, mantissaBits } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  const parts = takeApart(s, layout, lane);
  const isNegative = s.ne(parts.sign, int(0));
  const keepsSign = s.not(s.bits(immediate, 2, 1));
  const sign = s.select(keepsSign, parts.sign, int(0));
  const { exponent, fraction } = normalize(s, layout, parts);
  const isUpper = s.bits(fraction, mantissaBits - 1, 1);
  const isOdd = s.trunc(s.sub(exponent, int(bias)), 1);
  // Interval [1, 2): bias; [1/2, 2): one less for odd exponents; [1/2, 1): one less; [3/4, 3/2): one less above 3/2.
  const lowered = choose(s, s.bits(immediate, 0, 2), [
    () => s.int(1, 0),
    () => isOdd,
    () => s.int(1, 1),
    () => isUpper,
  ]);
  const newExponent = s.sub(int(bias), s.zext(lowered, bits));
  const number = s.or(sign, s.or(s.shl(newExponent, int(mantissaBits)), fraction));
  const one = s.or(sign, int(constantOf.one(layout)));
  // Zero and infinity count as a power of two: 1, or 1/2 where the interval does not hold 1.
  const isHalfInterval = s.eq(s.bits(immediate, 0, 2), s.int(2, 2));
  const half = s.or(sign, int(BigInt(bias - 1) << BigInt(mantissaBits)));
  const power = s.select(s.and(isHalfInterval, s.not(s.or(parts.isZero, parts.isInfinite))), half, one);
  const isPower = s.or(parts.isZero, parts.isInfinite);
  const refuses = s.and(s.bits(immediate, 3, 1), s.and(isNegative, s.not(parts.isZero)));
  const value = s.select(refuses, int(layout.quietNan), s.select(isPower, power, number));
  return s.select(parts.isNan, quiet(s, layout, parts.value), value);
}

/** vscalef: a * 2^floor(b). */
function scaleBy<V>(s: Sem<V>, layout: Layout, a: V, b: V): V {
  const { bits, bias } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  const x = takeApart(s, layout, a);
  const y = takeApart(s, layout, b);
  // Far more than any shift needs, and still an integer: ±2^13 (double) or ±2^10 (single).
  const limit = bits === 32 ? 1024 : 8192;
  const floor = s.fpToInt(bits, y.value, bits, "down", true);
  const isHuge = s.ule(int(bias + (bits === 32 ? 10 : 13)), y.exponent);
  const isNegative = s.ne(y.sign, int(0));
  const amount = s.select(isHuge, s.select(isNegative, int(-limit), int(limit)), floor);
  // The significand is multiplied by two powers of two, of which the first gives a normal number and so is exact.
  const step = bias - 1;
  const clamp = (value: V, limitOf: number) => {
    const lower = s.select(s.slt(value, int(-limitOf)), int(-limitOf), value);
    return s.select(s.slt(int(limitOf), lower), int(limitOf), lower);
  };
  const { exponent, fraction } = normalize(s, layout, x);
  const total = clamp(s.add(amount, s.sub(exponent, int(bias))), 2 * step);
  const unit = s.or(x.sign, s.or(int(constantOf.one(layout)), fraction));
  const second = clamp(total, step);
  const first = powerOfTwo(s, layout, s.sub(total, second));
  const large = s.fp("mul", bits, s.fp("mul", bits, unit, first), powerOfTwo(s, layout, second));
  const scaled = s.select(s.or(x.isZero, x.isInfinite), x.value, large);
  // An infinite b gives infinity or zero, and an invalid operation for zero times infinity and infinity times zero.
  const infinity = s.or(x.sign, int(constantOf.infinity(layout)));
  const byInfinity = s.select(
    isNegative,
    s.select(x.isInfinite, int(layout.quietNan), x.sign),
    s.select(x.isZero, int(layout.quietNan), infinity),
  );
  const number = s.select(y.isInfinite, byInfinity, scaled);
  // A quiet NaN in a gives way to an infinite b, which decides alone; signalling ones do not.
  const quietTimesInfinity = s.select(isNegative, int(0), int(constantOf.infinity(layout)));
  const xQuiet = s.and(x.isNan, s.not(x.isSignalling));
  const fromX = s.select(s.and(xQuiet, y.isInfinite), quietTimesInfinity, quiet(s, layout, x.value));
  return s.select(
    x.isNan,
    s.select(s.and(y.isNan, xQuiet), quiet(s, layout, x.value), fromX),
    s.select(y.isNan, quiet(s, layout, y.value), number),
  );
}

/** vrange: minimum or maximum, by value or by magnitude (bits 0, 1), with a sign rule (bits 2, 3). */
function rangeOf<V>(s: Sem<V>, layout: Layout, a: V, b: V, immediate: V): V {
  const { bits } = layout;
  const x = takeApart(s, layout, a);
  const y = takeApart(s, layout, b);
  const isMaximum = s.bits(immediate, 0, 1);
  const isAbsolute = s.bits(immediate, 1, 1);
  // Order as integers: negative numbers the other way round; -0 is below +0.
  const key = (parts: Parts<V>) => {
    const flipped = s.xor(parts.magnitude, s.ashr(parts.sign, s.int(bits, bits - 1)));
    return s.select(isAbsolute, parts.magnitude, flipped);
  };
  const xFirst = s.slt(key(x), key(y));
  const isSame = s.eq(x.magnitude, y.magnitude);
  const plain = s.select(s.xor(xFirst, isMaximum), x.value, y.value);
  // Of equal magnitudes the absolute minimum is the negative one, the absolute maximum the positive one.
  const negativeFirst = s.select(s.ne(x.sign, s.int(bits, 0)), x.value, y.value);
  const positiveFirst = s.select(s.ne(x.sign, s.int(bits, 0)), y.value, x.value);
  const tied = s.select(isMaximum, positiveFirst, negativeFirst);
  const chosen = s.select(s.and(isAbsolute, isSame), tied, plain);
  // A quiet NaN loses against a number, two give the first; a signalling one wins.
  const withNan = s.select(
    x.isSignalling,
    quiet(s, layout, x.value),
    s.select(
      y.isSignalling,
      quiet(s, layout, y.value),
      s.select(x.isNan, s.select(y.isNan, x.value, y.value), s.select(y.isNan, x.value, chosen)),
    ),
  );
  const magnitudeMask = s.int(bits, (1n << BigInt(bits - 1)) - 1n);
  const magnitude = s.and(withNan, magnitudeMask);
  const signed = choose(s, s.bits(immediate, 2, 2), [
    () => s.or(magnitude, x.sign),
    () => withNan,
    () => magnitude,
    () => s.or(magnitude, s.not(magnitudeMask)),
  ]);
  // A signalling NaN keeps its own sign.
  return s.select(s.or(x.isSignalling, y.isSignalling), withNan, signed);
}

/** vfpclass: the classes that the immediate names, a bit each. */
function classify<V>(s: Sem<V>, layout: Layout, lane: V, immediate: V): V {
  const parts = takeApart(s, layout, lane);
  const isNegative = s.ne(parts.sign, s.int(layout.bits, 0));
  const isLimited = s.not(s.or(parts.isNan, parts.isInfinite));
  const classes = [
    s.and(parts.isNan, s.not(parts.isSignalling)),
    s.and(parts.isZero, s.not(isNegative)),
    s.and(parts.isZero, isNegative),
    s.and(parts.isInfinite, s.not(isNegative)),
    s.and(parts.isInfinite, isNegative),
    parts.isDenormal,
    s.and(s.and(isLimited, isNegative), s.not(parts.isZero)),
    parts.isSignalling,
  ];
  return classes
    .map((member, bit) => s.and(member, s.bits(immediate, bit, 1)))
    .reduce((any, member) => s.or(any, member));
}

function classifyLanes(bits: FloatBits, isPacked: boolean): Semantic {
  return (s, insn) => {
    const a = isPacked ? laneSource(s, insn, 1, bits) : scalar(s, insn, 1, bits);
    const immediate = insn.immediate(2, 8);
    const members = range(s.w(a) / bits, (i) => classify(s, LAYOUTS[bits], laneOf(s, a, bits, i), immediate));
    writeBits(s, insn, join(s, members));
  };
}

/**
 * vfixupimm: the class of b's lane picks four bits of the table (operand c), which name the result; the immediate only tells
 * which cases raise exceptions.
 */
function fixUp<V>(s: Sem<V>, layout: Layout, old: V, b: V, table: V): V {
  const { bits } = layout;
  const int = (value: number | bigint) => s.int(bits, value);
  const parts = takeApart(s, layout, b);
  const isNegative = s.ne(parts.sign, int(0));
  const isOne = s.and(s.eq(parts.magnitude, int(constantOf.one(layout))), s.not(isNegative));
  const class4 = (value: number) => s.int(4, value);
  const finite = s.select(isNegative, class4(6), class4(7));
  const special = s.select(
    parts.isNan,
    s.select(parts.isSignalling, class4(1), class4(0)),
    s.select(parts.isInfinite, s.select(isNegative, class4(4), class4(5)), finite),
  );
  const kind = s.select(parts.isZero, class4(2), s.select(isOne, class4(3), special));
  const field = s.zext(kind, 32);
  const token = s.trunc(s.lshr(s.trunc(s.zext(table, 64), 32), s.shl(field, s.int(32, 2))), 4);
  const minus = 1n << BigInt(bits - 1);
  const infinity = constantOf.infinity(layout);
  const one = constantOf.one(layout);
  const halfPi = bits === 32 ? 0x3fc9_0fdbn : 0x3ff9_21fb_5444_2d18n;
  const ninety = bits === 32 ? 0x42b4_0000n : 0x4056_8000_0000_0000n;
  const largest = infinity - 1n;
  const half = one - (1n << BigInt(layout.mantissaBits));
  return choose(s, token, [
    () => old,
    () => parts.value,
    () => s.select(parts.isNan, quiet(s, layout, parts.value), s.or(parts.value, int(layout.quietNan ^ minus))),
    () => int(layout.quietNan),
    () => int(infinity | minus),
    () => int(infinity),
    () => s.or(parts.sign, int(infinity)),
    () => int(minus),
    () => int(0),
    () => int(one | minus),
    () => int(one),
    () => int(half),
    () => int(ninety),
    () => int(halfPi),
    () => int(largest),
    () => int(largest | minus),
  ]);
}

function fixUpPacked(bits: FloatBits): Semantic {
  return (s, insn) => {
    const table = laneSource(s, insn, 2, bits);
    const [old, b] = [insn.read(0), insn.read(1)];
    const lanes = range(s.w(b) / bits, (i) =>
      fixUp(s, LAYOUTS[bits], laneOf(s, old, bits, i), laneOf(s, b, bits, i), laneOf(s, table, bits, i)),
    );
    result(s, insn, bits, join(s, lanes));
  };
}

function fixUpSingle(bits: FloatBits): Semantic {
  return (s, insn) => {
    const table = scalar(s, insn, 2, bits);
    const [old, b] = [low(s, insn.read(0), bits), low(s, insn.read(1), bits)];
    scalarResult(s, insn, fixUp(s, LAYOUTS[bits], old, b, table));
  };
}

const one = (name: string, compute: LaneCompute): Row[] =>
  FLOATS.flatMap(([letter, bits]) => [
    float(`V${name}p${letter}`, packedOne(bits, compute)),
    float(`V${name}s${letter}`, singleOne(bits, compute)),
  ]);
const two = (name: string, compute: LaneCompute2): Row[] =>
  FLOATS.flatMap(([letter, bits]) => [
    float(`V${name}p${letter}`, packedTwo(bits, compute)),
    float(`V${name}s${letter}`, singleTwo(bits, compute)),
  ]);

export const FLOAT_SPECIAL: readonly Row[] = [
  ...one("rndscale", roundScaled),
  ...one("reduce", reduce),
  ...one("getexp", getExponent),
  ...one("getmant", getMantissa),
  ...two("scalef", scaleBy),
  ...two("range", rangeOf),
  ...FLOATS.flatMap(([letter, bits]) => [
    float(`Vfpclassp${letter}`, classifyLanes(bits, true)),
    float(`Vfpclasss${letter}`, classifyLanes(bits, false)),
    float(`Vfixupimmp${letter}`, fixUpPacked(bits)),
    float(`Vfixupimms${letter}`, fixUpSingle(bits)),
  ]),
];
