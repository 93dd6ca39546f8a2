// The programs that are moved (test/programs/moves), their root file system, and what they must have printed.

import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cached, runChecked } from "../../src/host/index.ts";
import type { World } from "./world.ts";

const SOURCES = join(import.meta.dirname, "../programs/moves");
const MOVES = ["main.c", "compute.c", "signals.c", "waits.c", "processes.c", "filters.c"];
const BELONGINGS = ["belongings.c", "belongings-files.c", "belongings-sockets.c", "belongings-process.c"];
const FLAGS = ["-O2", "-static", "-pthread"];

/** The programs of `moves`, in the order of its table. */
export const PROGRAMS: readonly string[] = [
  ...["integers", "vectors", "masks", "strings", "x87", "mmx"],
  ...["sleep", "poll", "pipes", "sockets", "futex", "ipc", "locks", "clock"],
  ...["handlers", "queued", "nested", "jumps", "faults", "timers"],
  ...["forks", "vforks", "execs", "filters", "threads", "conditions", "short-threads", "epoll-threads", "crowds"],
];

/** A static executable of C sources, from the cache: translations are found by what is in it. */
async function compiled(sources: readonly string[]): Promise<string> {
  const paths = sources.map((name) => join(SOURCES, name));
  const { stdout: version } = await runChecked("gcc", ["--version"]);
  const contents = [...paths, join(SOURCES, "moves.h"), join(SOURCES, "belongings.h")].map((path) =>
    readFileSync(path, "utf8"),
  );
  return cached(["moves program", version, ...FLAGS, ...contents].join("\n"), "", async (output) => {
    // Messages name the source files: not where they lay.
    const map = `-fmacro-prefix-map=${SOURCES}/=`;
    await runChecked("gcc", [...FLAGS, map, "-w", "-o", output, ...paths, "-lm"]);
  });
}

/** Fills a root with /init, /belongings and busybox. */
export async function fillBelongings(root: string): Promise<void> {
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  copyFileSync(await compiled(["init.c"]), join(root, "init"));
  copyFileSync(await compiled(BELONGINGS), join(root, "belongings"));
}

/** The names of all belongings. */
export async function belongings(): Promise<string[]> {
  return (await runChecked(await compiled(BELONGINGS), [])).stdout.trim().split("\n");
}

/** Fills a root with /init, /moves and busybox. */
export async function fillRoot(root: string): Promise<void> {
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  copyFileSync(await compiled(["init.c"]), join(root, "init"));
  copyFileSync(await compiled(MOVES), join(root, "moves"));
}

/** The jobs that run each of `names`. */
export function jobsOf(names: readonly string[]): [string, ...string[]][] {
  return names.map((name) => [name, "/moves", name]);
}

/** Ends the programs and gives what is wrong with what they printed: a line each, none if all is well. */
export async function faultsOf(world: World, names: readonly string[]): Promise<string[]> {
  return (await Promise.all(names.map((name) => faultsOfProgram(world, name)))).flat();
}

async function faultsOfProgram(world: World, name: string): Promise<string[]> {
  const faults: string[] = [];
  const status = (await world.text(`/w/${name}.status`)).trim();
  const printed = (await world.text(`/w/${name}.out`)).split("\n");
  if (printed.at(-1) !== "") faults.push(`${name}: its last line has no end`);
  printed.pop();
  if (status !== "0")
    faults.push(`${name}: ${status === "" ? "does not end" : `ended with ${status}`}: ${printed.at(-1)}`);
  if (printed.length === 0) faults.push(`${name}: has done nothing`);
  const reference = await runChecked(world.path("lower/moves"), [name, String(printed.length)], {
    timeoutMs: 300_000,
  });
  const expected = reference.stdout.split("\n");
  const at = printed.findIndex((line, index) => line !== expected[index]);
  if (at >= 0)
    faults.push(`${name}: line ${at} is ${JSON.stringify(printed[at])}, not ${JSON.stringify(expected[at])}`);
  return faults;
}

/** Asks the programs to stop and waits until they have, for a bounded time. */
export async function stop(world: World, names: readonly string[], timeoutMs = 30_000): Promise<void> {
  await world.write("/w/stop", "");
  const end = performance.now() + timeoutMs;
  for (const name of names) {
    while ((await world.text(`/w/${name}.status`)) === "" && performance.now() < end)
      await new Promise((done) => setTimeout(done, 50));
  }
}
