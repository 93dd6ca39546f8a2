// The freeze: the container's processes end and their state is on the source's disk. What can go wrong here is worst, as
// an engine that has begun a dump goes on with it whether or not anybody still listens, and the container ends with it. So
// a request to freeze is never given up while its outcome is open, and who comes later asks for the outcome first.

import { HostError } from "../base/index.ts";
import { drainConnections, holdConnections, jsonAt } from "../host/index.ts";
import { type Container, checkpointDirectory } from "./container.ts";
import { stateOf, withCriuLog } from "./engine.ts";
import type { MigrationNode } from "./node.ts";

const POLL_MS = 250;
const OUTCOME_TIMEOUT_MS = 900_000;
/** After so long without a dump's processes, a directory of a dump is what an engine left that died. */
const ABANDONED_MS = 15_000;
/** The engine unpacks a dump after the container has ended. */
const UNPACK_TIMEOUT_MS = 120_000;

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Brings the container's connections into a state that can be dumped: no new ones, then none that only the kernel has. */
async function standStill(source: MigrationNode, container: Container): Promise<() => Promise<void>> {
  const admit = await holdConnections(source.shell, container.initPid);
  const release = async (): Promise<void> => {
    await source.docker.request("POST", `/containers/${container.id}/unpause`);
    await admit();
  };
  try {
    // The engine pauses a container for a checkpoint anyhow; paused a moment earlier, it closes nothing meanwhile.
    await source.docker.call("POST", `/containers/${container.id}/pause`);
    await drainConnections(source.shell, container.initPid);
  } catch (error) {
    await release();
    throw error;
  }
  return release;
}

async function dump(source: MigrationNode, container: Container, name: string): Promise<void> {
  try {
    await source.docker.call("POST", `/containers/${container.id}/checkpoints`, {
      body: { CheckpointID: name, Exit: true },
      timeoutMs: Number.POSITIVE_INFINITY,
    });
  } catch (error) {
    throw await withCriuLog(source, error);
  }
  // The engine answers when the dump is written; its bookkeeping of the exit follows.
  for (let tries = 0; tries < 2000; tries++) {
    const now = await source.docker.call("GET", `/containers/${container.id}/json`);
    if (jsonAt(now, "State", "Running") === false) return;
    await sleep(25);
  }
  throw new HostError("freeze-incomplete", `the engine of ${source.name} says the container still runs after its dump`);
}

/**
 * Freezes the container into its checkpoint `name`. A dump that takes longer than `timeoutMs` is waited for nevertheless;
 * then a HostError `freeze-timeout` says so, and the container can be resumed from the checkpoint.
 */
export async function freeze(
  source: MigrationNode,
  container: Container,
  name: string,
  timeoutMs: number,
): Promise<void> {
  const start = performance.now();
  // A foreign node's OCI runtime does it itself, where it knows best when.
  const isHome = source.architecture === container.home;
  const release = isHome ? await standStill(source, container) : undefined;
  try {
    await dump(source, container, name);
  } catch (error) {
    await release?.();
    throw error;
  }
  const tookMs = performance.now() - start;
  if (tookMs > timeoutMs)
    throw new HostError("freeze-timeout", `the freeze took ${Math.round(tookMs)} ms, allowed are ${timeoutMs} ms`);
}

// Whether a process of the node dumps the container: one whose arguments name both. The brackets keep the script from
// finding itself.
const DUMP_RUNS = 'grep -las -- "$1" /proc/[0-9]*/cmdline | xargs -r grep -las "[c]heckpoint"';
const SIZE = 'test -f "$1/inventory.img" && du -s -b -- "$1"';

/** What a freeze that may still be under way came to. Throws a HostError when it stays open or nothing is left. */
export async function outcomeOfFreeze(
  source: MigrationNode,
  containerId: string,
  checkpoint: string,
): Promise<"running" | "dumped"> {
  const directory = checkpointDirectory(source, containerId, checkpoint);
  const begin = performance.now();
  let [idleSince, endedSince] = [begin, 0];
  let size = "";
  while (performance.now() - begin < OUTCOME_TIMEOUT_MS) {
    const { isRunning } = await stateOf(source, containerId);
    const isThere = (await source.shell.run("test", ["-d", directory])).status === 0;
    if (isRunning) {
      if (!isThere) return "running";
      const dumping = await source.shell.run("sh", ["-c", DUMP_RUNS, "sh", containerId]);
      if (dumping.stdout.trim() !== "") idleSince = performance.now();
      else if (performance.now() - idleSince > ABANDONED_MS) return "running";
    } else {
      endedSince ||= performance.now();
      const now = (await source.shell.run("sh", ["-c", SIZE, "sh", directory])).stdout.trim();
      if (now !== "" && now === size) return "dumped";
      if (!isThere || (now === "" && performance.now() - endedSince > UNPACK_TIMEOUT_MS)) break;
      size = now;
    }
    await sleep(POLL_MS);
  }
  const what = endedSince > 0 ? "has ended and there is no checkpoint of it" : "is still being dumped";
  throw new HostError("source-stopped", `container ${containerId.slice(0, 12)} on ${source.name} ${what}`);
}
