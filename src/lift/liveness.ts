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

import type { Block, Graph } from "./graph.ts";
import { type Lists, Network, TRAIT, WAY } from "./network.ts";
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

/** What a block's instructions do together: one mask of it each, by block. */
class BlockEffects {
  readonly uses: Int32Array;
  readonly kills: Int32Array;
  /** What is as it was loaded from memory at the block's end, and nothing in it has read since. */
  readonly restores: Int32Array;

  constructor(count: number) {
    [this.uses, this.kills, this.restores] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  }

  /** Adds an instruction behind those that are counted. What it reads of what was before all of them is `fromBefore`. */
  add(block: number, uses: number, kills: number, restores: number, fromBefore = uses & ~this.kills[block]!): void {
    this.uses[block]! |= fromBefore;
    this.kills[block]! |= kills;
    this.restores[block] = (this.restores[block]! & ~uses & ~kills) | restores;
  }
}

/** Fills in `live` of every block; gives what is live after each block's last instruction. */
export function computeLive(graph: Graph, effectsAt: (pc: number) => Effects): Map<Block, Live> {
  const network = new Network(graph);
  const { blocks } = network;
  const ofRare = new BlockEffects(blocks.length);
  const ofVectors = new BlockEffects(blocks.length);
  const ofUpper = new BlockEffects(blocks.length);
  const flows = new Array<readonly Flow[]>(blocks.length).fill(NO_FLOWS);
  blocks.forEach((block, i) => {
    let made = NO_FLOWS;
    for (const pc of block.pcs) {
      const effects = effectsAt(pc);
      const { uses, kills, restores } = effects;
      ofRare.add(i, uses.rare, kills.rare, restores.rare);
      ofVectors.add(i, uses.vectors, kills.vectors, restores.vectors);
      const killed = ofUpper.kills[i]!;
      ofUpper.add(i, uses.upper, kills.upper, restores.upper, through(uses.upper, killed, made));
      if (effects.flows.length > 0 || made.length > 0) made = behind(killed, made, effects);
    }
    flows[i] = made;
  });
  const rare = new Solver(network, RARE, ofRare).solve();
  const vectors = new Solver(network, VECTORS, ofVectors).solve();
  // Who restores a register restores all of it.
  const restored = vectors.restored.map((mask) => (mask & 0xffff) * 0x10001);
  const upper = new Solver(network, UPPER, ofUpper, flows, restored).solve();
  const after = new Map<Block, Live>();
  blocks.forEach((block, i) => {
    block.live = { rare: rare.live[i]!, vectors: vectors.live[i]!, upper: upper.live[i]! };
    after.set(block, { rare: rare.after[i]!, vectors: vectors.after[i]!, upper: upper.after[i]! });
  });
  return after;
}

/** Whether an indirect jump of unknown targets may lead to what liveness knows nothing of. */
export function jumpsAnywhere(graph: Graph, block: Block): boolean {
  return graph.map.frameOf(block.start) === null;
}

/** By block: what is live at the start and after the last instruction, and what is loaded for others. */
interface Solution {
  readonly live: Int32Array;
  readonly after: Int32Array;
  readonly restored: Int32Array;
}

/** Blocks to look at: each is in it once. */
class Queue {
  readonly #items: Int32Array;
  readonly #isQueued: Uint8Array;
  #length = 0;

  constructor(count: number) {
    this.#items = new Int32Array(count);
    this.#isQueued = new Uint8Array(count);
  }

  add(block: number): void {
    if (this.#isQueued[block]) return;
    this.#isQueued[block] = 1;
    this.#items[this.#length++] = block;
  }

  /** The one that was added last, or -1. */
  take(): number {
    if (this.#length === 0) return -1;
    const block = this.#items[--this.#length]!;
    this.#isQueued[block] = 0;
    return block;
  }
}

class Solver {
  readonly #network: Network;
  readonly #agreement: Agreement;
  readonly #effects: BlockEffects;
  readonly #flows: readonly (readonly Flow[])[] | null;
  readonly #queue: Queue;
  /** What is live at each block's start. */
  readonly #live: Int32Array;
  /** What of what a block loads is for others than its function's own code. */
  readonly #restored: Int32Array;
  /** What is live at the returns of the function that a block is in. */
  readonly #liveAtReturn: Int32Array;
  /** What is live where the indirect jumps of an unwind range may lead. */
  readonly #liveAtHub: Int32Array;
  // Indirect calls reach any function whose address is taken; those return behind any indirect call and, if an indirect
  // jump led to them, wherever the function that jumped returns to.
  #liveAtIndirectTargets = 0;
  #liveAtIndirectReturns = 0;

  constructor(
    network: Network,
    agreement: Agreement,
    effects: BlockEffects,
    flows: readonly (readonly Flow[])[] | null = null,
    restored?: Int32Array,
  ) {
    const count = network.blocks.length;
    this.#network = network;
    this.#agreement = agreement;
    this.#effects = effects;
    this.#flows = flows;
    this.#queue = new Queue(count);
    this.#live = new Int32Array(count);
    this.#restored = restored?.slice() ?? new Int32Array(count);
    this.#liveAtReturn = new Int32Array(count).fill(agreement.returned);
    this.#liveAtHub = new Int32Array(network.hubJumps.length);
  }

  /** What is live at each block's start and after its last instruction. */
  solve(): Solution {
    const { blocks } = this.#network;
    for (let i = 0; i < blocks.length; i++) this.#queue.add(i);
    this.#settle();
    // What is restored for others is live at returns, and that may be what makes another's use of it plain.
    while (this.#findRestores()) this.#settle();
    return {
      live: this.#live,
      after: Int32Array.from(blocks, (_, i) => this.#liveOut(i)),
      restored: this.#restored,
    };
  }

  /** Adds what is loaded and never read to what is live at returns; whether there is any. */
  #findRestores(): boolean {
    const { restores } = this.#effects;
    let isAny = false;
    for (let i = 0; i < restores.length; i++) {
      if (restores[i] === 0) continue;
      const dead = restores[i]! & ~this.#liveOut(i) & ~this.#liveAtReturn[i]!;
      if (dead === 0) continue;
      this.#restored[i]! |= dead;
      this.#queue.add(i);
      isAny = true;
    }
    return isAny;
  }

  /** Works until nothing changes any more. All masks only grow, so every block changes a bounded number of times. */
  #settle(): void {
    const queue = this.#queue;
    const { dependents, hubs, hubJumps, sharing } = this.#network;
    for (let block = queue.take(); block >= 0; block = queue.take()) {
      const [targets, returns, hub] = [this.#liveAtIndirectTargets, this.#liveAtIndirectReturns, hubs[block]!];
      const known = hub < 0 ? 0 : this.#liveAtHub[hub];
      const isChanged = this.#update(block);
      if (hub >= 0 && this.#liveAtHub[hub] !== known) for (const jump of hubJumps[hub]!) queue.add(jump);
      if (isChanged) {
        const end = dependents.starts[block + 1]!;
        for (let i = dependents.starts[block]!; i < end; i++) queue.add(dependents.items[i]!);
      }
      if (this.#liveAtIndirectTargets !== targets || this.#liveAtIndirectReturns !== returns)
        for (const shared of sharing) queue.add(shared);
    }
  }

  #liveOut(block: number): number {
    const { carried, taken } = this.#agreement;
    const { ways, targets, hubs, successors } = this.#network;
    const target = targets[block]!;
    switch (ways[block]) {
      case WAY.on:
        return target < 0 ? 0 : this.#live[target]!;
      case WAY.successors:
        return union(successors, block, this.#live);
      case WAY.return:
        return this.#liveAtReturn[block]!;
      case WAY.unknownJump: {
        const hub = hubs[block]!;
        const inner = hub < 0 ? 0 : this.#liveAtHub[hub]!;
        return this.#liveAtIndirectTargets | inner | taken | (carried & this.#liveAtReturn[block]!);
      }
      default: {
        // Unknown code leaves alone what it does not take.
        const reached = ways[block] === WAY.indirectCall ? this.#liveAtIndirectTargets : 0;
        return reached | taken | (carried & (target < 0 ? carried : this.#live[target]!));
      }
    }
  }

  /** Recomputes a block; whether it changed. */
  #update(block: number): boolean {
    const { traits, before, returns, returnPoints, hubs } = this.#network;
    const { mask, carried } = this.#agreement;
    const trait = traits[block]!;
    const wasAtReturn = this.#liveAtReturn[block]!;
    let atReturn = wasAtReturn | this.#restored[block]! | union(before, block, this.#liveAtReturn);
    if (trait & TRAIT.taken) atReturn |= this.#liveAtIndirectReturns;
    atReturn |= union(returns, block, this.#live) & (trait & TRAIT.import ? carried : ALL_LIVE[mask]);
    this.#liveAtReturn[block] = atReturn;
    if (trait & TRAIT.referred) {
      const point = returnPoints[block]!;
      if (trait & TRAIT.indirectCall && point >= 0) this.#liveAtIndirectReturns |= this.#live[point]!;
      if (trait & TRAIT.indirectJump) this.#liveAtIndirectReturns |= atReturn;
    }

    const { uses, kills } = this.#effects;
    const was = this.#live[block]!;
    const live = was | uses[block]! | through(this.#liveOut(block), kills[block]!, this.#flows?.[block] ?? NO_FLOWS);
    this.#live[block] = live;
    if (trait & TRAIT.innerTarget) this.#liveAtHub[hubs[block]!]! |= live;
    else if (trait & TRAIT.indirectTarget) this.#liveAtIndirectTargets |= live;
    return atReturn !== wasAtReturn || live !== was;
  }
}

/** What any of a block's list has. */
function union({ starts, items }: Lists, block: number, masks: Int32Array): number {
  let mask = 0;
  for (let i = starts[block]!, end = starts[block + 1]!; i < end; i++) mask |= masks[items[i]!]!;
  return mask;
}
