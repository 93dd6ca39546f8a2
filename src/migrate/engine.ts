// What several steps of a migration ask an engine.

import { HostError } from "../base/index.ts";
import { jsonAt } from "../host/index.ts";
import type { MigrationNode } from "./node.ts";

/** How long an engine may take over what it does at once when it is well. */
export const CLEAN_TIMEOUT_MS = 60_000;

/** A container's state; one that is not there does not run. */
export async function stateOf(
  node: MigrationNode,
  id: string,
): Promise<{ isRunning: boolean; isPaused: boolean; pid: number }> {
  const { status, body } = await node.docker.request("GET", `/containers/${id}/json`, { timeoutMs: CLEAN_TIMEOUT_MS });
  const is = (key: string): boolean => status === 200 && jsonAt(body, "State", key) === true;
  return { isRunning: is("Running"), isPaused: is("Paused"), pid: Number(jsonAt(body, "State", "Pid") ?? 0) };
}

/** The error with what CRIU wrote into the log that the engine names, if that is still there. */
export async function withCriuLog(node: MigrationNode, error: unknown): Promise<unknown> {
  if (!(error instanceof HostError)) return error;
  const path = /(?:log file: |path= ?)(\/\S+\.log)/.exec(error.log)?.[1];
  if (path === undefined) return error;
  const { stdout } = await node.shell.run("sh", ["-c", 'grep -a Error "$1" | tail -n 8', "sh", path]);
  if (stdout.trim() === "") return error;
  return new HostError(error.code, error.message, `${error.log}\n${stdout}`, error.cause);
}
