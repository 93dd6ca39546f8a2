// Small readings of operands that several families share.

import { assert } from "../base/index.ts";
import type { Insn, Sem } from "./vocabulary.ts";

export type GprWidth = 8 | 16 | 32 | 64;

/** The width as that of a general register. */
export function gprWidth(width: number): GprWidth {
  assert(width === 8 || width === 16 || width === 32 || width === 64, `a general register has ${width} bits`);
  return width;
}

/** Zero-extended or cut to `width`. */
export function resize<V>(sem: Sem<V>, value: V, width: number): V {
  const from = sem.w(value);
  if (from === width) return value;
  return from < width ? sem.zext(value, width) : sem.trunc(value, width);
}

/** An address computed from a register and cut to the address size, with the segment base added. */
export function registerAddress<V>(sem: Sem<V>, insn: Insn<V>, number: number): V {
  return sem.add(insn.segmentBase(), resize(sem, sem.gpr(number, insn.addressSize), 64));
}
