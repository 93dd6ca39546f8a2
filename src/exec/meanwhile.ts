// Translates what a program executes while it runs: the runtime logs from where it interprets often, a process beside it
// (meanwhile-main.ts) translates that file by file, and offers it in the program's directory of translations, where the
// runtime finds it. So a large program starts at once, and what it does often is soon translated.

import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { codeCacheDirectory } from "../host/index.ts";
import { executedList, rememberCode } from "./executed.ts";
import type { KnownTranslations } from "./known.ts";
import { makeNodeDirectory } from "./node-directory.ts";
import { rememberFiles } from "./seen.ts";

/** An entry is worth a translation when it has been interpreted so often. */
const HOT_TIMES = 12;
const TIDY_MS = 500;

/** What the process beside the program is told. */
export interface MeanwhileJob {
  /** The program's root directory, "/" for this machine's own. */
  readonly root: string;
  /** The log of its runtime. */
  readonly log: string;
  /** Where its node's directory is made. */
  readonly directory: string;
  /** Paths in the root that need no line in the log to be known. */
  readonly files: readonly string[];
  /** Parts of paths of files that stay interpreted. */
  readonly without: readonly string[];
  /** What has its translation already. */
  readonly known: KnownTranslations;
  readonly isVerbose: boolean;
}

/** Starts the process beside; gives what ends it. */
function startBeside(job: MeanwhileJob): () => Promise<void> {
  const main = join(import.meta.dirname, "meanwhile-main.ts");
  // A group of its own, for the tools that it runs. It ends by itself when its input does, so never outlives us for long.
  const child: ChildProcess = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main], {
    stdio: ["pipe", "ignore", job.isVerbose ? "inherit" : "ignore"],
    env: { ...process.env, NODE_COMPILE_CACHE: codeCacheDirectory() },
    detached: true,
  });
  const ended = new Promise<void>((done) => {
    child.on("close", () => done());
    child.on("error", () => done());
  });
  // It may end before it has read what it is told; then the program is interpreted.
  child.stdin!.on("error", () => undefined).write(`${JSON.stringify(job)}\n`);
  return async () => {
    // First it may tidy up what its tools have begun; it does not see the signal while it analyses a file.
    const isOver = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    if (isOver()) return;
    process.kill(-child.pid!, "SIGTERM");
    await Promise.race([ended, setTimeout(TIDY_MS, undefined, { ref: false })]);
    if (!isOver()) process.kill(-child.pid!, "SIGKILL");
    await ended;
  };
}

/** A run whose code is translated meanwhile. */
export interface MeanwhileRun {
  /** What its runtime is told. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends the work, and remembers what the run has executed, and for `program`, if given, what it has mapped. */
  end(program?: string): Promise<void>;
}

/** Makes the directory of a run, and begins to translate for it; `log` is there and empty. */
export async function beginMeanwhile(job: MeanwhileJob): Promise<MeanwhileRun> {
  await makeNodeDirectory(job.directory, job.known.offered);
  const stop = startBeside(job);
  const whole = new Set(job.known.whole.map(({ key }) => key));
  return {
    env: { HCONTAINER_LOG_EXECUTED: String(HOT_TIMES) },
    end: async (program) => {
      await stop();
      if (program !== undefined) await rememberFiles(program, job.log, (key) => !whole.has(key));
      await rememberCode(executedList(await readFile(job.log, "latin1")));
    },
  };
}
