// `checkpoint` of a container that runs translated code: every thread is parked, the network silenced, the wrapped
// runtime dumps and leaves the container as it is, the dump is recoded to home form in the directory that the engine
// wants, and only when that is whole do the processes end (or go on, with --leave-running). Whatever fails before, the
// container goes on.

import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { HostError, InputError } from "../base/index.ts";
import {
  DirectoryImages,
  drainConnections,
  holdConnections,
  localShell,
  rememberEntries,
  runChecked,
  writeChanged,
} from "../host/index.ts";
import { RuncArguments } from "./arguments.ts";
import { hasNodeMount, readBundle } from "./bundle.ts";
import { emptyControlGroups } from "./control-groups.ts";
import { readKept } from "./kept.ts";
import { replaceMounts } from "./kernel-mounts.ts";
import { lockNetwork } from "./network-lock.ts";
import { missedDirectory, quiesceTimeoutMs, wrappedRuntime } from "./node.ts";
import { processState, readMissed } from "./processes.ts";
import { quiesce, resume } from "./quiesce.ts";
import { recodeToHome } from "./recoder.ts";
import { containerState, runWrapped } from "./wrapped.ts";

const END_TIMEOUT_MS = 20_000;

/** Moves the files of a finished set into the directory that the engine made. */
function moveInto(from: string, to: string, names: readonly string[]): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const name of names) renameSync(join(from, name), join(to, name));
}

/** Keeps the entries that the processes' translations lacked where whoever translates next asks for them. */
async function rememberMissed(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    for (const [key, entries] of readMissed(pid)) {
      // A hint that is lost (the disk is full, say) is no reason to fail.
      await rememberEntries(key, entries, missedDirectory()).catch(() => undefined);
    }
  }
}

async function endProcesses(args: RuncArguments, id: string, initPid: number): Promise<void> {
  await runChecked(wrappedRuntime(), args.withVerb("kill", id, "KILL"), { timeoutMs: END_TIMEOUT_MS });
  const deadline = performance.now() + END_TIMEOUT_MS;
  while (!["", "Z", "X"].includes(processState(initPid))) {
    if (performance.now() > deadline) throw new HostError("container-not-ended", `process ${initPid} does not end`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

function refuseUnsupported(args: RuncArguments, imagePath: string): void {
  for (const name of ["pre-dump", "lazy-pages", "parent-path", "page-server"]) {
    if (args.option(name) === undefined && !args.has(name)) continue;
    throw new InputError(
      "checkpoint-option-unsupported",
      `--${name} is not supported for a container that runs translated code`,
      imagePath,
      "leave the option out",
    );
  }
}

/** Dumps the parked container and puts its home form into `imagePath`. */
function dumpHome(args: RuncArguments, bundle: string, imagePath: string): number {
  const dump = `${imagePath}.translated-${process.pid}`;
  const home = `${imagePath}.home-${process.pid}`;
  try {
    mkdirSync(dump, { recursive: true, mode: 0o700 });
    const leaving = new RuncArguments(args.withSwitch("leave-running"));
    const status = runWrapped(leaving.withOption("image-path", dump));
    if (status !== 0) {
      const log = join(dump, "dump.log");
      if (existsSync(log)) moveInto(dump, imagePath, ["dump.log"]);
      return status;
    }
    const images = new DirectoryImages(dump);
    try {
      const changes = emptyControlGroups(images, recodeToHome(images));
      writeChanged(images, replaceMounts(images, changes, readKept(bundle)), home);
    } finally {
      images.close();
    }
    const written = new DirectoryImages(home);
    moveInto(home, imagePath, written.names);
    return 0;
  } finally {
    rmSync(dump, { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true });
  }
}

/** Runs `checkpoint`; answers the exit status. */
export async function checkpoint(args: RuncArguments): Promise<number> {
  const id = args.operands[0] ?? "";
  const { pid, bundle, status: found } = await containerState(args, id);
  if (!hasNodeMount(readBundle(bundle))) return runWrapped(args.words);
  const imagePath = resolve(args.option("image-path") ?? "checkpoint");
  refuseUnsupported(args, imagePath);
  const goesOn = args.has("leave-running");
  // containerd pauses a container before it asks for a checkpoint and resumes it later: it must run to reach
  // safepoints, and be found paused again unless it has ended.
  const setPaused = (verb: "pause" | "resume"): Promise<unknown> =>
    found === "paused"
      ? runChecked(wrappedRuntime(), args.withVerb(verb, id), { timeoutMs: END_TIMEOUT_MS })
      : Promise.resolve();
  const here = localShell("this node");
  let admit = async (): Promise<void> => undefined;
  let unlock = async (): Promise<void> => undefined;
  let ended = false;
  await setPaused("resume");
  try {
    admit = await holdConnections(here, pid);
    await rememberMissed(await quiesce(pid, quiesceTimeoutMs()));
    await drainConnections(here, pid);
    unlock = await lockNetwork(pid);
    const status = dumpHome(args, bundle, imagePath);
    if (status !== 0 || goesOn) return status;
    await endProcesses(args, id, pid);
    ended = true;
    return 0;
  } finally {
    if (!ended) {
      await unlock();
      await admit();
      await resume(pid);
      await setPaused("pause");
    }
  }
}
