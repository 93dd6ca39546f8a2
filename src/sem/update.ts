// Read-modify-write of operand 0 by an operation that the hardware has no atomic form for.

import type { Insn, Sem } from "./vocabulary.ts";

/**
 * Replaces operand 0 by `compute` of it and gives the old value. Under a lock prefix it is a compare-and-swap; when another thread
 * came between, the whole instruction is executed once more, so the caller's effects come after it.
 */
export function updateOperand<V>(sem: Sem<V>, insn: Insn<V>, compute: (old: V) => V): V {
  if (!insn.locked) {
    const old = insn.read(0);
    insn.write(0, compute(old));
    return old;
  }
  const address = insn.address(0);
  const old = sem.load(insn.width(0), address);
  const seen = sem.atomicCas(address, old, compute(old));
  const failed = sem.ne(seen, old);
  if (!sem.rareIf(failed)) sem.againIf(failed);
  return old;
}
