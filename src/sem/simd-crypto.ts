// AES, carry-less multiplication, GFNI and SHA. Bytes of a vector are treated together as elements of GF(2^8) with the AES
// polynomial x^8 + x^4 + x^3 + x + 1; there are no tables, so nothing depends on memory.

import { both, full } from "./rows.ts";
import {
  type Binary,
  binary,
  binaryWhole,
  choose,
  every,
  firstSource,
  perBlock,
  range,
  result,
  shuffleBlocks,
  source,
} from "./simd-operands.ts";
import type { Row, Sem, Semantic } from "./vocabulary.ts";

const bytes = <V>(s: Sem<V>, like: V, value: number): V => every(s, s.w(like), 8, value);

/** All ones in the bytes of a whose bit `bit` is set. */
function whereBit<V>(s: Sem<V>, a: V, bit: number): V {
  return s.lanes("ne", 8, s.and(a, bytes(s, a, 1 << bit)), s.int(s.w(a), 0));
}

/** Each byte times x. */
function timesX<V>(s: Sem<V>, a: V): V {
  const overflow = s.and(s.lanes("slt", 8, a, s.int(s.w(a), 0)), bytes(s, a, 0x1b));
  return s.xor(s.lanes("add", 8, a, a), overflow);
}

function multiply<V>(s: Sem<V>, a: V, b: V): V {
  let product = s.int(s.w(a), 0);
  let power = a;
  for (let bit = 0; bit < 8; bit++) {
    product = s.xor(product, s.and(power, whereBit(s, b, bit)));
    if (bit < 7) power = timesX(s, power);
  }
  return product;
}

/** A linear map of the bytes: the sum of `columns[i]` over the bits i that are set. */
function linear<V>(s: Sem<V>, a: V, columns: readonly number[]): V {
  let sum = s.int(s.w(a), 0);
  columns.forEach((column, bit) => {
    sum = s.xor(sum, s.and(whereBit(s, a, bit), bytes(s, a, column)));
  });
  return sum;
}

/** Squares of the powers of x. */
const SQUARES = [0x01, 0x04, 0x10, 0x40, 0x1b, 0x6c, 0xab, 0x9a];

/** Inverses, as a^254; 0 stays 0. */
function invert<V>(s: Sem<V>, a: V): V {
  const square = (value: V) => linear(s, value, SQUARES);
  const a2 = square(a);
  const a3 = multiply(s, a2, a);
  const a12 = square(square(a3));
  const a15 = multiply(s, a12, a3);
  const a240 = square(square(square(square(a15))));
  return multiply(s, multiply(s, a240, a12), a2);
}

/** The affine map of the S-box and its inverse (FIPS 197, section 5.1.1): column i is the image of bit i. */
const rotateByte = (value: number, count: number): number => ((value << count) | (value >> (8 - count))) & 0xff;
const SBOX_COLUMNS = range(8, (bit) => rotateByte(0x1f, bit));
const INVERSE_SBOX_COLUMNS = range(8, (bit) => rotateByte(0x4a, bit));

function substitute<V>(s: Sem<V>, a: V): V {
  return s.xor(linear(s, invert(s, a), SBOX_COLUMNS), bytes(s, a, 0x63));
}

function substituteInverse<V>(s: Sem<V>, a: V): V {
  return invert(s, linear(s, s.xor(a, bytes(s, a, 0x63)), INVERSE_SBOX_COLUMNS));
}

/** Byte 4c + r of the state is in row r and column c; row r is rotated by r columns. */
const SHIFT_ROWS = range(16, (i) => (i + 4 * (i & 3)) & 15);
const INVERSE_SHIFT_ROWS = range(16, (i) => (i - 4 * (i & 3)) & 15);

/** Each column times the circulant matrix whose first row is `factors`. */
function mixColumns<V>(s: Sem<V>, a: V, factors: readonly number[]): V {
  const powers = [a];
  for (let i = 1; i < 4; i++) powers.push(timesX(s, powers[i - 1]!));
  let sum = s.int(s.w(a), 0);
  factors.forEach((factor, row) => {
    let product = s.int(s.w(a), 0);
    for (let bit = 0; bit < 4; bit++) if (factor & (1 << bit)) product = s.xor(product, powers[bit]!);
    sum = s.xor(sum, s.lanes("rotr", 32, product, every(s, s.w(a), 32, 8 * row)));
  });
  return sum;
}
const MIX = [2, 3, 1, 1];
const INVERSE_MIX = [14, 11, 13, 9];

const encryptBytes = <V>(s: Sem<V>, a: V): V =>
  s.native("aesEncrypt", [a], () => substitute(s, shuffleBlocks(s, 8, a, a, SHIFT_ROWS)));
const decryptBytes = <V>(s: Sem<V>, a: V): V =>
  s.native("aesDecrypt", [a], () => substituteInverse(s, shuffleBlocks(s, 8, a, a, INVERSE_SHIFT_ROWS)));
const mix = <V>(s: Sem<V>, a: V): V => s.native("aesMix", [a], () => mixColumns(s, a, MIX));
const unmix = <V>(s: Sem<V>, a: V): V => s.native("aesInverseMix", [a], () => mixColumns(s, a, INVERSE_MIX));

/** One AES round of each block of 128 bits. */
function round(direction: "encrypt" | "decrypt", last: boolean): Semantic {
  return binaryWhole(128, (s, state, key) =>
    perBlock(s, [state, key], ([block, blockKey]) => {
      const isEncryption = direction === "encrypt";
      const replaced = isEncryption ? encryptBytes(s, block!) : decryptBytes(s, block!);
      const mixed = last ? replaced : isEncryption ? mix(s, replaced) : unmix(s, replaced);
      return s.xor(mixed, blockKey!);
    }),
  );
}

const inverseMix: Semantic = (s, insn) => insn.write(0, unmix(s, source(s, insn, 1)));

const keyAssist: Semantic = (s, insn) => {
  const a = source(s, insn, 1);
  const replaced = encryptBytes(s, shuffleBlocks(s, 8, a, a, INVERSE_SHIFT_ROWS));
  const constant = s.zext(insn.immediate(2, 8), 32);
  const rotated = (word: typeof constant) => s.xor(s.rotr(word, s.int(32, 8)), constant);
  const [one, three] = [s.bits(replaced, 32, 32), s.bits(replaced, 96, 32)];
  insn.write(0, s.concat(rotated(three), three, rotated(one), one));
};

function carrylessProduct<V>(s: Sem<V>, a: V, b: V): V {
  const other = s.zext(b, 128);
  let product = s.int(128, 0);
  for (let bit = 0; bit < 64; bit++) {
    const selected = s.sext(s.bits(a, bit, 1), 128);
    product = s.xor(product, s.and(selected, s.shl(other, s.int(128, bit))));
  }
  return product;
}

/** pclmulqdq: the quadwords of each block that bits 0 and 4 of the immediate choose. */
const carryless: Semantic = (s, insn) => {
  const first = firstSource(insn);
  const b = source(s, insn, first + 1);
  const immediate = insn.immediate(first + 2, 8);
  const value = perBlock(s, [insn.read(first), b], ([x, y]) => {
    const quad = (block: typeof b, bit: number) =>
      s.select(s.bits(immediate, bit, 1), s.bits(block, 64, 64), s.bits(block, 0, 64));
    const [factor, other] = [quad(x!, 0), quad(y!, 4)];
    return s.native("carrylessMultiply", [factor, other], () => carrylessProduct(s, factor, other));
  });
  insn.write(0, value);
};

/** gf2p8affine(inv)qb: bit i of a byte is the parity of it and byte 7 - i of the matrix, plus bit i of the immediate. */
function affine(inverse: boolean): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const matrix = source(s, insn, first + 1);
    const a = inverse ? invert(s, insn.read(first)) : insn.read(first);
    let value = s.splat(insn.immediate(first + 2, 8), s.w(a));
    for (let bit = 0; bit < 8; bit++) {
      const row = shuffleBlocks(
        s,
        8,
        matrix,
        matrix,
        range(16, (i) => (i & 8) + 7 - bit),
      );
      const parity = s.and(s.lanes1("popcount", 8, s.and(a, row)), bytes(s, a, 1));
      value = s.xor(value, s.lanes("shl", 8, parity, bytes(s, a, bit)));
    }
    result(s, insn, 8, value);
  };
}

// SHA: memory operands need no alignment (on AMD's CPUs; the SDM wants it, and no program relies on the fault). Dword 3 is the first one in the notation of FIPS 180-4, so words(x) gives [dword 3, 2, 1, 0].

const words = <V>(s: Sem<V>, a: V): V[] => range(4, (i) => s.bits(a, 96 - 32 * i, 32));
const rotateRight = <V>(s: Sem<V>, a: V, count: number): V => s.rotr(a, s.int(32, count));
const rotateLeft = <V>(s: Sem<V>, a: V, count: number): V => s.rotl(a, s.int(32, count));

type Sha1Function = "sha1Choice" | "sha1Parity" | "sha1Majority";

/** Four rounds; the constant has been added to the words. */
function sha1FourRounds<V>(s: Sem<V>, name: Sha1Function, state: V, input: V): V {
  const w = words(s, input);
  let [a, b, c, d] = words(s, state) as [V, V, V, V];
  let e = s.int(32, 0);
  const mix = (): V => {
    if (name === "sha1Parity") return s.xor(b, s.xor(c, d));
    if (name === "sha1Choice") return s.xor(s.and(b, c), s.and(s.not(b), d));
    return s.xor(s.and(b, c), s.xor(s.and(b, d), s.and(c, d)));
  };
  for (let i = 0; i < 4; i++) {
    const sum = s.add(s.add(mix(), rotateLeft(s, a, 5)), s.add(w[i]!, e));
    [a, b, c, d, e] = [sum, a, rotateLeft(s, b, 30), c, d];
  }
  return s.concat(a, b, c, d);
}

const sha1Rounds: Semantic = (s, insn) => {
  const input = insn.read(1);
  const state = insn.read(0);
  const kinds: readonly (readonly [Sha1Function, constant: number])[] = [
    ["sha1Choice", 0x5a827999],
    ["sha1Parity", 0x6ed9eba1],
    ["sha1Majority", 0x8f1bbcdc],
    ["sha1Parity", 0xca62c1d6],
  ];
  const choices = kinds.map(([name, constant]) => () => {
    const sums = s.lanes("add", 32, input, every(s, 128, 32, constant));
    return s.native(name, [state, sums], () => sha1FourRounds(s, name, state, sums));
  });
  insn.write(0, choose(s, s.bits(insn.immediate(2, 8), 0, 2), choices));
};

const sha1NextE: Semantic = (s, insn) => {
  const b = insn.read(1);
  const e = rotateLeft(s, s.bits(insn.read(0), 96, 32), 30);
  insn.write(0, s.concat(s.add(s.bits(b, 96, 32), e), s.bits(b, 0, 96)));
};

const sha1Message1: Semantic = (s, insn) => {
  const b = insn.read(1);
  const a = insn.read(0);
  insn.write(0, s.xor(a, s.concat(s.bits(a, 0, 64), s.bits(b, 64, 64))));
};

/** The last word depends on the first of the four that are made here. */
const sha1Message2: Semantic = (s, insn) => {
  const b = insn.read(1);
  const a = insn.read(0);
  const rotated = (value: typeof a) => s.lanes("rotl", 32, value, every(s, 128, 32, 1));
  const most = rotated(s.xor(a, s.concat(s.bits(b, 0, 96), s.int(32, 0))));
  const top = s.shuffle(32, rotated(most), s.int(128, 0), [3, 4, 4, 4]);
  insn.write(0, s.xor(most, top));
};

function sha256TwoRounds<V>(s: Sem<V>, cdgh: V, abef: V, input: V): V {
  let [a, b, e, f] = words(s, abef) as [V, V, V, V];
  let [c, d, g, h] = words(s, cdgh) as [V, V, V, V];
  for (let i = 0; i < 2; i++) {
    const choice = s.xor(s.and(e, f), s.and(s.not(e), g));
    const majority = s.xor(s.and(a, b), s.xor(s.and(a, c), s.and(b, c)));
    const sigma1 = s.xor(rotateRight(s, e, 6), s.xor(rotateRight(s, e, 11), rotateRight(s, e, 25)));
    const sigma0 = s.xor(rotateRight(s, a, 2), s.xor(rotateRight(s, a, 13), rotateRight(s, a, 22)));
    const sum = s.add(s.add(choice, sigma1), s.add(s.bits(input, 32 * i, 32), h));
    [a, b, c, d, e, f, g, h] = [s.add(sum, s.add(majority, sigma0)), a, b, c, s.add(sum, d), e, f, g];
  }
  return s.concat(a, b, e, f);
}

const sha256Rounds: Semantic = (s, insn) => {
  const operands = [insn.read(0), insn.read(1), s.vector(0, 128)] as const;
  insn.write(
    0,
    s.native("sha256Rounds", operands, () => sha256TwoRounds(s, ...operands)),
  );
};

function sha256FirstSums<V>(s: Sem<V>, a: V, b: V): V {
  const next = s.concat(s.bits(b, 0, 32), s.bits(a, 32, 96));
  const count = (value: number) => every(s, 128, 32, value);
  const sigma = s.xor(
    s.xor(s.lanes("rotr", 32, next, count(7)), s.lanes("rotr", 32, next, count(18))),
    s.lanes("lshr", 32, next, count(3)),
  );
  return s.lanes("add", 32, a, sigma);
}

function sha256SecondSums<V>(s: Sem<V>, a: V, b: V): V {
  const [w15, w14] = words(s, b);
  const sigma = (w: V) => s.xor(s.xor(rotateRight(s, w, 17), rotateRight(s, w, 19)), s.lshr(w, s.int(32, 10)));
  const w16 = s.add(s.bits(a, 0, 32), sigma(w14!));
  const w17 = s.add(s.bits(a, 32, 32), sigma(w15!));
  const w18 = s.add(s.bits(a, 64, 32), sigma(w16));
  const w19 = s.add(s.bits(a, 96, 32), sigma(w17));
  return s.concat(w19, w18, w17, w16);
}

function sha256Message(op: "sha256Message1" | "sha256Message2", compose: Binary): Semantic {
  return (s, insn) => {
    const b = insn.read(1);
    const a = insn.read(0);
    insn.write(
      0,
      s.native(op, [a, b], () => compose(s, a, b)),
    );
  };
}

export const SIMD_CRYPTO: readonly Row[] = [
  ...both("Aesenc", round("encrypt", false)),
  ...both("Aesenclast", round("encrypt", true)),
  ...both("Aesdec", round("decrypt", false)),
  ...both("Aesdeclast", round("decrypt", true)),
  ...both("Aesimc", inverseMix),
  ...both("Aeskeygenassist", keyAssist),
  ...both("Pclmulqdq", carryless),
  ...both("Gf2p8mulb", binary(8, multiply)),
  ...both("Gf2p8affineqb", affine(false)),
  ...both("Gf2p8affineinvqb", affine(true)),
  full("Sha1rnds4", sha1Rounds),
  full("Sha1nexte", sha1NextE),
  full("Sha1msg1", sha1Message1),
  full("Sha1msg2", sha1Message2),
  full("Sha256rnds2", sha256Rounds),
  full("Sha256msg1", sha256Message("sha256Message1", sha256FirstSums)),
  full("Sha256msg2", sha256Message("sha256Message2", sha256SecondSums)),
];
