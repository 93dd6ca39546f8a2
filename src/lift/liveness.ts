// Which flags can still be read, over the whole file and across calls. Inside a function this is ordinary liveness. Across
// functions nothing is assumed of code that is known: what a return point reads before it writes is live at the returns of
// every function that may return there, and what a function reads before it writes is live at its calls. Only towards
// other files do we rely on the psABI, by which neither calls nor returns carry flags.
//
// An indirect jump whose targets are not known counts as a call of unknown code; what the piece that jumps still knows of
// the flags it stores all the same, and likewise at system calls, which copy the flags to r11. An interpreted
// instruction reads what it reads; one that ends in an exception, or a way into bytes that are no instructions, nothing.

import { FLOW } from "../x86/index.ts";
import { MARK } from "./code-map.ts";
import type { Block, Graph } from "./graph.ts";

/** What an instruction does to flags: reads before writing, and writes whatever happens. */
export interface FlagEffects {
  readonly uses: number;
  readonly kills: number;
}

/** Fills in `liveFlags` of every block; gives the flags that are live after each block's last instruction. */
export function computeLiveFlags(graph: Graph, effectsAt: (pc: number) => FlagEffects): Map<Block, number> {
  return new Solver(graph, effectsAt).solve();
}

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

interface Node {
  readonly block: Block;
  readonly uses: number;
  readonly kills: number;
  /** Flags that are live at the returns of the function that the block is in. */
  liveAtReturn: number;
  /** Blocks that come before it in the same function, over calls too. */
  readonly before: Node[];
  /** Where the calls of this block, as a function, return to. */
  readonly returnPoints: Block[];
  /** The block at which an interpreted one goes on. */
  readonly after: Block | undefined;
  /** What must be looked at again when this node changes. */
  readonly dependents: Node[];
  isQueued: boolean;
  /** False for what may be data that looks like code: it does not count as a caller of real functions. */
  isReferred: boolean;
}

class Solver {
  readonly #nodes = new Map<Block, Node>();
  // Indirect calls reach any function whose address is taken; those return behind any indirect call and, if an indirect
  // jump led to them, wherever the function that jumped returns to.
  #liveAtIndirectTargets = 0;
  #liveAtIndirectReturns = 0;

  constructor(graph: Graph, effectsAt: (pc: number) => FlagEffects) {
    for (const block of graph.blocks.values()) this.#nodes.set(block, this.#makeNode(graph, block, effectsAt));
    const returning = findReturning(graph);
    const referred = findReferred(graph);
    for (const node of this.#nodes.values()) {
      node.isReferred = referred.has(node.block);
      this.#connect(node, returning);
    }
  }

  #makeNode(graph: Graph, block: Block, effectsAt: (pc: number) => FlagEffects): Node {
    let [uses, kills] = [0, 0];
    for (const pc of block.pcs) {
      const effects = effectsAt(pc);
      uses |= effects.uses & ~kills;
      kills |= effects.kills;
    }
    const after = blockAfter(graph, block);
    const lists = { before: [], returnPoints: [], dependents: [] };
    return { block, uses, kills, liveAtReturn: 0, after, isQueued: true, isReferred: false, ...lists };
  }

  #connect(node: Node, returning: ReadonlySet<Block>): void {
    const { callee, returnPoint, successors } = node.block;
    for (const successor of successors) {
      const next = this.#nodes.get(successor)!;
      next.dependents.push(node);
      if (!node.isReferred) continue;
      next.before.push(node);
      node.dependents.push(next);
    }
    if (node.after) this.#nodes.get(node.after)!.dependents.push(node);
    const called = callee ? this.#nodes.get(callee)! : null;
    called?.dependents.push(node);
    // What lies behind a call of a function that never returns may be anything, even another function's start.
    if (!returnPoint || (callee && !returning.has(callee))) return;
    const back = this.#nodes.get(returnPoint)!;
    back.before.push(node);
    node.dependents.push(back);
    if (called && node.isReferred) {
      called.returnPoints.push(returnPoint);
      back.dependents.push(called);
    } else back.dependents.push(node);
  }

  solve(): Map<Block, number> {
    // All masks only grow, six bits each, so every node changes a bounded number of times.
    const queue = [...this.#nodes.values()];
    for (let node = queue.pop(); node; node = queue.pop()) {
      node.isQueued = false;
      const shared = this.#liveAtIndirectTargets + this.#liveAtIndirectReturns;
      const isChanged = this.#update(node);
      const isSharedChanged = this.#liveAtIndirectTargets + this.#liveAtIndirectReturns !== shared;
      if (!isChanged && !isSharedChanged) continue;
      for (const other of isSharedChanged ? this.#nodes.values() : node.dependents) {
        if (other.isQueued) continue;
        other.isQueued = true;
        queue.push(other);
      }
    }
    return new Map([...this.#nodes.values()].map((node) => [node.block, this.#liveOut(node)]));
  }

  #liveOut({ block, liveAtReturn, after }: Node): number {
    if (block.isInterpreted) return after?.liveFlags ?? 0;
    switch (block.flow) {
      case FLOW.ret:
        return liveAtReturn;
      case FLOW.call:
        return block.callee ? block.callee.liveFlags : 0;
      case FLOW.indirectCall:
        return this.#liveAtIndirectTargets;
      case FLOW.indirectJump:
        if (!block.table) return this.#liveAtIndirectTargets;
        break;
      default:
        break;
    }
    let live = 0;
    for (const successor of block.successors) live |= successor.liveFlags;
    return live;
  }

  /** Recomputes a node; whether it changed. */
  #update(node: Node): boolean {
    const { block } = node;
    const isTaken = (block.marks & MARK.addressTaken) !== 0;
    let atReturn = node.liveAtReturn | (isTaken ? this.#liveAtIndirectReturns : 0);
    for (const before of node.before) atReturn |= before.liveAtReturn;
    for (const point of node.returnPoints) atReturn |= point.liveFlags;
    const isAtReturnChanged = atReturn !== node.liveAtReturn;
    node.liveAtReturn = atReturn;
    if (node.isReferred) {
      if (block.flow === FLOW.indirectCall) this.#liveAtIndirectReturns |= block.returnPoint?.liveFlags ?? 0;
      if (block.flow === FLOW.indirectJump && !block.table) this.#liveAtIndirectReturns |= atReturn;
    }

    const live = block.liveFlags | node.uses | (this.#liveOut(node) & ~node.kills);
    const isLiveChanged = live !== block.liveFlags;
    block.liveFlags = live;
    // What other code leads to as well is hardly a function: more likely a number that looks like an address.
    if (isTaken && block.predecessors.length === 0) this.#liveAtIndirectTargets |= live;
    return isAtReturnChanged || isLiveChanged;
  }
}
