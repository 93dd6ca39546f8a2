// Conversions between floating-point sizes and integers, and rounding to integral values. Out of range and NaN give the
// integer indefinite (Ops.fpToInt).

import { bothFloat, FLOATS, type FloatBits, float } from "./float-arithmetic.ts";
import { full } from "./rows.ts";
import {
  choose,
  enterMmxIfUsed,
  firstSource,
  immediateBit,
  laneSource,
  low,
  range,
  scalar,
  scalarResult,
  source,
} from "./simd-operands.ts";
import type { Insn, Rounding, Row, Sem, Semantic } from "./vocabulary.ts";

/** Converts lanes. */
type Convert = <V>(s: Sem<V>, a: V) => V;

const intToFloat =
  (from: number, to: FloatBits, signed: boolean): Convert =>
  (s, a) =>
    s.intToFp(from, a, to, signed);
const floatToInt =
  (from: FloatBits, to: number, rounding: Rounding, signed: boolean): Convert =>
  (s, a) =>
    s.fpToInt(from, a, to, rounding, signed);
const floatToFloat =
  (from: 16 | FloatBits, to: 16 | FloatBits): Convert =>
  (s, a) =>
    s.fpConvert(from, a, to);

/** The low lanes of a source; memory is exactly as wide as what is used. */
function usedSource<V>(s: Sem<V>, insn: Insn<V>, laneBits: number, lanes: number): V {
  return low(s, laneSource(s, insn, 1, laneBits), laneBits * lanes);
}

/**
 * Packed conversions. The number of lanes is that of the wider side: of the destination when widening, else of the source
 * (the rest of the destination's 128 bits is cleared).
 */
function convertPacked(from: number, to: number, convert: Convert): Semantic {
  return (s, insn) => {
    const lanes = to > from ? insn.width(0) / to : insn.width(1) / from;
    const a = usedSource(s, insn, from, lanes);
    const value = convert(s, a);
    enterMmxIfUsed(s, insn);
    if (insn.kind(0) === "vector" && s.w(value) < 128 && insn.encoding === "legacy") insn.write(0, s.zext(value, 128));
    else insn.writeMasked(0, to, value);
  };
}

/** cvtpi2ps keeps the upper half of the destination. */
const integersToLowSingles: Semantic = (s, insn) => {
  const value = s.intToFp(32, insn.read(1), 32, true);
  enterMmxIfUsed(s, insn);
  insn.write(0, value);
};

/** cvtps2pi, cvttps2pi: the low two lanes. */
function singlesToIntegers(rounding: Rounding): Semantic {
  return (s, insn) => {
    const value = s.fpToInt(32, low(s, insn.read(1), 64), 32, rounding, true);
    enterMmxIfUsed(s, insn);
    insn.write(0, value);
  };
}

/** cvtpd2pi, cvttpd2pi. */
function doublesToIntegers(rounding: Rounding): Semantic {
  return (s, insn) => {
    const value = s.fpToInt(64, source(s, insn, 1), 32, rounding, true);
    enterMmxIfUsed(s, insn);
    insn.write(0, value);
  };
}

/** cvtsi2ss and the like: the last operand is a general register or memory. */
function integerToScalar(to: FloatBits, signed: boolean): Semantic {
  return (s, insn) => {
    const integer = insn.read(firstSource(insn) + 1);
    const value = s.intToFp(s.w(integer), integer, to, signed);
    if (insn.encoding === "legacy") return insn.write(0, value);
    insn.writeScalar(0, value, 1);
  };
}

function scalarToInteger(from: FloatBits, rounding: Rounding, signed: boolean): Semantic {
  return (s, insn) => {
    const value = scalar(s, insn, 1, from);
    insn.write(0, s.fpToInt(from, value, insn.width(0), rounding, signed));
  };
}

function scalarToScalar(from: FloatBits, to: FloatBits): Semantic {
  return (s, insn) => {
    const value = scalar(s, insn, firstSource(insn) + 1, from);
    scalarResult(s, insn, s.fpConvert(from, value, to));
  };
}

/** vcvtps2ph: rounding from the immediate, unless its bit 2 asks for MXCSR's. */
const singlesToHalves: Semantic = (s, insn) => {
  const a = insn.read(1);
  const immediate = insn.immediate(2, 8);
  const halves = range(s.w(a) / 32, (lane) => narrowToHalf(s, s.lane(a, 32, lane), immediate));
  insn.writeMasked(0, 16, s.concat(...halves.reverse()));
};

/**
 * Single to half in any rounding mode with integer operations: the vocabulary's fpConvert knows the current mode only.
 * The magnitude is shifted to the half's precision with what is lost kept as a guard value against half a unit.
 */
function narrowToHalf<V>(s: Sem<V>, a: V, immediate: V): V {
  const int = (value: number) => s.int(32, value);
  const sign = s.lshr(s.and(a, int(0x8000_0000)), int(16));
  const magnitude = s.and(a, int(0x7fff_ffff));
  const exponent = s.lshr(magnitude, int(23));
  const fraction = s.or(s.and(magnitude, int(0x007f_ffff)), s.select(s.eq(exponent, int(0)), int(0), int(0x0080_0000)));
  // A normal half has exponent 113..142 here; below it the fraction is shifted further, to denormals.
  const isNormal = s.ule(int(113), exponent);
  const extra = s.select(isNormal, int(0), s.sub(int(113), s.select(s.eq(exponent, int(0)), int(1), exponent)));
  const shift = s.add(int(13), s.select(s.ult(int(18), extra), int(18), extra));
  const kept = s.lshr(fraction, shift);
  const lost = s.and(fraction, s.sub(s.shl(int(1), shift), int(1)));
  const half = s.shl(int(1), s.sub(shift, int(1)));
  const base = s.add(kept, s.select(isNormal, s.shl(s.sub(exponent, int(113)), int(10)), int(0)));
  const mode = s.select(immediateBit(s, immediate, 2), s.bits(s.field("mxcsr"), 13, 2), s.bits(immediate, 0, 2));
  const inexact = s.ne(lost, int(0));
  const odd = s.trunc(base, 1);
  const nearest = s.or(s.ult(half, lost), s.and(s.eq(half, lost), odd));
  const negative = s.ne(sign, int(0));
  const up = choose(s, mode, [
    () => nearest,
    () => s.and(inexact, negative),
    () => s.and(inexact, s.not(negative)),
    () => s.int(1, 0),
  ]);
  const rounded = s.add(base, s.zext(up, 32));
  // Too large: infinity, or the largest number in the modes that round towards 0 for this sign.
  const toLargest = choose(s, mode, [() => s.int(1, 0), () => s.not(negative), () => negative, () => s.int(1, 1)]);
  const overflow = s.select(toLargest, int(0x7bff), int(0x7c00));
  const isLarge = s.or(s.ule(int(143), exponent), s.ule(int(0x7c00), rounded));
  const finite = s.select(isLarge, overflow, rounded);
  const nan = s.or(int(0x7e00), s.and(s.lshr(magnitude, int(13)), int(0x1ff)));
  const special = s.select(s.eq(magnitude, int(0x7f80_0000)), int(0x7c00), nan);
  // With DAZ a denormal single counts as 0. FTZ does not apply to halves.
  const daz = s.and(immediateBit(s, s.field("mxcsr"), 6), s.eq(exponent, int(0)));
  const value = s.select(s.ule(int(0x7f80_0000), magnitude), special, s.select(daz, int(0), finite));
  return s.trunc(s.or(value, sign), 16);
}

/**
 * A single's upper half, rounded to nearest: bfloat16. Whatever mxcsr says, denormals count as zero, and a NaN is quieted.
 */
function narrowToBfloat<V>(s: Sem<V>, a: V): V {
  const int = (value: number) => s.int(32, value);
  const magnitude = s.and(a, int(0x7fff_ffff));
  const sign = s.and(a, int(0x8000_0000));
  const odd = s.and(s.lshr(a, int(16)), int(1));
  const rounded = s.add(a, s.add(int(0x7fff), odd));
  const isSmall = s.ult(magnitude, int(0x0080_0000));
  const isNan = s.ult(int(0x7f80_0000), magnitude);
  const value = s.select(isSmall, sign, s.select(isNan, s.or(a, int(0x0040_0000)), rounded));
  return s.bits(value, 16, 16);
}

/** vcvtneps2bf16. */
const singlesToBfloats: Semantic = (s, insn) => {
  const a = laneSource(s, insn, 1, 32);
  const lanes = range(s.w(a) / 32, (lane) => narrowToBfloat(s, s.lane(a, 32, lane)));
  insn.writeMasked(0, 16, s.concat(...lanes.reverse()));
};

/** vcvtne2ps2bf16: the lower half of the result from the second source. */
const pairToBfloats: Semantic = (s, insn) => {
  const lower = source(s, insn, 2);
  const upper = insn.read(1);
  const lanes = [lower, upper].flatMap((value) =>
    range(s.w(value) / 32, (lane) => narrowToBfloat(s, s.lane(value, 32, lane))),
  );
  insn.writeMasked(0, 16, s.concat(...lanes.reverse()));
};

const ROUNDINGS: readonly Rounding[] = ["nearest", "down", "up", "zero"];

/** Lanes rounded as the low three bits of an immediate say. */
export function roundLanes<V>(s: Sem<V>, bits: FloatBits, a: V, immediate: V): V {
  const choices = ROUNDINGS.map((rounding) => () => s.fpRound(bits, a, rounding));
  const current = () => s.fpRound(bits, a, "current");
  return choose(s, s.bits(immediate, 0, 3), [...choices, current, current, current, current]);
}

function roundPacked(bits: FloatBits): Semantic {
  return (s, insn) => insn.write(0, roundLanes(s, bits, source(s, insn, 1), insn.immediate(2, 8)));
}

function roundScalar(bits: FloatBits): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const value = scalar(s, insn, first + 1, bits);
    scalarResult(s, insn, roundLanes(s, bits, value, insn.immediate(first + 2, 8)));
  };
}

/** Rows of one conversion in its rounding and its truncating form. */
const bothRoundings = (make: (rounding: Rounding, t: string) => Row[]): Row[] => [
  ...make("current", ""),
  ...make("zero", "t"),
];

export const FLOAT_CONVERT: readonly Row[] = [
  ...bothFloat("Cvtps2pd", convertPacked(32, 64, floatToFloat(32, 64))),
  ...bothFloat("Cvtpd2ps", convertPacked(64, 32, floatToFloat(64, 32))),
  ...bothFloat("Cvtss2sd", scalarToScalar(32, 64)),
  ...bothFloat("Cvtsd2ss", scalarToScalar(64, 32)),
  ...bothFloat("Cvtdq2ps", convertPacked(32, 32, intToFloat(32, 32, true))),
  ...bothFloat("Cvtdq2pd", convertPacked(32, 64, intToFloat(32, 64, true))),
  float("Vcvtudq2ps", convertPacked(32, 32, intToFloat(32, 32, false))),
  float("Vcvtudq2pd", convertPacked(32, 64, intToFloat(32, 64, false))),
  float("Vcvtqq2ps", convertPacked(64, 32, intToFloat(64, 32, true))),
  float("Vcvtqq2pd", convertPacked(64, 64, intToFloat(64, 64, true))),
  float("Vcvtuqq2ps", convertPacked(64, 32, intToFloat(64, 32, false))),
  float("Vcvtuqq2pd", convertPacked(64, 64, intToFloat(64, 64, false))),
  float("Cvtpi2ps", integersToLowSingles),
  float("Cvtpi2pd", convertPacked(32, 64, intToFloat(32, 64, true))),
  ...bothRoundings((rounding, t) => [
    ...bothFloat(`Cvt${t}ps2dq`, convertPacked(32, 32, floatToInt(32, 32, rounding, true))),
    ...bothFloat(`Cvt${t}pd2dq`, convertPacked(64, 32, floatToInt(64, 32, rounding, true))),
    float(`Vcvt${t}ps2udq`, convertPacked(32, 32, floatToInt(32, 32, rounding, false))),
    float(`Vcvt${t}pd2udq`, convertPacked(64, 32, floatToInt(64, 32, rounding, false))),
    float(`Vcvt${t}ps2qq`, convertPacked(32, 64, floatToInt(32, 64, rounding, true))),
    float(`Vcvt${t}pd2qq`, convertPacked(64, 64, floatToInt(64, 64, rounding, true))),
    float(`Vcvt${t}ps2uqq`, convertPacked(32, 64, floatToInt(32, 64, rounding, false))),
    float(`Vcvt${t}pd2uqq`, convertPacked(64, 64, floatToInt(64, 64, rounding, false))),
    float(`Cvt${t}ps2pi`, singlesToIntegers(rounding)),
    float(`Cvt${t}pd2pi`, doublesToIntegers(rounding)),
    ...FLOATS.flatMap(([letter, bits]) => [
      ...bothFloat(`Cvt${t}s${letter}2si`, scalarToInteger(bits, rounding, true)),
      float(`Vcvt${t}s${letter}2usi`, scalarToInteger(bits, rounding, false)),
    ]),
  ]),
  ...FLOATS.flatMap(([letter, bits]) => [
    ...bothFloat(`Cvtsi2s${letter}`, integerToScalar(bits, true)),
    float(`Vcvtusi2s${letter}`, integerToScalar(bits, false)),
    ...bothFloat(`Roundp${letter}`, roundPacked(bits)),
    ...bothFloat(`Rounds${letter}`, roundScalar(bits)),
  ]),
  float("Vcvtph2ps", convertPacked(16, 32, floatToFloat(16, 32))),
  float("Vcvtps2ph", singlesToHalves),
  full("Vcvtneps2bf16", singlesToBfloats),
  full("Vcvtne2ps2bf16", pairToBfloats),
];
