// The arithmetic flags: how results set them and how conditions read them. Where the manuals leave a flag undefined, the
// families choose what AMD's Zen processors do, since that is simple and can be held against a real CPU.

import type { Flag, Sem } from "./vocabulary.ts";

/** The most significant bit. */
export function signBit<V>(sem: Sem<V>, value: V): V {
  return sem.bits(value, sem.w(value) - 1, 1);
}

/** The least significant bit. */
export function lowBit<V>(sem: Sem<V>, value: V): V {
  return sem.trunc(value, 1);
}

export function isZero<V>(sem: Sem<V>, value: V): V {
  return sem.eq(value, sem.int(sem.w(value), 0));
}

/** 1 if the low byte has an even number of ones. */
export function parity<V>(sem: Sem<V>, value: V): V {
  return sem.not(lowBit(sem, sem.popcount(sem.trunc(value, 8))));
}

/** zf, sf and pf of a result. */
export function setResultFlags<V>(sem: Sem<V>, result: V): void {
  sem.setFlag("zf", () => isZero(sem, result));
  sem.setFlag("sf", () => signBit(sem, result));
  sem.setFlag("pf", () => parity(sem, result));
}

/** Flags of and, or, xor, test. */
export function setLogicFlags<V>(sem: Sem<V>, result: V): void {
  setResultFlags(sem, result);
  clearFlags(sem, "cf", "of", "af");
}

export function clearFlags<V>(sem: Sem<V>, ...flags: readonly Flag[]): void {
  for (const flag of flags) sem.setFlag(flag, () => sem.int(1, 0));
}

/** The carry into bit 4 of an addition or subtraction. */
function setHalfCarry<V>(sem: Sem<V>, a: V, b: V, result: V): void {
  sem.setFlag("af", () => sem.bits(sem.xor(sem.xor(a, b), result), 4, 1));
}

/** All flags but cf of result = a + b (+ carry). */
export function setAddFlagsButCarry<V>(sem: Sem<V>, a: V, b: V, result: V): void {
  setResultFlags(sem, result);
  setHalfCarry(sem, a, b, result);
  sem.setFlag("of", () => signBit(sem, sem.and(sem.xor(a, result), sem.xor(b, result))));
}

/** Flags of result = a + b. */
export function setAddFlags<V>(sem: Sem<V>, a: V, b: V, result: V): void {
  setAddFlagsButCarry(sem, a, b, result);
  sem.setFlag("cf", () => sem.ult(result, a));
}

/** All flags but cf of result = a - b. The overflow is written so that sf != of folds to the signed comparison a < b. */
export function setSubFlagsButCarry<V>(sem: Sem<V>, a: V, b: V, result: V): void {
  setResultFlags(sem, result);
  setHalfCarry(sem, a, b, result);
  sem.setFlag("of", () => sem.xor(signBit(sem, result), sem.slt(a, b)));
}

/** Flags of result = a - b. */
export function setSubFlags<V>(sem: Sem<V>, a: V, b: V, result: V): void {
  setSubFlagsButCarry(sem, a, b, result);
  sem.setFlag("cf", () => sem.ult(a, b));
}

/** Flags of result = a + b + carry. */
export function setAddCarryFlags<V>(sem: Sem<V>, a: V, b: V, carry: V, result: V): void {
  setAddFlagsButCarry(sem, a, b, result);
  sem.setFlag("cf", () => sem.or(sem.ult(result, a), sem.and(carry, sem.eq(result, a))));
}

/** Flags of result = a - b - borrow; the overflow is that of the signs, since a comparison would have to see the borrow. */
export function setSubBorrowFlags<V>(sem: Sem<V>, a: V, b: V, borrow: V, result: V): void {
  setResultFlags(sem, result);
  setHalfCarry(sem, a, b, result);
  sem.setFlag("of", () => signBit(sem, sem.and(sem.xor(a, b), sem.xor(a, result))));
  sem.setFlag("cf", () => sem.or(sem.ult(a, b), sem.and(borrow, sem.eq(a, b))));
}

/** Sets flags unless `count` is 0: then they stay as they were. The old values are read only when the count is not known. */
export function setFlagsIfCounted<V>(sem: Sem<V>, count: V, flags: Readonly<Partial<Record<Flag, () => V>>>): void {
  const known = sem.constantOf(count);
  if (known === 0n) return;
  const counted = known === undefined ? sem.ne(count, sem.int(sem.w(count), 0)) : undefined;
  for (const flag of ["cf", "pf", "af", "zf", "sf", "of"] as const) {
    const value = flags[flag];
    if (value === undefined) continue;
    if (counted === undefined) {
      sem.setFlag(flag, value);
    } else {
      const old = sem.flag(flag);
      sem.setFlag(flag, () => sem.select(counted, value(), old));
    }
  }
}

/** Condition codes in the order of their encoding, by the suffix that iced-x86 gives them. */
export const CONDITIONS = [
  "o",
  "no",
  "b",
  "ae",
  "e",
  "ne",
  "be",
  "a",
  "s",
  "ns",
  "p",
  "np",
  "l",
  "ge",
  "le",
  "g",
] as const;
export type Condition = (typeof CONDITIONS)[number];

/** The value of a condition, one bit. */
export function condition<V>(sem: Sem<V>, code: Condition): V {
  switch (code) {
    case "o":
      return sem.flag("of");
    case "b":
      return sem.flag("cf");
    case "e":
      return sem.flag("zf");
    case "be":
      return sem.or(sem.flag("cf"), sem.flag("zf"));
    case "s":
      return sem.flag("sf");
    case "p":
      return sem.flag("pf");
    case "l":
      return sem.xor(sem.flag("sf"), sem.flag("of"));
    case "le":
      return sem.or(sem.flag("zf"), sem.xor(sem.flag("sf"), sem.flag("of")));
    default:
      return sem.not(condition(sem, CONDITIONS[CONDITIONS.indexOf(code) - 1]!));
  }
}
