// Brings every process of a container to a safepoint, so that what a dump finds is canonical (ARCHITECTURE.md,
// "Safepoints"). Bounded in time; on failure everything goes on as before.

import { join } from "node:path";
import { PARK_STOPPED, QUIESCE_SIGNAL, RUNTIME_FILE } from "../abi/index.ts";
import { HostError } from "../base/index.ts";
import { run } from "../host/index.ts";
import { nodeDirectory } from "./node.ts";
import {
  clearQuiesce,
  describeProcess,
  hasPending,
  processesOf,
  processState,
  readParkState,
  threadCount,
} from "./processes.ts";

const RESEND_MS = 100;
const POLL_MS = 2;
const RESUME_TIMEOUT_MS = 5_000;
/** The runtime's tool leaves the threads that it has traced one by one, for 10 seconds at most. */
const LEAVE_TIMEOUT_MS = 15_000;

/** Why a process is not parked yet; undefined when it is. */
function obstacle(pid: number): string | undefined {
  const state = readParkState(pid);
  if (state === undefined) return "runs no translated code";
  if (state.quiesce === 0) return "has not taken the signal";
  const tasks = threadCount(pid);
  if (state.parked !== state.threads) return `${state.parked} of ${state.threads} threads are parked`;
  if (tasks !== state.threads) return `the kernel counts ${tasks} threads, the runtime ${state.threads}`;
  return undefined;
}

function sendSignal(pid: number): void {
  try {
    process.kill(pid, QUIESCE_SIGNAL);
  } catch {
    // It has ended.
  }
}

/** A process that a signal has stopped cannot take the request by itself: lets it park, and stays until it has. */
async function parkStopped(pid: number, deadline: number): Promise<void> {
  if (processState(pid) !== "T") return;
  const patience = Math.max(1, Math.round(deadline - performance.now()));
  const words = [PARK_STOPPED, String(pid), String(patience)];
  await run(join(nodeDirectory(), RUNTIME_FILE), words, { timeoutMs: patience + LEAVE_TIMEOUT_MS });
}

/**
 * Lets the container's processes go on. A request that a process has not taken yet would park it later: those are waited
 * for, as far as the container runs at all.
 */
export async function resume(initPid: number): Promise<void> {
  const deadline = performance.now() + RESUME_TIMEOUT_MS;
  for (;;) {
    const pids = processesOf(initPid);
    const late = pids.filter((pid) => hasPending(pid, QUIESCE_SIGNAL));
    for (const pid of late) await parkStopped(pid, deadline);
    for (const pid of pids) clearQuiesce(pid);
    if (late.length === 0 || performance.now() > deadline) return;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** Parks all threads of the container and answers its processes; throws, with everything running again, if it cannot. */
export async function quiesce(initPid: number, timeoutMs: number): Promise<number[]> {
  const deadline = performance.now() + timeoutMs;
  const signalledAt = new Map<number, number>();
  let before = "";
  for (;;) {
    const pids = processesOf(initPid);
    const waiting: string[] = [];
    for (const pid of pids) {
      const reason = obstacle(pid);
      if (reason === undefined) continue;
      // Who ends meanwhile is not waited for.
      if (threadCount(pid) > 0) waiting.push(`${describeProcess(pid)}: ${reason}`);
      // An execve forgets the request, so it is repeated until it is seen.
      const last = signalledAt.get(pid);
      const seen = readParkState(pid)?.quiesce === 1;
      if (!seen && (last === undefined || performance.now() - last > RESEND_MS)) {
        sendSignal(pid);
        signalledAt.set(pid, performance.now());
      }
      await parkStopped(pid, deadline);
    }
    // A fork may have happened between the scan and the parking: a second scan must find the same processes.
    const now = pids.join(" ");
    if (waiting.length === 0 && pids.length > 0 && now === before) return pids;
    before = waiting.length === 0 ? now : "";
    if (performance.now() > deadline) {
      await resume(initPid);
      throw new HostError(
        "quiesce-timeout",
        `the container's threads did not reach a safepoint in ${timeoutMs} ms`,
        waiting.join("\n"),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
