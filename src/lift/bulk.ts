// Repeated movs and stos by the block: C libraries copy and fill large areas with them, and one element a visit would make
// that a hundred times slower than the CPU. A visit moves the largest block that is left; the rest goes as the semantic
// says. Only upwards, and a copy only between blocks that do not overlap: so it may fault half-way and be done again.

import type { IrValue } from "../llvm/index.ts";
import type { Instruction } from "../x86/index.ts";
import type { LiftSem } from "./sem.ts";

const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7];
/** Bytes that a visit may move at once. */
const BLOCKS = [64];

const ELEMENT_BYTES: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8 };

/** Bytes of an element if the instruction is a repeated movs or stos that can go by the block, else 0. */
export function bulkElementBytes(insn: Instruction): number {
  const match = /^(?:Movs|Stos)([bwdq])$/.exec(insn.mnemonic);
  if (!match || insn.rep === "none" || insn.addressSize !== 64 || insn.segment !== null) return 0;
  return ELEMENT_BYTES[match[1]!]!;
}

/** What a visit may do instead of one element. */
export interface BulkStep {
  /** 1 if this block can be moved now. */
  readonly condition: IrValue;
  /** Moves it and updates the registers. */
  move(): void;
}

/** The steps to try, in order. Conditions are emitted when they are asked for. */
export function* bulkSteps(sem: LiftSem, insn: Instruction, elementBytes: number): Generator<BulkStep> {
  const isCopy = insn.mnemonic.startsWith("Movs");
  const upward = sem.eq(sem.field("df"), sem.int(8, 0));
  for (const bytes of BLOCKS.filter((size) => size > elementBytes)) {
    const elements = bytes / elementBytes;
    const [count, source, target] = [sem.gpr(RCX, 64), sem.gpr(RSI, 64), sem.gpr(RDI, 64)];
    let condition = sem.and(upward, sem.ule(sem.int(64, elements), count));
    if (isCopy) {
      // bytes <= target - source <= 2^64 - bytes, by one comparison.
      const beyond = sem.sub(sem.sub(target, source), sem.int(64, bytes));
      condition = sem.and(condition, sem.ule(beyond, sem.int(64, -2 * bytes)));
    }
    yield {
      condition,
      move: () => {
        const value = isCopy
          ? sem.load(bytes * 8, source)
          : sem.splat(sem.gpr(RAX, (elementBytes * 8) as 8), bytes * 8);
        sem.store(target, value);
        sem.setGpr(RDI, sem.add(target, sem.int(64, bytes)));
        if (isCopy) sem.setGpr(RSI, sem.add(source, sem.int(64, bytes)));
        sem.setGpr(RCX, sem.sub(count, sem.int(64, elements)));
      },
    };
  }
}
