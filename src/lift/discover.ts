// Finds the code of a file. Roots are what the file says about itself (entry, symbols, unwind ranges, relocations,
// initialisers); from there on control flow, addresses taken and jump tables are followed until nothing new appears.
// Numbers that merely look like code addresses come last and must prove themselves by decoding sensibly. Nothing relies on
// completeness: what is missed is interpreted.

import { InputError } from "../base/index.ts";
import {
  type DynamicInfo,
  type ElfFile,
  executableSegments,
  type FrameRange,
  loadSegments,
  PF,
  R_X86_64,
  readDynamic,
  readFrames,
  readStaticSymbols,
} from "../elf/index.ts";
import { FLOW, type Instruction, mnemonicNumber } from "../x86/index.ts";
import { CodeMap, type CodeSegment, MARK } from "./code-map.ts";
import { findJumpTable } from "./jump-table.ts";

const LEA = mnemonicNumber("Lea");
const NOP = mnemonicNumber("Nop");
/** How many instructions before an indirect jump are looked at. */
const TRAIL_LENGTH = 48;
/** How many instructions a doubtful root must decode to, and how many are looked at where nothing refers to the bytes. */
const TRIAL_LENGTH = 24;
const CONVINCING_LENGTH = 2000;
/** Instructions that user code does not contain: a doubtful root that meets one is data. */
const SUSPICIOUS = new Set(
  ["In", "Out", "Insb", "Insd", "Outsb", "Outsd", "Hlt", "Cli", "Sti", "Iretd", "Retf", "Lgdt", "Into", "Salc"].map(
    mnemonicNumber,
  ),
);

/** Instructions that compilers do not make: in a gap they tell that the bytes are data. */
const UNUSUAL = new Set(
  [
    ["Loop", "Loope", "Loopne", "Jrcxz", "Jecxz", "Xlatb", "Lodsb", "Lodsw", "Lodsd", "Scasd", "Cmpsd", "Lahf", "Sahf"],
    ["Cmc", "Std", "Enter", "Wait", "Int", "Int1", "Iret", "Retf", "Int3", "Fstp", "Fcmovne"],
    ["Rcl", "Rcr", "Fiadd", "Fisub", "Fild", "Ficom", "Fbld", "Fbstp", "Fldenv", "Fnsave", "Frstor", "Xgetbv", "Popfq"],
  ]
    .flat()
    .map(mnemonicNumber),
);

export interface Discovery {
  readonly map: CodeMap;
  readonly frames: readonly FrameRange[];
  readonly dynamic: DynamicInfo;
  /** Whether an address is in a segment that nobody writes once the program runs. */
  isConstant(address: bigint): boolean;
}

class Explorer {
  readonly map: CodeMap;
  readonly #elf: ElfFile;
  readonly #queue: number[] = [];
  readonly #doubtful: number[] = [];
  readonly #seenDoubtful = new Set<number>();
  /** For each branch target, one branch that leads there: lets a trail go on backwards. */
  readonly #sources = new Map<number, number>();
  /** Addresses of data that instructions name, and jumps whose tables end where other data begins. */
  readonly #data = new Set<number>();
  readonly #unguarded: { readonly segment: CodeSegment; readonly pc: number; readonly trail: readonly number[] }[] = [];
  readonly #isCoveredByFrames: boolean;
  /** Entries that jump tables may still have: a program has fewer than bytes of code, a hostile file any number. */
  #tableEntriesLeft: number;

  constructor(elf: ElfFile, frames: readonly FrameRange[]) {
    this.#elf = elf;
    this.map = new CodeMap(executableSegments(elf), elf.isRelocatable, frames);
    const codeBytes = this.map.segments.reduce((sum, segment) => sum + segment.bytes.length, 0);
    this.#tableEntriesLeft = codeBytes + 1000;
    const framed = frames.reduce((sum, frame) => sum + frame.end - frame.start, 0);
    this.#isCoveredByFrames = framed > codeBytes * 0.8;
  }

  /** Adds a root that is surely code. */
  root(pc: number, marks: number): void {
    if (!this.map.segmentOf(pc)) return;
    this.map.mark(pc, marks | MARK.leader);
    this.#queue.push(pc);
  }

  /** Adds an address that a run has asked for: an entry, if it can be code. */
  hint(pc: number): void {
    if (this.map.segmentOf(pc) && this.isPlausible(pc)) this.root(pc, MARK.entry | MARK.addressTaken);
  }

  /** Adds an address that may be code. */
  doubtful(pc: number): void {
    if (this.#seenDoubtful.has(pc) || !this.map.segmentOf(pc)) return;
    this.#seenDoubtful.add(pc);
    this.#doubtful.push(pc);
  }

  run(): void {
    for (;;) {
      const pc = this.#queue.pop();
      if (pc !== undefined) {
        this.#explore(pc);
        continue;
      }
      if (this.#unguarded.length > 0) {
        this.#followUnguarded();
        continue;
      }
      const candidate = this.#doubtful.pop();
      if (candidate === undefined) return;
      if (this.#isDoubtfulCode(candidate)) this.root(candidate, MARK.addressTaken);
    }
  }

  /**
   * Whether an address that something names is code. Data among code is named, too: where unwind ranges cover nearly all
   * code, what is outside of them is likely data.
   */
  #isDoubtfulCode(pc: number): boolean {
    if (this.map.isInstruction(pc)) return true;
    return this.#isCoveredByFrames && !this.map.frameOf(pc) ? this.isConvincing(pc) : this.isPlausible(pc);
  }

  /** Looks for the tables of jumps that nothing guards, now that all data that known code names is known. */
  #followUnguarded(): void {
    const data = [...this.#data].sort((a, b) => a - b);
    const nextData = (address: number): number => {
      let [low, high] = [0, data.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (data[middle]! <= address) low = middle + 1;
        else high = middle;
      }
      return data[low] ?? Number.POSITIVE_INFINITY;
    };
    for (const { segment, pc, trail } of this.#unguarded.splice(0)) this.#followTable(segment, pc, trail, nextData);
  }

  /** Whether the bytes at `pc`, to which nothing refers, are surely code: nothing in them is unusual up to where they end. */
  isConvincing(pc: number): boolean {
    if (!this.isPlausible(pc)) return false;
    const { scanner, end } = this.map.segmentOf(pc)!;
    let written = 0;
    for (let n = 0, at = pc; n < CONVINCING_LENGTH && at < end && !this.map.isInstruction(at); n++) {
      const length = scanner.decode(at);
      if (length === 0 || UNUSUAL.has(scanner.mnemonic)) return false;
      // Nobody has set flags before its start.
      if ((scanner.flagsRead & ~written) !== 0) return false;
      written |= scanner.flagsModified;
      const { flow } = scanner;
      if (flow === FLOW.call && !this.map.isInstruction(scanner.target)) return false;
      if (flow === FLOW.ret || flow === FLOW.jump || flow === FLOW.indirectJump || flow === FLOW.stop) return true;
      at += length;
    }
    return true;
  }

  /** Whether the bytes at `pc` decode like a program's code and do not contradict what is known. */
  isPlausible(pc: number): boolean {
    const { map } = this;
    if (map.isInstruction(pc)) return true;
    if (map.isInsideInstruction(pc)) return false;
    const segment = map.segmentOf(pc)!;
    for (let n = 0, at = pc; n < TRIAL_LENGTH; n++) {
      if (map.isInstruction(at)) return true;
      const length = segment.scanner.decode(at);
      if (length === 0 || SUSPICIOUS.has(segment.scanner.mnemonic)) return false;
      // Zero bytes decode as `add [rax], al`: padding or data, not code.
      if (length === 2 && segment.bytes[at - segment.start] === 0 && segment.bytes[at + 1 - segment.start] === 0) {
        return false;
      }
      const flow = segment.scanner.flow;
      if (flow === FLOW.branch || flow === FLOW.jump || flow === FLOW.call) {
        if (!map.segmentOf(segment.scanner.target)) return false;
      }
      if (flow === FLOW.ret || flow === FLOW.jump || flow === FLOW.indirectJump || flow === FLOW.stop) return true;
      at += length;
      if (at >= segment.end) return false;
    }
    return true;
  }

  #explore(start: number): void {
    const { map } = this;
    const segment = map.segmentOf(start)!;
    const trail: number[] = [];
    for (let pc = start; pc < segment.end; ) {
      if (map.isInstruction(pc)) {
        map.mark(pc, MARK.leader);
        return;
      }
      const length = segment.scanner.decode(pc);
      if (length === 0) return;
      const flow = map.add(segment, pc, length);
      trail.push(pc);
      this.#noteAddresses(segment);
      const next = pc + length;
      switch (flow) {
        case FLOW.branch:
          this.#follow(pc, segment.scanner.target, MARK.leader);
          map.mark(next, MARK.leader);
          break;
        case FLOW.jump:
          this.#follow(pc, segment.scanner.target, MARK.leader);
          return;
        case FLOW.call:
          this.#follow(pc, segment.scanner.target, MARK.leader | MARK.function);
          map.mark(next, MARK.leader | MARK.returnPoint);
          break;
        case FLOW.indirectCall:
          map.mark(next, MARK.leader | MARK.returnPoint);
          break;
        case FLOW.syscall:
          map.mark(pc, MARK.leader | MARK.entry);
          map.mark(next, MARK.leader | MARK.entry);
          break;
        case FLOW.repeat:
          map.mark(pc, MARK.leader);
          map.mark(next, MARK.leader);
          break;
        case FLOW.indirectJump:
          this.#followIndirect(segment, pc, trail);
          return;
        case FLOW.ret:
        case FLOW.stop:
          return;
        default:
          break;
      }
      pc = next;
    }
  }

  #follow(from: number, target: number, marks: number): void {
    this.map.targets.set(from, target);
    if (!this.#sources.has(target)) this.#sources.set(target, from);
    if (!this.map.isInstruction(target)) this.root(target, marks);
    else this.map.mark(target, marks);
  }

  #noteAddresses(segment: CodeSegment): void {
    const { scanner } = segment;
    const fixed = scanner.fixedAddress;
    // lea is exact in position-independent code, where no other number is an address.
    const isCode = fixed > 0 && this.map.segmentOf(fixed) !== undefined;
    if (isCode && scanner.mnemonic === LEA) this.#addressTaken(fixed);
    if (fixed > 0 && !isCode) this.#data.add(fixed);
    if (!this.map.isRelocatable) {
      const immediate = scanner.wideImmediate;
      if (immediate > 0 && this.map.segmentOf(immediate)) this.doubtful(immediate);
    }
  }

  #addressTaken(pc: number): void {
    this.doubtful(pc);
    if (this.map.isInstruction(pc)) this.map.mark(pc, MARK.leader | MARK.addressTaken);
  }

  #followIndirect(segment: CodeSegment, pc: number, trail: readonly number[]): void {
    segment.scanner.decode(pc);
    if (segment.scanner.fixedAddress >= 0) this.map.slotJumps.add(pc);
    else this.#followTable(segment, pc, trail, null);
  }

  #followTable(
    segment: CodeSegment,
    pc: number,
    trail: readonly number[],
    nextData: ((address: number) => number) | null,
  ): void {
    if (this.#tableEntriesLeft <= 0) return;
    segment.scanner.decode(pc);
    const jump = segment.scanner.instruction();
    const surroundings = { range: this.map.frameOf(pc), nextData };
    const table = findJumpTable(this.#elf, this.map, this.#records(trail, jump), surroundings);
    if (table === "unguarded") {
      this.#unguarded.push({ segment, pc, trail });
      return;
    }
    if (!table) return;
    this.#tableEntriesLeft -= table.targets.length;
    if (this.#tableEntriesLeft < 0) return;
    this.map.tables.set(pc, table);
    for (const target of table.targets) this.root(target, MARK.leader);
  }

  /** The last instructions of the trail, continued backwards over one branch that leads to its start. */
  #records(trail: readonly number[], jump: Instruction): Instruction[] {
    const pcs = trail.slice(0, -1);
    const source = this.#sources.get(trail[0]!);
    if (pcs.length < TRAIL_LENGTH && source !== undefined) pcs.unshift(...this.#before(source), source);
    else if (pcs.length < TRAIL_LENGTH) pcs.unshift(...this.#before(trail[0]!));
    const records = pcs.slice(-TRAIL_LENGTH).map((pc) => {
      const { scanner } = this.map.segmentOf(pc)!;
      scanner.decode(pc);
      return scanner.instruction();
    });
    return [...records, jump];
  }

  /** Known instructions that fall through one into the next up to `pc`. */
  #before(pc: number): number[] {
    const segment = this.map.segmentOf(pc)!;
    const found: number[] = [];
    for (let at = pc; found.length < TRAIL_LENGTH; ) {
      let previous = -1;
      for (let back = 1; back <= 15 && at - back >= segment.start; back++) {
        const flow = segment.flows[at - back - segment.start]!;
        if (segment.lengths[at - back - segment.start] === back && (flow === FLOW.next || flow === FLOW.branch)) {
          previous = at - back;
          break;
        }
      }
      if (previous < 0) break;
      found.unshift(previous);
      at = previous;
    }
    return found;
  }
}

function addRoots(explorer: Explorer, elf: ElfFile, dynamic: DynamicInfo, frames: readonly FrameRange[]): void {
  const entry = MARK.function | MARK.addressTaken;
  explorer.root(elf.entry, entry);
  for (const pc of dynamic.initialisers) explorer.root(pc, entry);
  for (const symbol of [...dynamic.symbols, ...readStaticSymbols(elf)]) {
    if (symbol.isDefined && (symbol.type === 2 || symbol.type === 10)) explorer.root(symbol.vaddr, entry);
  }
  for (const frame of frames) {
    explorer.root(frame.start, entry);
    for (const pad of frame.landingPads) explorer.root(pad, MARK.addressTaken);
  }
  for (const { type, addend } of dynamic.relocations) {
    if (type === R_X86_64.irelative) explorer.root(addend, entry);
    if (type === R_X86_64.relative || type === R_X86_64.absolute64) explorer.doubtful(addend);
  }
}

/** Words in data that are equal to code addresses, in executables that are loaded where they were linked. */
function addDataWords(explorer: Explorer, elf: ElfFile): void {
  for (const segment of loadSegments(elf)) {
    if ((segment.flags & PF.execute) !== 0) continue;
    const first = (segment.offset + 7) & ~7;
    for (let at = first; at + 8 <= segment.offset + segment.fileSize; at += 8) {
      const value = elf.cursor.word(at, "data");
      if (explorer.map.segmentOf(value)) explorer.doubtful(value);
    }
  }
}

/**
 * Code that nothing refers to: behind a known instruction that does not fall through and the padding after it, and at
 * aligned places in what is left. In ascending order, each place explored before the next is looked at, since only then
 * it is known whether that is a start.
 */
function addGaps(explorer: Explorer): void {
  for (const segment of explorer.map.segments) {
    let end = 0;
    for (let offset = 0; offset < segment.bytes.length; ) {
      const known = segment.lengths[offset]!;
      if (known > 0) end = Math.max(end, offset + known);
      if (offset < end) {
        offset++;
        continue;
      }
      const padding = paddingLength(segment, offset);
      if (padding > 0) {
        end = offset + padding;
        continue;
      }
      if (explorer.isConvincing(segment.start + offset)) {
        explorer.root(segment.start + offset, MARK.entry | MARK.gap);
        explorer.run();
        continue;
      }
      offset = (offset & ~15) + 16;
    }
  }
}

/** Length of the filler at `offset`: int3, zero bytes, or a nop of any length; 0 if there is none. */
function paddingLength(segment: CodeSegment, offset: number): number {
  const byte = segment.bytes[offset]!;
  if (byte === 0xcc || byte === 0) return 1;
  const length = segment.scanner.decode(segment.start + offset);
  return length > 0 && segment.scanner.mnemonic === NOP ? length : 0;
}

/**
 * Finds the code of `elf`. `hints` are addresses that runs have asked for: they become entries if the bytes there decode
 * like code.
 */
export function discover(elf: ElfFile, hints: readonly number[] = []): Discovery {
  if (executableSegments(elf).length === 0) throw new InputError("elf-no-code", "the file has no code", elf.place);
  const dynamic = readDynamic(elf);
  const frames = readFrames(elf);
  const explorer = new Explorer(elf, frames);
  addRoots(explorer, elf, dynamic, frames);
  explorer.run();
  if (!elf.isRelocatable) addDataWords(explorer, elf);
  explorer.run();
  addGaps(explorer);
  for (const pc of hints) explorer.hint(pc);
  explorer.run();
  const constant = loadSegments(elf).filter((segment) => (segment.flags & PF.write) === 0);
  const isConstant = (address: bigint): boolean =>
    constant.some((s) => address >= BigInt(s.vaddr) && address < BigInt(s.vaddr + s.fileSize));
  return { map: explorer.map, frames, dynamic, isConstant };
}
