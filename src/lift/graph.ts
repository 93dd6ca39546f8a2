// The control-flow graph of a file: basic blocks, their edges, the loops, and the partition into pieces.
//
// A piece is what becomes one LLVM function: a head, which is an entry, and the blocks that can be reached only through
// it. Heads are function starts, return points, addresses that something holds, loops that calls or other pieces lead into,
// and wherever the paths of two pieces meet, unless what follows is so small that each may have it. Loops inside a piece are
// pieces of their own as well, so that every cycle has an entry in it.

import { FLOW, type Flow } from "../x86/index.ts";
import { type CodeMap, type JumpTable, MARK } from "./code-map.ts";
import { type Live, NOTHING_LIVE } from "./variables.ts";

export interface Block {
  readonly start: number;
  /** pcs of the instructions. */
  readonly pcs: readonly number[];
  /** Behind the last instruction. */
  readonly end: number;
  /** How the last instruction goes on; `next` for a block that ends since another starts. */
  readonly flow: Flow;
  /** True when the last instruction is left to the interpreter. */
  readonly isInterpreted: boolean;
  /** Blocks in the same function that may follow. */
  readonly successors: Block[];
  readonly predecessors: Block[];
  /** Callee of a direct call, if it is known code. */
  callee: Block | null;
  /** The block behind a call. */
  returnPoint: Block | null;
  /** The table of an indirect jump that is lowered to a switch. */
  readonly table: JumpTable | null;
  readonly marks: number;
  isLoopHead: boolean;
  /** Head of the piece that the block belongs to; several share it if it is small. */
  owner: Block | null;
  /** Whether a piece begins here. */
  isHead: boolean;
  /** Whether code of the file leads to the head itself, not by its address. */
  isEntered: boolean;
  /** Position in reverse post-order. */
  order: number;
  /** What is read before written from here on (see liveness.ts). */
  live: Live;
  /** Position among all blocks, for who keeps something by block (network.ts). */
  index: number;
}

export interface Piece {
  readonly head: Block;
  /** The head first; every block comes after its predecessors inside the piece, but for the ways back of loops. */
  readonly blocks: readonly Block[];
}

/** Which instructions the lifter cannot do; decided by shape before the graph is made. */
export type IsInterpreted = (pc: number) => boolean;

/** What must be an entry whatever the graph looks like. */
const ENTRY_MARKS = MARK.function | MARK.returnPoint | MARK.addressTaken | MARK.entry;

/** Ends a block after so many instructions, to bound what LLVM gets at once. */
const MAX_BLOCK_INSTRUCTIONS = 1500;
/** Beyond so many instructions further blocks become pieces of their own, for the same reason. */
const MAX_PIECE_INSTRUCTIONS = 12_000;

export class Graph {
  readonly map: CodeMap;
  /** By start, in the order of addresses. */
  readonly blocks = new Map<number, Block>();

  constructor(map: CodeMap, isInterpreted: IsInterpreted) {
    this.map = map;
    this.#markAfterInterpreted(isInterpreted);
    this.#markTableTargets();
    for (const segment of map.segments) {
      for (let offset = 0; offset < segment.bytes.length; offset++) {
        if (segment.lengths[offset] === 0 || (segment.marks[offset]! & MARK.leader) === 0) continue;
        let start = segment.start + offset;
        while (start >= 0) start = this.#makeBlock(start, isInterpreted);
      }
    }
    for (const block of this.blocks.values()) this.#connect(block);
  }

  /** The blocks that must be entries whatever the graph looks like. */
  isRoot(block: Block): boolean {
    return (block.marks & ENTRY_MARKS) !== 0 || block.predecessors.length === 0;
  }

  #markAfterInterpreted(isInterpreted: IsInterpreted): void {
    const { map } = this;
    for (const segment of map.segments) {
      for (let offset = 0; offset < segment.bytes.length; offset++) {
        const length = segment.lengths[offset]!;
        if (length === 0 || !isInterpreted(segment.start + offset)) continue;
        map.mark(segment.start + offset + length, MARK.leader | MARK.entry);
      }
    }
  }

  /** Targets of tables that cannot be lowered to a switch are reached by their address. */
  #markTableTargets(): void {
    for (const table of this.map.tables.values()) {
      for (const target of table.targets)
        this.map.mark(target, table.isConstant ? MARK.leader : MARK.leader | MARK.addressTaken);
    }
  }

  /** Makes the block at `start`; gives the start of the rest if it was cut, else -1. */
  #makeBlock(start: number, isInterpreted: IsInterpreted): number {
    const { map } = this;
    const pcs: number[] = [];
    let pc = start;
    let flow: Flow = FLOW.next;
    let interpreted = false;
    let rest = -1;
    while (map.isInstruction(pc)) {
      if (pc !== start && (map.marksAt(pc) & MARK.leader) !== 0) break;
      if (pcs.length === MAX_BLOCK_INSTRUCTIONS) {
        map.mark(pc, MARK.leader);
        rest = pc;
        break;
      }
      pcs.push(pc);
      flow = map.flowAt(pc);
      interpreted = isInterpreted(pc) || flow === FLOW.stop;
      pc += map.lengthAt(pc);
      if (flow !== FLOW.next || interpreted) break;
    }
    const table = flow === FLOW.indirectJump && !interpreted ? map.tables.get(pcs[pcs.length - 1]!) : undefined;
    const isSwitch = table?.isConstant && pcs.includes(table.loadPc);
    if (table && !isSwitch) {
      for (const target of table.targets) map.mark(target, MARK.addressTaken);
    }
    this.blocks.set(start, {
      start,
      pcs,
      end: pc,
      flow,
      isInterpreted: interpreted,
      successors: [],
      predecessors: [],
      callee: null,
      returnPoint: null,
      table: isSwitch ? table : null,
      marks: map.marksAt(start),
      isLoopHead: false,
      owner: null,
      isHead: false,
      isEntered: false,
      order: -1,
      live: NOTHING_LIVE,
      index: -1,
    });
    return rest;
  }

  #connect(block: Block): void {
    const { map } = this;
    const last = block.pcs[block.pcs.length - 1]!;
    const target = map.targets.get(last);
    const link = (pc: number | undefined): void => {
      const successor = pc === undefined ? undefined : this.blocks.get(pc);
      if (!successor || block.successors.includes(successor)) return;
      block.successors.push(successor);
      successor.predecessors.push(block);
    };
    // Marks may have been added while later blocks were made.
    (block as { marks: number }).marks = map.marksAt(block.start);
    if (block.isInterpreted) return;
    switch (block.flow) {
      case FLOW.next:
      case FLOW.syscall:
        link(block.end);
        break;
      case FLOW.repeat:
        link(last);
        link(block.end);
        break;
      case FLOW.branch:
        link(target);
        link(block.end);
        break;
      case FLOW.jump:
        link(target);
        break;
      case FLOW.call:
        block.callee = this.blocks.get(target ?? -1) ?? null;
        block.returnPoint = this.blocks.get(block.end) ?? null;
        break;
      case FLOW.indirectCall:
        block.returnPoint = this.blocks.get(block.end) ?? null;
        break;
      case FLOW.indirectJump:
        for (const entry of block.table?.targets ?? []) link(entry);
        break;
      default:
        break;
    }
  }

  /** Finds loop heads and gives every block its place in a reverse post-order. */
  #sort(): Block[] {
    const postOrder: Block[] = [];
    const onPath = new Set<Block>();
    const seen = new Set<Block>();
    const visit = (root: Block): void => {
      if (seen.has(root)) return;
      seen.add(root);
      onPath.add(root);
      const stack: [Block, number][] = [[root, 0]];
      while (stack.length > 0) {
        const top = stack[stack.length - 1]!;
        const [block, next] = top;
        const successor = block.successors[next];
        if (!successor) {
          stack.pop();
          onPath.delete(block);
          postOrder.push(block);
          continue;
        }
        top[1]++;
        if (onPath.has(successor)) successor.isLoopHead = true;
        else if (!seen.has(successor)) {
          seen.add(successor);
          onPath.add(successor);
          stack.push([successor, 0]);
        }
      }
    };
    for (const block of this.blocks.values()) if (this.isRoot(block)) visit(block);
    // What only unreachable cycles lead to: any block of them is as good a root as another.
    for (const block of this.blocks.values()) {
      if (seen.has(block)) continue;
      block.isLoopHead = true;
      visit(block);
    }
    postOrder.reverse();
    postOrder.forEach((block, i) => {
      block.order = i;
    });
    return postOrder;
  }

  /** Divides the graph into pieces, in the order of their heads' addresses. */
  partition(): Piece[] {
    const order = this.#sort();
    this.#findOwners(order);
    const members = new Map<Block, Block[]>();
    for (const block of order) {
      if (block.owner === block) members.set(block, [block]);
      else members.get(block.owner!)!.push(block);
    }
    shareSmallEnds(order, members);
    const byOrder = (a: Block, b: Block): number => a.order - b.order;
    const pieces = [...members].map(([head, blocks]): Piece => ({ head, blocks: blocks.sort(byOrder) }));
    for (const piece of [...pieces]) pieces.push(...innerLoops(piece));
    /** The last piece that was seen to hold a block, by the block's order. */
    const lastPiece = new Int32Array(order.length).fill(-1);
    pieces.forEach(({ head, blocks }, number) => {
      head.isHead = true;
      for (const block of blocks) lastPiece[block.order] = number;
      for (const { callee, successors } of blocks) {
        if (callee) callee.isEntered = true;
        for (const successor of successors) if (lastPiece[successor.order] !== number) successor.isEntered = true;
      }
    });
    return pieces.sort((a, b) => a.head.start - b.head.start);
  }

  /**
   * Gives every block its owner, the head that all ways to it come through. A loop's head has the owner of what leads to
   * the loop if all of the loop has, else it is a head itself.
   */
  #findOwners(order: readonly Block[]): void {
    const isHead = Uint8Array.from(order, (block) => (this.isRoot(block) ? 1 : 0));
    for (let round = 0, isStable = false; !isStable; round++) {
      /** Instructions of each owner. */
      const sizes = new Int32Array(order.length);
      for (const block of order) {
        const only = isHead[block.order] === 1 ? block : commonOwner(block);
        const owner = sizes[only.order]! > MAX_PIECE_INSTRUCTIONS ? block : only;
        sizes[owner.order]! += block.pcs.length;
        block.owner = owner;
      }
      isStable = true;
      for (const block of order) {
        if (!block.isLoopHead || block.owner === block) continue;
        if (round < OWNER_ROUNDS && block.predecessors.every((p) => p.owner === block.owner)) continue;
        isHead[block.order] = 1;
        isStable = false;
      }
    }
  }
}

/** The owner of all that comes before a block, but for the ways back of loops; itself if they have several or there is none. */
function commonOwner(block: Block): Block {
  let common: Block | null = null;
  for (const { order, owner } of block.predecessors) {
    if (order >= block.order) continue;
    if (common !== null && common !== owner) return block;
    common = owner;
  }
  return common ?? block;
}

/** Rounds after which loops that are not settled get pieces of their own. */
const OWNER_ROUNDS = 20;
/** How many times a piece's instructions may be written once more for the loops in it. */
const INNER_LOOP_SHARE = 4;
/** Instructions of what is written into each of the pieces that lead to it, and how many of them may do. */
const [SHARED_INSTRUCTIONS, SHARED_SUM] = [12, 72];

/**
 * Small pieces that only a few others lead to become part of each of those: it saves a jump each time. Not loops, and not
 * what must be an entry.
 */
function shareSmallEnds(order: readonly Block[], members: Map<Block, Block[]>): void {
  /** The heads of the pieces that hold a block, where these are not just its owner. */
  const sharers = new Map<Block, Set<Block>>();
  const headsOf = (block: Block): Iterable<Block> => sharers.get(block) ?? [block.owner!];
  for (let i = order.length - 1; i >= 0; i--) {
    const head = order[i]!;
    if (head.pcs.length > SHARED_INSTRUCTIONS || head.predecessors.length === 0) continue;
    const blocks = members.get(head);
    if (!blocks || (head.marks & ENTRY_MARKS) !== 0) continue;
    const size = sizeOf(blocks);
    if (size > SHARED_INSTRUCTIONS) continue;
    if (blocks.some((block) => block.isLoopHead || block.isInterpreted || block.table)) continue;
    const owners = new Set<Block>();
    for (const block of head.predecessors) for (const owner of headsOf(block)) owners.add(owner);
    if (size * owners.size > SHARED_SUM) continue;
    for (const block of blocks) {
      const heads = new Set(headsOf(block));
      heads.delete(head);
      for (const owner of owners) {
        if (!heads.has(owner)) members.get(owner)!.push(block);
        heads.add(owner);
      }
      sharers.set(block, heads);
    }
    members.delete(head);
  }
}

/** The blocks of `inside` between a loop's head and its ways back, in order. */
export function naturalLoop(head: Block, inside: ReadonlySet<Block>): Block[] {
  const found = new Set([head]);
  const queue = head.predecessors.filter((p) => inside.has(p) && p.order >= head.order);
  for (let block = queue.pop(); block; block = queue.pop()) {
    if (found.has(block)) continue;
    found.add(block);
    for (const p of block.predecessors) if (inside.has(p) && p.order > head.order) queue.push(p);
  }
  // A second way into the loop may lead to blocks that the head does not.
  const reached = new Set([head]);
  for (const block of [...found].sort((a, b) => a.order - b.order)) {
    if (block.predecessors.some((p) => p.order < block.order && reached.has(p))) reached.add(block);
  }
  return [...reached];
}

const sizeOf = (blocks: readonly Block[]): number => blocks.reduce((sum, block) => sum + block.pcs.length, 0);

/**
 * A piece of its own for each loop inside a piece, for whoever was interrupted in it: what lies behind is another's. Where
 * loops are nested so deeply that this would be far more than the piece itself, the interpreter has to do for some.
 */
function innerLoops(piece: Piece): Piece[] {
  const heads = piece.blocks.filter((block) => block.isLoopHead && block !== piece.head);
  if (heads.length === 0) return [];
  const inside = new Set(piece.blocks);
  let left = INNER_LOOP_SHARE * sizeOf(piece.blocks);
  const loops: Piece[] = [];
  for (const head of heads) {
    if (left <= 0) break;
    const blocks = naturalLoop(head, inside);
    left -= sizeOf(blocks);
    loops.push({ head, blocks });
  }
  return loops;
}
