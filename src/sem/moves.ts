// Data movement: mov and its kin, the stack, exchanges, compare-and-exchange.
//
// Segment registers: CpuState keeps no selectors. A Linux program in 64-bit mode has the code segment 0x33, the stack segment 0x2b and
// null in the others, and may load null or 0x2b; that is all these semantics know.

import { type Condition, condition, isZero, setAddFlags, setSubFlags } from "./flags.ts";
import { gprWidth, resize } from "./operands.ts";
import type { Insn, Sem, Semantic } from "./vocabulary.ts";

const [CS, SS] = [1, 2];
export const USER_CODE_SELECTOR = 0x33;
export const USER_DATA_SELECTOR = 0x2b;

/** The selector in a segment register operand. */
function selectorOf<V>(sem: Sem<V>, insn: Insn<V>, operand: number): V {
  const number = insn.read(operand);
  const is = (segment: number): V => sem.eq(number, sem.int(sem.w(number), segment));
  const dataOrNull = sem.select(is(SS), sem.int(16, USER_DATA_SELECTOR), sem.int(16, 0));
  return sem.select(is(CS), sem.int(16, USER_CODE_SELECTOR), dataOrNull);
}

/** Loads a selector: null or the user data segment, else #GP. A selector loaded into fs or gs makes its base 0. */
function loadSelector<V>(sem: Sem<V>, insn: Insn<V>, operand: number, selector: V): void {
  const number = insn.read(operand);
  const is = (segment: number): V => sem.eq(number, sem.int(sem.w(number), segment));
  const isNull = isZero(sem, sem.and(selector, sem.int(16, 0xfffc)));
  const isData = sem.eq(selector, sem.int(16, USER_DATA_SELECTOR));
  sem.trapIf(is(CS), 6);
  sem.trapIf(sem.not(sem.or(isData, sem.and(isNull, sem.not(is(SS))))), 13);
  for (const [segment, field] of [
    [4, "fs_base"],
    [5, "gs_base"],
  ] as const) {
    sem.setField(field, sem.select(is(segment), sem.int(64, 0), sem.field(field)));
  }
}

/** mov with a control or debug register: not for programs, and some numbers name none. */
function moveSystemRegister<V>(sem: Sem<V>, insn: Insn<V>, operand: number): void {
  const known = insn.code.includes("_cr") ? 0b1_0001_1101 : 0xff;
  const number = resize(sem, insn.registerNumber(operand), 16);
  sem.trapIf(isZero(sem, sem.and(sem.lshr(sem.int(16, known), number), sem.int(16, 1))), 6);
  sem.trapIf(sem.int(1, 1), 13);
}

/** mov in all its forms. */
export function move(): Semantic {
  return (sem, insn) => {
    const [to, from] = [insn.kind(0), insn.kind(1)];
    if (to === "other" || from === "other") moveSystemRegister(sem, insn, to === "other" ? 0 : 1);
    else if (to === "segment") loadSelector(sem, insn, 0, resize(sem, insn.read(1), 16));
    else if (from === "segment") insn.write(0, resize(sem, selectorOf(sem, insn, 1), insn.width(0)));
    else insn.write(0, insn.read(1));
  };
}

/** movzx, movsx, movsxd. The movsxd of 16 bits reads 32 from memory, as on AMD's Zen, and extends nothing. */
export function moveExtended(how: "zext" | "sext"): Semantic {
  return (sem, insn) => {
    const width = insn.width(0);
    const isWord = insn.mnemonic === "Movsxd" && width === 16 && insn.kind(1) === "memory";
    const value = isWord ? sem.trunc(sem.load(32, insn.address(1)), 16) : insn.read(1);
    insn.write(0, sem.w(value) === width ? value : sem[how](value, width));
  };
}

/** cmovcc. The source is read and a 32-bit destination zero-extended whatever the condition is. */
export function moveIf(code: Condition): Semantic {
  return (sem, insn) => insn.write(0, sem.select(condition(sem, code), insn.read(1), insn.read(0)));
}

export function setByteIf(code: Condition): Semantic {
  return (sem, insn) => insn.write(0, sem.zext(condition(sem, code), 8));
}

export function moveByteSwapped(): Semantic {
  return (sem, insn) => insn.write(0, sem.bswap(insn.read(1)));
}

export function loadAddress(): Semantic {
  return (sem, insn) => insn.write(0, resize(sem, insn.address(1, true), insn.width(0)));
}

/** movdir64b: 64 bytes from memory to the 64-byte aligned address in operand 0. */
export function moveCacheLine(): Semantic {
  return (sem, insn) => {
    const address = resize(sem, insn.read(0), 64);
    sem.trapIf(sem.not(isZero(sem, sem.and(address, sem.int(64, 63)))), 13);
    sem.store(address, sem.load(512, insn.address(1)));
  };
}

/** clzero: zeroes the 64-byte line that rax points into. */
export function zeroCacheLine(): Semantic {
  return (sem, insn) => {
    const address = resize(sem, sem.gpr(0, insn.addressSize), 64);
    sem.store(sem.add(insn.segmentBase(), sem.and(address, sem.int(64, -64n))), sem.int(512, 0));
  };
}

/** Pushes a value; rsp changes after the store. */
export function pushValue<V>(sem: Sem<V>, value: V): void {
  const top = sem.sub(sem.gpr(4, 64), sem.int(64, sem.w(value) / 8));
  sem.store(top, value);
  sem.setGpr(4, top);
}

/** The top of the stack, not yet popped. */
export function topOfStack<V>(sem: Sem<V>, width: number): V {
  return sem.load(width, sem.gpr(4, 64));
}

/** Removes `bytes` from the stack. */
export function dropFromStack<V>(sem: Sem<V>, bytes: number): void {
  sem.setGpr(4, sem.add(sem.gpr(4, 64), sem.int(64, bytes)));
}

export function push(): Semantic {
  return (sem, insn) => {
    if (insn.kind(0) === "segment") {
      pushValue(sem, resize(sem, selectorOf(sem, insn, 0), insn.code.startsWith("Pushw") ? 16 : 64));
    } else {
      pushValue(sem, insn.read(0));
    }
  };
}

/** pop. A memory operand's address is computed with the rsp after the pop, but rsp changes only after the store. */
export function pop(): Semantic {
  return (sem, insn) => {
    if (insn.kind(0) === "segment") {
      const width = insn.code.startsWith("Popw") ? 16 : 64;
      loadSelector(sem, insn, 0, resize(sem, topOfStack(sem, width), 16));
      dropFromStack(sem, width / 8);
      return;
    }
    const width = insn.width(0);
    const value = topOfStack(sem, width);
    if (insn.kind(0) !== "memory") {
      dropFromStack(sem, width / 8);
      insn.write(0, value);
      return;
    }
    const before = sem.gpr(4, 64);
    dropFromStack(sem, width / 8);
    const address = insn.address(0);
    sem.setGpr(4, before);
    sem.store(address, value);
    dropFromStack(sem, width / 8);
  };
}

export function leave(): Semantic {
  return (sem, insn) => {
    const width = insn.code === "Leavew" ? 16 : 64;
    const frame = sem.gpr(5, 64);
    const value = sem.load(width, frame);
    sem.setGpr(4, sem.add(frame, sem.int(64, width / 8)));
    sem.setGpr(5, value);
  };
}

/** enter: nearly always without nested frames; the rest is a helper's (level in bits 16..20, bit 32: 16-bit operands). */
export function enter(): Semantic {
  return (sem, insn) => {
    const isWord = insn.code === "Enterw_imm16_imm8";
    const size = sem.zext(insn.immediate(0, 16), 64);
    const level = sem.and(sem.zext(insn.immediate(1, 8), 64), sem.int(64, 31));
    const argument = sem.or(size, sem.shl(level, sem.int(64, 16)));
    sem.helper("enter", isWord ? sem.or(argument, sem.int(64, 1n << 32n)) : argument);
  };
}

/** xchg; with memory it is atomic without a prefix. */
export function exchange(): Semantic {
  return (sem, insn) => {
    // Either operand may be the one in memory.
    const memory = [0, 1].find((operand) => insn.kind(operand) === "memory");
    if (memory === undefined) {
      const [a, b] = [insn.read(0), insn.read(1)];
      insn.write(0, b);
      insn.write(1, a);
    } else {
      const register = 1 - memory;
      insn.write(register, sem.atomicRmw("xchg", insn.address(memory), insn.read(register)));
    }
  };
}

/** xadd. With one register as both operands the sum wins. */
export function exchangeAndAdd(): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    const old = insn.locked ? sem.atomicRmw("add", insn.address(0), source) : insn.read(0);
    const sum = sem.add(old, source);
    if (insn.kind(0) === "memory") {
      if (!insn.locked) insn.write(0, sum);
      insn.write(1, old);
    } else {
      insn.write(1, old);
      insn.write(0, sum);
    }
    setAddFlags(sem, old, source, sum);
  };
}

/** The accumulator (number 0) or another fixed register takes the value where the condition is 1 and keeps all its bits else. */
function setGprIf<V>(sem: Sem<V>, condition: V, number: number, value: V): void {
  const width = sem.w(value);
  const before = sem.gpr(number, 64);
  if (width === 64) sem.setGpr(number, sem.select(condition, value, before));
  else if (width === 32) sem.setGpr(number, sem.select(condition, sem.zext(value, 64), before));
  else sem.setGpr(number, sem.select(condition, value, sem.trunc(before, width)));
}

/** cmpxchg. Memory is written back even when the comparison fails, a register then keeps all its bits (as on AMD's Zen). */
export function compareAndExchange(): Semantic {
  return (sem, insn) => {
    const expected = sem.gpr(0, gprWidth(insn.width(0)));
    const source = insn.read(1);
    const old = insn.locked ? sem.atomicCas(insn.address(0), expected, source) : insn.read(0);
    const same = sem.eq(expected, old);
    if (insn.kind(0) !== "memory") insn.writeIf(same, 0, source);
    else if (!insn.locked) insn.write(0, sem.select(same, source, old));
    setGprIf(sem, sem.not(same), 0, old);
    setSubFlags(sem, expected, old, sem.sub(expected, old));
  };
}

/** cmpxchg8b and cmpxchg16b: (r)dx:(r)ax with memory, (r)cx:(r)bx to replace it. Only zf changes. */
export function compareAndExchangePair(half: 32 | 64): Semantic {
  return (sem, insn) => {
    const address = insn.address(0);
    if (half === 64) sem.trapIf(sem.not(isZero(sem, sem.and(address, sem.int(64, 15)))), 13);
    const expected = sem.concat(sem.gpr(2, half), sem.gpr(0, half));
    const desired = sem.concat(sem.gpr(1, half), sem.gpr(3, half));
    const old = insn.locked ? sem.atomicCas(address, expected, desired) : sem.load(2 * half, address);
    const same = sem.eq(expected, old);
    if (!insn.locked) sem.store(address, sem.select(same, desired, old));
    const different = sem.not(same);
    setGprIf(sem, different, 0, sem.trunc(old, half));
    setGprIf(sem, different, 2, sem.bits(old, half, half));
    sem.setFlag("zf", () => same);
  };
}

/** xlatb: al = [rbx + al]. */
export function translateByte(): Semantic {
  return (sem, insn) => {
    const sum = sem.add(sem.gpr(3, 64), sem.zext(sem.gpr(0, 8), 64));
    const offset = insn.addressSize === 32 ? sem.zext(sem.trunc(sum, 32), 64) : sum;
    sem.setGpr(0, sem.load(8, sem.add(insn.segmentBase(), offset)));
  };
}
