// Loops inside a piece. When a loop's head is written nobody knows yet what the loop changes, so everything that its
// instructions could change becomes a phi, whose lines are filled in when the piece is done; LLVM drops those that turn out
// to be the same all the time. The way in is a block of its own, before the head, where the paths from outside meet.

import type { IrValue } from "../llvm/index.ts";
import type { Instruction } from "../x86/index.ts";
import type { Incoming } from "./edges.ts";
import type { Block } from "./graph.ts";
import { DEAD, type LiftSem, type Slot } from "./sem.ts";
import { NO_SPLIT, type SplitText, splitPhi } from "./splits.ts";
import {
  FLAG_FIRST,
  GPR_FIRST,
  HIGH_FIRST,
  isLive,
  LOW_FIRST,
  MASK_FIRST,
  MID_FIRST,
  VARIABLE_COUNT,
  VARIABLES,
} from "./variables.ts";

const GPR_COUNT = 16;
const VECTOR_COUNT = 32;
/** Instructions whose result is in vector register 0 without naming it. */
const WRITES_FIRST_VECTOR = /^V?pcmp[ei]strm/i;

/** A loop changed what its instructions did not seem to: the piece must be written once more, with all in phis. */
export class LoopSurprise extends Error {}

/** Whether a loop of these instructions may change each variable. Flags are not looked at. */
export function changedByLoop(instructions: Iterable<Instruction>): boolean[] {
  const changed = new Array<boolean>(VARIABLE_COUNT).fill(false);
  const fill = (first: number, count: number): void => void changed.fill(true, first, first + count);
  fill(GPR_FIRST, GPR_COUNT);
  for (const instruction of instructions) {
    if (instruction.opmask !== 0) changed[MASK_FIRST + instruction.opmask] = true;
    if (/^Vzero/.test(instruction.mnemonic))
      for (const first of [LOW_FIRST, MID_FIRST, HIGH_FIRST]) fill(first, VECTOR_COUNT);
    for (const operand of instruction.operands) {
      if (operand.kind === "mask") changed[MASK_FIRST + operand.register] = true;
      if (operand.kind !== "vector") continue;
      // Instructions from before AVX leave the upper parts alone.
      for (const first of /^V/.test(instruction.mnemonic) ? [LOW_FIRST, MID_FIRST, HIGH_FIRST] : [LOW_FIRST]) {
        changed[first + operand.register] = true;
        if (WRITES_FIRST_VECTOR.test(instruction.mnemonic)) changed[first] = true;
      }
    }
  }
  return changed;
}

/** Whose result is a scalar in a vector register that keeps the rest of it, by the last letters. */
const SCALAR = /s([sd])$/;

/** Whether `scalarWidths` looks at instructions of this name. */
export function mayWriteScalar(mnemonic: string): boolean {
  return SCALAR.test(mnemonic);
}

/** Widths of the scalars that the instructions write to vector registers, by variable, where there is one width. */
export function scalarWidths(instructions: Iterable<Instruction>): Map<number, number> {
  const widths = new Map<number, number>();
  for (const { mnemonic, operands } of instructions) {
    const letter = SCALAR.exec(mnemonic)?.[1];
    if (letter === undefined || operands[0]?.kind !== "vector") continue;
    const [variable, width] = [LOW_FIRST + operands[0].register, letter === "s" ? 32 : 64];
    widths.set(variable, (widths.get(variable) ?? width) === width ? width : 0);
  }
  for (const [variable, width] of widths) if (width === 0) widths.delete(variable);
  return widths;
}

/** What leads into a loop. */
export interface LoopEntry {
  /** Label of the LLVM block before the head. */
  readonly label: string;
  readonly slots: readonly Slot[];
  /** Operand texts of what may change; undefined where the slot is. */
  readonly texts: readonly (string | undefined)[];
  /** Of what may change, and is a scalar and a rest. */
  readonly splits: ReadonlyMap<number, SplitText>;
}

/** One loop while its piece is being written. */
export class Loop {
  readonly head: Block;
  /** The ways back to the head that have been written. */
  readonly latches: Incoming[] = [];
  /** Widths of the scalars of what is a scalar and a rest, by variable. */
  readonly splitWidths: ReadonlyMap<number, number>;
  readonly #entry: LoopEntry;
  readonly #prefix: string;
  readonly #phis: (IrValue | undefined)[];
  readonly #fill: (lines: string) => void;
  readonly #same: (boolean | undefined)[] = [];

  /** To be made at the start of the head's LLVM block; `isChanged` by variable, flags included. */
  constructor(sem: LiftSem, head: Block, entry: LoopEntry, isChanged: readonly boolean[]) {
    this.head = head;
    this.#entry = entry;
    this.splitWidths = new Map([...entry.splits].map(([variable, { width }]) => [variable, width]));
    this.#prefix = `%l${head.start.toString(16)}_`;
    this.#phis = VARIABLES.map(({ name, width, type }, v) => {
      if (!isChanged[v]) return undefined;
      const split = entry.splits.get(v);
      const full = `${this.#prefix}${name}`;
      return split ? sem.splitNamed(full, split.width) : sem.fn.named(width, type, full);
    });
    this.#fill = sem.fn.hole();
  }

  /** The state at the head. */
  state(): Slot[] {
    return this.#entry.slots.map((slot, v) => this.#phis[v] ?? (v >= FLAG_FIRST ? DEAD : slot));
  }

  /** The phis, with their variables. */
  *phis(): Generator<[variable: number, phi: IrValue]> {
    for (const [variable, phi] of this.#phis.entries()) if (phi) yield [variable, phi];
  }

  /** Notes a way back. */
  addLatch(latch: Incoming): void {
    for (let v = 0; v < FLAG_FIRST; v++) {
      if (!isLive(v, this.head.live)) continue;
      if (this.#phis[v] === undefined && latch.state[v] !== this.#entry.slots[v])
        throw new LoopSurprise(VARIABLES[v]!.name);
    }
    this.latches.push(latch);
  }

  /** What a variable was before the loop, if the loop leaves it as it is; else undefined. Asked when all is written. */
  unchanged(variable: number, original: (slot: Slot) => Slot): { readonly slot: Slot } | undefined {
    const phi = this.#phis[variable];
    if (this.#same[variable] === undefined) {
      // A loop around this one asks again; meanwhile it counts as changed.
      this.#same[variable] = false;
      this.#same[variable] = this.latches.every((latch) => original(latch.state[variable]) === phi);
    }
    return this.#same[variable] ? { slot: this.#entry.slots[variable] } : undefined;
  }

  /** Writes the phis. `nameAtHead` names a variable's value at the head of the piece. */
  finish(nameAtHead: (variable: number) => string): void {
    let lines = "";
    for (const [v, phi] of this.#phis.entries()) {
      if (!phi) continue;
      const { name, type } = VARIABLES[v]!;
      const split = this.#entry.splits.get(v);
      if (split) {
        const latches = this.latches.map((latch) => [latch.splits.get(v) ?? NO_SPLIT, latch.label] as const);
        const phis = splitPhi(`${this.#prefix}${name}`, split.width, [[split, this.#entry.label], ...latches]);
        for (const line of phis) lines += `  ${line}\n`;
        continue;
      }
      const parts = [`[ ${this.#entry.texts[v] ?? nameAtHead(v)}, %${this.#entry.label} ]`];
      for (const { label, texts } of this.latches) {
        // An empty text is what was dropped.
        parts.push(`[ ${texts[v] === "" ? "zeroinitializer" : (texts[v] ?? nameAtHead(v))}, %${label} ]`);
      }
      lines += `  ${this.#prefix}${name} = phi ${type} ${parts.join(", ")}\n`;
    }
    this.#fill(lines);
  }
}
