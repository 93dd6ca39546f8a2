// From decision graphs back to a classic BPF program. It is put together from its end, so that every jump's target has
// its place when the jump is written; a conditional jump reaches 255 instructions, beyond that it goes through a plain
// one.

import { assert, InputError } from "../base/index.ts";
import {
  ALU_BITS,
  COMPARISON_BITS,
  type Comparison,
  DATA,
  type Decision,
  type Instruction,
  MAX_INSTRUCTIONS,
  OP,
  type Value,
} from "./bpf.ts";

const USE_X = 8;
const ALU_CLASS = 4;
const JUMP_CLASS = 5;
const MEMORY_WORDS = 16;

/** A range of system call numbers, from `first` to the next range's, and what is decided for them. */
export interface Range {
  readonly first: number;
  readonly decision: Decision;
}

const plain = (code: number, k: number): Instruction => ({ code, jt: 0, jf: 0, k });

/** Instructions that leave `value` in the accumulator, using memory words from `free` on. */
function evaluate(value: Value, free: number): Instruction[] {
  if (value.kind === "constant") return [plain(OP.loadImmediate, value.value)];
  if (value.kind === "word") return [plain(OP.loadAbsolute, value.offset)];
  const code = ALU_CLASS | ALU_BITS[value.op];
  if (value.right.kind === "constant") return [...evaluate(value.left, free), plain(code, value.right.value)];
  return [...evaluatePair(value.left, value.right, free), plain(code | USE_X, 0)];
}

/** Instructions that leave `left` in the accumulator and `right` in the index register. */
function evaluatePair(left: Value, right: Value, free: number): Instruction[] {
  assert(free < MEMORY_WORDS, "values of a filter fit into its memory");
  return [
    ...evaluate(left, free),
    plain(OP.store, free),
    ...evaluate(right, free + 1),
    plain(OP.tax, 0),
    plain(OP.loadMemory, free),
  ];
}

class Writer {
  /** The program from its end: the last instruction first. */
  private readonly reversed: Instruction[] = [];
  private readonly places = new Map<Decision, number>();
  private readonly filterPlace: string;

  constructor(filterPlace: string) {
    this.filterPlace = filterPlace;
  }

  private push(instruction: Instruction): number {
    if (this.reversed.length >= MAX_INSTRUCTIONS) {
      throw new InputError(
        "seccomp-filter",
        `the seccomp filter takes more than ${MAX_INSTRUCTIONS} instructions abroad`,
        this.filterPlace,
        "run the container with a simpler seccomp profile",
      );
    }
    return this.reversed.push(instruction) - 1;
  }

  /** Puts a conditional jump in front of what is there. */
  jump(code: number, k: number, ifTrue: number, ifFalse: number): number {
    let [trueAt, falseAt] = [ifTrue, ifFalse];
    const reaches = (target: number): boolean => this.reversed.length - target - 1 <= 254;
    if (!reaches(falseAt)) falseAt = this.push(plain(OP.jump, this.reversed.length - falseAt - 1));
    if (!reaches(trueAt)) trueAt = this.push(plain(OP.jump, this.reversed.length - trueAt - 1));
    const here = this.reversed.length;
    return this.push({ code, jt: here - trueAt - 1, jf: here - falseAt - 1, k });
  }

  compareNumber(comparison: Comparison, k: number, ifTrue: number, ifFalse: number): number {
    return this.jump(JUMP_CLASS | COMPARISON_BITS[comparison], k, ifTrue, ifFalse);
  }

  /** Puts instructions in front of what is there. */
  prepend(instructions: readonly Instruction[]): number {
    for (const instruction of instructions.toReversed()) this.push(instruction);
    return this.reversed.length - 1;
  }

  /** The place of a decision's code, written if it is not there yet. */
  decide(decision: Decision): number {
    const known = this.places.get(decision);
    if (known !== undefined) return known;
    let place: number;
    if (decision.kind === "return") {
      const { value } = decision;
      if (value.kind === "constant") place = this.push(plain(OP.returnK, value.value));
      else {
        this.push(plain(OP.returnA, 0));
        place = this.prepend(evaluate(value, 0));
      }
    } else {
      const ifTrue = this.decide(decision.ifTrue);
      const ifFalse = this.decide(decision.ifFalse);
      const code = JUMP_CLASS | COMPARISON_BITS[decision.comparison];
      if (decision.right.kind === "constant") {
        this.jump(code, decision.right.value, ifTrue, ifFalse);
        place = this.prepend(evaluate(decision.left, 0));
      } else {
        this.jump(code | USE_X, 0, ifTrue, ifFalse);
        place = this.prepend(evaluatePair(decision.left, decision.right, 0));
      }
    }
    this.places.set(decision, place);
    return place;
  }

  /** Chooses between ranges by the number in the accumulator. */
  search(ranges: readonly Range[], low: number, high: number): number {
    if (high - low === 1) return this.decide(ranges[low]!.decision);
    const middle = (low + high) >>> 1;
    const above = this.search(ranges, middle, high);
    const below = this.search(ranges, low, middle);
    return this.compareNumber("ge", ranges[middle]!.first, above, below);
  }

  get program(): Instruction[] {
    return this.reversed.toReversed();
  }
}

/** A program that decides by system call number on one architecture, and gives `otherwise` on any other. */
export function emitFilter(
  architecture: number,
  ranges: readonly Range[],
  otherwise: Decision,
  place: string,
): Instruction[] {
  const writer = new Writer(place);
  // Returns first, that is at the end, so that they are near to each other and shared.
  const wrong = writer.decide(otherwise);
  for (const { decision } of ranges) writer.decide(decision);
  writer.search(ranges, 0, ranges.length);
  const start = writer.prepend([plain(OP.loadAbsolute, DATA.number)]);
  writer.compareNumber("eq", architecture, start, wrong);
  writer.prepend([plain(OP.loadAbsolute, DATA.architecture)]);
  return writer.program;
}
