// The values of variables on the edges between the blocks of a piece: what a predecessor leaves, and the phis where
// several meet. Texts are made while the predecessor is being written, since a phi can only name what is defined there.

import type { IrFunction } from "../llvm/index.ts";
import { DEAD, LazyFlag, type LiftSem, type Slot } from "./sem.ts";
import { isLive, type Live, VARIABLE_COUNT, VARIABLES } from "./variables.ts";

/** A way into a block: from where, and with what in the variables. */
export interface Incoming {
  /** Label of the LLVM block that the edge leaves. */
  readonly label: string;
  readonly state: readonly Slot[];
  /** Operand text by variable; undefined = as at the head, "" = dropped. */
  readonly texts: readonly (string | undefined)[];
}

/** The state at the head of a piece: nothing has changed. */
export function emptyState(): Slot[] {
  return new Array<Slot>(VARIABLE_COUNT).fill(undefined);
}

/** The state as it is now, for an edge that leaves the block being written; what is not live is dropped. */
export function snapshot(sem: LiftSem, live: Live): Incoming {
  const state = sem.state.slice();
  const texts: (string | undefined)[] = new Array<string | undefined>(VARIABLE_COUNT).fill(undefined);
  for (let v = 0; v < VARIABLE_COUNT; v++) {
    let slot = state[v];
    // What a function leaves alone it keeps, for callers that know that it does.
    if (slot === undefined) continue;
    if (!isLive(v, live)) slot = DEAD;
    if (slot instanceof LazyFlag) slot = sem.force(slot, true);
    state[v] = slot;
    texts[v] = slot === DEAD ? "" : sem.fn.text(slot, VARIABLES[v]!.type);
  }
  return { label: sem.fn.label, state, texts };
}

/** The state at the start of a block that all of `incoming` lead to: phis where they differ. */
export function merge(fn: IrFunction, incoming: readonly Incoming[], nameAtHead: (variable: number) => string): Slot[] {
  if (incoming.length === 1) return incoming[0]!.state.slice();
  const state = emptyState();
  for (let v = 0; v < VARIABLE_COUNT; v++) {
    const first: string | undefined = incoming[0]!.texts[v];
    if (incoming.every((edge) => edge.texts[v] === first)) {
      state[v] = incoming[0]!.state[v];
      continue;
    }
    if (incoming.some((edge) => edge.texts[v] === "")) {
      state[v] = DEAD;
      continue;
    }
    const { type, width } = VARIABLES[v]!;
    const parts = incoming.map((edge) => `[ ${edge.texts[v] ?? nameAtHead(v)}, %${edge.label} ]`);
    state[v] = fn.value(width, type, `phi ${type} ${parts.join(", ")}`);
  }
  return state;
}
