// Entry points that discovery missed and runs have asked for, remembered by the code key of their file, in hexadecimal, one
// a line. They come from containers, which may lie: the lists are bounded, and discovery takes an address only if the bytes
// there decode like code. An entry more than needed costs size, never correctness.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./cache.ts";

/** Entries kept for one file. */
const ENTRIES_LIMIT = 4096;
/** Files that have a list. */
const FILES_LIMIT = 5000;
const ADDRESS_LIMIT = 0x8000_0000_0000;
const LINE = /^(?:0x)?([0-9a-f]{1,12})$/;

/** The addresses in a list's text; what is no address is passed over. */
export function parseEntries(text: string): number[] {
  const entries = new Set<number>();
  for (const line of text.slice(0, ENTRIES_LIMIT * 20).split("\n")) {
    const digits = LINE.exec(line.trim().toLowerCase())?.[1];
    if (digits === undefined) continue;
    const pc = Number.parseInt(digits, 16);
    if (pc < ADDRESS_LIMIT && entries.size < ENTRIES_LIMIT) entries.add(pc);
  }
  return [...entries].sort((a, b) => a - b);
}

/** Where the lists of this machine are. */
export function entriesDirectory(): string {
  return join(cacheDirectory(), "entries");
}

/** The entries remembered for a file, by the name of its code key; none if there is no list. */
export async function readEntries(keyName: string, directory = entriesDirectory()): Promise<number[]> {
  return parseEntries(await readFile(join(directory, keyName), "utf8").catch(() => ""));
}

/** Adds entries to a file's list. Who adds at the same moment may be forgotten: it will be missed and told again. */
export async function rememberEntries(
  keyName: string,
  entries: readonly number[],
  directory = entriesDirectory(),
): Promise<void> {
  if (!/^[0-9a-f]{32}$/.test(keyName)) return;
  const before = await readEntries(keyName, directory);
  if (before.length === 0 && (await readdir(directory).catch(() => [])).length >= FILES_LIMIT) return;
  const text = [...before, ...entries].map((pc) => pc.toString(16)).join("\n");
  const all = parseEntries(text);
  if (all.length === before.length) return;
  await mkdir(directory, { recursive: true });
  const part = join(directory, `${keyName}.${process.pid}.part`);
  try {
    await writeFile(part, all.map((pc) => `${pc.toString(16)}\n`).join(""));
    await rename(part, join(directory, keyName));
  } finally {
    await rm(part, { force: true });
  }
}
