// Classic BPF as seccomp runs it (Linux, Documentation/networking/filter.rst and seccomp(2)): a program over the 64 bytes
// of struct seccomp_data. Here: its instructions, what the kernel accepts, and the meaning of one run for a fixed
// architecture and system call number as a decision graph over what stays unknown, which is arguments and the
// instruction pointer. Jumps only go forward, so every program ends.

import { InputError } from "../base/index.ts";

export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** BPF_MAXINSNS. */
export const MAX_INSTRUCTIONS = 4096;
export const INSTRUCTION_BYTES = 8;

/** Offsets in struct seccomp_data. */
export const DATA = { number: 0, architecture: 4, pointer: 8, arguments: 16, end: 64 } as const;

/** Opcodes that are used by name. */
export const OP = {
  loadAbsolute: 0x20,
  loadImmediate: 0x00,
  loadMemory: 0x60,
  store: 0x02,
  tax: 0x07,
  jump: 0x05,
  returnK: 0x06,
  returnA: 0x16,
} as const;

const [LD, LDX, ST, STX, ALU, JMP, RET, MISC] = [0, 1, 2, 3, 4, 5, 6, 7];
const ALU_NAMES = new Map([
  [0x00, "add"],
  [0x10, "sub"],
  [0x20, "mul"],
  [0x30, "div"],
  [0x40, "or"],
  [0x50, "and"],
  [0x60, "lsh"],
  [0x70, "rsh"],
  [0xa0, "xor"],
] as const);
type AluName = "add" | "sub" | "mul" | "div" | "or" | "and" | "lsh" | "rsh" | "xor";
/** The instruction's operation bits of an ALU operation. */
export const ALU_BITS: Readonly<Record<AluName, number>> = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  xor: 0xa0,
};
export type Comparison = "eq" | "gt" | "ge" | "set";
export const COMPARISON_BITS: Readonly<Record<Comparison, number>> = { eq: 0x10, gt: 0x20, ge: 0x30, set: 0x40 };
const COMPARISONS = new Map<number, Comparison>([
  [0x10, "eq"],
  [0x20, "gt"],
  [0x30, "ge"],
  [0x40, "set"],
]);

/** A 32-bit value during a run. `word` is a word of struct seccomp_data. */
export type Value =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "word"; readonly offset: number }
  | { readonly kind: "alu"; readonly op: AluName; readonly left: Value; readonly right: Value };

/** What a run decides. Nodes are shared: equal ones made by the same Graph are the same object. */
export type Decision =
  | { readonly kind: "return"; readonly value: Value }
  | {
      readonly kind: "branch";
      readonly comparison: Comparison;
      readonly left: Value;
      readonly right: Value;
      readonly ifTrue: Decision;
      readonly ifFalse: Decision;
    };

function refuse(message: string, place: string): never {
  throw new InputError("seccomp-filter", message, place, "run the container with a simpler seccomp profile");
}

export function decodeProgram(bytes: Uint8Array, place: string): Instruction[] {
  const count = bytes.length / INSTRUCTION_BYTES;
  if (!Number.isInteger(count) || count === 0 || count > MAX_INSTRUCTIONS) {
    refuse(`a seccomp filter of ${bytes.length} bytes`, place);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => ({
    code: view.getUint16(i * 8, true),
    jt: view.getUint8(i * 8 + 2),
    jf: view.getUint8(i * 8 + 3),
    k: view.getUint32(i * 8 + 4, true),
  }));
}

export function encodeProgram(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, jt, jf, k }, i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  });
  return bytes;
}

/** One ALU operation as the kernel does it; a division by zero makes the filter return 0. */
export function alu(op: AluName, left: number, right: number): number {
  switch (op) {
    case "add":
      return (left + right) >>> 0;
    case "sub":
      return (left - right) >>> 0;
    case "mul":
      return Math.imul(left, right) >>> 0;
    case "div":
      return right === 0 ? 0 : Math.floor(left / right) >>> 0;
    case "or":
      return (left | right) >>> 0;
    case "and":
      return (left & right) >>> 0;
    case "lsh":
      return (left << (right & 31)) >>> 0;
    case "rsh":
      return left >>> (right & 31);
    case "xor":
      return (left ^ right) >>> 0;
  }
}

export function compare(comparison: Comparison, left: number, right: number): boolean {
  switch (comparison) {
    case "eq":
      return left === right;
    case "gt":
      return left > right;
    case "ge":
      return left >= right;
    case "set":
      return (left & right) !== 0;
  }
}

/** Makes shared decisions. Bounds how large they get, whatever program they come from. */
export class Graph {
  private readonly place: string;
  private readonly nodes = new Map<string, Decision>();
  private readonly numbers = new Map<Decision, number>();
  private static readonly limit = 100_000;
  /** A filter of the largest size that is gone through once for every system call takes a fifth of these. */
  private stepsLeft = 10_000_000;

  constructor(place: string) {
    this.place = place;
  }

  private intern(key: string, decision: Decision): Decision {
    const known = this.nodes.get(key);
    if (known) return known;
    if (this.nodes.size >= Graph.limit) refuse("a seccomp filter with too many cases", this.place);
    this.nodes.set(key, decision);
    this.numbers.set(decision, this.numbers.size);
    return decision;
  }

  /** Counts a step of work, so that a hostile filter ends in a refusal and not in an endless wait. */
  step(): void {
    if (--this.stepsLeft < 0) refuse("a seccomp filter with too many cases", this.place);
  }

  return(value: Value): Decision {
    return this.intern(`r${valueKey(value)}`, { kind: "return", value });
  }

  branch(comparison: Comparison, left: Value, right: Value, ifTrue: Decision, ifFalse: Decision): Decision {
    if (ifTrue === ifFalse) return ifTrue;
    if (left.kind === "constant" && right.kind === "constant") {
      return compare(comparison, left.value, right.value) ? ifTrue : ifFalse;
    }
    const key = `${comparison} ${valueKey(left)} ${valueKey(right)} ${this.number(ifTrue)} ${this.number(ifFalse)}`;
    return this.intern(key, { kind: "branch", comparison, left, right, ifTrue, ifFalse });
  }

  /** A number that stands for a decision. */
  number(decision: Decision): number {
    return this.numbers.get(decision)!;
  }
}

export const constant = (value: number): Value => ({ kind: "constant", value: value >>> 0 });

export function valueKey(value: Value): string {
  if (value.kind === "constant") return `#${value.value}`;
  if (value.kind === "word") return `@${value.offset}`;
  return `(${value.op} ${valueKey(value.left)} ${valueKey(value.right)})`;
}

const MAX_VALUE_DEPTH = 6;

function depth(value: Value): number {
  return value.kind === "alu" ? 1 + Math.max(depth(value.left), depth(value.right)) : 0;
}

interface State {
  readonly a: Value;
  readonly x: Value;
  readonly memory: readonly Value[];
}

/** The decision graph of `program` for one architecture and system call number. */
export function specialise(
  graph: Graph,
  program: readonly Instruction[],
  architecture: number,
  number: number,
  place: string,
): Decision {
  const known = new Map<string, Decision>();
  const load = (offset: number): Value => {
    if (offset === DATA.number) return constant(number);
    if (offset === DATA.architecture) return constant(architecture);
    if (offset % 4 !== 0 || offset >= DATA.end) refuse(`a load of offset ${offset}`, place);
    return { kind: "word", offset };
  };
  const compute = (op: AluName, left: Value, right: Value): Value => {
    if (left.kind === "constant" && right.kind === "constant") return constant(alu(op, left.value, right.value));
    const value: Value = { kind: "alu", op, left, right };
    if (depth(value) > MAX_VALUE_DEPTH) refuse("a seccomp filter that computes too much", place);
    return value;
  };
  const run = (at: number, start: State): Decision => {
    let pc = at;
    let { a, x, memory } = start;
    const key = `${pc} ${valueKey(a)} ${valueKey(x)} ${memory.map(valueKey).join(" ")}`;
    const seen = known.get(key);
    if (seen) return seen;
    const settle = (decision: Decision): Decision => {
      known.set(key, decision);
      return decision;
    };
    for (;;) {
      graph.step();
      const instruction = program[pc];
      if (!instruction) return refuse("a seccomp filter that runs beyond its end", place);
      const { code, jt, jf, k } = instruction;
      const operand = code & 8 ? x : constant(k);
      pc++;
      switch (code & 7) {
        case LD:
        case LDX: {
          const mode = code & 0xe0;
          let value: Value;
          if (mode === 0x20 && (code & 7) === LD && (code & 0x18) === 0) value = load(k);
          else if (mode === 0x00) value = constant(k);
          else if (mode === 0x60) value = memory[k] ?? refuse("a load of a bad memory word", place);
          else if (mode === 0x80) value = constant(DATA.end);
          else return refuse(`instruction 0x${code.toString(16)} in a seccomp filter`, place);
          if ((code & 7) === LD) a = value;
          else x = value;
          break;
        }
        case ST:
        case STX:
          if (k >= 16) refuse("a store to a bad memory word", place);
          memory = memory.with(k, (code & 7) === ST ? a : x);
          break;
        case ALU: {
          if ((code & 0xf0) === 0x80) {
            a = compute("sub", constant(0), a);
            break;
          }
          const op = ALU_NAMES.get((code & 0xf0) as never);
          if (!op) return refuse(`instruction 0x${code.toString(16)} in a seccomp filter`, place);
          // A division by what may be zero would end the filter: no filter that exists does that.
          if (op === "div" && (operand.kind !== "constant" || operand.value === 0)) refuse("a division", place);
          a = compute(op, a, operand);
          break;
        }
        case JMP: {
          if ((code & 0xf0) === 0) {
            pc += k;
            break;
          }
          const comparison = COMPARISONS.get(code & 0xf0);
          if (!comparison) return refuse(`instruction 0x${code.toString(16)} in a seccomp filter`, place);
          if (a.kind === "constant" && operand.kind === "constant") {
            pc += compare(comparison, a.value, operand.value) ? jt : jf;
            break;
          }
          const next: State = { a, x, memory };
          const ifTrue = run(pc + jt, next);
          const ifFalse = run(pc + jf, next);
          return settle(graph.branch(comparison, a, operand, ifTrue, ifFalse));
        }
        case RET:
          return settle(graph.return((code & 0x18) === 0x10 ? a : constant(k)));
        case MISC:
          if (code === OP.tax) x = a;
          else a = x;
          break;
      }
    }
  };
  const zero = constant(0);
  return run(0, { a: zero, x: zero, memory: new Array<Value>(16).fill(zero) });
}

/** Runs a program on `data` (struct seccomp_data), as the kernel does. */
export function runProgram(program: readonly Instruction[], data: Uint8Array): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [number, architecture] = [view.getUint32(DATA.number, true), view.getUint32(DATA.architecture, true)];
  let decision = specialise(new Graph("filter"), program, architecture, number, "filter");
  const value = (v: Value): number => {
    if (v.kind === "constant") return v.value;
    if (v.kind === "word") return view.getUint32(v.offset, true);
    return alu(v.op, value(v.left), value(v.right));
  };
  while (decision.kind === "branch") {
    const holds = compare(decision.comparison, value(decision.left), value(decision.right));
    decision = holds ? decision.ifTrue : decision.ifFalse;
  }
  return value(decision.value);
}
