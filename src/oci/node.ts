// This node as the OCI runtime sees it: where runtime and translations lie, the wrapped runtime, and time limits. Set by
// the environment of the engine; the defaults are those of an installed package.

import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { MISSED_DIRECTORY, RUNTIME_FILE } from "../abi/index.ts";
import { HostError } from "../base/index.ts";

const packageRoot = resolve(import.meta.dirname, "../..");

/** The wrapped OCI runtime. */
export function wrappedRuntime(): string {
  return process.env["HCONTAINER_RUNC"] || "runc";
}

/** The directory that containers see as NODE_MOUNT: the runtime and `translations/`. */
export function nodeDirectory(): string {
  const directory = process.env["HCONTAINER_NODE_DIRECTORY"] || join(packageRoot, "node");
  if (!existsSync(join(directory, RUNTIME_FILE)))
    throw new HostError("runtime-missing", `this node has no runtime for translated programs at ${directory}`);
  // The directory itself, not the link to it, which another version may take over while containers run.
  return realpathSync(directory);
}

/** Where entries are kept that translations lacked: beside the node's directory, which containers see. */
export function missedDirectory(): string {
  return join(nodeDirectory(), "..", MISSED_DIRECTORY);
}

/** How long threads may take to reach a safepoint. */
export function quiesceTimeoutMs(): number {
  const own = Number(process.env["HCONTAINER_QUIESCE_TIMEOUT_MS"]);
  return Number.isFinite(own) && own > 0 ? own : 20_000;
}
