// Which flags can still be read, over the whole file and across calls. Inside a function this is ordinary liveness. Across
// functions nothing is assumed of code that is known: what a return point reads before it writes is live at the returns of
// every function that may return there, and what a function reads before it writes is live at its calls. Only towards
// other files do we rely on the psABI, by which neither calls nor returns carry flags.
//
// At an indirect jump whose targets are not known, and wherever the interpreter takes over, all flags count as live.

import { FLOW } from "../x86/index.ts";
import { type CodeMap, MARK } from "./code-map.ts";
import type { Block, Graph } from "./graph.ts";
import { ALL_FLAGS } from "./variables.ts";

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
export function computeLiveFlags(
  graph: Graph,
  map: CodeMap,
  effectsAt: (pc: number) => FlagEffects,
): Map<Block, number> {
  const nodes = new Map<Block, Node>();
  for (const block of graph.blocks.values()) nodes.set(block, makeNode(block, effectsAt));
  for (const node of nodes.values()) {
    const { callee, returnPoint, predecessors } = node.block;
    for (const predecessor of predecessors) node.sameFunction.push(nodes.get(predecessor)!);
    if (returnPoint) nodes.get(returnPoint)!.sameFunction.push(node);
    if (callee && returnPoint) nodes.get(callee)!.callersReturnPoints.push(returnPoint);
  }
  return new Solver(
    [...nodes.values()].sort((a, b) => b.block.start - a.block.start),
    map,
  ).solve();
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
  readonly #map: CodeMap;
  // Indirect calls reach any function whose address is taken; those return behind any indirect call and, if an indirect
  // jump led to them, wherever the function that jumped returns to.
  #liveAtIndirectTargets = 0;
  #liveAtIndirectReturns = 0;

  constructor(nodes: readonly Node[], map: CodeMap) {
    this.#nodes = nodes;
    this.#map = map;
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
    if (block.isInterpreted || block.leavesKnownCode) return ALL_FLAGS;
    switch (block.flow) {
      case FLOW.ret:
        return liveAtReturn;
      case FLOW.call:
        return block.callee ? block.callee.liveFlags : 0;
      case FLOW.indirectCall:
        return this.#liveAtIndirectTargets;
      case FLOW.indirectJump:
        if (this.#map.slotJumps.has(block.pcs[block.pcs.length - 1]!)) return this.#liveAtIndirectTargets;
        if (!block.table) return ALL_FLAGS;
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
      if ((block.marks & MARK.addressTaken) !== 0) this.#liveAtIndirectTargets |= block.liveFlags;
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
