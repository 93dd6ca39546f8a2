// What programs have mapped as code in earlier runs: libraries that they load by name, programs that they start. Kept in the
// cache by the program's content, so that the next run finds them translated. Paths are those inside the root directory.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { VARIANTS, type Variant } from "../abi/index.ts";
import { cacheDirectory, rememberEntries, sha256OfFile } from "../host/index.ts";

const FILES_LIMIT = 2000;

async function listOf(program: string): Promise<string> {
  return join(cacheDirectory(), "exec-modules", await sha256OfFile(program));
}

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

async function seenLines(program: string): Promise<string[]> {
  return lines(await readFile(await listOf(program), "utf8").catch(() => ""));
}

/** Files that earlier runs of a program (a file of this machine) have mapped. */
export async function seenFiles(program: string): Promise<string[]> {
  return (await seenLines(program)).filter((line) => line.startsWith("/"));
}

/** Variants of code that they have asked for; every program starts with the plain one. */
export async function seenVariants(program: string): Promise<Variant[]> {
  const seen = await seenLines(program);
  return VARIANTS.filter((variant) => variant === "plain" || seen.includes(`variant ${variant}`));
}

/** Lines that are no news about which files a program maps. */
const ENTRY_LINE = /^(?:missed|executed(?:-\w+)?) /;

/** The entries that translations lacked, by code key, out of a run's log. */
export function missedEntries(log: string): Map<string, Set<number>> {
  const byKey = new Map<string, Set<number>>();
  for (const [, key, address] of log.matchAll(/^missed ([0-9a-f]{32}) ([0-9a-f]{1,12})$/gm)) {
    const entries = byKey.get(key!) ?? new Set();
    byKey.set(key!, entries.add(Number.parseInt(address!, 16)));
  }
  return byKey;
}

/**
 * Adds what a run has logged. `isPart` tells of which files (by code key) the run had a part only: what they lack is no
 * fault of discovery.
 */
export async function rememberFiles(
  program: string,
  log: string,
  isPart: (key: string) => boolean = () => false,
): Promise<void> {
  const before = await seenLines(program);
  const text = await readFile(log, "utf8").catch(() => "");
  for (const [key, entries] of missedEntries(text)) if (!isPart(key)) await rememberEntries(key, [...entries]);
  const paths = lines(text).filter((line) => !ENTRY_LINE.test(line));
  const all = [...new Set([...before, ...paths])].slice(0, FILES_LIMIT);
  if (all.length === before.length) return;
  const list = await listOf(program);
  await mkdir(dirname(list), { recursive: true });
  await writeFile(list, all.map((path) => `${path}\n`).join(""));
}
