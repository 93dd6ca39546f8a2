// Moving lanes about: unpack, pack, shuffle, blend, align, insert and extract of blocks, broadcast, permute. Immediates may
// be dynamic (the interpreter decodes them at run time), so shuffles by immediate are permutes whose indices are computed;
// with a known immediate LLVM folds them into one shuffle.

import { both, full } from "./rows.ts";
import {
  binaryWhole,
  bitwise,
  blockWidth,
  choose,
  every,
  extend,
  firstSource,
  immediateBit,
  indicesFrom,
  low,
  perBlock,
  range,
  result,
  shuffleBlocks,
  slice,
  source,
} from "./simd-operands.ts";
import type { Row, Sem, Semantic } from "./vocabulary.ts";

/** punpck, unpck: lanes of the lower or upper halves of each block, alternating. */
function unpack(laneBits: number, which: "low" | "high"): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    // punpckl with an MMX register reads only 32 bits of memory.
    const read = source(s, insn, first + 1);
    const a = insn.read(first);
    const b = extend(s, read, s.w(a));
    const lanes = Math.min(128, s.w(a)) / laneBits;
    const base = which === "low" ? 0 : lanes / 2;
    const pattern = range(lanes, (lane) => base + (lane >> 1) + (lane & 1 ? lanes : 0));
    result(s, insn, laneBits, shuffleBlocks(s, laneBits, a, b, pattern));
  };
}

/** packss, packus: the lanes of each block of the first source, then of the second, saturated to half the width. */
function pack(from: number, how: "saturateSigned" | "saturateUnsigned"): Semantic {
  return binaryWhole(from / 2, (s, a, b) => {
    const half = Math.min(128, s.w(a)) / 2;
    const blocks = s.w(a) / (half * 2);
    const indices = range(blocks * 2, (i) => (i >> 1) + (i & 1 ? blocks : 0));
    return s.shuffle(half, s.narrow(a, from, from / 2, how), s.narrow(b, from, from / 2, how), indices);
  });
}

/** pshufb: bytes of each block by the low bits of the index bytes; 0 where an index is negative. */
const shuffleBytes = binaryWhole(8, (s, a, indices) => {
  const count = blockWidth(s, a) / 8;
  // Without the bits that do not matter, an index is in the table or has its top bit set.
  const used = s.and(indices, every(s, s.w(a), 8, 0x80 | (count - 1)));
  return perBlock(s, [a, used], ([data, index]) => {
    const compose = () => {
      const negative = s.lanes("slt", 8, index!, s.int(s.w(index!), 0));
      return s.and(s.permute(8, data!, index!), s.not(negative));
    };
    return s.w(data!) === 128 ? s.native("lookUpBytes", [data!, index!], compose) : compose();
  });
});

/** pshufd and vpermilps by immediate: each block's dwords by four fields of two bits. */
const shuffleDwords: Semantic = (s, insn) => {
  const a = source(s, insn, 1);
  const indices = indicesFrom(s, insn.immediate(2, 8), 32, 4, 2);
  result(
    s,
    insn,
    32,
    perBlock(s, [a], ([block]) => s.permute(32, block!, indices)),
  );
};

/** pshuflw, pshufhw, pshufw: words of one half of each block (pshufw: of the MMX register). */
function shuffleWords(which: "low" | "high"): Semantic {
  return (s, insn) => {
    const a = source(s, insn, 1);
    const indices = indicesFrom(s, insn.immediate(2, 8), 16, 4, 2);
    if (s.w(a) === 64) return result(s, insn, 16, s.permute(16, a, indices));
    const value = perBlock(s, [a], ([block]) => {
      const lower = s.bits(block!, 0, 64);
      const upper = s.bits(block!, 64, 64);
      if (which === "low") return s.concat(upper, s.permute(16, lower, indices));
      return s.concat(s.permute(16, upper, indices), lower);
    });
    result(s, insn, 16, value);
  };
}

/** shufps: two lanes of each block from the first source, two from the second. */
const shuffleSingles: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const b = source(s, insn, first + 1);
  const indices = indicesFrom(s, insn.immediate(first + 2, 8), 32, 4, 2);
  const value = perBlock(s, [insn.read(first), b], ([aBlock, bBlock]) => {
    const fromA = s.permute(32, aBlock!, indices);
    const fromB = s.permute(32, bBlock!, indices);
    return s.shuffle(32, fromA, fromB, [0, 1, 6, 7]);
  });
  result(s, insn, 32, value);
};

/** shufpd: one lane of each block from each source; the immediate has a bit for each result lane. */
const shuffleDoubles: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const b = source(s, insn, first + 1);
  const immediate = insn.immediate(first + 2, 8);
  const value = perBlock(s, [insn.read(first), b], ([aBlock, bBlock], block) => {
    const half = (from: typeof b, bit: number) =>
      s.select(immediateBit(s, immediate, bit), s.bits(from, 64, 64), s.bits(from, 0, 64));
    return s.concat(half(bBlock!, block * 2 + 1), half(aBlock!, block * 2));
  });
  result(s, insn, 64, value);
};

/** vpermilps, vpermilpd: within blocks, by an immediate or by the lanes of a vector. */
function permuteInBlocks(laneBits: 32 | 64): Semantic {
  return (s, insn) => {
    if (insn.kind(2) === "immediate") {
      if (laneBits === 32) return shuffleDwords(s, insn);
      const a = source(s, insn, 1);
      const immediate = insn.immediate(2, 8);
      const value = perBlock(s, [a], ([block], number) =>
        s.permute(64, block!, indicesFrom(s, s.lshr(immediate, s.int(8, number * 2)), 64, 2, 1)),
      );
      return result(s, insn, 64, value);
    }
    const control = source(s, insn, 2);
    const shift = every(s, s.w(control), laneBits, laneBits === 32 ? 0 : 1);
    const indices = laneBits === 32 ? control : s.lanes("lshr", 64, control, shift);
    const value = perBlock(s, [insn.read(1), indices], ([data, index]) => s.permute(laneBits, data!, index!));
    result(s, insn, laneBits, value);
  };
}

/** palignr: bytes of each pair of blocks, shifted down by the immediate. */
const alignBytes: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const b = source(s, insn, first + 1);
  const count = insn.immediate(first + 2, 8);
  const value = perBlock(s, [insn.read(first), b], ([aBlock, bBlock]) => {
    const size = s.w(aBlock!);
    const pair = s.concat(aBlock!, bBlock!);
    return s.trunc(s.lshr(pair, s.shl(s.zext(count, size * 2), s.int(size * 2, 3))), size);
  });
  result(s, insn, 8, value);
};

/** valignd, valignq: lanes of the pair of whole registers, shifted down by the immediate modulo the lanes. */
function alignLanes(laneBits: number): Semantic {
  return (s, insn) => {
    const b = source(s, insn, 2);
    const a = insn.read(1);
    const lanes = s.w(a) / laneBits;
    const count = s.and(insn.immediate(3, 8), s.int(8, lanes - 1));
    const choices = range(
      lanes,
      (n) => () =>
        s.shuffle(
          laneBits,
          b,
          a,
          range(lanes, (i) => i + n),
        ),
    );
    result(s, insn, laneBits, choose(s, count, choices));
  };
}

/** blendps, blendpd, vpblendd, pblendw: a bit of the immediate for each lane (pblendw: the same eight in each block). */
function blendImmediate(laneBits: number): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = source(s, insn, first + 1);
    const a = insn.read(first);
    const lanes = s.w(a) / laneBits;
    const immediate = insn.immediate(first + 2, 8);
    const mask = lanes > 8 ? s.concat(immediate, immediate) : low(s, immediate, lanes);
    insn.write(0, s.blend(laneBits, mask, b, a));
  };
}

/** blendv: the top bit of each lane of xmm0 (legacy) or of the last operand. */
function blendVariable(laneBits: number): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = source(s, insn, first + 1);
    const control = insn.encoding === "legacy" ? s.vector(0, 128) : insn.read(3);
    const chosen = s.lanes("slt", laneBits, control, s.int(s.w(control), 0));
    insn.write(0, bitwise(s, chosen, b, insn.read(first)));
  };
}

/** insertps: a lane chosen by the immediate into another one, and lanes cleared. */
const insertSingle: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const immediate = insn.immediate(first + 2, 8);
  const isMemory = insn.kind(first + 1) === "memory";
  const read = insn.read(first + 1);
  const value = isMemory ? low(s, read, 32) : s.laneAt(read, 32, s.bits(immediate, 6, 2));
  const mask = s.shl(s.int(8, 1), s.zext(s.bits(immediate, 4, 2), 8));
  const inserted = s.blend(32, low(s, mask, 4), s.splat(value, 128), insn.read(first));
  insn.write(0, s.blend(32, s.bits(immediate, 0, 4), s.int(128, 0), inserted));
};

/** vinsert*: a block of `blockBits` replaces the one that the immediate names. */
function insertBlock(blockBits: number, laneBits: number): Semantic {
  return (s, insn) => {
    const block = low(s, insn.read(2), blockBits);
    const a = insn.read(1);
    const count = s.w(a) / blockBits;
    const index = s.and(insn.immediate(3, 8), s.int(8, count - 1));
    const mask = low(s, s.shl(s.int(8, 1), index), count);
    const blocks = range(count, (i) => s.select(s.bits(mask, i, 1), block, s.bits(a, i * blockBits, blockBits)));
    result(s, insn, laneBits, s.concat(...blocks.reverse()));
  };
}

/** vextract*: the block that the immediate names. */
function extractBlock(blockBits: number, laneBits: number): Semantic {
  return (s, insn) => {
    const a = insn.read(1);
    const count = s.w(a) / blockBits;
    const index = s.and(insn.immediate(2, 8), s.int(8, count - 1));
    const choices = range(count, (i) => () => s.bits(a, i * blockBits, blockBits));
    // Memory must be there whole, whatever the opmask selects (exception class E6NF).
    if (insn.kind(0) === "memory" && insn.opmask(blockBits / laneBits) !== null) s.load(blockBits, insn.address(0));
    insn.writeMasked(0, laneBits, choose(s, index, choices));
  };
}

/** vperm2f128: each half is one of four halves, or 0. */
const permuteHalves: Semantic = (s, insn) => {
  const b = source(s, insn, 2);
  const a = insn.read(1);
  const immediate = insn.immediate(3, 8);
  const halves = [a, b].flatMap((value) => [s.bits(value, 0, 128), s.bits(value, 128, 128)]);
  const half = (field: number) => {
    const chosen = choose(
      s,
      s.bits(immediate, field, 2),
      halves.map((value) => () => value),
    );
    return s.select(immediateBit(s, immediate, field + 3), s.int(128, 0), chosen);
  };
  insn.write(0, s.concat(half(4), half(0)));
};

/** vshuff32x4 and the like: blocks of 128 bits, the lower half of the result from the first source. */
function shuffleBlocksOf128(laneBits: number): Semantic {
  return (s, insn) => {
    const b = source(s, insn, 2);
    const a = insn.read(1);
    const count = s.w(a) / 128;
    const immediate = insn.immediate(3, 8);
    const fieldBits = count === 4 ? 2 : 1;
    const blocks = range(count, (i) => {
      const from = i < count / 2 ? a : b;
      const choices = range(count, (block) => () => s.bits(from, block * 128, 128));
      return choose(s, s.bits(immediate, i * fieldBits, fieldBits), choices);
    });
    result(s, insn, laneBits, s.concat(...blocks.reverse()));
  };
}

/**
 * Broadcasts: `unit` bits (a lane, or a block of lanes of `laneBits`) to every unit of the destination. An element in memory
 * is left alone when no lane that it goes to is selected.
 */
function broadcast(unit: number, laneBits: number): Semantic {
  return (s, insn) => {
    const width = insn.width(0);
    const mask = insn.opmask(width / laneBits);
    if (insn.kind(1) !== "memory" || mask === null) {
      return result(s, insn, laneBits, s.splat(low(s, insn.read(1), unit), width));
    }
    const elements = range(unit / laneBits, (element) => {
      const users = range(width / unit, (copy) => s.bits(mask, (copy * unit) / laneBits + element, 1));
      const used = users.reduce((any, more) => s.or(any, more));
      return s.loadIf(used, laneBits, s.add(insn.address(1), s.int(64, (element * laneBits) / 8)));
    });
    const value = elements.length === 1 ? elements[0]! : s.concat(...elements.reverse());
    result(s, insn, laneBits, s.splat(value, width));
  };
}

/** vpermq, vpermpd: quadwords of each 256 bits, by an immediate or (EVEX) by a vector over the whole register. */
const permuteQuads: Semantic = (s, insn) => {
  if (insn.kind(2) !== "immediate") return permuteLanes(64)(s, insn);
  const a = source(s, insn, 1);
  const indices = indicesFrom(s, insn.immediate(2, 8), 64, 4, 2);
  const parts = range(s.w(a) / 256, (i) => s.permute(64, slice(s, a, i * 256, 256), indices));
  result(s, insn, 64, parts.length === 1 ? parts[0]! : s.concat(...parts.reverse()));
};

/** vpermb/w/d/q/ps: lanes of the last operand by indices in operand 1, over the whole register. */
function permuteLanes(laneBits: number): Semantic {
  return (s, insn) => {
    const data = source(s, insn, 2);
    result(s, insn, laneBits, s.permute(laneBits, data, insn.read(1)));
  };
}

/** Lanes of the pair high:low by indices. */
function permutePair<V>(s: Sem<V>, laneBits: number, lower: V, upper: V, indices: V): V {
  const lanes = s.w(lower) / laneBits;
  const select = every(s, s.w(indices), laneBits, laneBits - 1 - Math.log2(lanes));
  const fromUpper = s.signMask(s.lanes("shl", laneBits, indices, select), laneBits);
  return s.blend(laneBits, fromUpper, s.permute(laneBits, upper, indices), s.permute(laneBits, lower, indices));
}

/** vpermi2: the destination holds indices; vpermt2: operand 1 holds indices and the destination is the lower table. */
function permuteTwo(laneBits: number, indicesIn: 0 | 1): Semantic {
  return (s, insn) => {
    const upper = source(s, insn, 2);
    result(s, insn, laneBits, permutePair(s, laneBits, insn.read(1 - indicesIn), upper, insn.read(indicesIn)));
  };
}

/** pmovsx, pmovzx: the low lanes of `from` bits, widened. Memory is as wide as what is used. */
function widen(from: number, to: number, signed: boolean): Semantic {
  return (s, insn) => {
    const used = (insn.width(0) / to) * from;
    const a = low(s, insn.kind(1) === "memory" ? insn.readMasked(1, from) : insn.read(1), used);
    result(s, insn, to, s.widen(a, from, to, signed));
  };
}

/** vpmov narrowing: to a narrower register (zero above) or to memory. */
function narrow(from: number, to: number, how: "truncate" | "signed" | "unsigned"): Semantic {
  return (s, insn) => {
    let a = insn.read(1);
    if (how === "unsigned") a = s.lanes("umin", from, a, every(s, s.w(a), from, (1n << BigInt(to)) - 1n));
    insn.writeMasked(0, to, s.narrow(a, from, to, how === "signed" ? "saturateSigned" : "truncate"));
  };
}

const LETTERS = [
  ["b", 8],
  ["w", 16],
  ["d", 32],
  ["q", 64],
] as const;
const PAIRS = LETTERS.flatMap(([small, from]) =>
  LETTERS.filter(([, to]) => to > from).map(([large, to]) => ({ small, from, large, to })),
);

export const SIMD_SHUFFLE: readonly Row[] = [
  ...(
    [
      ["bw", 8],
      ["wd", 16],
      ["dq", 32],
      ["qdq", 64],
    ] as const
  ).flatMap(([suffix, bits]) => [
    ...both(`Punpckl${suffix}`, unpack(bits, "low")),
    ...both(`Punpckh${suffix}`, unpack(bits, "high")),
  ]),
  ...both("Unpcklps", unpack(32, "low")),
  ...both("Unpckhps", unpack(32, "high")),
  ...both("Unpcklpd", unpack(64, "low")),
  ...both("Unpckhpd", unpack(64, "high")),
  ...both("Packsswb", pack(16, "saturateSigned")),
  ...both("Packssdw", pack(32, "saturateSigned")),
  ...both("Packuswb", pack(16, "saturateUnsigned")),
  ...both("Packusdw", pack(32, "saturateUnsigned")),
  ...both("Pshufb", shuffleBytes),
  ...both("Pshufd", shuffleDwords),
  full("Pshufw", shuffleWords("low")),
  ...both("Pshuflw", shuffleWords("low")),
  ...both("Pshufhw", shuffleWords("high")),
  ...both("Shufps", shuffleSingles),
  ...both("Shufpd", shuffleDoubles),
  full("Vpermilps", permuteInBlocks(32)),
  full("Vpermilpd", permuteInBlocks(64)),
  ...both("Palignr", alignBytes),
  full("Valignd", alignLanes(32)),
  full("Valignq", alignLanes(64)),
  ...both("Blendps", blendImmediate(32)),
  ...both("Blendpd", blendImmediate(64)),
  ...both("Pblendw", blendImmediate(16)),
  full("Vpblendd", blendImmediate(32)),
  ...both("Blendvps", blendVariable(32)),
  ...both("Blendvpd", blendVariable(64)),
  ...both("Pblendvb", blendVariable(8)),
  ...both("Insertps", insertSingle),

  full("Vinsertf128", insertBlock(128, 32)),
  full("Vinserti128", insertBlock(128, 32)),
  full("Vextractf128", extractBlock(128, 32)),
  full("Vextracti128", extractBlock(128, 32)),
  ...["f", "i"].flatMap((type) =>
    (
      [
        ["32x4", 128, 32],
        ["64x2", 128, 64],
        ["32x8", 256, 32],
        ["64x4", 256, 64],
      ] as const
    ).flatMap(([shape, block, lane]) => [
      full(`Vinsert${type}${shape}`, insertBlock(block, lane)),
      full(`Vextract${type}${shape}`, extractBlock(block, lane)),
      full(`Vbroadcast${type}${shape}`, broadcast(block, lane)),
    ]),
  ),
  full("Vbroadcastf32x2", broadcast(64, 32)),
  full("Vbroadcasti32x2", broadcast(64, 32)),
  full("Vbroadcastf128", broadcast(128, 32)),
  full("Vbroadcasti128", broadcast(128, 32)),
  full("Vbroadcastss", broadcast(32, 32)),
  full("Vbroadcastsd", broadcast(64, 64)),
  ...LETTERS.map(([letter, bits]) => full(`Vpbroadcast${letter}`, broadcast(bits, bits))),

  full("Vperm2f128", permuteHalves),
  full("Vperm2i128", permuteHalves),
  full("Vshuff32x4", shuffleBlocksOf128(32)),
  full("Vshufi32x4", shuffleBlocksOf128(32)),
  full("Vshuff64x2", shuffleBlocksOf128(64)),
  full("Vshufi64x2", shuffleBlocksOf128(64)),
  full("Vpermq", permuteQuads),
  full("Vpermpd", permuteQuads),
  full("Vpermb", permuteLanes(8)),
  full("Vpermw", permuteLanes(16)),
  full("Vpermd", permuteLanes(32)),
  full("Vpermps", permuteLanes(32)),
  ...([...LETTERS, ["ps", 32], ["pd", 64]] as const).flatMap(([letter, bits]) => [
    full(`Vpermi2${letter}`, permuteTwo(bits, 0)),
    full(`Vpermt2${letter}`, permuteTwo(bits, 1)),
  ]),

  ...PAIRS.flatMap(({ small, from, large, to }) => [
    ...both(`Pmovsx${small}${large}`, widen(from, to, true)),
    ...both(`Pmovzx${small}${large}`, widen(from, to, false)),
    full(`Vpmov${large}${small}`, narrow(to, from, "truncate")),
    full(`Vpmovs${large}${small}`, narrow(to, from, "signed")),
    full(`Vpmovus${large}${small}`, narrow(to, from, "unsigned")),
  ]),
];
