// Instructions on the flags as such, and the flags word as pushf and popf see it.
//
// CpuState keeps the arithmetic flags and df a byte each; ac, id, nt and tf in rflags_rest, in place. The interrupt flag is always
// seen set, iopl as 0. Setting tf has no effect yet: nothing single-steps.

import { dropFromStack, pushValue, topOfStack } from "./moves.ts";
import type { Flag, Sem, Semantic } from "./vocabulary.ts";

/** Bit positions in the flags word. */
const POSITIONS: readonly (readonly [Flag, number])[] = [
  ["cf", 0],
  ["pf", 2],
  ["af", 4],
  ["zf", 6],
  ["sf", 7],
  ["of", 11],
];
const DIRECTION = 10;
const ALWAYS_SET = 0x202;
/** tf, nt, ac, id: what programs may change beside the flags above. */
const REST_MASK = (1n << 8n) | (1n << 14n) | (1n << 18n) | (1n << 21n);

/** The 64-bit flags word. */
function flagsWord<V>(sem: Sem<V>): V {
  const at = (bit: V, position: number): V => sem.shl(sem.zext(bit, 64), sem.int(64, position));
  let word = sem.or(sem.and(sem.field("rflags_rest"), sem.int(64, REST_MASK)), sem.int(64, ALWAYS_SET));
  word = sem.or(word, at(sem.trunc(sem.field("df"), 1), DIRECTION));
  for (const [flag, position] of POSITIONS) word = sem.or(word, at(sem.flag(flag), position));
  return word;
}

/** Sets what a program may set from a flags word of 64 or 16 bits. */
export function setFlagsWord<V>(sem: Sem<V>, word: V): void {
  for (const [flag, position] of POSITIONS) sem.setFlag(flag, () => sem.bits(word, position, 1));
  sem.setField("df", sem.zext(sem.bits(word, DIRECTION, 1), 8));
  const wide = sem.w(word) === 64 ? word : sem.zext(word, 64);
  const settable = sem.w(word) === 64 ? REST_MASK : REST_MASK & 0xffffn;
  const kept = sem.and(sem.field("rflags_rest"), sem.int(64, REST_MASK & ~settable));
  sem.setField("rflags_rest", sem.or(kept, sem.and(wide, sem.int(64, settable))));
}

export function pushFlags(width: 16 | 64): Semantic {
  return (sem) => pushValue(sem, width === 64 ? flagsWord(sem) : sem.trunc(flagsWord(sem), 16));
}

export function popFlags(width: 16 | 64): Semantic {
  return (sem) => {
    const word = topOfStack(sem, width);
    dropFromStack(sem, width / 8);
    setFlagsWord(sem, word);
  };
}

/** lahf: ah = sf zf 0 af 0 pf 1 cf. */
export function loadFlags(): Semantic {
  return (sem) => {
    const high = sem.trunc(flagsWord(sem), 8);
    sem.setGpr(0, sem.concat(high, sem.gpr(0, 8)));
  };
}

export function storeFlags(): Semantic {
  return (sem) => {
    const high = sem.bits(sem.gpr(0, 16), 8, 8);
    for (const [flag, position] of POSITIONS) {
      if (position < 8) sem.setFlag(flag, () => sem.bits(high, position, 1));
    }
  };
}

/** clc and stc. */
export function setCarry(value: 0 | 1): Semantic {
  return (sem) => sem.setFlag("cf", () => sem.int(1, value));
}

export function complementCarry(): Semantic {
  return (sem) => {
    const old = sem.flag("cf");
    sem.setFlag("cf", () => sem.not(old));
  };
}

/** cld and std. */
export function setDirection(value: 0 | 1): Semantic {
  return (sem) => sem.setField("df", sem.int(8, value));
}
