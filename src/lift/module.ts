// From a file's code to LLVM modules: which instructions can be lifted, the graph, the pieces, and the pieces divided
// into shards of bounded size, which LLVM works on independently.

import type { Variant } from "../abi/index.ts";
import { IrModule } from "../llvm/index.ts";
import { FLOW } from "../x86/index.ts";
import { type CodeMap, MARK } from "./code-map.ts";
import { makeEffects, probeShapes, type UnsupportedShape } from "./effects.ts";
import { type Block, Graph, type Piece } from "./graph.ts";
import { computeLive } from "./liveness.ts";
import { LoopSurprise } from "./loops.ts";
import { type LiftContext, PieceWriter } from "./piece.ts";
import { findPrivateFrames } from "./private-frames.ts";
import type { LiftOptions } from "./sem.ts";

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
