// What discovery knows about the code of a file, byte by byte: where instructions start, how they go on, which addresses
// something refers to. Typed arrays as long as the segments, since a file has millions of instructions.

import type { FrameRange } from "../elf/index.ts";
import { FLOW, type Flow, Scanner } from "../x86/index.ts";

/** Why an address matters. Bits of `CodeSegment.marks`. */
export const MARK = {
  /** Some jump, table or fall-through from a split ends up here: a block starts. */
  leader: 1,
  /** Called, exported, or the start of an unwind range: a function starts. */
  function: 2,
  /** Behind a call. */
  returnPoint: 4,
  /** Something holds this address as a value: an indirect jump or call may reach it. */
  addressTaken: 8,
  /** Must be an entry for another reason (system calls, interpreted instructions). */
  entry: 16,
  /** Nothing refers to it; it only looks like code. */
  gap: 32,
} as const;

export interface JumpTable {
  /** pc of the indirect jump. */
  readonly pc: number;
  /** pc of the instruction that reads the table; may be the jump itself. */
  readonly loadPc: number;
  /** Guest address of the table. */
  readonly table: number;
  /** Register that indexes the table at `loadPc`, and the one that holds the table's address (-1: it is static). */
  readonly indexRegister: number;
  readonly baseRegister: number;
  /** Code addresses by index. */
  readonly targets: readonly number[];
  /** True if the table lies in memory that the program cannot write once it runs. */
  readonly isConstant: boolean;
}

/** Instructions that differ in registers and constants only; `scanner.shape` of src/x86. */
export interface Shape {
  readonly key: string;
  readonly mnemonic: string;
  /** Where one was seen first. */
  readonly pc: number;
  /** Flags that the CPU's instruction reads. */
  readonly flagsRead: number;
  count: number;
}

const MAX_SHAPES = 0xffff;

export class CodeSegment {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly scanner: Scanner;
  /** Length of the instruction that starts at an offset; 0 = none does. */
  readonly lengths: Uint8Array;
  readonly flows: Uint8Array;
  readonly marks: Uint8Array;
  readonly shapes: Uint16Array;

  constructor(bytes: Uint8Array, start: number) {
    this.start = start;
    this.end = start + bytes.length;
    this.bytes = bytes;
    this.scanner = new Scanner(bytes, start);
    this.lengths = new Uint8Array(bytes.length);
    this.flows = new Uint8Array(bytes.length);
    this.marks = new Uint8Array(bytes.length);
    this.shapes = new Uint16Array(bytes.length);
  }
}

export class CodeMap {
  readonly segments: readonly CodeSegment[];
  /** True if the load bias is not known. */
  readonly isRelocatable: boolean;
  /** Targets of direct branches, jumps and calls by the pc of the instruction. */
  readonly targets = new Map<number, number>();
  readonly tables = new Map<number, JumpTable>();
  /** pcs of indirect jumps through a fixed slot (a GOT entry). */
  readonly slotJumps = new Set<number>();
  readonly shapes: Shape[] = [];
  readonly #shapeIds = new Map<string, number>();
  readonly #frames: readonly FrameRange[];

  /** `frames` are sorted by their start. */
  constructor(
    segments: readonly { vaddr: number; bytes: Uint8Array }[],
    isRelocatable: boolean,
    frames: readonly FrameRange[],
  ) {
    this.#frames = frames;
    this.segments = segments.map((s) => new CodeSegment(s.bytes, s.vaddr)).sort((a, b) => a.start - b.start);
    this.isRelocatable = isRelocatable;
  }

  segmentOf(pc: number): CodeSegment | undefined {
    for (const segment of this.segments) if (pc >= segment.start && pc < segment.end) return segment;
    return undefined;
  }

  /** The lowest address of code. */
  get low(): number {
    return this.segments[0]!.start;
  }

  /** The unwind range that holds `pc`. */
  frameOf(pc: number): FrameRange | null {
    let [low, high] = [0, this.#frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle]!.start <= pc) low = middle + 1;
      else high = middle;
    }
    const frame = this.#frames[low - 1];
    return frame && pc < frame.end ? frame : null;
  }

  /** Whether an instruction was found to start at `pc`. */
  isInstruction(pc: number): boolean {
    return this.lengthAt(pc) !== 0;
  }

  lengthAt(pc: number): number {
    const segment = this.segmentOf(pc);
    return segment ? segment.lengths[pc - segment.start]! : 0;
  }

  flowAt(pc: number): Flow {
    const segment = this.segmentOf(pc);
    return segment ? (segment.flows[pc - segment.start] as Flow) : FLOW.stop;
  }

  marksAt(pc: number): number {
    const segment = this.segmentOf(pc);
    return segment ? segment.marks[pc - segment.start]! : 0;
  }

  mark(pc: number, bits: number): void {
    const segment = this.segmentOf(pc);
    if (segment) segment.marks[pc - segment.start]! |= bits;
  }

  /** What a list by shape holds for the instruction at `pc`. */
  byShape<T>(pc: number, list: readonly T[]): T {
    const segment = this.segmentOf(pc)!;
    return list[segment.shapes[pc - segment.start]!]!;
  }

  /** Whether `pc` lies inside of an instruction that starts before it. */
  isInsideInstruction(pc: number): boolean {
    const segment = this.segmentOf(pc);
    if (!segment) return false;
    const offset = pc - segment.start;
    if (segment.lengths[offset] !== 0) return false;
    for (let back = 1; back < 15 && back <= offset; back++) {
      if (segment.lengths[offset - back]! > back) return true;
    }
    return false;
  }

  /** Notes the scanner's current instruction, of `length` bytes, at `pc`. */
  add(segment: CodeSegment, pc: number, length: number): Flow {
    const { scanner } = segment;
    const flow = scanner.flow;
    const offset = pc - segment.start;
    segment.lengths[offset] = length;
    segment.flows[offset] = flow;
    const key = scanner.shape;
    let id = this.#shapeIds.get(key);
    if (id === undefined) {
      // Beyond the limit shapes share the last number, whose key matches no instruction: those are interpreted.
      id = Math.min(this.shapes.length, MAX_SHAPES);
      const isSpilled = id === MAX_SHAPES;
      this.shapes[id] = { key: isSpilled ? "" : key, mnemonic: scanner.mnemonicName, pc, flagsRead: 63, count: 0 };
      if (!isSpilled) this.shapes[id] = { ...this.shapes[id]!, flagsRead: scanner.flagsRead };
      this.#shapeIds.set(key, id);
    }
    this.shapes[id]!.count++;
    segment.shapes[offset] = id;
    return flow;
  }
}
