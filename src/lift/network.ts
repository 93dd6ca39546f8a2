// How the blocks of a file hang together, as liveness sees it (liveness.ts): what must be looked at again when something
// changes. By the index of the block, in arrays: files have hundreds of thousands of blocks, which are gone through again and again.

import type { FrameRange } from "../elf/index.ts";
import { FLOW } from "../x86/index.ts";
import { MARK } from "./code-map.ts";
import type { Block, Graph } from "./graph.ts";

/** The block at which an interpreted block goes on, if it does. */
function blockAfter(graph: Graph, block: Block): Block | undefined {
  return block.isInterpreted && block.flow !== FLOW.stop ? graph.blocks.get(block.end) : undefined;
}

/** Adds `value` to the list of `key`. */
function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** Blocks from which a return of their function can be reached; unknown code counts as returning. */
function findReturning(graph: Graph): Set<Block> {
  const returning = new Set<Block>();
  const dependents = new Map<Block, Block[]>();
  for (const block of graph.blocks.values()) {
    // Within a function the predecessors are at hand.
    const after = blockAfter(graph, block);
    if (block.callee) append(dependents, block.callee, block);
    if (block.returnPoint) append(dependents, block.returnPoint, block);
    if (after) append(dependents, after, block);
  }
  const returns = (block: Block): boolean => {
    if (block.isInterpreted) {
      const after = blockAfter(graph, block);
      return after !== undefined && returning.has(after);
    }
    if (block.flow === FLOW.ret || (block.flow === FLOW.indirectJump && !block.table)) return true;
    if (block.flow === FLOW.call || block.flow === FLOW.indirectCall) {
      const isPassed = block.callee === null || returning.has(block.callee);
      return isPassed && block.returnPoint !== null && returning.has(block.returnPoint);
    }
    return block.successors.some((successor) => returning.has(successor));
  };
  const queue = [...graph.blocks.values()];
  for (let block = queue.pop(); block; block = queue.pop()) {
    if (returning.has(block) || !returns(block)) continue;
    returning.add(block);
    for (const predecessor of block.predecessors) queue.push(predecessor);
    // One at a time: a function has as many dependents as callers, too many for the arguments of one call.
    for (const dependent of dependents.get(block) ?? []) queue.push(dependent);
  }
  return returning;
}

/** Blocks that something refers to, however indirectly: all but what only gaps, which may be data, lead to. */
function findReferred(graph: Graph): Set<Block> {
  const isTaken = ({ marks }: Block): boolean => (marks & MARK.addressTaken) !== 0 && (marks & MARK.gap) === 0;
  const queue = [...graph.blocks.values()].filter(isTaken);
  const referred = new Set<Block>();
  for (let block = queue.pop(); block; block = queue.pop()) {
    if (referred.has(block)) continue;
    referred.add(block);
    for (const next of [...block.successors, block.callee, block.returnPoint, blockAfter(graph, block)]) {
      if (next && !referred.has(next)) queue.push(next);
    }
  }
  return referred;
}

function isUnknownJump({ flow, table, isInterpreted }: Block): boolean {
  return flow === FLOW.indirectJump && !table && !isInterpreted;
}

/** Whether a block inside of an unwind range may be reached by its address, of all that is known of it. */
function isInnerTarget({ start, marks, predecessors }: Block, frame: FrameRange): boolean {
  if (start === frame.start || (marks & MARK.function) !== 0) return false;
  const isReachedOtherwise = predecessors.length > 0 || (marks & (MARK.returnPoint | MARK.entry)) !== 0;
  return (marks & MARK.addressTaken) !== 0 || !isReachedOtherwise;
}

/** Whether a block looks at what indirect calls, jumps and returns share. */
function isShared(block: Block): boolean {
  return block.flow === FLOW.indirectCall || isUnknownJump(block) || (block.marks & MARK.addressTaken) !== 0;
}

/** What follows the last instruction of a block. */
export const WAY = {
  /** What `target` is. */
  on: 0,
  /** Successors in the function. */
  successors: 1,
  return: 2,
  /** A call of code that is not known; `target` is the return point. */
  unknownCall: 3,
  /** A call by address; `target` is the return point. */
  indirectCall: 4,
  /** A jump by address of which nothing is known. */
  unknownJump: 5,
} as const;

/** What a block is, beside its way. */
export const TRAIT = {
  /** Not what may be data that looks like code, which does not count as a caller of real functions. */
  referred: 1,
  /** Its address is taken. */
  taken: 2,
  /** The target of indirect jumps in its own unwind range. */
  innerTarget: 4,
  /** Its address is taken and nothing else leads there. */
  indirectTarget: 8,
  /** A jump through a slot for a function of another file, or one that another file may replace. */
  import: 16,
  indirectCall: 32,
  /** A jump by address that is no jump table's. */
  indirectJump: 64,
} as const;

/** Lists of blocks, by block. */
export interface Lists {
  /** Where the list of a block begins in `items`; it ends where the next one's begins. */
  readonly starts: Int32Array;
  readonly items: Int32Array;
}

/** Pairs of a block and what is in its list. */
class Pairs {
  #pairs = new Int32Array(1 << 10);
  #length = 0;

  add(of: number, item: number): void {
    if (this.#length === this.#pairs.length) {
      const larger = new Int32Array(2 * this.#length);
      larger.set(this.#pairs);
      this.#pairs = larger;
    }
    this.#pairs[this.#length++] = of;
    this.#pairs[this.#length++] = item;
  }

  toLists(count: number): Lists {
    const starts = new Int32Array(count + 1);
    for (let i = 0; i < this.#length; i += 2) starts[this.#pairs[i]! + 1]!++;
    for (let i = 0; i < count; i++) starts[i + 1]! += starts[i]!;
    const items = new Int32Array(this.#length / 2);
    const next = starts.slice();
    for (let i = 0; i < this.#length; i += 2) items[next[this.#pairs[i]!]!++] = this.#pairs[i + 1]!;
    return { starts, items };
  }
}

/** The blocks of a graph, in their order, and how they hang together. A block that there is not is -1. */
export class Network {
  readonly blocks: readonly Block[];
  /** WAY and TRAIT of each block. */
  readonly ways: Uint8Array;
  readonly traits: Uint8Array;
  /** By the block's WAY. */
  readonly targets: Int32Array;
  readonly returnPoints: Int32Array;
  readonly successors: Lists;
  /** Blocks that come before it in the same function, over calls too. */
  readonly before: Lists;
  /** Where the calls of this block, as a function, return to. */
  readonly returns: Lists;
  /** What must be looked at again when this block changes. */
  readonly dependents: Lists;
  /** By hub: the indirect jumps of one unwind range; by block: its hub, if it is such a jump or where one may lead. */
  readonly hubJumps: readonly (readonly number[])[];
  readonly hubs: Int32Array;
  /** What must be looked at again when something changes that all indirect transfers share. */
  readonly sharing: readonly number[];

  readonly #graph: Graph;
  readonly #hubOfFrame = new Map<number, number>();
  readonly #jumps: number[][] = [];
  readonly #pairs = { successors: new Pairs(), before: new Pairs(), returns: new Pairs(), dependents: new Pairs() };

  constructor(graph: Graph) {
    this.#graph = graph;
    const returning = findReturning(graph);
    const referred = findReferred(graph);
    const blocks = [...graph.blocks.values()];
    this.blocks = blocks;
    this.ways = new Uint8Array(blocks.length);
    this.traits = new Uint8Array(blocks.length);
    this.targets = new Int32Array(blocks.length).fill(-1);
    this.returnPoints = new Int32Array(blocks.length).fill(-1);
    this.hubs = new Int32Array(blocks.length).fill(-1);
    blocks.forEach((block, i) => {
      block.index = i;
    });
    const sharing: number[] = [];
    for (const block of blocks) {
      this.#describe(block, referred.has(block));
      this.#connect(block, returning);
      if (isShared(block)) sharing.push(block.index);
    }
    this.sharing = sharing;
    this.hubJumps = this.#jumps;
    const { successors, before, returns, dependents } = this.#pairs;
    this.successors = successors.toLists(blocks.length);
    this.before = before.toLists(blocks.length);
    this.returns = returns.toLists(blocks.length);
    this.dependents = dependents.toLists(blocks.length);
  }

  #describe(block: Block, isReferred: boolean): void {
    const { index, marks, pcs } = block;
    const frame = this.#graph.map.frameOf(block.start);
    const isInner = frame !== null && isInnerTarget(block, frame);
    const isTaken = (marks & MARK.addressTaken) !== 0;
    let traits = isReferred ? TRAIT.referred : 0;
    if (isTaken) traits |= TRAIT.taken;
    if (isInner) traits |= TRAIT.innerTarget;
    // What other code leads to as well is hardly a function: more likely a number that looks like an address.
    else if (isTaken && block.predecessors.length === 0) traits |= TRAIT.indirectTarget;
    if (this.#graph.map.slotJumps.has(pcs[pcs.length - 1]!)) traits |= TRAIT.import;
    if (block.flow === FLOW.indirectCall) traits |= TRAIT.indirectCall;
    if (block.flow === FLOW.indirectJump && !block.table) traits |= TRAIT.indirectJump;
    this.traits[index] = traits;
    if (!frame || !(isInner || isUnknownJump(block))) return;
    const hub = this.#hubOfFrame.get(frame.start) ?? this.#jumps.push([]) - 1;
    this.#hubOfFrame.set(frame.start, hub);
    this.hubs[index] = hub;
    if (isUnknownJump(block)) this.#jumps[hub]!.push(index);
  }

  #setWay({ index }: Block, way: number, target: Block | null | undefined): void {
    this.ways[index] = way;
    this.targets[index] = target?.index ?? -1;
  }

  /** Notes how a block goes on. */
  #chooseWay(block: Block): void {
    const { callee, returnPoint } = block;
    if (block.isInterpreted) this.#setWay(block, WAY.on, blockAfter(this.#graph, block));
    else if (block.flow === FLOW.ret) this.#setWay(block, WAY.return, null);
    else if (block.flow === FLOW.call) this.#setWay(block, callee ? WAY.on : WAY.unknownCall, callee ?? returnPoint);
    else if (block.flow === FLOW.indirectCall) this.#setWay(block, WAY.indirectCall, returnPoint);
    else this.#setWay(block, isUnknownJump(block) ? WAY.unknownJump : WAY.successors, null);
  }

  #connect(block: Block, returning: ReadonlySet<Block>): void {
    const { index, callee, returnPoint } = block;
    const { successors, before, returns, dependents } = this.#pairs;
    const isReferred = (this.traits[index]! & TRAIT.referred) !== 0;
    this.#chooseWay(block);
    for (const { index: next } of block.successors) {
      successors.add(index, next);
      dependents.add(next, index);
      if (!isReferred) continue;
      before.add(next, index);
      dependents.add(index, next);
    }
    const after = blockAfter(this.#graph, block);
    if (after) dependents.add(after.index, index);
    if (callee) dependents.add(callee.index, index);
    if (!returnPoint) return;
    const back = returnPoint.index;
    this.returnPoints[index] = back;
    // What lies behind a call of a function that never returns may be anything, even another function's start.
    if (callee && !returning.has(callee)) return;
    before.add(back, index);
    dependents.add(index, back);
    if (callee && isReferred) {
      returns.add(callee.index, back);
      dependents.add(back, callee.index);
    } else dependents.add(back, index);
  }
}
