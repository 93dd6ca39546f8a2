// String instructions. A visit does one iteration; with a repetition prefix the instruction ends when the count is 0, and is executed
// once more while there is something left. Memory is read and written before any register changes, so a fault leaves the registers at
// the iteration that faulted, as on the CPU.

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

export function moveString(bits: number): Semantic {
  return repeated((sem, insn) => {
    sem.store(destination(sem, insn), sem.load(bits, registerAddress(sem, insn, RSI)));
    advance(sem, insn, bits, RSI, RDI);
  }, false);
}

export function storeString(bits: number): Semantic {
  return repeated((sem, insn) => {
    sem.store(destination(sem, insn), sem.gpr(RAX, gprWidth(bits)));
    advance(sem, insn, bits, RDI);
  }, false);
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
