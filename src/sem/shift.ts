// Shifts and rotates. A count is taken modulo 32 (64 for 64-bit operands); a count of 0 leaves the flags alone. For counts above 1
// of is undefined, and af always: of goes on by the rule for 1, af becomes 1, as on AMD's Zen.

import { isZero, lowBit, parity, setFlagsIfCounted, signBit } from "./flags.ts";
import { resize } from "./operands.ts";
import type { Flag, Insn, Sem, Semantic } from "./vocabulary.ts";

/** The count in operand `operand`, masked, in the width of operand 0 but at least 8 bits. */
function maskedCount<V>(sem: Sem<V>, insn: Insn<V>, operand: number): V {
  const width = insn.width(0);
  const count = sem.and(resize(sem, insn.read(operand), 8), sem.int(8, width === 64 ? 63 : 31));
  return resize(sem, count, width);
}

/** zf, sf, pf of a result and af, as thunks. */
function shiftedFlags<V>(sem: Sem<V>, result: V): Record<"zf" | "sf" | "pf" | "af", () => V> {
  return {
    zf: () => isZero(sem, result),
    sf: () => signBit(sem, result),
    pf: () => parity(sem, result),
    af: () => sem.int(1, 1),
  };
}

/** The two topmost bits differ: what a shift right by one did to the sign. */
function topBitsDiffer<V>(sem: Sem<V>, value: V): V {
  return sem.xor(signBit(sem, value), sem.bits(value, sem.w(value) - 2, 1));
}

/** shl, shr, sar by an immediate, 1 or cl. */
export function shift(op: "shl" | "lshr" | "ashr"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const [value, count] = [insn.read(0), maskedCount(sem, insn, 1)];
    const result = sem[op](value, count);
    insn.write(0, result);
    const one = sem.int(width, 1);
    // The last bit out. Counts above the width wrap to huge ones here, and shift in zeros or signs.
    const cf =
      op === "shl"
        ? () => lowBit(sem, sem.lshr(value, sem.sub(sem.int(width, width), count)))
        : () => lowBit(sem, sem[op](value, sem.sub(count, one)));
    const of = op === "shl" ? () => sem.xor(signBit(sem, result), cf()) : () => topBitsDiffer(sem, result);
    setFlagsIfCounted(sem, count, { cf, of, ...shiftedFlags(sem, result) });
  };
}

/** rol and ror: cf is the bit that came round last. */
export function rotate(op: "rotl" | "rotr"): Semantic {
  return (sem, insn) => {
    const [value, count] = [insn.read(0), maskedCount(sem, insn, 1)];
    const result = sem[op](value, count);
    insn.write(0, result);
    const flags: Partial<Record<Flag, () => typeof value>> =
      op === "rotl"
        ? { cf: () => lowBit(sem, result), of: () => sem.xor(signBit(sem, result), lowBit(sem, result)) }
        : { cf: () => signBit(sem, result), of: () => topBitsDiffer(sem, result) };
    setFlagsIfCounted(sem, count, flags);
  };
}

/** rcl and rcr: a rotation of width + 1 bits, the carry being the topmost. */
export function rotateThroughCarry(direction: "left" | "right"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const value = insn.read(0);
    const masked = maskedCount(sem, insn, 1);
    const count = width < 32 ? sem.urem(masked, sem.int(width, width + 1)) : masked;
    const carry = sem.flag("cf");
    const wideCarry = sem.zext(carry, width);
    const [size, one] = [sem.int(width, width), sem.int(width, 1)];
    const back = sem.sub(sem.int(width, width + 1), count);
    // Counts that are not below the width give 0: the carry's and the far part's for a count of 0.
    const result =
      direction === "left"
        ? sem.or(sem.or(sem.shl(value, count), sem.lshr(value, back)), sem.shl(wideCarry, sem.sub(count, one)))
        : sem.or(sem.or(sem.lshr(value, count), sem.shl(value, back)), sem.shl(wideCarry, sem.sub(size, count)));
    insn.write(0, result);
    const out = direction === "left" ? sem.lshr(value, sem.sub(size, count)) : sem.lshr(value, sem.sub(count, one));
    const cf = sem.select(isZero(sem, count), carry, lowBit(sem, out));
    const of = () => (direction === "left" ? sem.xor(signBit(sem, result), cf) : topBitsDiffer(sem, result));
    setFlagsIfCounted(sem, masked, { cf: () => cf, of });
  };
}

/**
 * shld and shrd: bits of operand 1 move into operand 0. With 16-bit operands and counts above 16 the manuals leave the result open;
 * it is operand 1 rotated on, as on AMD's Zen.
 */
export function doubleShift(direction: "left" | "right"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const [value, filler, count] = [insn.read(0), insn.read(1), maskedCount(sem, insn, 2)];
    const [size, one] = [sem.int(width, width), sem.int(width, 1)];
    const inRange = direction === "left" ? sem.fshl(value, filler, count) : sem.fshr(filler, value, count);
    let result = inRange;
    const cf = () =>
      lowBit(sem, direction === "left" ? sem.lshr(value, sem.sub(size, count)) : sem.lshr(value, sem.sub(count, one)));
    let of = () => (direction === "left" ? sem.xor(signBit(sem, result), cf()) : topBitsDiffer(sem, result));
    if (width === 16) {
      const over = sem.ule(size, count);
      const rotated = direction === "left" ? sem.rotl(filler, count) : sem.rotr(filler, count);
      result = sem.select(over, rotated, inRange);
      if (direction === "left") of = () => sem.select(over, cf(), sem.xor(signBit(sem, result), cf()));
    }
    insn.write(0, result);
    setFlagsIfCounted(sem, count, { cf, of, ...shiftedFlags(sem, result) });
  };
}

/** rorx, sarx, shlx, shrx: no flags, any count register. */
export function shiftWithoutFlags(op: "rotr" | "ashr" | "shl" | "lshr"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const count = sem.and(resize(sem, insn.read(2), width), sem.int(width, width - 1));
    insn.write(0, sem[op](insn.read(1), count));
  };
}
