// Floating-point comparisons: to lanes, to a mask register, to the flags. A comparison has four outcomes (less, equal,
// greater, unordered), and a predicate is the set of outcomes for which it is true; the predicates 16..31 are those of
// 0..15 with the other choice of signalling, which does not change the result.

import { writeLaneMask } from "./evex-compare.ts";
import { bothFloat, FLOATS, type FloatBits, float } from "./float-arithmetic.ts";
import { firstSource, laneSource, low, scalar, spread } from "./simd-operands.ts";
import type { FpPredicate, Row, Sem, Semantic } from "./vocabulary.ts";

const LESS = 1;
const EQUAL = 2;
const GREATER = 4;
const UNORDERED = 8;

/** Outcomes for which predicate 0..15 is true (SDM Vol. 2, CMPPD, table 3-1). */
const PREDICATES: readonly number[] = [
  EQUAL,
  LESS,
  LESS | EQUAL,
  UNORDERED,
  LESS | GREATER | UNORDERED,
  EQUAL | GREATER | UNORDERED,
  GREATER | UNORDERED,
  LESS | EQUAL | GREATER,
  EQUAL | UNORDERED,
  LESS | UNORDERED,
  LESS | EQUAL | UNORDERED,
  0,
  LESS | GREATER,
  EQUAL | GREATER,
  GREATER,
  LESS | EQUAL | GREATER | UNORDERED,
];

/** The vocabulary's predicates by outcomes, with the operands in order or swapped; known predicates take the short way. */
const DIRECT: ReadonlyMap<number, readonly [FpPredicate, swapped: boolean]> = new Map([
  [EQUAL, ["eq", false]],
  [LESS, ["lt", false]],
  [LESS | EQUAL, ["le", false]],
  [UNORDERED, ["unord", false]],
  [LESS | GREATER | UNORDERED, ["ne", false]],
  [EQUAL | GREATER | UNORDERED, ["nlt", false]],
  [GREATER | UNORDERED, ["nle", false]],
  [LESS | EQUAL | GREATER, ["ord", false]],
  [LESS | UNORDERED, ["nle", true]],
  [LESS | EQUAL | UNORDERED, ["nlt", true]],
  [EQUAL | GREATER, ["le", true]],
  [GREATER, ["lt", true]],
]);

/** The outcomes as a 64-bit table of four bits a predicate. */
const PREDICATE_TABLE = PREDICATES.reduce((table, set, index) => table | (BigInt(set) << BigInt(index * 4)), 0n);

/** Lanes of all ones where predicate `immediate` (five bits used, three for legacy forms) holds. */
function compareLanes<V>(s: Sem<V>, bits: FloatBits, a: V, b: V, immediate: V, fieldBits: 3 | 5): V {
  const field = s.bits(immediate, 0, fieldBits === 3 ? 3 : 4);
  const known = s.constantOf(field);
  if (known !== undefined) {
    const direct = DIRECT.get(PREDICATES[Number(known)]!);
    if (direct) {
      const [predicate, swapped] = direct;
      return swapped ? s.fcmp(predicate, bits, b, a) : s.fcmp(predicate, bits, a, b);
    }
  }
  const table = s.int(64, PREDICATE_TABLE);
  const outcomes = s.trunc(s.lshr(table, s.shl(s.zext(field, 64), s.int(64, 2))), 4);
  const width = s.w(a);
  const when = (lanes: V, outcome: number) => s.and(lanes, spread(s, s.bits(outcomes, outcome, 1), width));
  return s.or(
    s.or(when(s.fcmp("lt", bits, a, b), 0), when(s.fcmp("eq", bits, a, b), 1)),
    s.or(when(s.fcmp("lt", bits, b, a), 2), when(s.fcmp("unord", bits, a, b), 3)),
  );
}

function comparePacked(bits: FloatBits): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = laneSource(s, insn, first + 1, bits);
    const fieldBits = insn.encoding === "legacy" ? 3 : 5;
    const lanes = compareLanes(s, bits, insn.read(first), b, insn.immediate(first + 2, 8), fieldBits);
    if (insn.kind(0) === "mask") writeLaneMask(s, insn, bits, lanes);
    else insn.write(0, lanes);
  };
}

function compareSingle(bits: FloatBits): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = scalar(s, insn, first + 1, bits);
    const a = low(s, insn.read(first), bits);
    const fieldBits = insn.encoding === "legacy" ? 3 : 5;
    const lane = compareLanes(s, bits, a, b, insn.immediate(first + 2, 8), fieldBits);
    if (insn.kind(0) === "mask") writeLaneMask(s, insn, bits, lane);
    else if (insn.encoding === "legacy") insn.write(0, lane);
    else insn.writeScalar(0, lane, 1);
  };
}

/** comis, ucomis: unordered sets ZF PF CF, less CF, equal ZF. */
function compareToFlags(bits: FloatBits): Semantic {
  return (s, insn) => {
    const b = scalar(s, insn, 1, bits);
    const a = low(s, insn.read(0), bits);
    const holds = (predicate: FpPredicate) => s.trunc(s.fcmp(predicate, bits, a, b), 1);
    s.setFlag("zf", () => s.or(holds("eq"), holds("unord")));
    s.setFlag("pf", () => holds("unord"));
    s.setFlag("cf", () => s.or(holds("lt"), holds("unord")));
    for (const flag of ["of", "sf", "af"] as const) s.setFlag(flag, () => s.int(1, 0));
  };
}

export const FLOAT_COMPARE: readonly Row[] = FLOATS.flatMap(([letter, bits]) => [
  ...bothFloat(`Cmpp${letter}`, comparePacked(bits)),
  float(`Cmps${letter}`, compareSingle(bits)),
  float(`Vcmps${letter}`, compareSingle(bits)),
  ...bothFloat(`Comis${letter}`, compareToFlags(bits)),
  ...bothFloat(`Ucomis${letter}`, compareToFlags(bits)),
]);
