// Instructions about single bits: bit tests, scans, counts, BMI1 and BMI2, byte order, crc32.

import { clearFlags, isZero, lowBit, parity, setResultFlags, signBit } from "./flags.ts";
import { resize } from "./operands.ts";
import type { Insn, Sem, Semantic } from "./vocabulary.ts";

/** How a bit test changes the bit, as the operation of the word with a mask. */
type BitChange = "none" | "set" | "reset" | "complement";

function changeBit<V>(sem: Sem<V>, change: BitChange, word: V, mask: V): V {
  if (change === "set") return sem.or(word, mask);
  return change === "reset" ? sem.and(word, sem.not(mask)) : sem.xor(word, mask);
}

/** Address of the word that holds the bit: register offsets are signed and reach outside the operand, immediates do not. */
function bitAddress<V>(sem: Sem<V>, insn: Insn<V>, offset: V): V {
  if (insn.kind(1) === "immediate") return insn.address(0);
  const width = insn.width(0);
  const words = sem.ashr(offset, sem.int(width, Math.log2(width)));
  const bytes = sem.shl(extend(sem, words), sem.int(64, Math.log2(width / 8)));
  return insn.addressPlus(0, bytes);
}

function extend<V>(sem: Sem<V>, value: V): V {
  return sem.w(value) < 64 ? sem.sext(value, 64) : value;
}

/** bt, bts, btr, btc. Only cf changes. */
export function bitTest(change: BitChange): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const offset = resize(sem, insn.read(1), width);
    const bit = sem.and(offset, sem.int(width, width - 1));
    const mask = sem.shl(sem.int(width, 1), bit);
    let word: typeof bit;
    if (insn.kind(0) !== "memory") {
      word = insn.read(0);
      if (change !== "none") insn.write(0, changeBit(sem, change, word, mask));
    } else {
      const address = bitAddress(sem, insn, offset);
      if (insn.locked && change !== "none") {
        const op = change === "set" ? "or" : change === "reset" ? "and" : "xor";
        word = sem.atomicRmw(op, address, change === "reset" ? sem.not(mask) : mask);
      } else {
        word = sem.load(width, address);
        if (change !== "none") sem.store(address, changeBit(sem, change, word, mask));
      }
    }
    sem.setFlag("cf", () => lowBit(sem, sem.lshr(word, bit)));
  };
}

/** bsf and bsr. A source of 0 leaves the whole destination as it was; the undefined flags are as on AMD's Zen. */
export function bitScan(direction: "forward" | "reverse"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const source = insn.read(1);
    const none = isZero(sem, source);
    const index = direction === "forward" ? sem.ctz(source) : sem.sub(sem.int(width, width - 1), sem.clz(source));
    insn.writeIf(sem.not(none), 0, index);
    sem.setFlag("zf", () => none);
    sem.setFlag("pf", () => sem.or(none, parity(sem, index)));
    clearFlags(sem, "cf", "of", "sf", "af");
  };
}

/** lzcnt and tzcnt. of stays. */
export function countZeros(op: "clz" | "ctz"): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    const count = sem[op](source);
    insn.write(0, count);
    sem.setFlag("cf", () => isZero(sem, source));
    sem.setFlag("zf", () => isZero(sem, count));
    clearFlags(sem, "pf", "af", "sf");
  };
}

export function populationCount(): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    insn.write(0, sem.popcount(source));
    sem.setFlag("zf", () => isZero(sem, source));
    clearFlags(sem, "cf", "pf", "af", "sf", "of");
  };
}

/** bswap; with 16-bit operands undefined, and 0 on real CPUs. */
export function byteSwap(): Semantic {
  return (sem, insn) => insn.write(0, insn.width(0) === 16 ? sem.int(16, 0) : sem.bswap(insn.read(0)));
}

/** Flags of the BMI operations: of and af are 0, cf as given. */
function setBmiFlags<V>(sem: Sem<V>, result: V, cf: () => V): void {
  setResultFlags(sem, result);
  clearFlags(sem, "of", "af");
  sem.setFlag("cf", cf);
}

export function andNot(): Semantic {
  return (sem, insn) => {
    const result = sem.and(sem.not(insn.read(1)), insn.read(2));
    insn.write(0, result);
    setBmiFlags(sem, result, () => sem.int(1, 0));
  };
}

/** blsi, blsmsk, blsr: about the lowest set bit. */
export function lowestSetBit(what: "isolate" | "mask" | "reset"): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    const less = sem.sub(source, sem.int(sem.w(source), 1));
    const result =
      what === "isolate"
        ? sem.and(source, sem.neg(source))
        : what === "mask"
          ? sem.xor(source, less)
          : sem.and(source, less);
    insn.write(0, result);
    setBmiFlags(sem, result, () => (what === "isolate" ? sem.not(isZero(sem, source)) : isZero(sem, source)));
  };
}

/** bextr: `length` bits (bits 8..15 of operand 2) from `start` (bits 0..7). */
export function extractBits(): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const [source, control] = [insn.read(1), insn.read(2)];
    const start = sem.zext(sem.bits(control, 0, 8), width);
    const length = sem.zext(sem.bits(control, 8, 8), width);
    const outside = sem.shl(sem.int(width, -1), length);
    const result = sem.and(sem.lshr(source, start), sem.not(outside));
    insn.write(0, result);
    setBmiFlags(sem, result, () => sem.int(1, 0));
    sem.setFlag("af", () => sem.int(1, 1));
    clearFlags(sem, "sf");
  };
}

/** bzhi: keeps the bits below the index in the low byte of operand 2. */
export function zeroHighBits(): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const source = insn.read(1);
    const index = sem.zext(sem.trunc(insn.read(2), 8), width);
    const result = sem.and(source, sem.not(sem.shl(sem.int(width, -1), index)));
    insn.write(0, result);
    setBmiFlags(sem, result, () => sem.ult(sem.int(width, width - 1), index));
  };
}

/** Bits that the rounds of pext move, by the parallel-prefix method: round i moves what must go by 2^i. */
function compressionMoves<V>(sem: Sem<V>, mask: V): V[] {
  const width = sem.w(mask);
  const moves: V[] = [];
  let rest = mask;
  let counted = sem.shl(sem.not(mask), sem.int(width, 1));
  for (let distance = 1; distance < width; distance *= 2) {
    let prefix = counted;
    for (let step = 1; step < width; step *= 2) prefix = sem.xor(prefix, sem.shl(prefix, sem.int(width, step)));
    const move = sem.and(prefix, rest);
    moves.push(move);
    rest = sem.or(sem.xor(rest, move), sem.lshr(move, sem.int(width, distance)));
    counted = sem.and(counted, sem.not(prefix));
  }
  return moves;
}

/** pext: the bits under the mask, packed to the bottom. */
export function parallelExtract(): Semantic {
  return (sem, insn) => {
    const [source, mask] = [insn.read(1), insn.read(2)];
    let value = sem.and(source, mask);
    compressionMoves(sem, mask).forEach((move, round) => {
      const moving = sem.and(value, move);
      value = sem.or(sem.xor(value, moving), sem.lshr(moving, sem.int(sem.w(value), 2 ** round)));
    });
    insn.write(0, value);
  };
}

/** pdep: the low bits, spread to the places under the mask; the rounds of pext backwards. */
export function parallelDeposit(): Semantic {
  return (sem, insn) => {
    const [source, mask] = [insn.read(1), insn.read(2)];
    const moves = compressionMoves(sem, mask);
    let value = source;
    for (let round = moves.length - 1; round >= 0; round--) {
      const move = moves[round]!;
      const moved = sem.shl(value, sem.int(sem.w(value), 2 ** round));
      value = sem.or(sem.and(value, sem.not(move)), sem.and(moved, move));
    }
    insn.write(0, sem.and(value, mask));
  };
}

/** crc32: the reflected Castagnoli polynomial over the whole of operand 1. */
export function crc32c(): Semantic {
  return (sem, insn) => {
    const data = insn.read(1);
    const crc = resize(sem, insn.read(0), 32);
    const value = sem.native("crc32c", [crc, data], () => bitwiseCrc(sem, crc, data));
    insn.write(0, resize(sem, value, insn.width(0)));
  };
}

/** A bit at a time. */
function bitwiseCrc<V>(sem: Sem<V>, crc: V, data: V): V {
  const width = Math.max(32, sem.w(data));
  let rest = sem.xor(resize(sem, crc, width), resize(sem, data, width));
  const polynomial = sem.int(width, 0x82f63b78);
  for (let bit = 0; bit < sem.w(data); bit++) {
    const taken = sem.and(polynomial, sem.neg(sem.and(rest, sem.int(width, 1))));
    rest = sem.xor(sem.lshr(rest, sem.int(width, 1)), taken);
  }
  return resize(sem, rest, 32);
}

/** cbw, cwde, cdqe: the accumulator sign-extended in place. */
export function extendAccumulator(from: 8 | 16 | 32): Semantic {
  return (sem) => sem.setGpr(0, sem.sext(sem.gpr(0, from), 2 * from));
}

/** cwd, cdq, cqo: (r)dx filled with the accumulator's sign. */
export function spreadSign(width: 16 | 32 | 64): Semantic {
  return (sem) => sem.setGpr(2, sem.sext(signBit(sem, sem.gpr(0, width)), width));
}
