// String instructions. A visit does one iteration; with a repetition prefix the instruction ends when the count is 0, and is executed
// once more while there is something left. Memory is read and written before any register changes, so a fault leaves the registers at
// the iteration that faulted, as on the CPU.
//
// Repeated forward movs and stos do several iterations in a visit where nobody can tell: a block that lies within one page (so that
// it faults as a whole, at its first element) and, for movs, is not fed by its own output.

import { condition, isZero, setSubFlags } from "./flags.ts";
import { gprWidth, registerAddress } from "./operands.ts";
import type { Insn, Sem, Semantic } from "./vocabulary.ts";

const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7];

/** [rdi]; it takes no segment prefix. */
function destination<V>(sem: Sem<V>, insn: Insn<V>): V {
  const offset = sem.gpr(RDI, insn.addressSize);
  return insn.addressSize === 64 ? offset : sem.zext(offset, 64);
}

/** Moves index registers to the next element, in the address size. */
function advance<V>(sem: Sem<V>, insn: Insn<V>, bits: number, ...registers: readonly number[]): void {
  const width = insn.addressSize;
  const backward = sem.trunc(sem.field("df"), 1);
  const distance = sem.select(backward, sem.int(width, -bits / 8), sem.int(width, bits / 8));
  for (const register of registers) sem.setGpr(register, sem.add(sem.gpr(register, width), distance));
}

/** Wraps one iteration in the repetition that the prefix asks for. */
function repeated(iteration: Semantic, endsOnZf: boolean): Semantic {
  return (sem, insn) => {
    if (insn.rep === "none") {
      iteration(sem, insn);
      return;
    }
    const width = insn.addressSize;
    sem.skipIf(isZero(sem, sem.gpr(RCX, width)));
    iteration(sem, insn);
    const count = sem.sub(sem.gpr(RCX, width), sem.int(width, 1));
    sem.setGpr(RCX, count);
    const more = sem.not(isZero(sem, count));
    sem.againIf(endsOnZf ? sem.and(more, condition(sem, insn.rep === "rep" ? "e" : "ne")) : more);
  };
}

const BLOCK_BYTES = 32;
const PAGE_BYTES = 4096;

/** Whether the block at an address lies within one page. */
function isWithinPage<V>(sem: Sem<V>, address: V): V {
  const offset = sem.and(address, sem.int(64, PAGE_BYTES - 1));
  return sem.ule(offset, sem.int(64, PAGE_BYTES - BLOCK_BYTES));
}

/** Moves registers and count on by an element or, where `isBlock`, by as many as a block has. */
function finishBlocks<V>(sem: Sem<V>, isBlock: V, bits: number, registers: readonly number[]): void {
  const elements = sem.select(isBlock, sem.int(64, (BLOCK_BYTES * 8) / bits), sem.int(64, 1));
  const backward = sem.trunc(sem.field("df"), 1);
  const element = sem.select(backward, sem.int(64, -bits / 8), sem.int(64, bits / 8));
  const distance = sem.select(isBlock, sem.int(64, BLOCK_BYTES), element);
  for (const register of registers) sem.setGpr(register, sem.add(sem.gpr(register, 64), distance));
  const count = sem.sub(sem.gpr(RCX, 64), elements);
  sem.setGpr(RCX, count);
  sem.againIf(sem.not(isZero(sem, count)));
}

/** At least a block is left to do, forward, and `address` has it in one page. */
function canDoBlock<V>(sem: Sem<V>, address: V, bits: number): V {
  const forward = isZero(sem, sem.field("df"));
  const enough = sem.ule(sem.int(64, (BLOCK_BYTES * 8) / bits), sem.gpr(RCX, 64));
  return sem.and(sem.and(forward, enough), isWithinPage(sem, address));
}

export function moveString(bits: number): Semantic {
  const byElements = repeated((sem, insn) => {
    sem.store(destination(sem, insn), sem.load(bits, registerAddress(sem, insn, RSI)));
    advance(sem, insn, bits, RSI, RDI);
  }, false);
  return (sem, insn) => {
    if (insn.rep === "none" || insn.addressSize === 32) {
      byElements(sem, insn);
      return;
    }
    sem.skipIf(isZero(sem, sem.gpr(RCX, 64)));
    const [from, to] = [registerAddress(sem, insn, RSI), destination(sem, insn)];
    const isApart = sem.ule(sem.int(64, BLOCK_BYTES), sem.sub(to, from));
    const isBlock = sem.and(sem.and(canDoBlock(sem, to, bits), isWithinPage(sem, from)), isApart);
    const isElement = sem.not(isBlock);
    sem.storeIf(isBlock, to, sem.loadIf(isBlock, BLOCK_BYTES * 8, from));
    sem.storeIf(isElement, to, sem.loadIf(isElement, bits, from));
    finishBlocks(sem, isBlock, bits, [RSI, RDI]);
  };
}

export function storeString(bits: number): Semantic {
  const byElements = repeated((sem, insn) => {
    sem.store(destination(sem, insn), sem.gpr(RAX, gprWidth(bits)));
    advance(sem, insn, bits, RDI);
  }, false);
  return (sem, insn) => {
    if (insn.rep === "none" || insn.addressSize === 32) {
      byElements(sem, insn);
      return;
    }
    sem.skipIf(isZero(sem, sem.gpr(RCX, 64)));
    const to = destination(sem, insn);
    const value = sem.gpr(RAX, gprWidth(bits));
    const isBlock = canDoBlock(sem, to, bits);
    sem.storeIf(isBlock, to, sem.splat(value, BLOCK_BYTES * 8));
    sem.storeIf(sem.not(isBlock), to, value);
    finishBlocks(sem, isBlock, bits, [RDI]);
  };
}

export function loadString(bits: number): Semantic {
  return repeated((sem, insn) => {
    sem.setGpr(RAX, sem.load(bits, registerAddress(sem, insn, RSI)));
    advance(sem, insn, bits, RSI);
  }, false);
}

/** cmps: [rsi] - [rdi]. */
export function compareString(bits: number): Semantic {
  return repeated((sem, insn) => {
    const [a, b] = [sem.load(bits, registerAddress(sem, insn, RSI)), sem.load(bits, destination(sem, insn))];
    advance(sem, insn, bits, RSI, RDI);
    setSubFlags(sem, a, b, sem.sub(a, b));
  }, true);
}

/** scas: accumulator - [rdi]. */
export function scanString(bits: number): Semantic {
  return repeated((sem, insn) => {
    const [a, b] = [sem.gpr(RAX, gprWidth(bits)), sem.load(bits, destination(sem, insn))];
    advance(sem, insn, bits, RDI);
    setSubFlags(sem, a, b, sem.sub(a, b));
  }, true);
}
