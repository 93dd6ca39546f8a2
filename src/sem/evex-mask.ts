// Instructions on AVX-512 mask registers. A mask instruction of n bits reads the low n bits and clears the rest of its
// destination.

import { full } from "./rows.ts";
import { low } from "./simd-operands.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

const bitsOf = <V>(s: Sem<V>, insn: Insn<V>, operand: number, width: number): V => low(s, insn.read(operand), width);

function writeMask<V>(s: Sem<V>, insn: Insn<V>, value: V): void {
  insn.write(0, s.w(value) === 64 ? value : s.zext(value, 64));
}

/** kmov between masks, general registers and memory. */
function move(width: number): Semantic {
  return (s, insn) => {
    const value = bitsOf(s, insn, 1, width);
    if (insn.kind(0) === "mask") writeMask(s, insn, value);
    else if (insn.kind(0) === "memory") insn.write(0, value);
    else insn.write(0, insn.width(0) > width ? s.zext(value, insn.width(0)) : value);
  };
}

function combine(width: number, compute: <V>(s: Sem<V>, a: V, b: V) => V): Semantic {
  return (s, insn) => writeMask(s, insn, compute(s, bitsOf(s, insn, 1, width), bitsOf(s, insn, 2, width)));
}

/** kshift: counts of the width or more clear the mask. */
function shift(op: "shl" | "lshr", width: number): Semantic {
  return (s, insn) => {
    const wide = s.zext(bitsOf(s, insn, 1, width), 256);
    writeMask(s, insn, s.trunc(s[op](wide, s.zext(insn.immediate(2, 8), 256)), width));
  };
}

/** kunpck: the low halves of both sources, the first one above. */
function unpack(half: number): Semantic {
  return (s, insn) => writeMask(s, insn, s.concat(bitsOf(s, insn, 1, half), bitsOf(s, insn, 2, half)));
}

function setFlags<V>(s: Sem<V>, zero: () => V, carry: () => V): void {
  s.setFlag("zf", zero);
  s.setFlag("cf", carry);
  for (const flag of ["of", "sf", "af", "pf"] as const) s.setFlag(flag, () => s.int(1, 0));
}

/** kortest: ZF when the union is empty, CF when it is everything. */
function orTest(width: number): Semantic {
  return (s, insn) => {
    const union = s.or(bitsOf(s, insn, 0, width), bitsOf(s, insn, 1, width));
    setFlags(
      s,
      () => s.eq(union, s.int(width, 0)),
      () => s.eq(union, s.not(s.int(width, 0))),
    );
  };
}

/** ktest: ZF when nothing is common, CF when the second has nothing beside the first. */
function test(width: number): Semantic {
  return (s, insn) => {
    const a = bitsOf(s, insn, 0, width);
    const b = bitsOf(s, insn, 1, width);
    setFlags(
      s,
      () => s.eq(s.and(a, b), s.int(width, 0)),
      () => s.eq(s.and(s.not(a), b), s.int(width, 0)),
    );
  };
}

const SIZES = [
  ["b", 8],
  ["w", 16],
  ["d", 32],
  ["q", 64],
] as const;

export const EVEX_MASK: readonly Row[] = [
  ...SIZES.flatMap(([letter, width]) => [
    full(`Kmov${letter}`, move(width)),
    full(
      `Kand${letter}`,
      combine(width, (s, a, b) => s.and(a, b)),
    ),
    full(
      `Kandn${letter}`,
      combine(width, (s, a, b) => s.and(s.not(a), b)),
    ),
    full(
      `Kor${letter}`,
      combine(width, (s, a, b) => s.or(a, b)),
    ),
    full(
      `Kxor${letter}`,
      combine(width, (s, a, b) => s.xor(a, b)),
    ),
    full(
      `Kxnor${letter}`,
      combine(width, (s, a, b) => s.not(s.xor(a, b))),
    ),
    full(
      `Kadd${letter}`,
      combine(width, (s, a, b) => s.add(a, b)),
    ),
    full(`Knot${letter}`, (s, insn) => writeMask(s, insn, s.not(bitsOf(s, insn, 1, width)))),
    full(`Kshiftl${letter}`, shift("shl", width)),
    full(`Kshiftr${letter}`, shift("lshr", width)),
    full(`Kortest${letter}`, orTest(width)),
    full(`Ktest${letter}`, test(width)),
  ]),
  full("Kunpckbw", unpack(8)),
  full("Kunpckwd", unpack(16)),
  full("Kunpckdq", unpack(32)),
];
