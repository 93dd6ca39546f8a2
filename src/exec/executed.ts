// What programs have executed that had no translation, by file and variant of code, as the runtime logs it; and what is
// remembered of it in the cache, so that the next run has it translated. A container or program may write anything into its
// log: lists are bounded, and an address that is no code of the file is passed over by the translator.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { VARIANTS, type Variant } from "../abi/index.ts";
import { cacheDirectory } from "../host/index.ts";

/** Addresses kept for one file and variant. */
const ENTRIES_LIMIT = 200_000;

/** Code that runs: a file by the name of its code key, and the variant in which its process wants it. */
export interface ExecutedCode {
  readonly key: string;
  readonly variant: Variant;
}

/** The name of a file and variant in maps and on disk. */
export const executedName = ({ key, variant }: ExecutedCode): string => `${key}.${variant}`;

/** Reads one line of a log; undefined when it says nothing of executed code. */
export function parseExecuted(line: string): (ExecutedCode & { readonly pc: number }) | undefined {
  const [, suffix = "plain", key, address] = /^executed(?:-(\w+))? ([0-9a-f]{32}) ([0-9a-f]{1,12})$/.exec(line) ?? [];
  const variant = VARIANTS.find((name) => name === suffix);
  if (key === undefined || variant === undefined) return undefined;
  return { key, variant, pc: Number.parseInt(address!, 16) };
}

/** Adds entries by code key to those that are known; gives how many are new. */
export function addEntries(known: Map<string, Set<number>>, more: ReadonlyMap<string, ReadonlySet<number>>): number {
  let count = 0;
  for (const [key, entries] of more) {
    const own = known.get(key) ?? new Set();
    known.set(key, own);
    for (const entry of entries) if (own.size !== own.add(entry).size) count++;
  }
  return count;
}

/** Where the interpreter has begun, by code key whatever the variant, out of the log of a run. */
export function executedEntries(log: string): Map<string, Set<number>> {
  const byKey = new Map<string, Set<number>>();
  for (const line of log.split("\n")) {
    const found = parseExecuted(line);
    if (found) addEntries(byKey, new Map([[found.key, new Set([found.pc])]]));
  }
  return byKey;
}

/** Collects addresses, by file and variant. */
export class ExecutedList {
  readonly #byName = new Map<string, { readonly code: ExecutedCode; readonly entries: Set<number> }>();

  /** Takes addresses; gives how many are new. */
  addEntries({ key, variant }: ExecutedCode, entries: Iterable<number>): number {
    const code = { key, variant };
    const name = executedName(code);
    const own = this.#byName.get(name) ?? { code, entries: new Set<number>() };
    this.#byName.set(name, own);
    const before = own.entries.size;
    for (const pc of entries) if (own.entries.size < ENTRIES_LIMIT) own.entries.add(pc);
    return own.entries.size - before;
  }

  entriesOf(code: ExecutedCode): ReadonlySet<number> {
    return this.#byName.get(executedName(code))?.entries ?? new Set();
  }

  /** All code that something is known of. */
  *codes(): Generator<ExecutedCode> {
    for (const { code } of this.#byName.values()) yield code;
  }
}

/** All that a log says. */
export function executedList(log: string): ExecutedList {
  const list = new ExecutedList();
  for (const line of log.split("\n")) {
    const found = parseExecuted(line);
    if (found) list.addEntries(found, [found.pc]);
  }
  return list;
}

/** Lists that are kept of a file: what runs have executed, and what of it the translation has that was made last. */
type ListName = "executed" | "translated";

function listPath(code: ExecutedCode, list: ListName): string {
  return join(cacheDirectory(), "executed", `${executedName(code)}.${list}`);
}

/** What is remembered of a file; in ascending order. */
export async function rememberedCode(code: ExecutedCode, list: ListName): Promise<number[]> {
  const text = await readFile(listPath(code, list), "latin1").catch(() => "");
  const entries = text.split("\n").flatMap((line) => (line === "" ? [] : [Number.parseInt(line, 16)]));
  return entries.filter(Number.isSafeInteger).slice(0, ENTRIES_LIMIT);
}

/** Replaces a list. Who does so at the same moment may be forgotten: nothing but time depends on it. */
export async function keepCode(code: ExecutedCode, list: ListName, entries: Iterable<number>): Promise<void> {
  const path = listPath(code, list);
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  const sorted = [...entries].sort((a, b) => a - b).slice(0, ENTRIES_LIMIT);
  await writeFile(part, sorted.map((pc) => `${pc.toString(16)}\n`).join(""));
  await rename(part, path);
}

/** Adds what a run has executed. */
export async function rememberCode(list: ExecutedList): Promise<void> {
  for (const code of list.codes()) {
    const before = await rememberedCode(code, "executed");
    const all = new Set([...before, ...list.entriesOf(code)]);
    if (all.size > before.length) await keepCode(code, "executed", all);
  }
}
