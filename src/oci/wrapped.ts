// Calls of the wrapped runtime. Its standard streams are ours, inherited as they are: what runc restores takes them over
// as the container's own.

import { spawnSync } from "node:child_process";
import { HostError } from "../base/index.ts";
import { runChecked } from "../host/index.ts";
import type { RuncArguments } from "./arguments.ts";
import { wrappedRuntime } from "./node.ts";

/** Runs the wrapped runtime with our standard streams and answers its exit status. */
export function runWrapped(words: readonly string[], preservedFds = 0): number {
  // Descriptors that a caller asked to hand on (--preserve-fds, --status-fd) keep their numbers.
  const streams = Array.from({ length: 3 + preservedFds }, (_, fd) => fd);
  const result = spawnSync(wrappedRuntime(), words, { stdio: streams });
  if (result.error)
    throw new HostError(
      "runc-not-started",
      `cannot start ${wrappedRuntime()}: ${result.error.message}`,
      "",
      result.error,
    );
  return result.status ?? 128 + 9;
}

export interface ContainerState {
  readonly pid: number;
  readonly bundle: string;
  readonly status: string;
}

/** What the wrapped runtime knows of a container. */
export async function containerState(args: RuncArguments, id: string): Promise<ContainerState> {
  const { stdout } = await runChecked(wrappedRuntime(), args.withVerb("state", id), { timeoutMs: 60_000 });
  const state: unknown = JSON.parse(stdout);
  if (typeof state === "object" && state !== null && "pid" in state && "bundle" in state && "status" in state) {
    const { pid, bundle, status } = state;
    if (typeof pid === "number" && typeof bundle === "string") return { pid, bundle, status: String(status) };
  }
  throw new HostError("runc-state", `${wrappedRuntime()} state ${id} answers something unexpected`, stdout);
}
