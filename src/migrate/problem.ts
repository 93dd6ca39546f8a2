// What stands in the way of a migration: each problem has a stable code (docs/errors.md), says what it is about and what
// to do. Checks collect all problems before anything is touched.

import { InputError } from "../base/index.ts";

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly place: string;
  readonly advice: string;
}

/** One error out of all problems found; the first one gives the code. */
export function problemsError(problems: readonly Problem[]): InputError {
  const [first, ...others] = problems;
  const { code, message, place, advice } = first!;
  const more = others.map((p) => `\n  also [${p.code}]: ${p.message}; ${p.advice}`).join("");
  return new InputError(code, message, place, advice + more);
}
