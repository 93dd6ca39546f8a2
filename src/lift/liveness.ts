// What can still be read of flags, mask registers and vector registers, over the whole file and across calls. Inside a
// function this is ordinary liveness, but that of the upper parts of vector registers, which scalar instructions hand through
// and moves hand on: they are live where what they end up in is. Across functions nothing is assumed of code that is known:
// what a return point reads before it writes is live at the returns of every function that may return there, and what a
// function reads before it writes is live at its calls. Only towards other files do we rely on the psABI: neither calls nor
// returns carry flags; calls carry the first eight vector registers, returns the first two, and neither any mask register.
// Calls of unknown code are taken to leave the registers alone, since some do by agreement with their callers (descriptors of
// thread-local storage).
//
// Code that restores registers for whoever was interrupted (a scheduler's entry for a preempted thread) returns with them all
// the same. It is known by what else would make no sense: it loads them and nothing reads them. What is loaded so is live
// at the returns of its function.
//
// An indirect jump whose targets are not known counts as a call of unknown code, or leads to where something in its own unwind
// range can be reached only by an address: compilers make both. Code outside of all unwind ranges is by hand, and may jump to
// what nobody has found: what the piece that jumps there still knows it stores all the same (`jumpsAnywhere`), and likewise
// at system calls. Numbers that look like the address of something inside of an unwind range are no functions. An interpreted
// instruction reads what it reads; one that ends in an exception, or a way into bytes that are no instructions, nothing.

import type { FrameRange } from "../elf/index.ts";
import { FLOW } from "../x86/index.ts";
import { MARK } from "./code-map.ts";
import type { Block, Graph } from "./graph.ts";
import type { Flow } from "./probe.ts";
import { ALL_LIVE, ARGUMENT_VECTORS_LIVE, type Live, REGISTERS_LIVE, RESULT_VECTORS_LIVE } from "./variables.ts";

/** What an instruction does to the variables of which liveness is computed. */
export interface Effects {
  /** What it reads before it writes it. */
  readonly uses: Live;
  /** What it writes whatever happens. */
  readonly kills: Live;
  /** What of that it takes as it is from memory; nothing in `upper`, which goes with `vectors`. */
  readonly restores: Live;
  /** Parts in `upper` that it makes of others. */
  readonly flows: readonly Flow[];
}

/** What is live before an instruction of that behind it. */
export function liveBefore({ uses, kills, flows }: Effects, live: Live): Live {
  return {
    rare: uses.rare | (live.rare & ~kills.rare),
    vectors: uses.vectors | (live.vectors & ~kills.vectors),
    upper: uses.upper | through(live.upper, kills.upper, flows),
  };
}

/** What must be live before for `live` to be live behind what kills and hands on. */
function through(live: number, kills: number, flows: Iterable<Flow>): number {
  let before = live & ~kills;
  for (const { to, from } of flows) if (live & to) before |= from;
  return before;
}

/** What is taken of code that is not known, for one of the masks. */
interface Agreement {
  readonly mask: keyof Live;
  /** What calls and returns carry at all. */
  readonly carried: number;
  /** What an unknown function may read. */
  readonly taken: number;
  /** What an unknown caller may read. */
  readonly returned: number;
}

const RARE: Agreement = { mask: "rare", carried: REGISTERS_LIVE, taken: 0, returned: 0 };
const OF_VECTORS = { carried: -1, taken: ARGUMENT_VECTORS_LIVE, returned: RESULT_VECTORS_LIVE };
const VECTORS: Agreement = { mask: "vectors", ...OF_VECTORS };
const UPPER: Agreement = { mask: "upper", ...OF_VECTORS };

const NO_FLOWS: readonly Flow[] = [];

/** What of all that is made behind another instruction, when `kills` and `flows` tell of those before it. */
function behind(kills: number, flows: readonly Flow[], next: Effects): readonly Flow[] {
  const made = new Map<number, number>();
  for (const { to, from } of flows) if ((to & next.kills.upper) === 0) made.set(to, from);
  for (const { to, from } of next.flows) made.set(to, through(from, kills, flows) | (made.get(to) ?? 0));
  return Array.from(made, ([to, from]) => ({ to, from }));
}

/** Fills in `live` of every block; gives what is live after each block's last instruction. */
export function computeLive(graph: Graph, effectsAt: (pc: number) => Effects): Map<Block, Live> {
  const { nodes, sharing } = new Network(graph);
  const ofInstructions = nodes.map(({ block }) => block.pcs.map(effectsAt));
  const solve = (agreement: Agreement, restored?: (node: number) => number): Solution =>
    new Solver(graph, sharing, agreement).solve(nodes, ofInstructions, restored);
  const [rare, vectors] = [solve(RARE), solve(VECTORS)];
  // Who restores a register restores all of it.
  const upper = solve(UPPER, (node) => (vectors.restored[node]! & 0xffff) * 0x10001);
  const after = new Map<Block, Live>();
  nodes.forEach(({ block }, i) => {
    block.live = { rare: rare.live[i]!, vectors: vectors.live[i]!, upper: upper.live[i]! };
    after.set(block, { rare: rare.after[i]!, vectors: vectors.after[i]!, upper: upper.after[i]! });
  });
  return after;
}

/** Whether an indirect jump of unknown targets may lead to what liveness knows nothing of. */
export function jumpsAnywhere(graph: Graph, block: Block): boolean {
  return graph.map.frameOf(block.start) === null;
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

/** A block, and what its liveness follows from. */
interface Node {
  readonly block: Block;
  /** Blocks that come before it in the same function, over calls too. */
  readonly before: Node[];
  /** Where the calls of this block, as a function, return to. */
  readonly returnPoints: Node[];
  readonly successors: Node[];
  callee: Node | undefined;
  /** The block behind a call. */
  returnPoint: Node | undefined;
  /** The block at which an interpreted one goes on. */
  after: Node | undefined;
  /** What must be looked at again when this node changes. */
  readonly dependents: Node[];
  /** False for what may be data that looks like code: it does not count as a caller of real functions. */
  readonly isReferred: boolean;
  /** Where indirect jumps of the same unwind range may lead, if the block is such a jump or such a target. */
  readonly hub: Hub | undefined;
  readonly isInnerTarget: boolean;

  // What is known so far, of one agreement at a time.
  isQueued: boolean;
  /** What is live at its start. */
  live: number;
  uses: number;
  kills: number;
  flows: readonly Flow[];
  /** What is as it was loaded from memory at the block's end, and nothing in it has read since. */
  restores: number;
  /** What of it is for others than the function's own code. */
  restored: number;
  /** What is live at the returns of the function that the block is in. */
  liveAtReturn: number;
}

/** What the indirect jumps in an unwind range have in common. */
interface Hub {
  /** What is live where they may lead. */
  live: number;
  readonly jumps: Node[];
}

function enqueue(queue: Node[], nodes: readonly Node[]): void {
  for (const node of nodes) {
    if (node.isQueued) continue;
    node.isQueued = true;
    queue.push(node);
  }
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

/** The nodes of a graph's blocks, in their order, and how they hang together. */
class Network {
  readonly nodes: readonly Node[];
  /** What must be looked at again when something changes that all indirect transfers share. */
  readonly sharing: readonly Node[];
  readonly #graph: Graph;
  readonly #nodeOf = new Map<Block, Node>();
  /** By the start of their range. */
  readonly #hubs = new Map<number, Hub>();

  constructor(graph: Graph) {
    this.#graph = graph;
    const returning = findReturning(graph);
    const referred = findReferred(graph);
    for (const block of graph.blocks.values()) this.#nodeOf.set(block, this.#makeNode(block, referred.has(block)));
    this.nodes = [...this.#nodeOf.values()];
    for (const node of this.nodes) this.#connect(node, returning);
    this.sharing = this.nodes.filter(({ block }) => isShared(block));
  }

  #makeNode(block: Block, isReferred: boolean): Node {
    const frame = this.#graph.map.frameOf(block.start);
    const isInner = frame !== null && isInnerTarget(block, frame);
    const hub = frame && (isInner || isUnknownJump(block)) ? this.#hubOf(frame) : undefined;
    return {
      block,
      before: [],
      returnPoints: [],
      successors: [],
      callee: undefined,
      returnPoint: undefined,
      after: undefined,
      dependents: [],
      isReferred,
      hub,
      isInnerTarget: isInner,
      isQueued: true,
      live: 0,
      uses: 0,
      kills: 0,
      flows: NO_FLOWS,
      restores: 0,
      restored: 0,
      liveAtReturn: 0,
    };
  }

  #hubOf({ start }: FrameRange): Hub {
    const hub = this.#hubs.get(start) ?? { live: 0, jumps: [] };
    this.#hubs.set(start, hub);
    return hub;
  }

  #connect(node: Node, returning: ReadonlySet<Block>): void {
    const { callee, returnPoint, successors } = node.block;
    for (const successor of successors) {
      const next = this.#nodeOf.get(successor)!;
      node.successors.push(next);
      next.dependents.push(node);
      if (!node.isReferred) continue;
      next.before.push(node);
      node.dependents.push(next);
    }
    const after = blockAfter(this.#graph, node.block);
    node.after = after && this.#nodeOf.get(after);
    node.after?.dependents.push(node);
    const called = callee ? this.#nodeOf.get(callee)! : undefined;
    node.callee = called;
    called?.dependents.push(node);
    node.returnPoint = returnPoint ? this.#nodeOf.get(returnPoint) : undefined;
    if (isUnknownJump(node.block)) node.hub?.jumps.push(node);
    // What lies behind a call of a function that never returns may be anything, even another function's start.
    if (!returnPoint || (callee && !returning.has(callee))) return;
    const back = this.#nodeOf.get(returnPoint)!;
    back.before.push(node);
    node.dependents.push(back);
    if (called && node.isReferred) {
      called.returnPoints.push(back);
      back.dependents.push(called);
    } else back.dependents.push(node);
  }
}

/** By node: what is live at the start and after the last instruction, and what is loaded for others. */
interface Solution {
  readonly live: Int32Array;
  readonly after: Int32Array;
  readonly restored: Int32Array;
}

class Solver {
  readonly #graph: Graph;
  readonly #sharing: readonly Node[];
  readonly #agreement: Agreement;
  // Indirect calls reach any function whose address is taken; those return behind any indirect call and, if an indirect
  // jump led to them, wherever the function that jumped returns to.
  #liveAtIndirectTargets = 0;
  #liveAtIndirectReturns = 0;

  constructor(graph: Graph, sharing: readonly Node[], agreement: Agreement) {
    this.#graph = graph;
    this.#sharing = sharing;
    this.#agreement = agreement;
  }

  /** Forgets what is known of a node, whose instructions have these effects. */
  #reset(node: Node, ofInstructions: readonly Effects[], restored: number): void {
    const { mask } = this.#agreement;
    let [uses, kills, restores] = [0, 0, 0];
    let flows: readonly Flow[] = NO_FLOWS;
    for (const effects of ofInstructions) {
      const [used, killed] = [effects.uses[mask], effects.kills[mask]];
      uses |= through(used, kills, flows);
      if (mask === "upper" && (effects.flows.length > 0 || flows.length > 0)) flows = behind(kills, flows, effects);
      kills |= killed;
      restores = (restores & ~used & ~killed) | effects.restores[mask];
    }
    node.isQueued = true;
    [node.uses, node.kills, node.flows, node.restores] = [uses, kills, flows, restores];
    node.live = 0;
    node.restored = restored;
    node.liveAtReturn = this.#agreement.returned;
    if (node.hub) node.hub.live = 0;
  }

  /** What is live at each block's start and after its last instruction, in the order of `nodes`. */
  solve(
    nodes: readonly Node[],
    ofInstructions: readonly (readonly Effects[])[],
    restored: (node: number) => number = () => 0,
  ): Solution {
    nodes.forEach((node, i) => {
      this.#reset(node, ofInstructions[i]!, restored(i));
    });
    this.#settle(nodes.slice());
    // What is restored for others is live at returns, and that may be what makes another's use of it plain.
    const restoring = nodes.filter((node) => node.restores !== 0);
    for (let queue = this.#findRestores(restoring); queue.length > 0; queue = this.#findRestores(restoring))
      this.#settle(queue);
    return {
      live: Int32Array.from(nodes, (node) => node.live),
      after: Int32Array.from(nodes, (node) => this.#liveOut(node)),
      restored: Int32Array.from(nodes, (node) => node.restored),
    };
  }

  /** Adds what is loaded and never read to what is live at returns; gives the nodes that changed. */
  #findRestores(restoring: readonly Node[]): Node[] {
    return restoring.filter((node) => {
      const dead = node.restores & ~this.#liveOut(node) & ~node.liveAtReturn;
      node.restored |= dead;
      node.isQueued = dead !== 0;
      return node.isQueued;
    });
  }

  /** Works until nothing changes any more. All masks only grow, so every node changes a bounded number of times. */
  #settle(queue: Node[]): void {
    for (let node = queue.pop(); node; node = queue.pop()) {
      node.isQueued = false;
      const [targets, returns] = [this.#liveAtIndirectTargets, this.#liveAtIndirectReturns];
      const known = node.hub?.live;
      const isChanged = this.#update(node);
      if (node.hub && node.hub.live !== known) enqueue(queue, node.hub.jumps);
      const isSharedChanged = this.#liveAtIndirectTargets !== targets || this.#liveAtIndirectReturns !== returns;
      if (isChanged) enqueue(queue, node.dependents);
      if (isSharedChanged) enqueue(queue, this.#sharing);
    }
  }

  #liveOut({ block, liveAtReturn, after, callee, returnPoint, successors, hub }: Node): number {
    const { carried, taken } = this.#agreement;
    if (block.isInterpreted) return after?.live ?? 0;
    switch (block.flow) {
      case FLOW.ret:
        return liveAtReturn;
      case FLOW.call:
        if (callee) return callee.live;
        // Unknown code leaves alone what it does not take.
        return taken | (carried & (returnPoint?.live ?? carried));
      case FLOW.indirectCall:
        return this.#liveAtIndirectTargets | taken | (carried & (returnPoint?.live ?? carried));
      case FLOW.indirectJump:
        if (!block.table) return this.#liveAtIndirectTargets | (hub?.live ?? 0) | taken | (carried & liveAtReturn);
        break;
      default:
        break;
    }
    let live = 0;
    for (const successor of successors) live |= successor.live;
    return live;
  }

  /** Whether a block jumps through a slot for a function of another file, or one that another file may replace. */
  #isImport({ pcs }: Block): boolean {
    return this.#graph.map.slotJumps.has(pcs[pcs.length - 1]!);
  }

  /** Recomputes a node; whether it changed. */
  #update(node: Node): boolean {
    const { block } = node;
    const isTaken = (block.marks & MARK.addressTaken) !== 0;
    let atReturn = node.liveAtReturn | node.restored | (isTaken ? this.#liveAtIndirectReturns : 0);
    for (const before of node.before) atReturn |= before.liveAtReturn;
    const { mask, carried } = this.#agreement;
    const mayReturn = this.#isImport(block) ? carried : ALL_LIVE[mask];
    for (const point of node.returnPoints) atReturn |= point.live & mayReturn;
    const isAtReturnChanged = atReturn !== node.liveAtReturn;
    node.liveAtReturn = atReturn;
    if (node.isReferred) {
      if (block.flow === FLOW.indirectCall) this.#liveAtIndirectReturns |= node.returnPoint?.live ?? 0;
      if (block.flow === FLOW.indirectJump && !block.table) this.#liveAtIndirectReturns |= atReturn;
    }

    const live = node.live | node.uses | through(this.#liveOut(node), node.kills, node.flows);
    const isLiveChanged = live !== node.live;
    node.live = live;
    if (node.isInnerTarget) node.hub!.live |= live;
    // What other code leads to as well is hardly a function: more likely a number that looks like an address.
    else if (isTaken && block.predecessors.length === 0) this.#liveAtIndirectTargets |= live;
    return isAtReturnChanged || isLiveChanged;
  }
}
