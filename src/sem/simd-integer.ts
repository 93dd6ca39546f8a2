// Packed integer arithmetic, comparison and logic in MMX, SSE, VEX and EVEX forms, and horizontal operations. A line an
// instruction; `both` gives the legacy name and the V-prefixed one.

import { both, full } from "./rows.ts";
import {
  type Binary,
  binary,
  binaryWhole,
  constantLanes,
  enterMmxIfUsed,
  every,
  firstSource,
  insertAt,
  laneOp,
  laneOp1,
  laneSource,
  low,
  perBlock,
  range,
  result,
  shuffleBlocks,
  slice,
  source,
} from "./simd-operands.ts";
import type { LaneOp, NativeOp, Row, Sem, Semantic } from "./vocabulary.ts";

/** Rows for a list of "name bits" pairs. */
const each = (names: readonly (readonly [string, number])[], make: (bits: number) => Semantic): Row[] =>
  names.flatMap(([name, bits]) => both(name, make(bits)));

/** Bitwise operations; lanes matter for EVEX masks and broadcasts only. */
function logic(compute: Binary): (laneBits: number) => Semantic {
  return (laneBits) => binary(laneBits, compute);
}
const and = logic((s, a, b) => s.and(a, b));
const or = logic((s, a, b) => s.or(a, b));
const xor = logic((s, a, b) => s.xor(a, b));
const andNot = logic((s, a, b) => s.and(s.not(a), b));

/** The lower or upper half of each lane, extended to the lane. */
function halfLanes<V>(s: Sem<V>, laneBits: number, a: V, which: "low" | "high", signed: boolean): V {
  const count = every(s, s.w(a), laneBits, laneBits / 2);
  const top = which === "high" ? a : s.lanes("shl", laneBits, a, count);
  return s.lanes(signed ? "ashr" : "lshr", laneBits, top, count);
}

/** `compose` on each block of 128 bits, or what the host has for it. */
function nativeBlocks<V>(s: Sem<V>, op: NativeOp, a: V, b: V, compose: (a: V, b: V) => V): V {
  if (s.w(a) < 128) return compose(a, b);
  return perBlock(s, [a, b], ([x, y]) => s.native(op, [x!, y!], () => compose(x!, y!)));
}

/** pmuludq, pmuldq: the low halves of 64-bit lanes, multiplied. */
function multiplyLow(signed: boolean): Semantic {
  const op = signed ? "multiplySignedHalves" : "multiplyUnsignedHalves";
  return binary(64, (s, a, b) =>
    nativeBlocks(s, op, a, b, (x, y) =>
      s.lanes("mul", 64, halfLanes(s, 64, x, "low", signed), halfLanes(s, 64, y, "low", signed)),
    ),
  );
}

/** Products of the halves of each lane: [of the low halves, of the high halves]. */
function pairProducts<V>(s: Sem<V>, laneBits: number, a: V, b: V, signedA: boolean): [V, V] {
  const product = (which: "low" | "high"): V =>
    s.lanes("mul", laneBits, halfLanes(s, laneBits, a, which, signedA), halfLanes(s, laneBits, b, which, true));
  return [product("low"), product("high")];
}

const multiplyAddWords = binaryWhole(32, (s, a, b) =>
  nativeBlocks(s, "multiplyAddWords", a, b, (x, y) => {
    const [lowProduct, highProduct] = pairProducts(s, 32, x, y, true);
    return s.lanes("add", 32, lowProduct, highProduct);
  }),
);

const multiplyAddBytes = binaryWhole(16, (s, a, b) => {
  const [lowProduct, highProduct] = pairProducts(s, 16, a, b, false);
  return s.lanes("saddSat", 16, lowProduct, highProduct);
});

/** pmulhrsw: (a * b + 0x4000) >> 15. */
const multiplyHighRounded = binary(16, (s, a, b) => {
  const product = s.lanes("mul", 32, s.widen(a, 16, 32, true), s.widen(b, 16, 32, true));
  const lanes = (value: number) => every(s, s.w(product), 32, value);
  const rounded = s.lanes("lshr", 32, s.lanes("add", 32, product, lanes(0x4000)), lanes(15));
  return s.narrow(rounded, 32, 16, "truncate");
});

/** Sums of absolute differences of bytes, as 64-bit lanes. */
const sumDifferences = binaryWhole(64, (s, a, b) =>
  nativeBlocks(s, "sumDifferences", a, b, (x, y) => {
    let sum = s.lanes("sub", 8, s.lanes("umax", 8, x, y), s.lanes("umin", 8, x, y));
    for (const bits of [16, 32, 64]) {
      const half = (which: "low" | "high") => halfLanes(s, bits, sum, which, false);
      sum = s.lanes("add", bits, half("low"), half("high"));
    }
    return sum;
  }),
);

/** psign: negated, zeroed or kept by the sign of the second operand. */
function sign(laneBits: number): Semantic {
  return binary(laneBits, (s, a, b) => {
    const zero = s.int(s.w(a), 0);
    const negated = s.and(s.lanes1("neg", laneBits, a), s.lanes("slt", laneBits, b, zero));
    const kept = s.and(a, s.lanes("sgt", laneBits, b, zero));
    return s.or(negated, kept);
  });
}

/** Horizontal operations: pairs of neighbours of the first source, then of the second, in each block. */
function horizontal(op: LaneOp, laneBits: number): Semantic {
  return binaryWhole(laneBits, (s, a, b) => {
    const lanes = Math.min(128, s.w(a)) / laneBits;
    const even = range(lanes, (lane) => lane * 2);
    const first = shuffleBlocks(s, laneBits, a, b, even);
    const second = shuffleBlocks(
      s,
      laneBits,
      a,
      b,
      even.map((lane) => lane + 1),
    );
    return s.lanes(op, laneBits, first, second);
  });
}

/** Position and value of the least of eight words. */
const minimumPosition: Semantic = (s, insn) => {
  const a = source(s, insn, 1);
  let least = s.bits(a, 0, 16);
  let position = s.int(16, 0);
  for (let lane = 1; lane < 8; lane++) {
    const value = s.bits(a, lane * 16, 16);
    const smaller = s.ult(value, least);
    least = s.select(smaller, value, least);
    position = s.select(smaller, s.int(16, lane), position);
  }
  insn.write(0, s.zext(s.concat(position, least), 128));
};

/** Sum of absolute differences of the four bytes of a and of b, 16 bits. */
function sumOfFour<V>(s: Sem<V>, a: V, b: V): V {
  const difference = s.lanes("sub", 8, s.lanes("umax", 8, a, b), s.lanes("umin", 8, a, b));
  let sum = s.zext(s.bits(difference, 0, 8), 16);
  for (let byte = 1; byte < 4; byte++) sum = s.add(sum, s.zext(s.bits(difference, byte * 8, 8), 16));
  return sum;
}

/** mpsadbw: eight sliding sums in each block, offsets from the immediate (three bits a block). */
const slidingSums: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const b = source(s, insn, first + 1);
  const immediate = insn.immediate(first + 2, 8);
  const value = perBlock(s, [insn.read(first), b], ([aBlock, bBlock], block) => {
    const field = (bit: number, width: number) => s.zext(s.bits(immediate, bit + 3 * block, width), 128);
    const shiftA = s.shl(field(2, 1), s.int(128, 5));
    const shiftB = s.shl(field(0, 2), s.int(128, 5));
    const a = s.lshr(aBlock!, shiftA);
    const chosen = low(s, s.lshr(bBlock!, shiftB), 32);
    return s.concat(...range(8, (i) => sumOfFour(s, s.bits(a, i * 8, 32), chosen)).reverse());
  });
  insn.write(0, value);
};

/** vdbpsadbw: as mpsadbw, over dwords of the second source that the immediate shuffles. */
const shuffledSums: Semantic = (s, insn) => {
  const b = source(s, insn, 2);
  const immediate = insn.immediate(3, 8);
  const value = perBlock(s, [insn.read(1), b], ([aBlock, bBlock]) => {
    const shuffled = range(4, (i) => s.laneAt(bBlock!, 32, s.zext(s.bits(immediate, i * 2, 2), 8)));
    const t = s.concat(...shuffled.reverse());
    const sums = range(8, (i) => {
      const base = i & 4 ? 64 : 0;
      const fromA = s.bits(aBlock!, base + (i & 2 ? 32 : 0), 32);
      return sumOfFour(s, fromA, s.bits(t, base + (i & 3) * 8, 32));
    });
    return s.concat(...sums.reverse());
  });
  result(s, insn, 16, value);
};

/** pmovmskb of 0 lanes: ptest. ZF: a & b is zero; CF: ~a & b is zero (here a is the first operand). */
function test(compare: <V>(s: Sem<V>, value: V) => V): Semantic {
  return (s, insn) => {
    const b = source(s, insn, 1);
    const a = insn.read(0);
    setTestFlags(s, compare(s, s.and(a, b)), compare(s, s.and(s.not(a), b)));
  };
}

/** Flags of ptest and vtestps: ZF and CF as given, the others 0. */
function setTestFlags<V>(s: Sem<V>, zero: V, carry: V): void {
  s.setFlag("zf", () => zero);
  s.setFlag("cf", () => carry);
  for (const flag of ["of", "sf", "af", "pf"] as const) s.setFlag(flag, () => s.int(1, 0));
}

const allZero = <V>(s: Sem<V>, value: V): V => s.eq(value, s.int(s.w(value), 0));
const signsZero =
  (laneBits: number) =>
  <V>(s: Sem<V>, value: V): V =>
    allZero(s, s.signMask(value, laneBits));

/** vpdpbusd, vpdpwssd and their saturating forms: products of bytes or words summed into 32-bit lanes of operand 0. */
function dotProduct(elementBits: 8 | 16, signedA: boolean, signedB: boolean, saturate: boolean): Semantic {
  return (s, insn) => {
    const b = laneSource(s, insn, 2, 32);
    const a = insn.read(1);
    const width = s.w(a);
    const element = (value: typeof a, index: number, signed: boolean) => {
      const up = every(s, width, 32, 32 - elementBits * (index + 1));
      const down = every(s, width, 32, 32 - elementBits);
      return s.lanes(signed ? "ashr" : "lshr", 32, s.lanes("shl", 32, value, up), down);
    };
    let sum: typeof a | undefined;
    for (let index = 0; index < 32 / elementBits; index++) {
      const product = s.lanes("mul", 32, element(a, index, signedA), element(b, index, signedB));
      sum = sum === undefined ? product : s.lanes("add", 32, sum, product);
    }
    const accumulated =
      saturate && elementBits === 16 && signedA && signedB
        ? saturatingWordSum(s, insn.read(0), sum!)
        : s.lanes(saturate ? (signedA || signedB ? "saddSat" : "uaddSat") : "add", 32, insn.read(0), sum!);
    result(s, insn, 32, accumulated);
  };
}

/**
 * The sum of two products of words is 0x80000000 only when all four are -32768, and it then means +2^31: adding it is
 * adding 2^31 - 1 and then 1, saturating each time.
 */
function saturatingWordSum<V>(s: Sem<V>, accumulator: V, sum: V): V {
  const width = s.w(sum);
  const overflowed = s.lanes("eq", 32, sum, every(s, width, 32, 0x8000_0000));
  const first = s.lanes("saddSat", 32, accumulator, s.xor(sum, overflowed));
  return s.lanes("saddSat", 32, first, s.and(overflowed, every(s, width, 32, 1)));
}

/** vpmadd52: the low or high 52 bits of products of 52-bit numbers, added to the 64-bit lanes of operand 0. */
function multiplyAdd52(which: "low" | "high"): Semantic {
  return (s, insn) => {
    const b = laneSource(s, insn, 2, 64);
    const a = insn.read(1);
    const old = insn.read(0);
    const lanes = range(s.w(a) / 64, (lane) => {
      const factor = (value: typeof a) => s.zext(s.bits(value, lane * 64, 52), 104);
      const product = s.bits(s.mul(factor(a), factor(b)), which === "low" ? 0 : 52, 52);
      return s.add(s.zext(product, 64), slice(s, old, lane * 64, 64));
    });
    result(s, insn, 64, lanes.length === 1 ? lanes[0]! : s.concat(...lanes.reverse()));
  };
}

/** vpconflict: for each lane the set of earlier lanes that equal it. */
function conflict(laneBits: number): Semantic {
  return (s, insn) => {
    const a = source(s, insn, 1);
    const count = s.w(a) / laneBits;
    let set = s.int(s.w(a), 0);
    for (let earlier = 0; earlier < count - 1; earlier++) {
      const equal = s.lanes("eq", laneBits, a, s.splat(s.lane(a, laneBits, earlier), s.w(a)));
      const bit = constantLanes(
        s,
        laneBits,
        range(count, (lane) => (lane > earlier ? 1n << BigInt(earlier) : 0n)),
      );
      set = s.or(set, s.and(equal, bit));
    }
    result(s, insn, laneBits, set);
  };
}

/** pinsr: a general register's low bits or memory into a lane. */
function insert(laneBits: number): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const value = low(s, insn.read(first + 1), laneBits);
    const index = insn.immediate(first + 2, 8);
    enterMmxIfUsed(s, insn);
    insn.write(0, insertAt(s, insn.read(first), laneBits, index, value));
  };
}

/** pextr, extractps: a lane to memory or, zero-extended, to a general register. */
function extract(laneBits: number): Semantic {
  return (s, insn) => {
    const value = s.laneAt(insn.read(1), laneBits, insn.immediate(2, 8));
    enterMmxIfUsed(s, insn);
    const width = insn.kind(0) === "memory" ? laneBits : insn.width(0);
    insn.write(0, width > laneBits ? s.zext(value, width) : value);
  };
}

const BWDQ = (stem: string, sizes: string): [string, number][] =>
  [...sizes].map((letter) => [stem + letter, { b: 8, w: 16, d: 32, q: 64 }[letter]!]);

export const SIMD_INTEGER: readonly Row[] = [
  ...each(BWDQ("Padd", "bwdq"), (bits) => laneOp("add", bits)),
  ...each(BWDQ("Psub", "bwdq"), (bits) => laneOp("sub", bits)),
  ...each(BWDQ("Padds", "bw"), (bits) => laneOp("saddSat", bits)),
  ...each(BWDQ("Paddus", "bw"), (bits) => laneOp("uaddSat", bits)),
  ...each(BWDQ("Psubs", "bw"), (bits) => laneOp("ssubSat", bits)),
  ...each(BWDQ("Psubus", "bw"), (bits) => laneOp("usubSat", bits)),
  ...each(BWDQ("Pavg", "bw"), (bits) => laneOp("uavg", bits)),
  ...each(BWDQ("Pmins", "bwd"), (bits) => laneOp("smin", bits)),
  ...each(BWDQ("Pmaxs", "bwd"), (bits) => laneOp("smax", bits)),
  ...each(BWDQ("Pminu", "bwd"), (bits) => laneOp("umin", bits)),
  ...each(BWDQ("Pmaxu", "bwd"), (bits) => laneOp("umax", bits)),
  full("Vpminsq", laneOp("smin", 64)),
  full("Vpmaxsq", laneOp("smax", 64)),
  full("Vpminuq", laneOp("umin", 64)),
  full("Vpmaxuq", laneOp("umax", 64)),
  ...each(BWDQ("Pabs", "bwd"), (bits) => laneOp1("abs", bits)),
  full("Vpabsq", laneOp1("abs", 64)),
  ...each(BWDQ("Psign", "bwd"), sign),
  ...both("Pmullw", laneOp("mul", 16)),
  ...both("Pmulld", laneOp("mul", 32)),
  full("Vpmullq", laneOp("mul", 64)),
  ...both("Pmulhw", laneOp("smulHigh", 16)),
  ...both("Pmulhuw", laneOp("umulHigh", 16)),
  ...both("Pmulhrsw", multiplyHighRounded),
  ...both("Pmuludq", multiplyLow(false)),
  ...both("Pmuldq", multiplyLow(true)),
  ...both("Pmaddwd", multiplyAddWords),
  ...both("Pmaddubsw", multiplyAddBytes),
  ...both("Psadbw", sumDifferences),
  ...both("Mpsadbw", slidingSums),
  full("Vdbpsadbw", shuffledSums),
  ...both("Phminposuw", minimumPosition),
  ...each(BWDQ("Phadd", "wd"), (bits) => horizontal("add", bits)),
  ...each(BWDQ("Phsub", "wd"), (bits) => horizontal("sub", bits)),
  ...both("Phaddsw", horizontal("saddSat", 16)),
  ...both("Phsubsw", horizontal("ssubSat", 16)),

  ...both("Pand", and(32)),
  ...both("Por", or(32)),
  ...both("Pxor", xor(32)),
  ...both("Pandn", andNot(32)),
  ...[32, 64].flatMap((bits) => {
    const letter = bits === 32 ? "d" : "q";
    return [
      full(`Vpand${letter}`, and(bits)),
      full(`Vpor${letter}`, or(bits)),
      full(`Vpxor${letter}`, xor(bits)),
      full(`Vpandn${letter}`, andNot(bits)),
    ];
  }),
  ...[32, 64].flatMap((bits) => {
    const suffix = bits === 32 ? "ps" : "pd";
    return [
      ...both(`And${suffix}`, and(bits)),
      ...both(`Or${suffix}`, or(bits)),
      ...both(`Xor${suffix}`, xor(bits)),
      ...both(`Andn${suffix}`, andNot(bits)),
    ];
  }),

  ...BWDQ("Pcmpeq", "bwdq").map(([name, bits]) => full(name, laneOp("eq", bits))),
  ...BWDQ("Pcmpgt", "bwdq").map(([name, bits]) => full(name, laneOp("sgt", bits))),
  ...both("Ptest", test(allZero)),
  full("Vtestps", test(signsZero(32))),
  full("Vtestpd", test(signsZero(64))),

  ...each(BWDQ("Pinsr", "bwdq"), insert),
  ...each(BWDQ("Pextr", "bwdq"), extract),
  ...both("Extractps", extract(32)),

  full("Vpdpbusd", dotProduct(8, false, true, false)),
  full("Vpdpbusds", dotProduct(8, false, true, true)),
  full("Vpdpwssd", dotProduct(16, true, true, false)),
  full("Vpdpwssds", dotProduct(16, true, true, true)),
  full("Vpdpbssd", dotProduct(8, true, true, false)),
  full("Vpdpbssds", dotProduct(8, true, true, true)),
  full("Vpdpbsud", dotProduct(8, true, false, false)),
  full("Vpdpbsuds", dotProduct(8, true, false, true)),
  full("Vpdpbuud", dotProduct(8, false, false, false)),
  full("Vpdpbuuds", dotProduct(8, false, false, true)),
  full("Vpmadd52luq", multiplyAdd52("low")),
  full("Vpmadd52huq", multiplyAdd52("high")),
  full("Vplzcntd", laneOp1("clz", 32)),
  full("Vplzcntq", laneOp1("clz", 64)),
  ...BWDQ("Vpopcnt", "bwdq").map(([name, bits]) => full(name, laneOp1("popcount", bits))),
  full("Vpconflictd", conflict(32)),
  full("Vpconflictq", conflict(64)),
];
