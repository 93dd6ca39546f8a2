// Exit codes of `hcontainer`, the same for every verb. `hcontainer help exit-codes` prints this table.

import { HostError, InputError } from "../base/index.ts";
import { isUsageError } from "./arguments.ts";

export const EXIT_CODES = {
  ok: [0, "done"],
  failed: [1, "a command, a node or the machine failed; nothing of the container is lost"],
  usage: [2, "the command line is wrong"],
  refused: [3, "the input is bad or not supported (error code and advice say what)"],
  rolledBack: [4, "the migration failed and the container goes on at the source"],
  stranded: [5, "the migration failed and the source could not be resumed: 'hcontainer migrate --recover'"],
  notInstalled: [69, "dependencies are missing: run npm ci"],
  internal: [70, "a bug of hcontainer"],
  interrupted: [130, "interrupted by a signal"],
} as const;

export type ExitName = keyof typeof EXIT_CODES;

/** The number of an exit code. */
export function exitCode(name: ExitName): number {
  return EXIT_CODES[name][0];
}

/** The exit code that an error asks for. An error may carry its own as `exit`. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Error && "exit" in error && typeof error.exit === "string" && error.exit in EXIT_CODES)
    return exitCode(error.exit as ExitName);
  if (isUsageError(error)) return exitCode("usage");
  if (error instanceof InputError) return exitCode("refused");
  if (error instanceof HostError) return exitCode("failed");
  return exitCode("internal");
}

/** The table as text. */
export function printExitCodes(): string {
  return Object.values(EXIT_CODES)
    .map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)
    .join("\n");
}
