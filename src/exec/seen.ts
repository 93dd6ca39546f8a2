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

/** Keeps the entries that translations lacked, for the next ones: lines of a code key and an address. */
async function rememberMissed(logged: readonly string[]): Promise<void> {
  const byKey = new Map<string, string>();
  for (const line of logged) {
    const [, key, address] = /^missed ([0-9a-f]{32}) ([0-9a-f]+)$/.exec(line) ?? [];
    if (key !== undefined) byKey.set(key, `${byKey.get(key) ?? ""}${address}\n`);
  }
  for (const [key, text] of byKey) await rememberEntries(key, parseEntries(text));
}

/** Adds what a run has logged. */
export async function rememberFiles(program: string, log: string): Promise<void> {
  const before = await seenLines(program);
  const logged = lines(await readFile(log, "utf8").catch(() => ""));
  await rememberMissed(logged);
  const paths = logged.filter((line) => !line.startsWith(MISSED));
  const all = [...new Set([...before, ...paths])].slice(0, FILES_LIMIT);
  if (all.length === before.length) return;
  const list = await listOf(program);
  await mkdir(dirname(list), { recursive: true });
  await writeFile(list, all.map((path) => `${path}\n`).join(""));
}
