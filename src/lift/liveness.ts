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

interface Node {
  readonly block: Block;
  uses: number;
  kills: number;
  /** Flags that are live at the returns of the function that the block is in. */
  liveAtReturn: number;
  /** Blocks that come before it in the same function, over calls too. */
  readonly sameFunction: Node[];
  /** Where the calls of this block, as a function, return to. */
  readonly callersReturnPoints: Block[];
}

/** Fills in `liveFlags` of every block; gives the flags that are live after each block's last instruction. */
export function computeLiveFlags(graph: Graph, effectsAt: (pc: number) => FlagEffects): Map<Block, number> {
  const nodes = new Map<Block, Node>();
  for (const block of graph.blocks.values()) nodes.set(block, makeNode(block, effectsAt));
  const returning = findReturning(graph);
  for (const node of nodes.values()) {
    const { callee, returnPoint, predecessors } = node.block;
    for (const predecessor of predecessors) node.sameFunction.push(nodes.get(predecessor)!);
    // What lies behind a call of a function that never returns may be anything, even another function's start.
    if (!returnPoint || (callee && !returning.has(callee))) continue;
    nodes.get(returnPoint)!.sameFunction.push(node);
    if (callee) nodes.get(callee)!.callersReturnPoints.push(returnPoint);
  }
  const all = [...nodes.values()].sort((a, b) => b.block.start - a.block.start);
  return new Solver(all, graph).solve();
}

/** Blocks from which a return of their function can be reached; unknown code counts as returning. */
function findReturning(graph: Graph): Set<Block> {
  const returning = new Set<Block>();
  const blocks = [...graph.blocks.values()].reverse();
  const returns = (block: Block): boolean => {
    if (block.isInterpreted) {
      const next = block.flow === FLOW.stop ? undefined : graph.blocks.get(block.end);
      return next !== undefined && returning.has(next);
    }
    if (block.flow === FLOW.ret || (block.flow === FLOW.indirectJump && !block.table)) return true;
    if (block.flow === FLOW.call || block.flow === FLOW.indirectCall) {
      const isPassed = block.callee === null || returning.has(block.callee);
      return isPassed && block.returnPoint !== null && returning.has(block.returnPoint);
    }
    return block.successors.some((successor) => returning.has(successor));
  };
  for (let before = -1; before !== returning.size; ) {
    before = returning.size;
    for (const block of blocks) if (!returning.has(block) && returns(block)) returning.add(block);
  }
  return returning;
}

function makeNode(block: Block, effectsAt: (pc: number) => FlagEffects): Node {
  let [uses, kills] = [0, 0];
  for (const pc of block.pcs) {
    const effects = effectsAt(pc);
    uses |= effects.uses & ~kills;
    kills |= effects.kills;
  }
  return { block, uses, kills, liveAtReturn: 0, sameFunction: [], callersReturnPoints: [] };
}

class Solver {
  readonly #nodes: readonly Node[];
  // Indirect calls reach any function whose address is taken; those return behind any indirect call and, if an indirect
  // jump led to them, wherever the function that jumped returns to.
  #liveAtIndirectTargets = 0;
  #liveAtIndirectReturns = 0;
  /** The block behind an interpreted instruction. */
  readonly #after = new Map<Block, Block>();

  constructor(nodes: readonly Node[], graph: Graph) {
    this.#nodes = nodes;
    for (const { block } of nodes) {
      const goesOn = block.isInterpreted && block.flow !== FLOW.stop;
      const next = goesOn ? graph.blocks.get(block.end) : undefined;
      if (next) this.#after.set(block, next);
    }
  }

  solve(): Map<Block, number> {
    // All masks only grow, so this ends: at most six steps a mask.
    for (let before = -1, now = 0; before !== now; ) {
      before = now;
      now = this.#passBackward() + this.#passForward() + this.#liveAtIndirectReturns + this.#liveAtIndirectTargets;
    }
    return new Map(this.#nodes.map((node) => [node.block, this.#liveOut(node)]));
  }

  #liveOut({ block, liveAtReturn }: Node): number {
    if (block.isInterpreted) return this.#after.get(block)?.liveFlags ?? 0;
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

  /** From blocks to what comes before them; gives a sum that grows as long as something changes. */
  #passBackward(): number {
    let sum = 0;
    for (const node of this.#nodes) {
      const { block } = node;
      block.liveFlags |= node.uses | (this.#liveOut(node) & ~node.kills);
      // What other code leads to as well is hardly a function: more likely a number that looks like an address.
      const isTarget = (block.marks & MARK.addressTaken) !== 0 && block.predecessors.length === 0;
      if (isTarget) this.#liveAtIndirectTargets |= block.liveFlags;
      sum += block.liveFlags;
    }
    return sum;
  }

  /** From function starts to the returns that they can reach. */
  #passForward(): number {
    let sum = 0;
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const node = this.#nodes[i]!;
      const { block } = node;
      let live = node.liveAtReturn;
      for (const before of node.sameFunction) live |= before.liveAtReturn;
      for (const point of node.callersReturnPoints) live |= point.liveFlags;
      if ((block.marks & MARK.addressTaken) !== 0) live |= this.#liveAtIndirectReturns;
      node.liveAtReturn = live;
      if (block.flow === FLOW.indirectCall) this.#liveAtIndirectReturns |= block.returnPoint?.liveFlags ?? 0;
      if (block.flow === FLOW.indirectJump && !block.table) this.#liveAtIndirectReturns |= live;
      sum += live;
    }
    return sum;
  }
}
