// From a file's code to LLVM modules: which instructions can be lifted, the graph, the pieces, and the pieces divided
// into shards of bounded size, which LLVM works on independently.

import type { Variant } from "../abi/index.ts";
import { IrFunction, IrModule, IrValue } from "../llvm/index.ts";
import { TABLE, Unsupported } from "../sem/index.ts";
import { FLOW, type Instruction } from "../x86/index.ts";
import { type CodeMap, MARK, type Shape } from "./code-map.ts";
import { type Block, Graph, type Piece } from "./graph.ts";
import { computeLive, type Effects } from "./liveness.ts";
import { LoopSurprise } from "./loops.ts";
import { LiftInsn } from "./operands.ts";
import { type LiftContext, PieceWriter } from "./piece.ts";
import { findPrivateFrames } from "./private-frames.ts";
import { type LiftOptions, LiftSem, type PieceHooks } from "./sem.ts";
import {
  ALL_LIVE,
  HIGH_FIRST,
  type Live,
  LOW_FIRST,
  MASK_FIRST,
  MID_FIRST,
  REGISTERS_LIVE,
  rareBit,
  VARIABLES,
  vectorBit,
} from "./variables.ts";

/**
 * A shard holds the pieces whose heads lie between two multiples of so many bytes. By addresses and not by size, so that
 * what changes in one place of a file (an entry found later, say) leaves the other shards as they were.
 */
const SHARD_BYTES = 0x8000;
/** Of a part of a file: that is not to change in one place, and its pieces lie far from each other. */
const PART_INSTRUCTIONS = 6000;

export interface Shard {
  readonly index: number;
  readonly pieces: readonly Piece[];
  readonly instructions: number;
  /** LLVM IR as text. */
  readonly ir: Uint8Array;
}

export interface UnsupportedShape {
  readonly mnemonic: string;
  readonly count: number;
  readonly reason: string;
}

export interface LiftedFile {
  readonly context: LiftContext;
  readonly pieces: readonly Piece[];
  readonly isPart: boolean;
  readonly instructions: number;
  readonly interpretedInstructions: number;
  readonly unsupported: readonly UnsupportedShape[];
  isFunction(block: Block): boolean;
  /** Whether the block ends in an indirect jump whose targets are known at run time only. */
  isUnresolvedJump(block: Block): boolean;
}

/** Tries the semantic of every shape once, on the first instruction that has it. */
function probeShapes(
  map: CodeMap,
  options: LiftOptions,
): { effects: (Effects | null)[]; unsupported: UnsupportedShape[] } {
  const unsupported: UnsupportedShape[] = [];
  const effects = map.shapes.map((shape) => {
    const result = probe(map, shape, options);
    if (typeof result !== "string") return result;
    unsupported.push({ mnemonic: shape.mnemonic, count: shape.count, reason: result });
    return null;
  });
  return { effects, unsupported };
}

function probe(map: CodeMap, shape: Shape, options: LiftOptions): Effects | string {
  const semantic = TABLE.get(shape.mnemonic)?.semantic;
  if (!semantic) return "not in the table";
  if (shape.key === "") return "too many kinds of instructions";
  const fn = new IrFunction(new IrModule("aarch64"), "define void @probe()");
  let [read, isConditional]: [Live, boolean] = [NOTHING, false];
  const atHead: IrValue[] = [];
  const hooks: PieceHooks = {
    valueAtHead: (variable) => {
      read = or(read, bitsOf(variable));
      const { width, type } = VARIABLES[variable]!;
      atHead[variable] ??= fn.named(width, type, "%probe");
      return atHead[variable];
    },
    anchor: () => ({ value: fn.named(64, "i64", "%probe"), at: 0n }),
    leaveIf: () => {},
    skipIf: () => {
      isConditional = true;
    },
    landing: () => ({ label: "probe", guest: 0 }),
  };
  const sem = new LiftSem(fn, hooks, options);
  const instruction = instructionAt(map, shape.pc);
  sem.startInstruction(instruction);
  try {
    semantic(sem, new LiftInsn(sem, instruction));
  } catch (error) {
    if (error instanceof Unsupported) return error.message;
    throw new Error(`internal error: ${instruction.code} at 0x${shape.pc.toString(16)}: ${String(error)}`, {
      cause: error,
    });
  }
  // Flags that the semantic reads but the CPU does not are handed through (a shift by 0): neither used nor killed.
  const through = sem.flagsRead & ~shape.flagsRead;
  const flagsUsed = sem.control?.kind === "syscall" ? 0 : shape.flagsRead;
  const written = isConditional ? NOTHING : writtenRegisters(sem);
  // What is made zero by a register and itself is not made of it.
  const used = makesConstants(sem) ? NOTHING : { rare: read.rare & REGISTERS_LIVE, vectors: read.vectors };
  const isLoad = LOADS.test(shape.mnemonic) && instruction.opmask === 0 && instruction.operands[1]?.kind === "memory";
  const isPlain = isLoad && used.rare === 0 && used.vectors === 0;
  const restored = isPlain ? written : NOTHING;
  return {
    uses: { rare: flagsUsed | used.rare, vectors: used.vectors },
    kills: { rare: (sem.flagsSet & ~through) | written.rare, vectors: written.vectors },
    restores: FLAG_LOADS.test(shape.mnemonic) ? { rare: sem.flagsSet, vectors: 0 } : restored,
  };
}

const NOTHING: Live = { rare: 0, vectors: 0 };
const bitsOf = (variable: number): Live => ({ rare: rareBit(variable), vectors: vectorBit(variable) });
const or = (a: Live, b: Live): Live => ({ rare: a.rare | b.rare, vectors: a.vectors | b.vectors });
/** The bits of a whole vector register. */
const bitsOfVector = (register: number): Live =>
  or(bitsOf(LOW_FIRST + register), or(bitsOf(MID_FIRST + register), bitsOf(HIGH_FIRST + register)));

/** Whether all that the current instruction has written to vector registers is known. */
function makesConstants(sem: LiftSem): boolean {
  let found = false;
  for (let v = LOW_FIRST; v < MASK_FIRST; v++) {
    const slot = sem.state[v];
    if (slot === undefined) continue;
    if (!(slot instanceof IrValue) || slot.constant === undefined) return false;
    found = true;
  }
  return found;
}

const LOADS = /^(?:Kmov|V?[Mm]ov)/;
const FLAG_LOADS = /^Popfq?$/;

function instructionAt(map: CodeMap, pc: number): Instruction {
  const { scanner } = map.segmentOf(pc)!;
  scanner.decode(pc);
  return scanner.instruction();
}

/** The registers of which liveness is computed that the current instruction has wholly overwritten. */
function writtenRegisters(sem: LiftSem): Live {
  let [written, kept] = [NOTHING, NOTHING];
  for (let v = LOW_FIRST; v < VARIABLES.length; v++) {
    if (sem.state[v] === undefined) kept = or(kept, bitsOf(v));
    else written = or(written, bitsOf(v));
  }
  return { rare: written.rare & ~kept.rare & REGISTERS_LIVE, vectors: written.vectors & ~kept.vectors };
}

/** Whether an instruction may have to do with registers of which liveness is computed. */
function touchesRegisters(instruction: Instruction): boolean {
  return (
    instruction.encoding !== "legacy" || instruction.operands.some(({ kind }) => kind === "mask" || kind === "vector")
  );
}

const SAVES_STATE = /^(?:F?X(?:save|rstor))/;
/** What a handler comes back from as if nothing had been. */
const BREAKPOINT = /^Int\d?$/;
const READS_ALL: Effects = { uses: ALL_LIVE, kills: NOTHING, restores: NOTHING };

/** What an instruction does that the interpreter does: what its operands name, it may read. */
function interpretedEffects(instruction: Instruction, flagsRead: number): Effects {
  let uses: Live = SAVES_STATE.test(instruction.mnemonic) ? { rare: REGISTERS_LIVE, vectors: -1 } : NOTHING;
  // Some read the first vector register without naming it.
  uses = or(uses, or({ rare: flagsRead, vectors: 0 }, bitsOfVector(0)));
  if (instruction.opmask !== 0) uses = or(uses, bitsOf(MASK_FIRST + instruction.opmask));
  for (const { kind, register } of instruction.operands) {
    if (kind === "mask") uses = or(uses, bitsOf(MASK_FIRST + register));
    if (kind === "vector") uses = or(uses, bitsOfVector(register));
  }
  const { memory } = instruction;
  if (memory && memory.vsibWidth > 0) uses = or(uses, bitsOfVector(memory.index));
  return { uses, kills: NOTHING, restores: NOTHING };
}

/** What each instruction does. Those of a shape do the same, but for the registers: which these are is no part of a shape. */
function makeEffects(
  map: CodeMap,
  ofShapes: readonly (Effects | null)[],
  options: LiftOptions,
): (pc: number) => Effects {
  const touching = map.shapes.map((shape) => shape.key === "" || touchesRegisters(instructionAt(map, shape.pc)));
  const known = new Map<string, Effects>();
  return (pc) => {
    const common = map.byShape(pc, ofShapes);
    const shape = map.byShape(pc, map.shapes);
    if (BREAKPOINT.test(shape.mnemonic)) return READS_ALL;
    if (common && !map.byShape(pc, touching)) return common;
    const instruction = instructionAt(map, pc);
    if (!common) return interpretedEffects(instruction, shape.flagsRead);
    const registers = instruction.operands.map(({ kind, register }) => `${kind}${register}`).join();
    const key = `${shape.key} ${registers} ${instruction.memory?.index} ${instruction.opmask} ${instruction.isZeroing}`;
    let effects = known.get(key);
    if (!effects) {
      const probed = probe(map, { ...shape, pc }, options);
      effects = typeof probed === "string" ? interpretedEffects(instruction, shape.flagsRead) : probed;
      known.set(key, effects);
    }
    return effects;
  };
}

/** Whether an address of the file is in memory that neither the program nor anybody else writes. */
type IsConstant = (address: bigint) => boolean;

/** Decides what is lifted, and divides the code into pieces. */
export function liftFile(map: CodeMap, variant: Variant = "plain", isConstant: IsConstant = () => false): LiftedFile {
  const options: LiftOptions = { isRelocatable: map.isRelocatable, variant, isConstant };
  const { effects, unsupported } = probeShapes(map, options);
  const effectsAt = makeEffects(map, effects, options);
  const isInterpreted = (pc: number): boolean => map.byShape(pc, effects) === null;
  const graph = new Graph(map, isInterpreted);
  const pieces = graph.partition();
  const liveAfter = computeLive(graph, effectsAt);
  const privateFrames = variant === "ordered" ? findPrivateFrames(graph) : new Map();
  const count = (list: readonly { count: number }[]): number => list.reduce((sum, { count }) => sum + count, 0);
  return {
    context: { map, graph, liveAfter, effectsAt, options, privateFrames, pages: new Set() },
    pieces,
    isPart: false,
    instructions: count(map.shapes),
    interpretedInstructions: count(unsupported),
    unsupported,
    isFunction: (block) => (block.marks & MARK.function) !== 0,
    isUnresolvedJump: (block) =>
      block.flow === FLOW.indirectJump && !block.table && !map.slotJumps.has(block.pcs[block.pcs.length - 1]!),
  };
}

/** The part of a file's code that is worth translating for somebody who knows what runs. */
export interface CodePart {
  /** pcs of instructions that are executed. */
  readonly executed: ReadonlySet<number>;
  /** pcs behind which everything counts as executed, up to the function's calls and end. */
  readonly roots: readonly number[];
}

/** Blocks that can be reached from the roots without a call. */
function reachable(graph: Graph, roots: readonly number[]): Set<Block> {
  const found = new Set<Block>();
  const queue = roots.flatMap((pc) => graph.blocks.get(pc) ?? []);
  for (let block = queue.pop(); block; block = queue.pop()) {
    if (found.has(block)) continue;
    found.add(block);
    queue.push(...block.successors);
    if (block.returnPoint) queue.push(block.returnPoint);
  }
  return found;
}

/**
 * The same, but only the pieces that are entered when `part` runs; the others are no heads any more, so nothing jumps to them
 * directly. What it shares with the whole and with other parts knows one of them at a time: write it before you ask for another.
 */
export function onlyPart(whole: LiftedFile, part: CodePart): LiftedFile {
  const { context } = whole;
  const reached = reachable(context.graph, part.roots);
  const pieces = whole.pieces.filter(({ head }) => {
    head.isHead = part.executed.has(head.start) || reached.has(head);
    return head.isHead;
  });
  return { ...whole, context: { ...context, pages: new Set() }, pieces, isPart: true };
}

function writePiece(module: IrModule, piece: Piece, context: LiftContext, definedHere: ReadonlySet<Block>): void {
  try {
    new PieceWriter(module, piece, context, definedHere).write();
  } catch (error) {
    if (!(error instanceof LoopSurprise)) throw error;
    new PieceWriter(module, piece, context, definedHere, true).write();
  }
}

const instructionsOf = (piece: Piece): number => piece.blocks.reduce((sum, block) => sum + block.pcs.length, 0);

/** Which shard each piece belongs to: ascending numbers. */
function shardNumbers({ pieces, isPart }: LiftedFile): (piece: Piece) => number {
  if (!isPart) return (piece) => Math.floor(piece.head.start / SHARD_BYTES);
  const total = pieces.reduce((sum, piece) => sum + instructionsOf(piece), 0);
  // There is more than one processor.
  const most = Math.min(PART_INSTRUCTIONS, total / 2);
  const numbers = new Map<Piece, number>();
  let written = 0;
  for (const piece of pieces) {
    numbers.set(piece, Math.floor(written / most));
    written += instructionsOf(piece);
  }
  return (piece) => numbers.get(piece)!;
}

/** The modules of a file, made one after the other. */
export function* writeShards(file: LiftedFile): Generator<Shard> {
  const { context, pieces } = file;
  const numberOf = shardNumbers(file);
  let index = 0;
  for (let first = 0; first < pieces.length; ) {
    let end = first;
    while (end < pieces.length && numberOf(pieces[end]!) === numberOf(pieces[first]!)) end++;
    const members = pieces.slice(first, end);
    const instructions = members.reduce((sum, piece) => sum + instructionsOf(piece), 0);
    const heads = new Set(members.map((piece) => piece.head));
    const module = new IrModule("aarch64");
    for (const piece of members) writePiece(module, piece, context, heads);
    yield { index: index++, pieces: members, instructions, ir: module.toBytes() };
    first = end;
  }
}
