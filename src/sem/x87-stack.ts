// The x87 register stack: st(i) is physical register (top + i) mod 8, top is in bits 11..13 of the status word, and the
// abridged tag word has a bit for each physical register in use. Faults of the stack get the masked response, whatever
// the control word says.

import type { Sem } from "./vocabulary.ts";

/** Bits of the status word. */
export const INVALID = 0x01;
export const STACK_FAULT = 0x40;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
const TOP_MASK = 0x3800;

/** The value that a masked invalid operation gives: the negative quiet NaN. */
const INDEFINITE = 0xffff_c000_0000_0000_0000n;

/** Number of the physical register of st(i); `index` is 8 bits wide or a number. */
export function physical<V>(s: Sem<V>, index: V | number): V {
  const top = s.zext(s.bits(s.field("fsw"), 11, 3), 8);
  const offset = typeof index === "number" ? s.int(8, index) : (index as V);
  return s.and(s.add(top, offset), s.int(8, 7));
}

/** Whether a physical register is in use. */
export function inUse<V>(s: Sem<V>, register: V): V {
  return s.trunc(s.lshr(s.field("ftw"), register), 1);
}

export function setInUse<V>(s: Sem<V>, register: V, used: boolean): void {
  const bit = s.shl(s.int(8, 1), register);
  const tags = s.field("ftw");
  s.setField("ftw", used ? s.or(tags, bit) : s.and(tags, s.not(bit)));
}

/** Clears and sets bits of the status word. */
export function changeStatus<V>(s: Sem<V>, clear: number, set: V): void {
  s.setField("fsw", s.or(s.and(s.field("fsw"), s.int(16, 0xffff & ~clear)), set));
}

/** Status bits of a stack fault where the condition is 1; `overflow` sets C1. */
function faultBits<V>(s: Sem<V>, fault: V, overflow: boolean): V {
  const bits = INVALID | STACK_FAULT | (overflow ? C1 : 0);
  return s.select(fault, s.int(16, bits), s.int(16, 0));
}

/** Sets C1 to 0 and, where the condition is 1, records that an empty register was read. */
export function noteUnderflow<V>(s: Sem<V>, fault: V): void {
  changeStatus(s, C1, faultBits(s, fault, false));
}

/** The same for instructions that leave C1 as it is unless there is a fault (on AMD's CPUs). */
export function noteUnderflowOnly<V>(s: Sem<V>, fault: V): void {
  const kept = s.select(fault, s.int(16, 0xffff & ~C1), s.int(16, 0xffff));
  s.setField("fsw", s.or(s.and(s.field("fsw"), kept), faultBits(s, fault, false)));
}

export function setTop<V>(s: Sem<V>, register: V): void {
  const field = s.shl(s.zext(register, 16), s.int(16, 11));
  changeStatus(s, TOP_MASK, field);
}

/** Pushes 80 bits; where the register is in use, the indefinite value and a stack fault. */
export function push<V>(s: Sem<V>, value: V, emptySource?: V): void {
  const register = physical(s, 7);
  const overflow = inUse(s, register);
  const underflow = emptySource ?? s.int(1, 0);
  const status = s.select(underflow, faultBits(s, underflow, false), faultBits(s, overflow, true));
  const fault = s.or(overflow, underflow);
  s.setX87(register, s.select(fault, s.int(80, INDEFINITE), value));
  setInUse(s, register, true);
  changeStatus(s, C1, status);
  setTop(s, register);
}

export function pop<V>(s: Sem<V>): void {
  const top = physical(s, 0);
  setInUse(s, top, false);
  setTop(s, physical(s, 1));
}

/** The value of a physical register, or the indefinite one if it is empty. */
export function contentOf<V>(s: Sem<V>, register: V): V {
  return s.select(inUse(s, register), s.x87(register), s.int(80, INDEFINITE));
}
