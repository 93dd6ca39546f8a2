// How an OCI runtime reports a failure: the engine reads the last error from the file of --log (JSON lines or text) and
// the first line of stderr. Standard streams belong to the container during restore and are never touched through
// Node's streams, which would set them non-blocking for the container too.

import { appendFileSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
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

const CRIU_LINES = 6;

/** Adds what CRIU says went wrong to the file that the engine reads; runc itself names only its log's place. */
export function reportCriu(args: RuncArguments, directory: string, name: string): void {
  let text: string;
  try {
    text = readFileSync(join(directory, name), "utf8");
  } catch {
    return;
  }
  const lines = text.split("\n").filter((line) => line.includes("Error"));
  reportFailure(args, new HostError("criu-failed", "CRIU failed", lines.slice(-CRIU_LINES).join("\n")));
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
