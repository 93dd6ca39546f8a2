// Arguments of a verb: a thin layer over node:util's parseArgs, which it relies on for the grammar. What a user got
// wrong is a UsageError (exit code 2), told apart from input that was read and refused.

import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** The command line itself is wrong. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** True for what parseArgs throws at a wrong command line, and for a UsageError. */
export function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
}

/**
 * Parses `args` against `options`; `positionals` names the operands that must be given, in order (a name that ends in
 * `?` may be missing, the last one may end in `...` and takes the rest).
 */
export function parseVerb<const T extends ParseArgsOptionsConfig>(
  args: string[],
  options: T,
  positionals: readonly string[] = [],
) {
  const parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
  const given = parsed.positionals;
  const needed = positionals.filter((name) => !name.endsWith("?") && !name.endsWith("...")).length;
  const open = positionals.at(-1)?.endsWith("...") ?? false;
  if (given.length < needed) throw new UsageError(`${positionals[given.length]} is missing`);
  if (!open && given.length > positionals.length)
    throw new UsageError(`unexpected argument '${given[positionals.length]}'`);
  return { values: parsed.values, operands: given };
}

/** A number given as an option; refuses what is no number or out of range. */
export function numberOption(
  name: string,
  text: string | undefined,
  fallback: number,
  low: number,
  high: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < low || value > high)
    throw new UsageError(`--${name} wants a number from ${low} to ${high}, not '${text}'`);
  return value;
}
