// Packed shifts and rotates: one count for all lanes (from an immediate or the low 64 bits of a register or of memory), a
// count for each lane, whole-block byte shifts, and the funnel shifts of AVX512_VBMI2.

import { both, full } from "./rows.ts";
import {
  binary,
  every,
  extend,
  firstSource,
  laneSource,
  low,
  perBlock,
  range,
  result,
  source,
} from "./simd-operands.ts";
import type { Row, Sem, Semantic } from "./vocabulary.ts";

type Shift = "shl" | "lshr" | "ashr";

/** A lane count of at most laneBits from a wider unsigned count. */
function clampCount<V>(s: Sem<V>, count: V, laneBits: number): V {
  const tooLarge = s.ult(s.int(s.w(count), laneBits - 1), count);
  return s.select(tooLarge, s.int(laneBits, laneBits), extend(s, low(s, count, laneBits), laneBits));
}

/**
 * psll, psrl, psra. The count is the last operand: an immediate, or the low 64 bits of a vector. Forms: (dst, imm),
 * (dst, count) and, from VEX on, (dst, source, imm or count).
 */
function shift(op: Shift, laneBits: number): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const last = insn.opCount - 1;
    if (insn.kind(last) === "immediate") {
      const a = insn.opCount === 2 ? insn.read(0) : laneSource(s, insn, first, laneBits);
      const count = clampCount(s, insn.immediate(last, 8), laneBits);
      return result(s, insn, laneBits, s.lanes(op, laneBits, a, s.splat(count, s.w(a))));
    }
    const count = clampCount(s, low(s, source(s, insn, last), 64), laneBits);
    const a = insn.read(first);
    result(s, insn, laneBits, s.lanes(op, laneBits, a, s.splat(count, s.w(a))));
  };
}

/** pslldq, psrldq: bytes of each block of 128 bits. */
function shiftBytes(op: "shl" | "lshr"): Semantic {
  return (s, insn) => {
    const operand = insn.opCount - 2;
    const count = s.shl(s.zext(insn.immediate(insn.opCount - 1, 8), 128), s.int(128, 3));
    insn.write(
      0,
      perBlock(s, [source(s, insn, operand)], ([block]) => s[op](block!, count)),
    );
  };
}

/** Counts lane by lane; counts of the lane's width or more clear it (or leave copies of the sign). */
function shiftEach(op: Shift, laneBits: number): Semantic {
  return binary(laneBits, (s, a, counts) => s.lanes(op, laneBits, a, counts));
}

function modulo<V>(s: Sem<V>, counts: V, laneBits: number): V {
  return s.and(counts, every(s, s.w(counts), laneBits, laneBits - 1));
}

function rotateEach(op: "rotl" | "rotr", laneBits: number): Semantic {
  return binary(laneBits, (s, a, counts) => s.lanes(op, laneBits, a, modulo(s, counts, laneBits)));
}

function rotate(op: "rotl" | "rotr", laneBits: number): Semantic {
  return (s, insn) => {
    const a = laneSource(s, insn, 1, laneBits);
    const count = s.zext(insn.immediate(2, 8), laneBits);
    const counts = s.splat(s.and(count, s.int(laneBits, laneBits - 1)), s.w(a));
    result(s, insn, laneBits, s.lanes(op, laneBits, a, counts));
  };
}

/** Funnel shift of each lane pair: left gives the upper half of a:b << count, right the lower half of b:a >> count. */
function funnel<V>(s: Sem<V>, direction: "left" | "right", laneBits: number, a: V, b: V, counts: V): V {
  const amount = modulo(s, counts, laneBits);
  const rest = s.lanes("sub", laneBits, every(s, s.w(a), laneBits, laneBits), amount);
  const main = s.lanes(direction === "left" ? "shl" : "lshr", laneBits, a, amount);
  return s.or(main, s.lanes(direction === "left" ? "lshr" : "shl", laneBits, b, rest));
}

/** vpshld, vpshrd by an immediate: operands 1 and 2. */
function funnelImmediate(direction: "left" | "right", laneBits: number): Semantic {
  return (s, insn) => {
    const b = laneSource(s, insn, 2, laneBits);
    const count = s.zext(insn.immediate(3, 8), Math.max(16, laneBits));
    result(
      s,
      insn,
      laneBits,
      funnel(s, direction, laneBits, insn.read(1), b, s.splat(low(s, count, laneBits), s.w(b))),
    );
  };
}

/** vpshldv, vpshrdv: operand 0 and 1, counts in operand 2. */
function funnelEach(direction: "left" | "right", laneBits: number): Semantic {
  return (s, insn) => {
    const counts = laneSource(s, insn, 2, laneBits);
    result(s, insn, laneBits, funnel(s, direction, laneBits, insn.read(0), insn.read(1), counts));
  };
}

/** vpmultishiftqb: each byte is eight bits of its quadword of the second source, from a bit that the first source names. */
const multiShift: Semantic = (s, insn) => {
  const data = source(s, insn, 2);
  const counts = insn.read(1);
  const bytes = range(s.w(data) / 8, (lane) => {
    const quad = s.lane(data, 64, lane >> 3);
    return s.trunc(s.rotr(quad, s.zext(s.lane(counts, 8, lane), 64)), 8);
  });
  result(s, insn, 8, s.concat(...bytes.reverse()));
};

const SIZES = [
  ["w", 16],
  ["d", 32],
  ["q", 64],
] as const;

export const SIMD_SHIFT: readonly Row[] = [
  ...SIZES.flatMap(([letter, bits]) => [
    ...both(`Psll${letter}`, shift("shl", bits)),
    ...both(`Psrl${letter}`, shift("lshr", bits)),
    ...(bits === 64 ? [full("Vpsraq", shift("ashr", 64))] : both(`Psra${letter}`, shift("ashr", bits))),
    full(`Vpsllv${letter}`, shiftEach("shl", bits)),
    full(`Vpsrlv${letter}`, shiftEach("lshr", bits)),
    full(`Vpsrav${letter}`, shiftEach("ashr", bits)),
    full(`Vpshld${letter}`, funnelImmediate("left", bits)),
    full(`Vpshrd${letter}`, funnelImmediate("right", bits)),
    full(`Vpshldv${letter}`, funnelEach("left", bits)),
    full(`Vpshrdv${letter}`, funnelEach("right", bits)),
  ]),
  ...(
    [
      ["d", 32],
      ["q", 64],
    ] as const
  ).flatMap(([letter, bits]) => [
    full(`Vprol${letter}`, rotate("rotl", bits)),
    full(`Vpror${letter}`, rotate("rotr", bits)),
    full(`Vprolv${letter}`, rotateEach("rotl", bits)),
    full(`Vprorv${letter}`, rotateEach("rotr", bits)),
  ]),
  ...both("Pslldq", shiftBytes("shl")),
  ...both("Psrldq", shiftBytes("lshr")),
  full("Vpmultishiftqb", multiShift),
];
