// What stands in the way of recoding. Problems are collected, so that one run names all of them.

import { InputError } from "../base/index.ts";

export interface Problem {
  /** Stable, documented in docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** The image file, process or item that it is about. */
  readonly place: string;
  readonly advice: string;
}

/** An image set that cannot be recoded, with every reason that was found. `code` is the first one's. */
export class RecodeError extends InputError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const [first] = problems;
    const text = problems.map((problem) => `${problem.place}: ${problem.message}`).join("\n");
    super(first!.code, text, first!.place, [...new Set(problems.map((p) => p.advice))].filter((a) => a).join("\n"));
    this.name = "RecodeError";
    this.problems = problems;
  }
}

const MAX_PROBLEMS = 100;

export class Problems {
  private readonly list: Problem[] = [];

  add(code: string, message: string, place: string, advice = ""): void {
    const known = this.list.some((p) => p.code === code && p.message === message && p.place === place);
    if (!known && this.list.length < MAX_PROBLEMS) this.list.push({ code, message, place, advice });
  }

  /** What `action` gives; an InputError of it becomes a problem. */
  collect<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (error instanceof RecodeError) for (const p of error.problems) this.add(p.code, p.message, p.place, p.advice);
      else if (error instanceof InputError) this.add(error.code, error.message, error.place, error.advice);
      else throw error;
      return undefined;
    }
  }

  get all(): readonly Problem[] {
    return this.list;
  }

  throwIfAny(): void {
    if (this.list.length > 0) throw new RecodeError(this.list);
  }
}
