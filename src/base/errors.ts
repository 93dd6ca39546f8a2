// Errors are of three kinds. `assert` is for our own bugs: it names the broken invariant. `InputError` is for bad or
// unsupported input: a stable code, the place, and advice that tells the user what to do. `HostError` is for the world
// outside: which command or call failed, how, and the last lines of what it printed.

/** Bad or unsupported input (a file, an image set, an argument). `code` is stable and documented in docs/errors.md. */
export class InputError extends Error {
  readonly code: string;
  readonly place: string;
  readonly advice: string;
  constructor(code: string, message: string, place: string, advice = "") {
    super(message);
    this.name = "InputError";
    this.code = code;
    this.place = place;
    this.advice = advice;
  }
}

/** A failure of the world: a command, a system call, a peer. `log` holds the last lines that it printed. */
export class HostError extends Error {
  readonly code: string;
  readonly log: string;
  constructor(code: string, message: string, log = "", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "HostError";
    this.code = code;
    this.log = log;
  }
}

/** Throws when one of our own invariants is broken; never for input. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new Error(`internal error: ${invariant}`);
}

/** For the default branch of a switch over a union: fails to compile when a member is missing. */
export function unreachable(value: never): never {
  throw new Error(`internal error: unreachable value ${String(value)}`);
}
