// The values of variables on the edges between the blocks of a piece: what a predecessor leaves, and the phis where
// several meet. Texts are made while the predecessor is being written, since a phi can only name what is defined there.

import { type IrValue, SplitValue } from "../llvm/index.ts";
import { DEAD, LazyFlag, type LiftSem, type Slot } from "./sem.ts";
import { isAllScalar, partType, type SplitText } from "./splits.ts";
import { isLive, type Live, VARIABLE_COUNT, VARIABLES } from "./variables.ts";

/** A way into a block: from where, and with what in the variables. */
export interface Incoming {
  /** Label of the LLVM block that the edge leaves. */
  readonly label: string;
  readonly state: readonly Slot[];
  /** Operand text by variable; undefined = as at the head, "" = dropped. */
  readonly texts: readonly (string | undefined)[];
  /** By variable, of what is a scalar and a rest. */
  readonly splits: ReadonlyMap<number, SplitText>;
}

const NO_WIDTHS: ReadonlyMap<number, number> = new Map();

/** The state at the head of a piece: nothing has changed. */
export function emptyState(): Slot[] {
  return new Array<Slot>(VARIABLE_COUNT).fill(undefined);
}

/**
 * The state as it is now, for an edge that leaves the block being written; what is not live is dropped. What is in `widths` is
 * handed on as a scalar of that width and a rest, and not as a whole.
 */
export function snapshot(sem: LiftSem, live: Live, widths: ReadonlyMap<number, number> = NO_WIDTHS): Incoming {
  const splits = new Map<number, SplitText>();
  const state = sem.state.slice();
  const texts: (string | undefined)[] = new Array<string | undefined>(VARIABLE_COUNT).fill(undefined);
  for (let v = 0; v < VARIABLE_COUNT; v++) {
    let slot = state[v];
    // What a function leaves alone it keeps, for callers that know that it does.
    if (slot === undefined) continue;
    if (!isLive(v, live)) slot = DEAD;
    if (slot instanceof LazyFlag) slot = sem.force(slot, true);
    state[v] = slot;
    if (slot === DEAD) {
      texts[v] = "";
      continue;
    }
    const wanted = widths.get(v);
    const width = wanted ?? (slot instanceof SplitValue ? slot.scalar.width : undefined);
    if (width !== undefined) splits.set(v, sem.splitText(slot, width, isAllScalar(v, width, live)));
    if (wanted === undefined) texts[v] = sem.fn.text(slot, VARIABLES[v]!.type);
  }
  return { label: sem.fn.label, state, texts, splits };
}

/** What variables are at the head of the piece. */
export interface AtHead {
  value(variable: number): IrValue;
  /** The name of the whole of it. */
  name(variable: number): string;
}

/** The state at the start of a block that all of `incoming` lead to: phis where they differ. */
export function merge(sem: LiftSem, incoming: readonly Incoming[], atHead: AtHead): Slot[] {
  if (incoming.length === 1) return incoming[0]!.state.slice();
  const state = emptyState();
  for (let v = 0; v < VARIABLE_COUNT; v++) {
    const [slot, first] = [incoming[0]!.state[v], incoming[0]!.texts[v]];
    if (incoming.every((edge) => edge.state[v] === slot || (first !== undefined && edge.texts[v] === first))) {
      state[v] = incoming[0]!.state[v];
      continue;
    }
    if (incoming.some((edge) => edge.texts[v] === "")) {
      state[v] = DEAD;
      continue;
    }
    state[v] = mergeSplit(sem, incoming, v, atHead);
    if (state[v] !== undefined) continue;
    const { type, width } = VARIABLES[v]!;
    const parts = incoming.map((edge) => `[ ${edge.texts[v] ?? atHead.name(v)}, %${edge.label} ]`);
    state[v] = sem.fn.value(width, type, `phi ${type} ${parts.join(", ")}`);
  }
  return state;
}

/** The same of one variable that is a scalar of one width and a rest on all ways; else undefined. */
function mergeSplit(sem: LiftSem, incoming: readonly Incoming[], variable: number, atHead: AtHead): Slot {
  if (!incoming.some(({ splits }) => splits.has(variable))) return undefined;
  const values: SplitValue[] = [];
  for (const { state } of incoming) {
    const value = state[variable] ?? atHead.value(variable);
    if (!(value instanceof SplitValue)) return undefined;
    values.push(value);
  }
  const { width } = values[0]!.scalar;
  if (values.some(({ scalar }) => scalar.width !== width)) return undefined;
  const one = (part: "scalar" | "rest"): IrValue => {
    const type = partType(part, width);
    const value = values[0]![part];
    if (values.every((other) => other[part] === value)) return value;
    const texts = incoming.map(({ splits }, i) => splits.get(variable)?.[part] ?? values[i]![part].views[0]!.name);
    const arms = incoming.map(({ label }, i) => `[ ${texts[i]}, %${label} ]`);
    return sem.fn.value(value.width, type, `phi ${type} ${arms.join(", ")}`);
  };
  const scalar = one("scalar");
  return sem.split(scalar, one("rest"));
}
