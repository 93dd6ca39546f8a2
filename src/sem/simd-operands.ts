// What the vector families share: how operands are read and results written in the legacy, VEX and EVEX forms of one
// instruction, blocks of 128 bits, lane indices from immediates, constants. The rules are those of the SDM, Vol. 2,
// sections 2.3 (VEX), 2.7 (EVEX) and, for alignment, Vol. 1 section 10.4.1.1.

import type { Insn, LaneOp, LaneOp1, Sem, Semantic } from "./vocabulary.ts";

/** A computation on whole operands, without effects. */
export type Unary = <V>(s: Sem<V>, a: V) => V;
export type Binary = <V>(s: Sem<V>, a: V, b: V) => V;
export type Ternary = <V>(s: Sem<V>, a: V, b: V, c: V) => V;

/** The low `width` bits, or the value itself if it has no more. */
export function low<V>(s: Sem<V>, value: V, width: number): V {
  return s.w(value) <= width ? value : s.trunc(value, width);
}

/** Zero-extends to `width`, or gives the value itself if it has that width. */
export function extend<V>(s: Sem<V>, value: V, width: number): V {
  return s.w(value) === width ? value : s.zext(value, width);
}

/** A value of `width` bits from bit `from` up; the value itself if that is all of it. */
export function slice<V>(s: Sem<V>, value: V, from: number, width: number): V {
  return from === 0 && s.w(value) === width ? value : s.bits(value, from, width);
}

/** The constant `lane` in every lane of `laneBits`. */
export function every<V>(s: Sem<V>, width: number, laneBits: number, lane: number | bigint): V {
  const bits = BigInt.asUintN(laneBits, BigInt(lane));
  let value = 0n;
  for (let at = 0; at < width; at += laneBits) value |= bits << BigInt(at);
  return s.int(width, value);
}

/** A constant of one number a lane, lane 0 first. */
export function constantLanes<V>(s: Sem<V>, laneBits: number, lanes: readonly (number | bigint)[]): V {
  let value = 0n;
  lanes.forEach((lane, index) => {
    value |= BigInt.asUintN(laneBits, BigInt(lane)) << BigInt(index * laneBits);
  });
  return s.int(lanes.length * laneBits, value);
}

/** True as all ones, for a one-bit condition. */
export function spread<V>(s: Sem<V>, condition: V, width: number): V {
  return s.sext(condition, width);
}

/**
 * Raises #GP when a memory operand is not aligned to `bytes`; not if there is an opmask (with lanes of `laneBits`) that selects
 * nothing.
 */
export function demandAlignment<V>(s: Sem<V>, insn: Insn<V>, operand: number, bytes: number, laneBits = 8): void {
  const misplaced = s.ne(s.and(insn.address(operand), s.int(64, bytes - 1)), s.int(64, 0));
  const lanes = insn.width(operand) / laneBits;
  const mask = insn.encoding === "evex" ? insn.opmask(lanes) : null;
  s.trapIf(mask === null ? misplaced : s.and(misplaced, s.ne(mask, s.int(lanes, 0))), 13);
}

/** Legacy SSE instructions want their 128-bit memory operands aligned; MMX, VEX and EVEX ones do not. */
function checkLegacyAlignment<V>(s: Sem<V>, insn: Insn<V>, operand: number): void {
  if (insn.encoding !== "legacy" || insn.kind(operand) !== "memory" || insn.width(operand) !== 128) return;
  demandAlignment(s, insn, operand, 16);
}

/** Reads a whole source operand (EVEX: without fault suppression, exception classes E4NF and the like). */
export function source<V>(s: Sem<V>, insn: Insn<V>, operand: number): V {
  checkLegacyAlignment(s, insn, operand);
  return insn.read(operand);
}

/** Reads a source operand whose lanes correspond to those of the opmask (exception class E4 and the like). */
export function laneSource<V>(s: Sem<V>, insn: Insn<V>, operand: number, laneBits: number): V {
  checkLegacyAlignment(s, insn, operand);
  return insn.kind(operand) === "memory" ? insn.readMasked(operand, laneBits) : insn.read(operand);
}

/** The low `width` bits of a register, or a memory operand of that width. */
export function scalar<V>(s: Sem<V>, insn: Insn<V>, operand: number, width: number): V {
  const value = insn.kind(operand) === "memory" ? insn.readMasked(operand, width) : insn.read(operand);
  return low(s, value, width);
}

/**
 * An operand of floating-point operations: lanes that the opmask leaves out become ones, since what they hold must not raise
 * exceptions.
 */
export function activeLanes<V>(s: Sem<V>, insn: Insn<V>, laneBits: 32 | 64, value: V): V {
  const lanes = s.w(value) / laneBits;
  const mask = insn.encoding === "evex" ? insn.opmask(lanes) : null;
  if (mask === null) return value;
  const ones = every(s, s.w(value), laneBits, laneBits === 32 ? 0x3f80_0000n : 0x3ff0_0000_0000_0000n);
  return lanes === 1 ? s.select(mask, value, ones) : s.blend(laneBits, mask, value, ones);
}

/** Number of the first source: the destination itself for two-operand (legacy) forms. */
export function firstSource<V>(insn: Insn<V>): number {
  return insn.encoding === "legacy" ? 0 : 1;
}

/** MMX instructions mark all x87 registers as in use and reset the top of stack. */
export function enterMmx<V>(s: Sem<V>): void {
  s.setField("fsw", s.and(s.field("fsw"), s.int(16, 0xc7ff)));
  s.setField("ftw", s.int(8, 0xff));
}

function usesMmx<V>(insn: Insn<V>): boolean {
  for (let operand = 0; operand < insn.opCount; operand++) if (insn.kind(operand) === "mm") return true;
  return false;
}

/** Enters MMX state if one of the operands is an MMX register. */
export function enterMmxIfUsed<V>(s: Sem<V>, insn: Insn<V>): void {
  if (usesMmx(insn)) enterMmx(s);
}

/** Writes operand 0 lane by lane under the opmask. */
export function result<V>(s: Sem<V>, insn: Insn<V>, laneBits: number, value: V): void {
  enterMmxIfUsed(s, insn);
  insn.writeMasked(0, laneBits, value);
}

/** A scalar under bit 0 of the opmask: the low bits of the destination, or 0, where it is not selected. */
export function maskedScalar<V>(s: Sem<V>, insn: Insn<V>, value: V): V {
  const mask = insn.opmask(1);
  if (mask === null) return value;
  const width = s.w(value);
  return s.select(mask, value, s.select(insn.zeroing(), s.int(width, 0), low(s, insn.read(0), width)));
}

/** Writes a scalar result; the rest of the 128 bits comes from the destination (legacy) or from operand `upper`. */
export function scalarResult<V>(s: Sem<V>, insn: Insn<V>, value: V, upper = 1): void {
  if (insn.encoding === "legacy") {
    insn.write(0, value);
    return;
  }
  insn.writeScalar(0, maskedScalar(s, insn, value), upper);
}

/** Width of the blocks in which instructions work that do not cross lanes of 128 bits. */
export function blockWidth<V>(s: Sem<V>, value: V): number {
  return Math.min(128, s.w(value));
}

/** Applies `compute` to each block of 128 bits (64 for MMX) of the operands and puts the results together. */
export function perBlock<V>(s: Sem<V>, operands: readonly V[], compute: (parts: V[], block: number) => V): V {
  const width = s.w(operands[0]!);
  const size = blockWidth(s, operands[0]!);
  const blocks: V[] = [];
  for (let block = 0; block < width / size; block++) {
    const parts = operands.map((operand) => slice(s, operand, block * size, size));
    blocks.unshift(compute(parts, block));
  }
  return blocks.length === 1 ? blocks[0]! : s.concat(...blocks);
}

/**
 * A static shuffle that is the same in each block of 128 bits: `pattern` has an index for each result lane of a block, 0..n-1
 * for lanes of a's block and n..2n-1 for lanes of b's.
 */
export function shuffleBlocks<V>(s: Sem<V>, laneBits: number, a: V, b: V, pattern: readonly number[]): V {
  const lanes = s.w(a) / laneBits;
  const blockLanes = blockWidth(s, a) / laneBits;
  const indices: number[] = [];
  for (let base = 0; base < lanes; base += blockLanes) {
    for (const index of pattern) indices.push(base + (index < blockLanes ? index : index - blockLanes + lanes));
  }
  return s.shuffle(laneBits, a, b, indices);
}

/** The lanes 0..n-1 as numbers, mapped. */
export function range<T>(count: number, map: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => map(index));
}

/**
 * Lane indices taken from fields of an immediate: lane i of `laneBits` holds `fieldBits` bits of the immediate from bit
 * i * fieldBits.
 */
export function indicesFrom<V>(s: Sem<V>, immediate: V, laneBits: number, count: number, fieldBits: number): V {
  const fields = range(count, (i) => s.zext(s.bits(immediate, i * fieldBits, fieldBits), laneBits));
  return s.concat(...fields.reverse());
}

/** The bit of an immediate as a condition. */
export function immediateBit<V>(s: Sem<V>, immediate: V, bit: number): V {
  return s.bits(immediate, bit, 1);
}

/** Bits of `ifOne` where `mask` has ones, of `ifZero` elsewhere. */
export function bitwise<V>(s: Sem<V>, mask: V, ifOne: V, ifZero: V): V {
  return s.or(s.and(mask, ifOne), s.and(s.not(mask), ifZero));
}

/** The choice with number `index` (dynamic, less than the number of choices). A known index computes that choice only. */
export function choose<V>(s: Sem<V>, index: V, choices: readonly (() => V)[]): V {
  const known = s.constantOf(index);
  if (known !== undefined) return choices[Number(known)]!();
  let value = choices[0]!();
  for (let i = 1; i < choices.length; i++) {
    value = s.select(s.eq(index, s.int(s.w(index), i)), choices[i]!(), value);
  }
  return value;
}

/** Replaces the lane with a dynamic number (modulo the number of lanes). */
export function insertAt<V>(s: Sem<V>, base: V, laneBits: number, index: V, value: V): V {
  const count = s.w(base) / laneBits;
  const number = s.and(extend(s, index, Math.max(count, 8)), s.int(Math.max(count, 8), count - 1));
  const mask = low(s, s.shl(s.int(Math.max(count, 8), 1), number), count);
  return s.blend(laneBits, mask, s.splat(value, s.w(base)), base);
}

// Families of the common shapes. In the legacy form of a binary operation operand 0 is also the first source.

/** dst = f(first, second), lanes of `laneBits` under the opmask, with fault suppression. */
export function binary(laneBits: number, compute: Binary): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = laneSource(s, insn, first + 1, laneBits);
    result(s, insn, laneBits, compute(s, insn.read(first), b));
  };
}

/** As `binary`, for operations whose result lanes need other lanes of the source too: memory is read whole. */
export function binaryWhole(laneBits: number, compute: Binary): Semantic {
  return (s, insn) => {
    const first = firstSource(insn);
    const b = source(s, insn, first + 1);
    result(s, insn, laneBits, compute(s, insn.read(first), b));
  };
}

/** dst = f(source), lanes of `laneBits` under the opmask, with fault suppression. */
export function unary(laneBits: number, compute: Unary): Semantic {
  return (s, insn) => result(s, insn, laneBits, compute(s, laneSource(s, insn, 1, laneBits)));
}

/** A lane operation of the vocabulary. */
export function laneOp(op: LaneOp, laneBits: number): Semantic {
  return binary(laneBits, (s, a, b) => s.lanes(op, laneBits, a, b));
}

/** A unary lane operation of the vocabulary. */
export function laneOp1(op: LaneOp1, laneBits: number): Semantic {
  return unary(laneBits, (s, a) => s.lanes1(op, laneBits, a));
}

/** Sizes of integer lanes by the letter that mnemonics end in. */
export const LANE_SIZES: readonly (readonly [string, number])[] = [
  ["b", 8],
  ["w", 16],
  ["d", 32],
  ["q", 64],
];
