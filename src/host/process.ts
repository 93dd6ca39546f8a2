// Runs commands of the machine. Nothing goes through a shell: a command is a program and its arguments. Output is
// collected (a limit keeps a mad command from eating the memory) and, when asked, handed over line by line while the
// command runs. A failure carries what the user needs: the command, its status and the last lines that it printed.

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { HostError } from "../base/index.ts";

/** A program with its arguments and what its environment adds to ours. */
export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Whether a person sits before it, so that a node far away should give it a terminal. */
  readonly terminal?: boolean | undefined;
}

export interface RunOptions {
  /** What the command reads from its standard input; without it the input is empty. */
  readonly input?: string | Uint8Array | undefined;
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** The command is killed after this time and the run throws `timeout`. */
  readonly timeoutMs?: number | undefined;
  readonly onLine?: ((line: string, stream: "stdout" | "stderr") => void) | undefined;
}

export interface RunResult {
  /** Exit status; 128 + the signal's number when a signal ended the command. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it came, for commands that print bytes. */
  readonly bytes: Uint8Array;
}

const OUTPUT_LIMIT_BYTES = 1 << 28;
const LOG_LINES = 12;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGINT: 2,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** The last lines of a log, for an error message. */
export function lastLines(text: string, count = LOG_LINES): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** The command as a user would type it. */
export function describe(command: string, args: readonly string[]): string {
  return [command, ...args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg)))].join(" ");
}

/** Hands over a stream's lines; a last line without an end counts. */
function eachLine(stream: Readable, onLine: (line: string) => void): void {
  // Not setEncoding: whoever else reads the stream wants its bytes.
  const decoder = new StringDecoder("utf8");
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}

function statusOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0));
}

/** Resolves with the exit status when the process has ended and its streams are closed. */
function ended(child: ChildProcess, line: CommandLine): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (cause) =>
      reject(new HostError("command-not-started", `cannot start ${line.command}: ${cause.message}`, "", cause)),
    );
    child.on("close", (code, signal) => resolve(statusOf(code, signal)));
  });
}

/** Kills the command after its time; the returned function ends the watch and says whether it struck. */
function watch(child: ChildProcess, timeoutMs: number | undefined): () => boolean {
  if (timeoutMs === undefined) return () => false;
  let struck = false;
  const timer = setTimeout(() => {
    struck = true;
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 2000).unref();
  }, timeoutMs);
  return () => {
    clearTimeout(timer);
    return struck;
  };
}

/** Runs a command to its end and collects what it prints. Throws only when it cannot be started or runs out of time. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  let sizeBytes = 0;
  let tooMuch = false;
  const collect = (stream: Readable, chunks: Buffer[]): void => {
    stream.on("data", (bytes: Buffer) => {
      sizeBytes += bytes.length;
      if (sizeBytes <= OUTPUT_LIMIT_BYTES) chunks.push(bytes);
      else if (!tooMuch) {
        tooMuch = true;
        child.kill("SIGKILL");
      }
    });
  };
  const { onLine } = options;
  if (onLine !== undefined) {
    eachLine(child.stdout!, (line) => onLine(line, "stdout"));
    eachLine(child.stderr!, (line) => onLine(line, "stderr"));
  }
  collect(child.stdout!, output);
  collect(child.stderr!, errors);
  if (options.input !== undefined) {
    // A command may end without reading its input; that is its business.
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(options.input);
  }
  const stopWatch = watch(child, options.timeoutMs);
  let status: number;
  let timedOut: boolean;
  try {
    status = await ended(child, { command, args });
  } finally {
    timedOut = stopWatch();
  }
  const bytes = Buffer.concat(output);
  const stderr = Buffer.concat(errors).toString("utf8");
  if (timedOut)
    throw new HostError(
      "timeout",
      `no end after ${options.timeoutMs} ms: ${describe(command, args)}`,
      lastLines(stderr),
    );
  if (tooMuch) throw new HostError("too-much-output", `more than 256 MiB of output: ${describe(command, args)}`);
  return { status, stdout: bytes.toString("utf8"), stderr, bytes };
}

/** Status of a command that SIGKILL ended: the kernel's, when memory is short, or somebody's. */
const KILLED = 128 + SIGNAL_NUMBERS["SIGKILL"]!;

/** The error that a failed command becomes: `command-killed` when SIGKILL ended it, else `command-failed`. */
export function commandFailed(command: string, args: readonly string[], result: RunResult, place = ""): HostError {
  const log = lastLines(result.stderr.trim() === "" ? result.stdout : result.stderr);
  const where = place === "" ? "" : ` on ${place}`;
  const last = log === "" ? "" : `: ${lastLines(log, 1)}`;
  return new HostError(
    result.status === KILLED ? "command-killed" : "command-failed",
    `${describe(command, args)} failed${where} with status ${result.status}${last}`,
    log,
  );
}

/** Like `run`, but a status other than 0 throws a HostError. */
export async function runChecked(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.status !== 0) throw commandFailed(command, args, result);
  return result;
}

/** Runs commands side by side, each reading what the one before prints. */
export async function runPipeline(
  lines: readonly CommandLine[],
  options: { timeoutMs?: number; input?: string } = {},
): Promise<void> {
  const logs: string[] = [];
  const children: ChildProcess[] = [];
  for (const [index, line] of lines.entries()) {
    const previous = children.at(-1);
    const child = spawn(line.command, line.args, {
      cwd: line.cwd,
      env: { ...process.env, ...line.env },
      stdio: [
        previous === undefined && options.input === undefined ? "ignore" : "pipe",
        index === lines.length - 1 ? "ignore" : "pipe",
        "pipe",
      ],
    });
    if (previous !== undefined) {
      // When one side ends early the other has to see it; the statuses say who was at fault.
      child.stdin!.on("error", () => previous.stdout!.destroy());
      previous.stdout!.pipe(child.stdin!);
    }
    if (previous === undefined) child.stdin?.on("error", () => undefined).end(options.input);
    logs.push("");
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (chunk: string) => {
      logs[index] = lastLines(logs[index]! + chunk, 100);
    });
    children.push(child);
  }
  const watches = children.map((child) => watch(child, options.timeoutMs));
  const statuses = await Promise.all(children.map((child, index) => ended(child, lines[index]!)));
  const timedOut = watches.map((stop) => stop()).includes(true);
  if (timedOut) throw new HostError("timeout", `no end after ${options.timeoutMs} ms`, lastLines(logs.join("\n")));
  const wrong = statuses.findLastIndex((status) => status !== 0);
  if (wrong < 0) return;
  const { command, args } = lines[wrong]!;
  const result = { status: statuses[wrong]!, stdout: "", stderr: logs[wrong]!, bytes: new Uint8Array() };
  throw commandFailed(command, args, result);
}
