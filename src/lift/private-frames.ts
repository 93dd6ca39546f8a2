// Which stack frames no other thread can see into, so that their slots need not be accessed in order. A thread learns the
// address of another's slot only if the function that owns the frame makes an address of rsp: so a function that uses rsp
// (or rbp, where that holds the frame) for nothing but accesses of its own, calls, and moving rsp itself keeps its frame to
// itself. What belongs to a function is told by control flow: blocks that jumps, falling through and returns of calls join.

import { FLOW, STACK_USE } from "../x86/index.ts";
import { MARK } from "./code-map.ts";
import type { Block, Graph } from "./graph.ts";

/** Registers that lead into a frame that only its own thread knows. */
export type PrivateFrame = "none" | "rsp" | "rsp and rbp";

class Groups {
  readonly #parents = new Map<Block, Block>();

  find(block: Block): Block {
    let root = block;
    for (let next = this.#parents.get(root); next; next = this.#parents.get(root)) root = next;
    for (let at = block; at !== root; ) {
      const next = this.#parents.get(at)!;
      this.#parents.set(at, root);
      at = next;
    }
    return root;
  }

  join(a: Block, b: Block): void {
    const [one, other] = [this.find(a), this.find(b)];
    if (one !== other) this.#parents.set(one, other);
  }
}

/** What a block does with the stack's address, as STACK_USE. */
function stackUse(graph: Graph, block: Block): number {
  const { scanner } = graph.map.segmentOf(block.start)!;
  let use = 0;
  for (const pc of block.pcs) {
    scanner.decode(pc);
    use |= scanner.stackUse;
  }
  // A function whose code is not all known, or that something enters in its middle, may make addresses elsewhere.
  const isOpen = block.flow === FLOW.indirectJump && !block.table && !graph.map.slotJumps.has(block.pcs.at(-1)!);
  const isEntered = block.predecessors.length === 0 && (block.marks & (MARK.function | MARK.returnPoint)) === 0;
  return isOpen || isEntered ? use | STACK_USE.rspEscapes : use;
}

/** The private frames of a file by block; blocks that are not there have none. */
export function findPrivateFrames(graph: Graph): Map<Block, PrivateFrame> {
  const groups = new Groups();
  for (const block of graph.blocks.values()) {
    const after = block.isInterpreted && block.flow !== FLOW.stop ? graph.blocks.get(block.end) : undefined;
    for (const next of [...block.successors, block.returnPoint, after]) if (next) groups.join(block, next);
  }
  const uses = new Map<Block, number>();
  for (const block of graph.blocks.values()) {
    const group = groups.find(block);
    uses.set(group, (uses.get(group) ?? 0) | stackUse(graph, block));
  }
  const frames = new Map<Block, PrivateFrame>();
  for (const block of graph.blocks.values()) {
    const use = uses.get(groups.find(block))!;
    const isFramePointer = (use & STACK_USE.rbpIsFrame) !== 0;
    if ((use & STACK_USE.rspEscapes) !== 0 || (isFramePointer && (use & STACK_USE.rbpEscapes) !== 0)) continue;
    frames.set(block, isFramePointer ? "rsp and rbp" : "rsp");
  }
  return frames;
}
