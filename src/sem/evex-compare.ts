// Integer comparisons and tests whose result is a mask register (EVEX), and the VEX comparisons of the same names whose
// result is a vector.

import { full } from "./rows.ts";
import { choose, constantLanes, laneSource, range, source } from "./simd-operands.ts";
import type { Insn, LaneOp, Row, Sem, Semantic } from "./vocabulary.ts";

/** Writes lanes of all ones or zeros as a mask register: one bit a lane, 0 where the opmask does not select. */
export function writeLaneMask<V>(s: Sem<V>, insn: Insn<V>, laneBits: number, lanes: V): void {
  writeBits(s, insn, s.signMask(lanes, laneBits));
}

/** Writes one bit a lane as a mask register, under the opmask. */
export function writeBits<V>(s: Sem<V>, insn: Insn<V>, bits: V): void {
  const count = s.w(bits);
  const opmask = insn.opmask(count);
  const mask = opmask === null ? bits : s.and(bits, opmask);
  insn.write(0, count === 64 ? mask : s.zext(mask, 64));
}

/** Reads a source operand of what gives one bit a lane, 0 where the opmask does not select. */
function comparedSource<V>(s: Sem<V>, insn: Insn<V>, operand: number, laneBits: number): V {
  return insn.kind(0) === "mask" ? insn.readSelected(operand, laneBits) : laneSource(s, insn, operand, laneBits);
}

/** vpcmpeq, vpcmpgt: a vector (VEX) or a mask (EVEX). */
function compare(op: LaneOp, laneBits: number): Semantic {
  return (s, insn) => {
    const b = comparedSource(s, insn, 2, laneBits);
    const lanes = s.lanes(op, laneBits, comparedSource(s, insn, 1, laneBits), b);
    if (insn.kind(0) === "vector") insn.write(0, lanes);
    else writeLaneMask(s, insn, laneBits, lanes);
  };
}

/** vpcmp, vpcmpu with a predicate in the immediate: eq lt le false ne ge gt true. */
function comparePredicate(laneBits: number, signed: boolean): Semantic {
  const [lt, le, ge, gt]: LaneOp[] = signed ? ["slt", "sle", "sge", "sgt"] : ["ult", "ule", "uge", "ugt"];
  return (s, insn) => {
    const b = comparedSource(s, insn, 2, laneBits);
    const a = comparedSource(s, insn, 1, laneBits);
    const lanes = (op: LaneOp) => () => s.lanes(op, laneBits, a, b);
    const never = () => s.int(s.w(a), 0);
    const always = () => s.not(s.int(s.w(a), 0));
    const choices = [lanes("eq"), lanes(lt!), lanes(le!), never, lanes("ne"), lanes(ge!), lanes(gt!), always];
    writeLaneMask(s, insn, laneBits, choose(s, s.bits(insn.immediate(3, 8), 0, 3), choices));
  };
}

/** vptestm, vptestnm: whether lanes have bits in common. */
function test(laneBits: number, common: "some" | "none"): Semantic {
  return (s, insn) => {
    const b = comparedSource(s, insn, 2, laneBits);
    const both = s.and(comparedSource(s, insn, 1, laneBits), b);
    writeLaneMask(s, insn, laneBits, s.lanes(common === "some" ? "ne" : "eq", laneBits, both, s.int(s.w(both), 0)));
  };
}

/** vpshufbitqmb: for each byte of the second source, that bit of its quadword of the first. */
const selectBits: Semantic = (s, insn) => {
  const indices = laneSource(s, insn, 2, 8);
  const data = insn.read(1);
  const bits = range(s.w(data) / 8, (lane) => {
    const quad = s.lane(data, 64, lane >> 3);
    return s.trunc(s.lshr(quad, s.and(s.zext(s.lane(indices, 8, lane), 64), s.int(64, 63))), 1);
  });
  writeBits(s, insn, s.concat(...bits.reverse()));
};

/** vp2intersect: two masks, which lanes of the first source occur in the second and the other way round. */
function intersect(laneBits: number): Semantic {
  return (s, insn) => {
    const b = source(s, insn, 2);
    const a = insn.read(1);
    const width = s.w(a);
    const count = width / laneBits;
    let inA = s.int(width, 0);
    let inB = s.int(width, 0);
    for (let lane = 0; lane < count; lane++) {
      const equal = s.lanes("eq", laneBits, a, s.splat(s.lane(b, laneBits, lane), width));
      const any = s.sext(s.ne(equal, s.int(width, 0)), width);
      const here = constantLanes(
        s,
        laneBits,
        range(count, (i) => (i === lane ? -1 : 0)),
      );
      inA = s.or(inA, equal);
      inB = s.or(inB, s.and(any, here));
    }
    // The destination names a pair: the register with its lowest bit cleared, and the next one.
    const number = s.and(insn.registerNumber(0), s.int(8, 6));
    const masks = [s.zext(s.signMask(inA, laneBits), 64), s.zext(s.signMask(inB, laneBits), 64)];
    for (let register = 0; register < 8; register++) {
      const isIt = s.eq(number, s.int(8, register & 6));
      s.setMask(register, s.select(isIt, masks[register & 1]!, s.mask(register)));
    }
  };
}

const SIZES = [
  ["b", 8],
  ["w", 16],
  ["d", 32],
  ["q", 64],
] as const;

export const EVEX_COMPARE: readonly Row[] = [
  ...SIZES.flatMap(([letter, bits]) => [
    full(`Vpcmpeq${letter}`, compare("eq", bits)),
    full(`Vpcmpgt${letter}`, compare("sgt", bits)),
    full(`Vpcmp${letter}`, comparePredicate(bits, true)),
    full(`Vpcmpu${letter}`, comparePredicate(bits, false)),
    full(`Vptestm${letter}`, test(bits, "some")),
    full(`Vptestnm${letter}`, test(bits, "none")),
  ]),
  full("Vpshufbitqmb", selectBits),
  full("Vp2intersectd", intersect(32)),
  full("Vp2intersectq", intersect(64)),
];
