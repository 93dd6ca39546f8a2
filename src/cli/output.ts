// What verbs print: data on stdout (text or JSON), progress and errors on stderr. Progress rewrites one line on a
// terminal and prints plain lines elsewhere; NO_COLOR and dumb terminals are respected.

import { HostError, InputError } from "../base/index.ts";

const terminal = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
const colour = terminal && process.env["NO_COLOR"] === undefined;
const paint = (code: number, text: string): string => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);

/** Prints `value` as JSON with bigints as decimal strings. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v), 2);
  process.stdout.write(`${text}\n`);
}

/** Rows as aligned columns; the first row is the heading. Columns whose cells are all numbers are right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const numeric = widths.map((_, i) =>
    rows.slice(1).every((row) => /^-?[\d.,]*( ?[a-zA-Z%]{1,3})?$/.test(row[i] ?? "")),
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A duration for people. */
export function formatMs(ms: number): string {
  return ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms)} ms`;
}

/** Steps of a long verb, each with its time. */
export class Progress {
  readonly #quiet: boolean;
  #name = "";
  #startMs = 0;

  constructor(quiet = false) {
    this.#quiet = quiet;
  }

  /** Begins a step; one that is under way ends. */
  step(name: string): void {
    this.done();
    this.#name = name;
    this.#startMs = performance.now();
    if (!this.#quiet && terminal) process.stderr.write(`  … ${name}`);
  }

  /** Says something within a step. */
  note(text: string): void {
    if (this.#quiet) return;
    if (terminal) process.stderr.write(`\r\x1b[K    ${paint(2, text)}\n${this.#name ? `  … ${this.#name}` : ""}`);
    else process.stderr.write(`    ${text}\n`);
  }

  /** Ends the step that is under way. */
  done(detail = ""): void {
    this.#end(paint(32, "✓"), detail);
  }

  /** Ends the step that is under way as failed. */
  failed(): void {
    this.#end(paint(31, "✗"), "");
  }

  #end(mark: string, detail: string): void {
    if (!this.#name) return;
    const time = formatMs(performance.now() - this.#startMs);
    const line = `  ${mark} ${this.#name}${detail ? ` — ${detail}` : ""} ${paint(2, `(${time})`)}`;
    if (!this.#quiet) process.stderr.write(`${terminal ? "\r\x1b[K" : ""}${line}\n`);
    this.#name = "";
  }
}

function causeLines(error: Error): string[] {
  const lines: string[] = [];
  let cause = error.cause;
  for (let depth = 0; cause instanceof Error && depth < 8; depth++) {
    lines.push(`  cause: ${cause.message}`);
    cause = cause.cause;
  }
  return lines;
}

/** An error as lines of text: code and message, place, advice, the end of a log, causes. */
export function formatError(error: unknown): string {
  if (error instanceof InputError) {
    const lines = [`error[${error.code}]: ${error.message}`];
    if (error.place) lines.push(`  at: ${error.place}`);
    if (error.advice) lines.push(`  advice: ${error.advice}`);
    return [...lines, ...causeLines(error)].join("\n");
  }
  if (error instanceof HostError) {
    const log = error.log.trim();
    const lines = log ? log.split("\n").slice(-20) : [];
    return [`error[${error.code}]: ${error.message}`, ...lines.map((l) => `  | ${l}`), ...causeLines(error)].join("\n");
  }
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}

/** Prints an error to stderr. */
export function printError(error: unknown): void {
  process.stderr.write(`${formatError(error).replace(/^error\[[^\]]*\]/, (head) => paint(31, head))}\n`);
}
