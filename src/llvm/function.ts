// Text of one LLVM module and of the functions in it. Functions are appended line by line, blocks in the order in which
// they are begun; every name is fresh. This file and its neighbours are the only ones that know IR's syntax.

import { constantText, IrValue, PendingValue, SplitValue, type Target, type View } from "./value.ts";

const TRIPLES: Readonly<Record<Target, string>> = {
  x86_64: "x86_64-unknown-linux-gnu",
  aarch64: "aarch64-unknown-linux-gnu",
};

/** TBAA tags: the guest's registers in CpuState, and the guest's memory, never overlap. */
export const TBAA = { cpu: "!3", mem: "!4" } as const;
const METADATA = `!0 = !{!"hcontainer"}
!1 = !{!"cpu", !0, i64 0}
!2 = !{!"mem", !0, i64 0}
!3 = !{!1, !1, i64 0}
!4 = !{!2, !2, i64 0}
!5 = !{!"branch_weights", i32 1, i32 100000}
`;
/** Metadata for a conditional branch whose true side is cold. */
export const UNLIKELY = "!prof !5";

/** Bytes that a module makes room for when something is first written into it; many are made only to try something. */
const MODULE_BYTES = 1 << 16;

/**
 * One module: declarations are collected as functions ask for them. Its text, some hundred bytes for each byte of the guest's
 * code, is kept as bytes: strings would have to be joined and copied again and again.
 */
export class IrModule {
  readonly target: Target;
  #declarations = new Set<string>();
  #bytes = Buffer.alloc(0);
  #length = 0;

  constructor(target: Target) {
    this.target = target;
  }

  /** Notes a global line (a `declare` or a global variable) once. */
  declare(line: string): void {
    this.#declarations.add(line);
  }

  /** Appends a finished function's or global's text, which may be in parts. */
  append(...parts: readonly string[]): void {
    for (const part of parts) this.#write(part);
    this.#write("\n");
  }

  #write(text: string): void {
    while (this.#length + text.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(MODULE_BYTES, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#length += this.#bytes.write(text, this.#length, "latin1");
  }

  /** The module as IR text, in ASCII. */
  toBytes(): Buffer {
    const head = `target triple = "${TRIPLES[this.target]}"\n\n${[...this.#declarations].join("\n")}\n\n`;
    return Buffer.concat([
      Buffer.from(head, "latin1"),
      this.#bytes.subarray(0, this.#length),
      Buffer.from(METADATA, "latin1"),
    ]);
  }

  /** The same as a string. */
  toString(): string {
    return this.toBytes().toString("latin1");
  }
}

/** Lines are gathered to so many characters before they become one string. */
const CHUNK_CHARACTERS = 2048;

/** A function being written. The entry block is begun already. */
export class IrFunction {
  readonly module: IrModule;
  readonly #header: string;
  #text = "entry:\n";
  /** What comes before #text, with the holes in it. */
  readonly #before: string[] = [];
  #names = 0;
  #blocks = 0;
  #label = "entry";
  #ended = false;

  /** `header` is all before the brace: `define void @f(ptr %state) nounwind`. */
  constructor(module: IrModule, header: string) {
    this.module = module;
    this.#header = header;
  }

  /** Label of the block being written, for phis: operations may end one block and begin another. */
  get label(): string {
    return this.#label;
  }

  /** Number of the block being written. */
  get block(): number {
    return this.#blocks;
  }

  /** Whether the block being written has its terminator. */
  get ended(): boolean {
    return this.#ended;
  }

  /** A fresh label. */
  newLabel(hint = "b"): string {
    return `${hint}${++this.#names}`;
  }

  /** Begins a block (the one before must have ended). */
  begin(label: string): void {
    if (!this.#ended) throw new Error(`internal error: block ${this.#label} has no terminator`);
    if (this.#text.length > CHUNK_CHARACTERS) this.#keepText();
    this.#text += `${label}:\n`;
    this.#label = label;
    this.#blocks++;
    this.#ended = false;
  }

  /** Appends `%new = rhs` and returns the new name. */
  emit(rhs: string): string {
    const name = `%v${++this.#names}`;
    this.#text += `  ${name} = ${rhs}\n`;
    return name;
  }

  /** Appends an instruction without a result. */
  effect(line: string): void {
    this.#text += `  ${line}\n`;
  }

  /** Leaves a place for lines that are known later only; gives what puts them there. */
  hole(): (lines: string) => void {
    this.#keepText();
    const index = this.#before.push("") - 1;
    return (lines) => {
      this.#before[index] = lines;
    };
  }

  #keepText(): void {
    // Asking for a character makes the engine join the parts now, while they are young and die cheaply.
    this.#text.charCodeAt(0);
    this.#before.push(this.#text);
    this.#text = "";
  }

  /** Appends a terminator. */
  end(line: string): void {
    this.#text += `  ${line}\n`;
    this.#ended = true;
  }

  jump(label: string): void {
    this.end(`br label %${label}`);
  }

  /** Conditional branch; `cold` says that the true side is rare. */
  branch(condition: IrValue, ifOne: string, ifZero: string, cold = false): void {
    this.end(`br i1 ${this.text(condition, "i1")}, label %${ifOne}, label %${ifZero}${cold ? `, ${UNLIKELY}` : ""}`);
  }

  /** A value that `rhs`, of LLVM type `type`, computes. */
  value(width: number, type: string, rhs: string): IrValue {
    return this.named(width, type, this.emit(rhs));
  }

  /** The value behind an existing name (an argument, a phi). */
  named(width: number, type: string, name: string): IrValue {
    return new IrValue(width, undefined, [{ type, name, block: this.#blocks }]);
  }

  /** The operand text of `value` as LLVM type `type`, made by a bitcast if no view of that type is at hand. */
  text(value: IrValue, type: string): string {
    if (value.constant !== undefined) {
      if (!/float|double|half/.test(type)) return constantText(type, value.constant);
      const integer = type.replace("half", "i16").replace("float", "i32").replace("double", "i64");
      return this.emit(`bitcast ${integer} ${constantText(integer, value.constant)} to ${type}`);
    }
    if (value instanceof PendingValue) value.settle();
    const home = value instanceof SplitValue ? this.#wholeOf(value) : value.views[0]!;
    for (const view of value.views) {
      // A view made elsewhere than at the definition may not dominate the block being written.
      if (view.type === type && (view.block === home.block || view.block === this.#blocks)) return view.name;
    }
    const view: View = {
      type,
      name: this.emit(`bitcast ${home.type} ${home.name} to ${type}`),
      block: this.#blocks,
    };
    value.views.push(view);
    return view.name;
  }

  /** A view of a whole that is put together in the block being written. */
  #wholeOf(value: SplitValue): View {
    const known = value.views.find(({ block }) => block === this.#blocks);
    if (known) return known;
    const whole = value.join(value.scalar, value.rest);
    const { type } = whole;
    const view: View = { type, name: this.text(whole, type), block: this.#blocks };
    value.views.push(view);
    return view;
  }

  /** `type operand`, as instructions want it. */
  typed(value: IrValue, type: string): string {
    return `${type} ${this.text(value, type)}`;
  }

  /** The operand text as a plain integer. */
  integer(value: IrValue): string {
    return this.text(value, `i${value.width}`);
  }

  /** Calls an intrinsic (declared on the way) and gives its result's name. */
  intrinsic(name: string, resultType: string, parameters: readonly string[], suffix = ""): string {
    const types = parameters.map((p) => p.slice(0, typeLength(p)));
    this.module.declare(`declare ${resultType} @${name}(${types.join(", ")})`);
    return this.emit(`call ${resultType} @${name}(${parameters.join(", ")})${suffix}`);
  }

  /** Hands the finished function to its module. */
  finish(): void {
    if (!this.#ended) throw new Error(`internal error: block ${this.#label} has no terminator`);
    this.module.append(`${this.#header} {\n`, ...this.#before, this.#text, "}\n");
  }
}

/** Length of the type at the start of `type operand`. */
function typeLength(parameter: string): number {
  return parameter.startsWith("<") ? parameter.indexOf(">") + 1 : parameter.indexOf(" ");
}
