// What programs have mapped as code in earlier runs: libraries that they load by name, programs that they start. Kept in the
// cache by the program's content, so that the next run finds them translated. Paths are those inside the root directory.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cacheDirectory, sha256OfFile } from "../host/index.ts";

const FILES_LIMIT = 2000;

async function listOf(program: string): Promise<string> {
  return join(cacheDirectory(), "exec-modules", await sha256OfFile(program));
}

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** Files that earlier runs of a program (a file of this machine) have mapped. */
export async function seenFiles(program: string): Promise<string[]> {
  const text = await readFile(await listOf(program), "utf8").catch(() => "");
  return lines(text);
}

/** Adds what a run has logged. */
export async function rememberFiles(program: string, log: string): Promise<void> {
  const before = await seenFiles(program);
  const paths = lines(await readFile(log, "utf8").catch(() => ""));
  const all = [...new Set([...before, ...paths])].slice(0, FILES_LIMIT);
  if (all.length === before.length) return;
  const list = await listOf(program);
  await mkdir(dirname(list), { recursive: true });
  await writeFile(list, all.map((path) => `${path}\n`).join(""));
}
