// What programs have mapped as code in earlier runs: libraries that they load by name, programs that they start. Kept in the
// cache by the program's content, so that the next run finds them translated. Paths are those inside the root directory.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { VARIANTS, type Variant } from "../abi/index.ts";
import { cacheDirectory, parseEntries, rememberEntries, sha256OfFile } from "../host/index.ts";

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

const MISSED = "missed ";

/** The entries that translations lacked, by code key, out of a run's log: lines of a code key and an address. */
export function missedEntries(log: string): Map<string, number[]> {
  const byKey = new Map<string, string>();
  for (const line of lines(log)) {
    const [, key, address] = /^missed ([0-9a-f]{32}) ([0-9a-f]+)$/.exec(line) ?? [];
    if (key !== undefined) byKey.set(key, `${byKey.get(key) ?? ""}${address}\n`);
  }
  return new Map([...byKey].map(([key, text]) => [key, parseEntries(text)]));
}

/** Adds what a run has logged. */
export async function rememberFiles(program: string, log: string): Promise<void> {
  const before = await seenLines(program);
  const text = await readFile(log, "utf8").catch(() => "");
  for (const [key, entries] of missedEntries(text)) await rememberEntries(key, entries);
  const paths = lines(text).filter((line) => !line.startsWith(MISSED));
  const all = [...new Set([...before, ...paths])].slice(0, FILES_LIMIT);
  if (all.length === before.length) return;
  const list = await listOf(program);
  await mkdir(dirname(list), { recursive: true });
  await writeFile(list, all.map((path) => `${path}\n`).join(""));
}
