// What only EVEX has on lanes: ternary logic, blends by mask, compress and expand, conversions between masks and vectors.

import { writeBits } from "./evex-compare.ts";
import { full } from "./rows.ts";
import { every, laneSource, range, result, spread } from "./simd-operands.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

/** vpternlog: a bit of the immediate for each combination of the bits of operands 0, 1 and 2. */
function ternaryLogic(laneBits: number): Semantic {
  return (s, insn) => {
    const c = laneSource(s, insn, 2, laneBits);
    const b = insn.read(1);
    const a = insn.read(0);
    const immediate = insn.immediate(3, 8);
    const width = s.w(a);
    /** x ? ifOne : ifZero, in the form that folds best when the two are related. */
    const pick = (x: typeof a, ifOne: typeof a, ifZero: typeof a) => s.xor(ifZero, s.and(x, s.xor(ifOne, ifZero)));
    const level = (from: readonly (typeof a)[], x: typeof a): (typeof a)[] =>
      range(from.length / 2, (i) => pick(x, from[2 * i + 1]!, from[2 * i]!));
    const bits = range(8, (bit) => spread(s, s.bits(immediate, bit, 1), width));
    result(s, insn, laneBits, level(level(level(bits, c), b), a)[0]!);
  };
}

/** vpblendm, vblendm: the second source where the opmask selects, else the first (or 0 when zeroing). */
function blend(laneBits: number): Semantic {
  return (s, insn) => {
    const b = laneSource(s, insn, 2, laneBits);
    const mask = insn.opmask(s.w(b) / laneBits);
    if (mask === null) return insn.write(0, b);
    const a = insn.read(1);
    const others = s.select(insn.zeroing(), s.int(s.w(a), 0), a);
    insn.write(0, s.blend(laneBits, mask, b, others));
  };
}

/** Moves lanes down (towards lane 0) by a fixed number; zeros come in. */
function lanesDown<V>(s: Sem<V>, a: V, laneBits: number, lanes: number): V {
  const order = range(s.w(a) / laneBits, (lane) => lane + lanes);
  return s.shuffle(laneBits, a, s.int(s.w(a), 0), order);
}

function lanesUp<V>(s: Sem<V>, a: V, laneBits: number, lanes: number): V {
  const count = s.w(a) / laneBits;
  const order = range(count, (lane) => (lane >= lanes ? lane - lanes : count));
  return s.shuffle(laneBits, a, s.int(s.w(a), 0), order);
}

/** For each lane, how many lanes of `ones` (lanes of 0 or 1) there are up to and including it. */
function prefixSums<V>(s: Sem<V>, ones: V, laneBits: number): V {
  const count = s.w(ones) / laneBits;
  let sums = ones;
  for (let step = 1; step < count; step *= 2) sums = s.lanes("add", laneBits, sums, lanesUp(s, sums, laneBits, step));
  return sums;
}

/**
 * Selected lanes moved together at the bottom. Each goes down by the number of lanes below it that are not selected: by
 * powers of two from the smallest, which never lets two meet.
 */
function compressLanes<V>(s: Sem<V>, a: V, mask: V, laneBits: number): V {
  const width = s.w(a);
  const one = every(s, width, laneBits, 1);
  const selected = s.expandMask(mask, laneBits);
  let distance = s.and(prefixSums(s, s.and(s.not(selected), one), laneBits), selected);
  let value = s.and(a, selected);
  for (let step = 1, bit = 0; step < width / laneBits; step *= 2, bit++) {
    const moves = s.lanes("ne", laneBits, s.and(distance, every(s, width, laneBits, 1 << bit)), s.int(width, 0));
    const shift = (lanes: V) => s.or(s.and(lanes, s.not(moves)), lanesDown(s, s.and(lanes, moves), laneBits, step));
    value = shift(value);
    distance = shift(distance);
  }
  return value;
}

/** One bit for each of the first `count` lanes. */
function lowest<V>(s: Sem<V>, count: V, lanes: number): V {
  const wide = Math.max(8, lanes * 2);
  const bits = s.shl(s.int(wide, 1), s.trunc(s.zext(count, 128), wide));
  return s.trunc(s.sub(bits, s.int(wide, 1)), lanes);
}

/** vcompress, vpcompress: to a register (the rest is kept or zeroed) or just the selected lanes to memory. */
function compress(laneBits: number): Semantic {
  return (s, insn) => {
    const a = insn.read(1);
    const lanes = s.w(a) / laneBits;
    const mask = insn.opmask(lanes);
    if (mask === null) return insn.write(0, a);
    const packed = compressLanes(s, a, mask, laneBits);
    const kept = lowest(s, s.popcount(s.zext(mask, 64)), lanes);
    if (insn.kind(0) !== "memory") {
      const others = s.select(insn.zeroing(), s.int(s.w(a), 0), insn.read(0));
      return insn.write(0, s.blend(laneBits, kept, packed, others));
    }
    const base = insn.address(0);
    range(lanes, (lane) => {
      const address = s.add(base, s.int(64, (lane * laneBits) / 8));
      s.storeIf(s.bits(kept, lane, 1), address, s.bits(packed, lane * laneBits, laneBits));
    });
  };
}

/** vexpand, vpexpand: the lowest lanes of the source go to the selected lanes, in order. */
function expand(laneBits: number): Semantic {
  return <V>(s: Sem<V>, insn: Insn<V>) => {
    const width = insn.width(0);
    const lanes = width / laneBits;
    const mask = insn.opmask(lanes);
    if (mask === null) return insn.write(0, insn.read(1));
    let data: V;
    if (insn.kind(1) === "memory") {
      const used = lowest(s, s.popcount(s.zext(mask, 64)), lanes);
      const base = insn.address(1);
      const loaded = range(lanes, (lane) =>
        s.loadIf(s.bits(used, lane, 1), laneBits, s.add(base, s.int(64, (lane * laneBits) / 8))),
      );
      data = s.concat(...loaded.reverse());
    } else {
      data = insn.read(1);
    }
    const ones = s.and(s.expandMask(mask, laneBits), every(s, width, laneBits, 1));
    const ranks = s.lanes("sub", laneBits, prefixSums(s, ones, laneBits), ones);
    result(s, insn, laneBits, s.permute(laneBits, data, ranks));
  };
}

/** vpmovm2*: lanes of all ones or zeros. */
function maskToVector(laneBits: number): Semantic {
  return (s, insn) => {
    const lanes = insn.width(0) / laneBits;
    insn.write(0, s.expandMask(s.trunc(s.zext(insn.read(1), 128), lanes), laneBits));
  };
}

/** vpmov*2m: the top bits of the lanes. */
function vectorToMask(laneBits: number): Semantic {
  return (s, insn) => writeBits(s, insn, s.signMask(insn.read(1), laneBits));
}

/** vpbroadcastmb2q, vpbroadcastmw2d: the low bits of a mask, zero-extended, in every lane. */
function broadcastMask(from: number, laneBits: number): Semantic {
  return (s, insn) => {
    const value = s.zext(s.trunc(s.zext(insn.read(1), 128), from), laneBits);
    insn.write(0, s.splat(value, insn.width(0)));
  };
}

const SIZES = [
  ["b", 8],
  ["w", 16],
  ["d", 32],
  ["q", 64],
] as const;

export const EVEX_LANES: readonly Row[] = [
  full("Vpternlogd", ternaryLogic(32)),
  full("Vpternlogq", ternaryLogic(64)),
  full("Vblendmps", blend(32)),
  full("Vblendmpd", blend(64)),
  ...SIZES.flatMap(([letter, bits]) => [
    full(`Vpblendm${letter}`, blend(bits)),
    full(`Vpcompress${letter}`, compress(bits)),
    full(`Vpexpand${letter}`, expand(bits)),
    full(`Vpmovm2${letter}`, maskToVector(bits)),
    full(`Vpmov${letter}2m`, vectorToMask(bits)),
  ]),
  full("Vcompressps", compress(32)),
  full("Vcompresspd", compress(64)),
  full("Vexpandps", expand(32)),
  full("Vexpandpd", expand(64)),
  full("Vpbroadcastmb2q", broadcastMask(8, 64)),
  full("Vpbroadcastmw2d", broadcastMask(16, 32)),
];
