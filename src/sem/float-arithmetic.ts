// Packed and scalar floating-point arithmetic, fused multiply-add, horizontal and dot-product forms, approximations.
// Rounding, denormals and NaNs are the vocabulary's (Ops.fp); what MXCSR's sticky exception flags would become is not
// computed, and unmasked exceptions do not trap: every row that could raise one says so.

import { type Estimate, RECIPROCAL, RECIPROCAL_ROOT } from "./estimate-tables.ts";
import { partial } from "./rows.ts";
import {
  activeLanes,
  type Binary,
  bitwise,
  every,
  firstSource,
  laneSource,
  low,
  perBlock,
  range,
  result,
  scalar,
  scalarResult,
  shuffleBlocks,
  source,
  type Unary,
} from "./simd-operands.ts";
import type { FpOp, Negation, Row, Sem, Semantic } from "./vocabulary.ts";

export const HOST_EXCEPTIONS =
  "exception flags in MXCSR are only those that the host gathers; unmasked exceptions trap but for denormal operands, exact results that are too small, quiet NaNs in minimum and maximum, signalling ones in quiet comparisons, and inexact roundings to integers; on arm64 FTZ and DAZ are one switch";

/** A floating-point row: right but for exceptions. */
export const float = (name: string, semantic: Semantic, reason = HOST_EXCEPTIONS): Row =>
  partial(name, semantic, reason);

/** Both the legacy and the V-prefixed name. */
export const bothFloat = (name: string, semantic: Semantic): Row[] => [
  float(name, semantic),
  float(`V${name.toLowerCase()}`, semantic),
];

export type FloatBits = 32 | 64;
export const FLOATS: readonly (readonly [letter: string, bits: FloatBits])[] = [
  ["s", 32],
  ["d", 64],
];

/** Packed dst = f(first, second). */
export function packed(bits: FloatBits, compute: Binary): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = activeLanes(s, insn, bits, laneSource(s, insn, first + 1, bits));
    result(s, insn, bits, compute(s, activeLanes(s, insn, bits, insn.read(first)), b));
  };
}

/** Scalar dst = f(first, second) in the low lane; the rest comes from the first source. */
export function single(bits: FloatBits, compute: Binary): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = activeLanes(s, insn, bits, scalar(s, insn, first + 1, bits));
    scalarResult(s, insn, compute(s, activeLanes(s, insn, bits, low(s, insn.read(first), bits)), b));
  };
}

/** Packed dst = f(source). */
export function packedUnary(bits: FloatBits, compute: Unary): Semantic {
  return (s, insn) => result(s, insn, bits, compute(s, activeLanes(s, insn, bits, laneSource(s, insn, 1, bits))));
}

/** Scalar dst = f(last source). */
export function singleUnary(bits: FloatBits, compute: Unary): Semantic {
  return (s, insn) => {
    const value = activeLanes(s, insn, bits, scalar(s, insn, firstSource(insn) + 1, bits));
    scalarResult(s, insn, compute(s, value));
  };
}

/** What DAZ makes of an operand that is returned as it is: denormals become zeros of their sign. */
function withoutDenormals<V>(s: Sem<V>, bits: FloatBits, a: V): V {
  const exponent = bits === 32 ? 0x7f80_0000n : 0x7ff0_0000_0000_0000n;
  const width = s.w(a);
  const isSmall = s.lanes("eq", bits, s.and(a, every(s, width, bits, exponent)), s.int(width, 0));
  const sign = every(s, width, bits, 1n << BigInt(bits - 1));
  return s.and(a, s.or(sign, s.not(isSmall)));
}

/**
 * min and max return one of their operands; with DAZ, what they compared. (A comparison with zero would tell denormals on
 * the host too, but LLVM's optimizations rely on its being true for zeros only.)
 */
function extremum(op: "min" | "max", bits: FloatBits): Binary {
  return <V>(s: Sem<V>, a: V, b: V) => {
    const daz = s.bits(s.field("mxcsr"), 6, 1);
    const value = s.fp(op, bits, a, b);
    return s.rareIf(daz) ? value : s.select(daz, withoutDenormals(s, bits, value), value);
  };
}

/** addps addpd addss addsd and their V forms. */
function arithmetic(name: string, op: FpOp): Row[] {
  return FLOATS.flatMap(([letter, bits]) => {
    const compute: Binary = op === "min" || op === "max" ? extremum(op, bits) : (s, a, b) => s.fp(op, bits, a, b);
    return [
      ...bothFloat(`${name}p${letter}`, packed(bits, compute)),
      ...bothFloat(`${name}s${letter}`, single(bits, compute)),
    ];
  });
}

/** Horizontal operations: neighbours of the first source, then of the second, in each block. */
function horizontal(op: FpOp, bits: FloatBits): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = source(s, insn, first + 1);
    const a = insn.read(first);
    const even = range(128 / bits, (lane) => lane * 2);
    const left = shuffleBlocks(s, bits, a, b, even);
    const right = shuffleBlocks(
      s,
      bits,
      a,
      b,
      even.map((lane) => lane + 1),
    );
    insn.write(0, s.fp(op, bits, left, right));
  };
}

/** addsub: even lanes are subtracted, odd ones added. */
function addSubtract(bits: FloatBits): Semantic {
  return packed(bits, (s, a, b) => {
    const lanes = s.w(a) / bits;
    const odd = s.int(lanes, BigInt(`0x${"a".repeat(Math.ceil(lanes / 4))}`));
    return s.blend(bits, odd, s.fp("add", bits, a, b), s.fp("sub", bits, a, b));
  });
}

/** dpps, dppd: products selected by the immediate's upper half, their sum written where its lower half says, else 0. */
function dotProduct(bits: FloatBits): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = source(s, insn, first + 1);
    const immediate = insn.immediate(first + 2, 8);
    const lanes = 128 / bits;
    const value = perBlock(s, [insn.read(first), b], ([aBlock, bBlock]) => {
      const zero = s.int(128, 0);
      const products = s.fp("mul", bits, aBlock!, bBlock!);
      let sums = s.blend(bits, s.bits(immediate, 4, lanes), products, zero);
      const neighbours =
        lanes === 2
          ? [[1, 0]]
          : [
              [1, 0, 3, 2],
              [2, 3, 0, 1],
            ];
      for (const order of neighbours) {
        // The sum of a pair has the lower lane first, whichever lane it is for: both lanes are made from the lower one's.
        const step = order[0]!;
        const lower = range(lanes, (lane) => lane & ~step);
        const left = s.shuffle(bits, sums, sums, lower);
        const right = s.shuffle(
          bits,
          sums,
          sums,
          lower.map((lane) => lane | step),
        );
        sums = s.fp("add", bits, left, right);
      }
      return s.blend(bits, s.bits(immediate, 0, lanes), sums, zero);
    });
    insn.write(0, value);
  };
}

interface Fused {
  readonly name: string;
  /** Whether the product, and which lanes of the addend, are negated. */
  readonly product: boolean;
  readonly addend: Negation;
}

const FUSED: readonly Fused[] = [
  { name: "Vfmadd", product: false, addend: "none" },
  { name: "Vfmsub", product: false, addend: "all" },
  { name: "Vfnmadd", product: true, addend: "none" },
  { name: "Vfnmsub", product: true, addend: "all" },
  { name: "Vfmaddsub", product: false, addend: "even" },
  { name: "Vfmsubadd", product: false, addend: "odd" },
];

/** Operand numbers of the factors and of the addend: 132 is op0 * op2 + op1, and so on. */
const ORDERS = { "132": [0, 2, 1], "213": [1, 0, 2], "231": [1, 2, 0] } as const;

function fusedRows(fused: Fused): Row[] {
  return Object.entries(ORDERS).flatMap(([order, operands]) =>
    FLOATS.flatMap(([letter, bits]) => {
      const all: Semantic = (s, insn) => {
        const memory = laneSource(s, insn, 2, bits);
        const [a, b, c] = operands.map((operand) =>
          activeLanes(s, insn, bits, operand === 2 ? memory : insn.read(operand)),
        );
        result(s, insn, bits, s.fma(bits, a!, b!, c!, fused.product, fused.addend));
      };
      const one: Semantic = (s, insn) => {
        const memory = scalar(s, insn, 2, bits);
        const [a, b, c] = operands.map((operand) =>
          activeLanes(s, insn, bits, operand === 2 ? memory : low(s, insn.read(operand), bits)),
        );
        scalarResult(s, insn, s.fma(bits, a!, b!, c!, fused.product, fused.addend), 0);
      };
      const rows = [float(`${fused.name}${order}p${letter}`, all)];
      const hasScalar = fused.addend === "none" || fused.addend === "all";
      return hasScalar ? [...rows, float(`${fused.name}${order}s${letter}`, one)] : rows;
    }),
  );
}

/** The twelve bits that an estimate has for the operand's twelve and what else chooses the table. */
function significand<V>(s: Sem<V>, { base, slope }: Estimate, index: V): V {
  const width = s.w(index);
  const subtrahend = s.lookup(slope, 8, s.concat(s.bits(index, 8, width - 8), s.bits(index, 0, 4)));
  return s.sub(s.zext(s.lookup(base, 16, s.bits(index, 4, width - 4)), 32), s.zext(subtrahend, 32));
}

/** 1 / a, or 1 / sqrt(a), in twelve bits as AMD's processors approximate it. Denormals are zeros; nothing raises a flag. */
function estimate(root: boolean): Unary {
  return (s, a) => {
    const width = s.w(a);
    const all = (value: bigint | number): ReturnType<typeof s.int> => every(s, width, 32, BigInt(value));
    const exponent = s.and(s.lanes("lshr", 32, a, all(23)), all(0xff));
    const index = s.lanes("lshr", 32, a, all(11));
    let fraction = s.int(width, 0);
    for (let i = 0; i < width / 32; i++) {
      const at = s.bits(s.lane(index, 32, i), 0, root ? 13 : 12);
      fraction = s.setLane(fraction, 32, i, significand(s, root ? RECIPROCAL_ROOT : RECIPROCAL, at));
    }
    // Results too small to be normal are zeros; those of reciprocal roots never are.
    const scaled = root
      ? s.lanes("lshr", 32, s.lanes("sub", 32, all(380), exponent), all(1))
      : s.lanes("sub", 32, all(253), exponent);
    const usual = s.or(s.lanes("shl", 32, scaled, all(23)), s.lanes("shl", 32, fraction, all(11)));
    const sign = s.and(a, all(0x8000_0000n));
    const isLarge = s.lanes("ugt", 32, exponent, all(root ? 254 : 252));
    const isZero = s.lanes("eq", 32, exponent, all(0));
    const magnitude = bitwise(s, isZero, all(0x7f80_0000), s.and(usual, s.not(isLarge)));
    const signed = s.or(sign, magnitude);
    const isNegative = s.and(s.lanes("eq", 32, sign, all(0x8000_0000n)), s.not(isZero));
    const number = root ? bitwise(s, isNegative, all(0xffc0_0000n), signed) : signed;
    const isNoNumber = s.lanes("ugt", 32, s.and(a, all(0x7fff_ffff)), all(0x7f80_0000));
    return bitwise(s, isNoNumber, s.or(a, all(0x0040_0000)), number);
  };
}

/** 1 / a, or 1 / sqrt(a): the correctly rounded value. */
function reciprocal(bits: FloatBits, root: boolean): Unary {
  const one = bits === 32 ? 0x3f80_0000n : 0x3ff0_0000_0000_0000n;
  return (s, a) => s.fp("div", bits, every(s, s.w(a), bits, one), root ? s.fsqrt(bits, a) : a);
}

const AS_AMD = "gives AMD's approximation, whichever maker's CPU the program comes from";
const APPROXIMATION = "gives the correctly rounded value where CPUs give an approximation that differs among makers";

function approximations(): Row[] {
  return [false, true].flatMap((root) => {
    const name = root ? "rsqrt" : "rcp";
    const legacy = root ? "Rsqrt" : "Rcp";
    return [
      float(`${legacy}ps`, packedUnary(32, estimate(root)), AS_AMD),
      float(`${legacy}ss`, singleUnary(32, estimate(root)), AS_AMD),
      float(`V${name}ps`, packedUnary(32, estimate(root)), AS_AMD),
      float(`V${name}ss`, singleUnary(32, estimate(root)), AS_AMD),
      ...FLOATS.flatMap(([letter, bits]) => [
        float(`V${name}14p${letter}`, packedUnary(bits, reciprocal(bits, root)), APPROXIMATION),
        float(`V${name}14s${letter}`, singleUnary(bits, reciprocal(bits, root)), APPROXIMATION),
      ]),
    ];
  });
}

export const FLOAT_ARITHMETIC: readonly Row[] = [
  ...arithmetic("Add", "add"),
  ...arithmetic("Sub", "sub"),
  ...arithmetic("Mul", "mul"),
  ...arithmetic("Div", "div"),
  ...arithmetic("Min", "min"),
  ...arithmetic("Max", "max"),
  ...FLOATS.flatMap(([letter, bits]) => [
    ...bothFloat(
      `Sqrtp${letter}`,
      packedUnary(bits, (s, a) => s.fsqrt(bits, a)),
    ),
    ...bothFloat(
      `Sqrts${letter}`,
      singleUnary(bits, (s, a) => s.fsqrt(bits, a)),
    ),
    ...bothFloat(`Haddp${letter}`, horizontal("add", bits)),
    ...bothFloat(`Hsubp${letter}`, horizontal("sub", bits)),
    ...bothFloat(`Addsubp${letter}`, addSubtract(bits)),
    ...bothFloat(`Dpp${letter}`, dotProduct(bits)),
  ]),
  ...FUSED.flatMap(fusedRows),
  ...approximations(),
];
