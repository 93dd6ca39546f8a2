// CRIU on this machine. Debian stable's are too old for recent kernels, so unless HCONTAINER_CRIU names one, a newer
// release's package is unpacked into the cache and run through its own loader and libraries: nothing is installed.

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { HostError } from "../base/index.ts";
import { cached } from "./cache.ts";
import { lastLines, run, runChecked } from "./process.ts";

/**
 * What criu is to do under a node's engines, as its file for the OCI runtime has it (/etc/criu/runc.conf): the engines
 * hand it few options. Connections stay open over a checkpoint. Control groups are the engine's business: it puts a
 * restored container where it wants it, on whatever kind of tree.
 */
export const CRIU_SETTINGS = "tcp-established\nmanage-cgroups ignore\nghost-limit 16777216\nlink-remap\nfile-locks\n";

/** 4.1.1 and older cannot dump an internet socket on Linux 6.16 and newer. */
const RELEASE = "forky";
const ARCHITECTURES: Readonly<Record<string, readonly [name: string, loader: string, libraries: string]>> = {
  x64: ["amd64", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"],
  arm64: ["arm64", "usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"],
};
const TIMEOUT_MS = 120_000;
const DOWNLOAD_TIMEOUT_MS = 900_000;
const LOG_LINES = 20;

/** The words by which criu is called on this machine. */
export async function criuWords(): Promise<string[]> {
  const own = process.env["HCONTAINER_CRIU"];
  if (own) return [own];
  const [architecture, loader, libraries] = ARCHITECTURES[process.arch]!;
  const root = await cached(`criu ${RELEASE} ${architecture} 1`, `-criu-${architecture}`, async (directory) => {
    const options = ["--variant=extract", "--include=criu", `--architectures=${architecture}`];
    // A testing release's index is only valid for a week, and a mirror may lag behind that.
    const apt = ['--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"'];
    await runChecked("mmdebstrap", [...options, ...apt, RELEASE, directory], { timeoutMs: DOWNLOAD_TIMEOUT_MS });
  });
  return [join(root, loader), "--library-path", join(root, libraries), join(root, "usr/sbin/criu")];
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
    ...(await criuWords()),
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
