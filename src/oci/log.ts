// How an OCI runtime reports a failure: the engine reads the last error from the file of --log (JSON lines or text) and
// the first line of stderr. Standard streams belong to the container during restore and are never touched through
// Node's streams, which would set them non-blocking for the container too.

import { appendFileSync, writeSync } from "node:fs";
import { HostError, InputError } from "../base/index.ts";
import type { RuncArguments } from "./arguments.ts";

/** One line that says what failed and what to do. */
export function oneLine(error: unknown): string {
  if (error instanceof InputError) {
    const place = error.place ? ` (at ${error.place})` : "";
    return `[${error.code}] ${error.message}${place}${error.advice ? `; ${error.advice}` : ""}`;
  }
  if (error instanceof HostError) {
    const log = error.log.trim().replaceAll("\n", " | ");
    return `[${error.code}] ${error.message}${log && !error.message.includes(log) ? `: ${log}` : ""}`;
  }
  return error instanceof Error ? (error.stack ?? error.message).replaceAll("\n", " | ") : String(error);
}

/** Reports the failure to stderr and to the file that the engine reads. */
export function reportFailure(args: RuncArguments, error: unknown): void {
  const message = `hcontainer-runtime: ${oneLine(error)}`;
  writeSync(2, `${message}\n`);
  const file = args.global("log");
  if (file === undefined || file === "") return;
  const time = new Date().toISOString();
  const entry =
    args.global("log-format") === "json"
      ? JSON.stringify({ level: "error", msg: message, time })
      : `time="${time}" level=error msg=${JSON.stringify(message)}`;
  appendFileSync(file, `${entry}\n`);
}
