// CRIU on this machine. Debian bookworm's is too old for recent kernels, so unless HCONTAINER_CRIU names one, Debian
// trixie's package is unpacked into the cache and run through its own loader and libraries: nothing is installed.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HostError } from "../base/index.ts";
import { cached } from "./cache.ts";
import { lastLines, run, runChecked } from "./process.ts";

const RELEASE = "trixie";
const TIMEOUT_MS = 120_000;
const LOG_LINES = 20;

/** Directory with Debian trixie's criu and all that it needs, unpacked once. */
export function unpackedCriu(): Promise<string> {
  return cached(`criu ${RELEASE} ${process.arch}`, "-criu", async (directory) => {
    await runChecked("mmdebstrap", ["--variant=extract", "--include=criu", RELEASE, directory], { timeoutMs: 600_000 });
    // A program that is found through PATH, for engines that call `criu` themselves.
    const loader = `$d/usr/lib64/ld-linux-x86-64.so.2`;
    const script = `#!/bin/sh
d=$(cd "$(dirname "$0")/.." && pwd)
exec "${loader}" --library-path "$d/usr/lib/x86_64-linux-gnu" "$d/usr/sbin/criu" "$@"
`;
    await mkdir(join(directory, "path"), { recursive: true });
    await writeFile(join(directory, "path/criu"), script, { mode: 0o755 });
  });
}

/** Path of a criu program that runs on this machine. */
export async function criuProgram(): Promise<string> {
  return process.env["HCONTAINER_CRIU"] || join(await unpackedCriu(), "path/criu");
}

export interface CriuOptions {
  /** Further options, such as `--tcp-established`. */
  readonly options?: readonly string[];
  /** Words before criu, such as `["nsenter", "--net=/run/x"]`. */
  readonly prefix?: readonly string[];
}

async function criu(verb: string, directory: string, args: readonly string[], options: CriuOptions): Promise<void> {
  const log = `${verb}.log`;
  const words = [
    ...(options.prefix ?? []),
    await criuProgram(),
    ...[verb, "--images-dir", directory, "--log-file", log, "-v2"],
    ...args,
    ...(options.options ?? []),
  ];
  const result = await run(words[0]!, words.slice(1), { timeoutMs: TIMEOUT_MS });
  if (result.status === 0) return;
  const text = await readFile(join(directory, log), "utf8").catch(() => result.stderr);
  throw new HostError(
    "criu-failed",
    `criu ${verb} of ${directory} ended with ${result.status}`,
    lastLines(text, LOG_LINES),
  );
}

/** Dumps the process tree of `pid` into `directory`, which is made. The processes end. */
export async function criuDump(pid: number, directory: string, options: CriuOptions = {}): Promise<void> {
  await mkdir(directory, { recursive: true });
  await criu("dump", directory, ["--tree", String(pid)], options);
}

/** Restores the set in `directory`; the processes run on by themselves. Gives the root's pid. */
export async function criuRestore(directory: string, options: CriuOptions = {}): Promise<number> {
  const pidFile = `${directory}/restored.pid`;
  await criu("restore", directory, ["--restore-detached", "--pidfile", pidFile], options);
  return Number(await readFile(pidFile, "utf8"));
}
