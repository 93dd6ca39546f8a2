// Writes one piece as an LLVM function.
//
//   entry → pre    loads what the piece wants of CpuState
//         → head   (pieces that loop) phis; poll; then the blocks in an order in which each comes after its predecessors
//   exits          written last, when it is known which variables the loop changes
//
// Registers are SSA values. Every block but the heads of loops knows the values of all its predecessors when it is written.
// The phis of the piece's own head are made for the variables that somebody asks for; those of loops inside, see loops.ts.

import { CpuState, offsetOf } from "../abi/index.ts";
import { assert } from "../base/index.ts";
import { again, IrFunction, type IrModule, IrValue, type Landing, SplitValue, TBAA } from "../llvm/index.ts";
import { TABLE } from "../sem/index.ts";
import { FLOW, type Instruction } from "../x86/index.ts";
import { bulkElementBytes, bulkSteps } from "./bulk.ts";
import type { CodeMap } from "./code-map.ts";
import { emptyState, type Incoming, merge, snapshot } from "./edges.ts";
import { Transfers } from "./exits.ts";
import { type Block, type Graph, naturalLoop, type Piece } from "./graph.ts";
import { type Effects, jumpsAnywhere, liveBefore } from "./liveness.ts";
import { changedByLoop, Loop, mayWriteScalar, scalarWidths } from "./loops.ts";
import { LiftInsn } from "./operands.ts";
import type { PrivateFrame } from "./private-frames.ts";
import { DEAD, LazyFlag, type LiftOptions, LiftSem, type PieceHooks, type Slot, whatMayBePending } from "./sem.ts";
import { isAllScalar, NO_SPLIT, partName, type SplitText, splitPhi } from "./splits.ts";
import {
  ALL_LIVE,
  ARGUMENTS,
  FLAG_FIRST,
  FLAGS_LIVE,
  IN_MEMORY,
  isLive,
  type Live,
  LOW_FIRST,
  PARAMETERS,
  upperBitsAbove,
  VARIABLE_COUNT,
  VARIABLES,
} from "./variables.ts";

/** Blocks of a loop of which it is taken that it changes everything. */
const LARGE_LOOP_BLOCKS = 200;

/** Symbol of the word that holds the run-time address of a page of the guest's file. */
export function pageSymbol(page: number): string {
  return `hc_page_${page.toString(16)}`;
}
const ATTRIBUTES =
  'attributes #0 = { nounwind null_pointer_is_valid "frame-pointer"="none" "no-trapping-math"="true" "target-features"="+lse,+rcpc,+v8.1a,+reserve-x18" }';
/** Instructions of a piece up to which the branch of a poll surely reaches its exit (a megabyte). */
const SHORT_PIECE_INSTRUCTIONS = 2000;
/** Distance of pages that one instruction can no longer add. */
const NEAR_PAGES = 0x1000n;
const PAGE_BITS = 12n;
const GUEST_END = 1n << 47n;

/** Symbol of the piece whose head is at `pc`; a prefix of their own keeps apart files that share a module (tests). */
export function pieceSymbol(pc: number, prefix = "p"): string {
  return `${prefix}_${pc.toString(16)}`;
}

/** What all pieces of a file share. */
export interface LiftContext {
  readonly map: CodeMap;
  readonly graph: Graph;
  /** What is live after each block. */
  readonly liveAfter: ReadonlyMap<Block, Live>;
  readonly effectsAt: (pc: number) => Effects;
  readonly options: LiftOptions;
  /** Stack frames that no other thread sees into; wanted where order counts. */
  readonly privateFrames: ReadonlyMap<Block, PrivateFrame>;
  /** Pages of the file whose addresses the pieces written so far look up. */
  readonly pages: Set<number>;
  /** Prefix of the pieces' symbols, if not the usual one. */
  readonly symbolPrefix?: string;
}

type Exit = { readonly label: string; readonly state: readonly Slot[]; readonly live: Live } & (
  | { readonly kind: "piece"; readonly target: Block }
  | { readonly kind: "dispatch"; readonly pc: number }
  | { readonly kind: "indirect"; readonly target: IrValue }
  | { readonly kind: "syscall" | "interpret" | "poll"; readonly pc: number }
  | { readonly kind: "fault" }
  | { readonly kind: "trap"; readonly pc: number; readonly vector: number }
);
/** Omit that keeps the members of a union apart. */
type ExitWithout<K extends string> = Exit extends infer E ? (E extends Exit ? Omit<E, K> : never) : never;

export class PieceWriter implements PieceHooks {
  readonly #context: LiftContext;
  readonly #piece: Piece;
  readonly #definedHere: ReadonlySet<Block>;
  readonly #fn: IrFunction;
  readonly #sem: LiftSem;
  readonly #transfers: Transfers;
  readonly #isLoop: boolean;
  readonly #members: ReadonlySet<Block>;
  /** Loops inside, by head, once their heads are written. */
  readonly #loops = new Map<Block, Loop>();
  readonly #loopPhis = new Map<Slot, { readonly loop: Loop; readonly variable: number }>();
  /** Whether to take it that loops change everything. */
  readonly #expectsAll: boolean;
  readonly #incoming = new Map<Block, Incoming[]>();
  readonly #latches: Incoming[] = [];
  readonly #exits: Exit[] = [];
  readonly #atHead: (IrValue | undefined)[] = new Array<IrValue | undefined>(VARIABLE_COUNT).fill(undefined);
  readonly #argumentTexts: string[] = [];
  /** Widths of the scalars of what is a scalar and a rest at the head of a piece that loops, by variable. */
  readonly #splitAtHead: ReadonlyMap<number, number>;
  /** The argument `pc`. */
  readonly #entryPc = new IrValue(64, undefined, [{ type: "i64", name: "%pc", block: 0 }]);
  /** Addresses of pages of the file that have been made in the LLVM block at hand. */
  #pages: { readonly label: string; readonly byNumber: Map<bigint, IrValue> } | null = null;
  readonly #pollsRegister: boolean;
  #pc = 0;
  /** The block at hand, and what is live before each of its instructions if somebody has asked. */
  #block: Block | null = null;
  #liveAround: { readonly block: Block; readonly at: ReadonlyMap<number, { before: Live; after: Live }> } | null = null;
  #blockEnd = 0;
  #tableIndex: IrValue | null = null;
  #tableBase: IrValue | null = null;

  constructor(
    module: IrModule,
    piece: Piece,
    context: LiftContext,
    definedHere: ReadonlySet<Block>,
    expectsAll = false,
  ) {
    this.#context = context;
    this.#piece = piece;
    this.#definedHere = definedHere;
    module.declare(ATTRIBUTES);
    const header = `define hidden preserve_nonecc void @${pieceSymbol(piece.head.start, context.symbolPrefix)}(${PARAMETERS}) #0`;
    this.#fn = new IrFunction(module, header);
    this.#sem = new LiftSem(this.#fn, this, context.options);
    this.#transfers = new Transfers(this.#fn);
    this.#members = new Set(piece.blocks);
    this.#expectsAll = expectsAll;
    const size = piece.blocks.reduce((sum, block) => sum + block.pcs.length, 0);
    // Where other threads run, one of them may ask for a poll that no signal of this thread's tells it of.
    this.#pollsRegister = context.options.variant !== "ordered" && size <= SHORT_PIECE_INSTRUCTIONS;
    this.#isLoop = piece.blocks.some((block) => block.successors.includes(piece.head));
    this.#splitAtHead = this.#isLoop ? scalarWidths(this.#instructionsOf(piece.blocks, mayWriteScalar)) : new Map();
  }

  /** Writes the function into its module. */
  write(): void {
    const { head, blocks } = this.#piece;
    this.#fn.jump("pre");
    for (const block of blocks) this.#writeBlock(block);
    const poll = head.isLoopHead ? this.#addPoll(head, emptyState()) : null;
    for (const exit of this.#exits) this.#writeExit(exit);
    for (const loop of this.#loops.values()) loop.finish((variable) => this.#nameAtHead(variable));
    this.#writeStart(poll);
    this.#fn.finish();
  }

  // Hooks.

  valueAtHead(variable: number): IrValue {
    const known = this.#atHead[variable];
    if (known) return known;
    const { name, width, type, isArgument } = VARIABLES[variable]!;
    const scalarWidth = this.#splitAtHead.get(variable);
    if (scalarWidth !== undefined) {
      const split = this.#sem.splitNamed(`%h_${name}`, scalarWidth, 0);
      this.#atHead[variable] = split;
      return split;
    }
    const text = this.#isLoop ? `%h_${name}` : isArgument ? `%${name}` : `%e_${name}`;
    // Block 0 is the entry block, which dominates all: so a view of it is reused only where it was made.
    const value = new IrValue(width, undefined, [{ type, name: text, block: 0 }]);
    this.#atHead[variable] = value;
    return value;
  }

  /** The name of the whole of a variable at the head of the piece. */
  #nameAtHead(variable: number): string {
    const value = this.valueAtHead(variable);
    return value instanceof SplitValue ? `%h_${VARIABLES[variable]!.name}` : value.views[0]!.name;
  }

  anchor(address: bigint): { value: IrValue; at: bigint } {
    const { head } = this.#piece;
    // Who comes by its address brings that along.
    if (!head.isEntered && this.#context.graph.isRoot(head)) return { value: this.#entryPc, at: BigInt(head.start) };
    const fn = this.#fn;
    if (this.#pages?.label !== fn.label) this.#pages = { label: fn.label, byNumber: new Map() };
    const { byNumber } = this.#pages;
    const page = address >= 0n && address < GUEST_END ? address >> PAGE_BITS : 0n;
    const known = byNumber.get(page) ?? this.#nearPage(page, byNumber) ?? this.#loadPage(page);
    byNumber.set(page, known);
    return { value: known, at: page << PAGE_BITS };
  }

  /** A page's address made of another's. LLVM would add the whole distance instead, which takes it two instructions. */
  #nearPage(page: bigint, known: ReadonlyMap<bigint, IrValue>): IrValue | undefined {
    for (const [other, value] of known) {
      const distance = page - other;
      if (distance >= NEAR_PAGES || distance <= -NEAR_PAGES) continue;
      return this.#sem.addPages(value, distance);
    }
    return undefined;
  }

  /**
   * Loaded where it is used and not at the start: there may be a way through the piece that does not use it. LLVM drops the
   * second of two. As an asm, since LLVM makes tables of the addresses of variables that switches choose from, and tables of
   * addresses would have to be relocated.
   */
  #loadPage(page: bigint): IrValue {
    const symbol = pageSymbol(Number(page));
    this.#context.pages.add(Number(page));
    const text = `adrp $0, ${symbol}\\0Aldr $0, [$0, :lo12:${symbol}]`;
    return this.#fn.value(64, "i64", `call i64 asm "${text}", "=r"() memory(none)`);
  }

  leaveIf(condition: IrValue, reason: "interpret" | "trap", vector: number, state: readonly Slot[]): void {
    const fn = this.#fn;
    const common = { pc: this.#pc, state, live: ALL_LIVE };
    const exit =
      reason === "trap"
        ? this.#addExit({ kind: "trap", vector, ...common })
        : this.#addExit({ kind: "interpret", ...common });
    const rest = fn.newLabel("ok");
    fn.branch(condition, exit, rest, true);
    fn.begin(rest);
  }

  landing(pc: number, state: readonly Slot[]): Landing {
    // A handler finds registers as they are, but flags that nothing reads it finds as somebody left them.
    const flags = this.#liveAt(pc).before.rare & FLAGS_LIVE;
    const live = { ...ALL_LIVE, rare: (ALL_LIVE.rare & ~FLAGS_LIVE) | flags };
    const label = this.#addExit({ kind: "fault", state, live });
    return { label, guest: pc - this.#context.map.low };
  }

  isDeadAbove(register: number, width: number): boolean {
    const bits = upperBitsAbove(LOW_FIRST + register, width);
    return bits !== null && (this.#liveAt(this.#pc).after.upper & bits) === 0;
  }

  /** What can be read from an instruction of the block at hand on, and what from behind it. */
  #liveAt(pc: number): { readonly before: Live; readonly after: Live } {
    const block = this.#block!;
    if (this.#liveAround?.block !== block) {
      const { effectsAt, liveAfter } = this.#context;
      const at = new Map<number, { before: Live; after: Live }>();
      let live = liveAfter.get(block)!;
      for (const here of block.pcs.toReversed()) {
        const before = liveBefore(effectsAt(here), live);
        at.set(here, { before, after: live });
        live = before;
      }
      this.#liveAround = { block, at };
    }
    // Code of other blocks may be written on the way (#callImport).
    return this.#liveAround.at.get(pc) ?? { before: ALL_LIVE, after: ALL_LIVE };
  }

  skipIf(condition: IrValue): void {
    const fn = this.#fn;
    const rest = fn.newLabel("more");
    this.#sem.settleState();
    const target = this.#edge(this.#blockEnd);
    fn.branch(condition, target, rest);
    fn.begin(rest);
  }

  // Blocks.

  #label(block: Block): string {
    return `b_${block.start.toString(16)}`;
  }

  #writeBlock(block: Block): void {
    const sem = this.#sem;
    if (this.#isInnerHead(block)) this.#beginLoop(block);
    else {
      this.#fn.begin(this.#label(block));
      sem.state = block === this.#piece.head ? emptyState() : this.#merge(block);
    }
    sem.startBlock(this.#context.privateFrames.get(block) ?? "none");
    this.#block = block;
    this.#blockEnd = block.end;
    this.#tableIndex = null;
    const { scanner } = this.#context.map.segmentOf(block.start)!;
    const last = block.pcs[block.pcs.length - 1];
    for (const pc of block.pcs) {
      this.#pc = pc;
      if (block.isInterpreted && pc === last) {
        this.#leave({ kind: "interpret", pc, state: sem.state, live: ALL_LIVE });
        return;
      }
      if (pc === block.table?.loadPc) {
        const { indexRegister, baseRegister } = block.table;
        this.#tableIndex = sem.gpr(indexRegister, 64);
        this.#tableBase = baseRegister < 0 ? null : sem.gpr(baseRegister, 64);
      }
      scanner.decode(pc);
      const instruction = scanner.instruction();
      sem.startInstruction(instruction);
      if (block.flow === FLOW.repeat && pc === last) this.#moveInBulk(instruction);
      TABLE.get(instruction.mnemonic)!.semantic(sem, new LiftInsn(sem, instruction));
    }
    this.#endBlock(block);
  }

  #isInnerHead(block: Block): boolean {
    if (!block.isLoopHead || block === this.#piece.head) return false;
    return block.predecessors.some((p) => p.order >= block.order && this.#members.has(p));
  }

  /** Begins the head of a loop inside the piece. */
  #beginLoop(head: Block): void {
    const fn = this.#fn;
    const sem = this.#sem;
    const labelBefore = `${this.#label(head)}_in`;
    fn.begin(labelBefore);
    const before = this.#merge(head);
    const blocks = naturalLoop(head, this.#members);
    // Large loops are not looked at: of loops in loops in loops each would be, again and again.
    const isLarge = this.#expectsAll || blocks.length > LARGE_LOOP_BLOCKS;
    const instructions = isLarge ? [] : [...this.#instructionsOf(blocks)];
    const isChanged = isLarge ? new Array<boolean>(VARIABLE_COUNT).fill(true) : changedByLoop(instructions);
    for (let v = 0; v < VARIABLE_COUNT; v++) {
      if (v >= FLAG_FIRST) isChanged[v] = isLive(v, head.live);
      else isChanged[v] &&= isLive(v, head.live);
    }
    const splits = new Map<number, SplitText>();
    for (const [v, width] of scalarWidths(instructions))
      if (isChanged[v]) splits.set(v, this.#splitText(v, width, before[v], head.live));
    const texts = before.map((slot, v) =>
      isChanged[v] && slot !== undefined && !splits.has(v) ? this.#textOf(v, slot) : undefined,
    );
    fn.jump(this.#label(head));
    fn.begin(this.#label(head));
    const loop = new Loop(sem, head, { slots: before, texts, splits, label: labelBefore }, isChanged);
    this.#loops.set(head, loop);
    for (const [variable, phi] of loop.phis()) this.#loopPhis.set(phi, { loop, variable });
    sem.state = loop.state();
    fn.effect('call void asm sideeffect "", "~{memory}"()');
    const body = fn.newLabel("body");
    this.#poll(this.#addPoll(head, sem.state.slice()), body);
    fn.begin(body);
  }

  *#instructionsOf(blocks: readonly Block[], isWanted?: (mnemonic: string) => boolean): Generator<Instruction> {
    const { map } = this.#context;
    for (const block of blocks) {
      const { scanner } = map.segmentOf(block.start)!;
      for (const pc of block.pcs) {
        if (isWanted && !isWanted(map.byShape(pc, map.shapes).mnemonic)) continue;
        scanner.decode(pc);
        yield scanner.instruction();
      }
    }
  }

  /** What a slot was before the loops that leave it as it is; undefined for the value at the piece's head. */
  #original(slot: Slot): Slot {
    for (let current = slot; ; ) {
      const next = this.#beforeLoop(current);
      if (!next) return current;
      current = next.slot;
    }
  }

  #beforeLoop(slot: Slot): { readonly slot: Slot } | undefined {
    if (!(slot instanceof IrValue)) return undefined;
    const phi = this.#loopPhis.get(slot);
    return phi?.loop.unchanged(phi.variable, (inner) => this.#original(inner));
  }

  /** Operand text of a changed slot where paths have met. */
  #textOf(variable: number, slot: Exclude<Slot, undefined>): string {
    assert(!(slot instanceof LazyFlag), "flags on edges are forced");
    // What was dropped is what nobody reads: any value will do.
    return slot === DEAD ? "zeroinitializer" : this.#fn.text(slot, VARIABLES[variable]!.type);
  }

  /** The same as a scalar and a rest. */
  #splitText(variable: number, width: number, slot: Slot, live: Live): SplitText {
    if (slot === DEAD) return { ...NO_SPLIT, width };
    const value = slot === undefined ? this.valueAtHead(variable) : slot;
    assert(!(value instanceof LazyFlag), "flags are no vectors");
    return this.#sem.splitText(value, width, isAllScalar(variable, width, live));
  }

  /** Repeated movs and stos: a block at once, then the instruction once more. */
  #moveInBulk(instruction: Instruction): void {
    const elementBytes = bulkElementBytes(instruction);
    if (elementBytes === 0) return;
    const fn = this.#fn;
    const sem = this.#sem;
    sem.settleState();
    for (const { condition, move } of bulkSteps(sem, instruction, elementBytes)) {
      const [block, rest] = [fn.newLabel("bulk"), fn.newLabel("rest")];
      const before = sem.state.slice();
      fn.branch(condition, block, rest);
      fn.begin(block);
      move();
      fn.jump(this.#edge(instruction.pc));
      sem.state = before;
      fn.begin(rest);
    }
  }

  #endBlock(block: Block): void {
    const sem = this.#sem;
    const { control } = sem;
    sem.settleState();
    const live = this.#context.liveAfter.get(block)!;
    const target = this.#context.map.targets.get(this.#pc);
    switch (block.flow) {
      case FLOW.next:
        assert(control === null, "an instruction that goes on transfers no control");
        this.#fn.jump(this.#edge(block.end));
        return;
      case FLOW.branch:
        assert(control?.kind === "branch" && target !== undefined, "a branch branches");
        this.#fork(control.condition, target, block.end);
        return;
      case FLOW.repeat:
        if (control === null) {
          this.#fn.jump(this.#edge(block.end));
          return;
        }
        assert(control.kind === "again", "a repeated instruction repeats");
        this.#fork(control.condition, this.#pc, block.end);
        return;
      case FLOW.jump:
        this.#fn.jump(this.#edge(target!));
        return;
      case FLOW.call:
        if (block.callee && this.#isImport(block.callee)) this.#callImport(block.callee);
        else if (block.callee?.isHead) this.#leave({ kind: "piece", target: block.callee, state: sem.state, live });
        else this.#leave({ kind: "dispatch", pc: target!, state: sem.state, live });
        return;
      case FLOW.syscall:
        this.#leave({ kind: "syscall", pc: block.end, state: sem.state, live: ALL_LIVE });
        return;
      case FLOW.ret:
      case FLOW.indirectCall:
      case FLOW.indirectJump: {
        assert(control !== null && "target" in control, "an indirect transfer has a target");
        const isUnknown = block.flow === FLOW.indirectJump && !block.table;
        const kept = isUnknown && jumpsAnywhere(this.#context.graph, block) ? ALL_LIVE : live;
        if (block.table && this.#tableIndex) this.#switch(block, control.target, live);
        else this.#leave({ kind: "indirect", target: control.target, state: sem.state, live: kept });
        return;
      }
      default:
        assert(false, "interpreted instructions end before");
    }
  }

  /** Whether a block only jumps on to a function of another file. */
  #isImport({ pcs, isInterpreted, table }: Block): boolean {
    return !isInterpreted && !table && pcs.length <= 2 && this.#context.map.slotJumps.has(pcs[pcs.length - 1]!);
  }

  /** Goes on at a function of another file without the jump to its slot's jump. */
  #callImport(stub: Block): void {
    const sem = this.#sem;
    const { scanner } = this.#context.map.segmentOf(stub.start)!;
    for (const pc of stub.pcs) {
      this.#pc = pc;
      scanner.decode(pc);
      const instruction = scanner.instruction();
      sem.startInstruction(instruction);
      TABLE.get(instruction.mnemonic)!.semantic(sem, new LiftInsn(sem, instruction));
    }
    const { control } = sem;
    assert(control !== null && "target" in control, "an indirect transfer has a target");
    this.#leave({
      kind: "indirect",
      target: control.target,
      state: sem.state,
      live: this.#context.liveAfter.get(stub)!,
    });
  }

  #fork(condition: IrValue, ifOne: number, ifZero: number): void {
    // The condition's text first: it may emit code, and edges note the label of the block that they leave.
    const text = this.#fn.text(condition, "i1");
    const [one, zero] = [this.#edge(ifOne), this.#edge(ifZero)];
    this.#fn.end(`br i1 ${text}, label %${one}, label %${zero}`);
  }

  #merge(block: Block): Slot[] {
    const incoming = this.#incoming.get(block);
    assert(incoming && incoming.length > 0, "a block of a piece is reached from the piece");
    return merge(this.#sem, incoming, {
      value: (variable) => this.valueAtHead(variable),
      name: (variable) => this.#nameAtHead(variable),
    });
  }

  #leave(exit: ExitWithout<"label">): void {
    this.#fn.jump(this.#addExit(exit));
  }

  #addExit(exit: ExitWithout<"label">): string {
    const label = this.#fn.newLabel("exit");
    // What is forced or settled later, in another block, must be made once more in the exit.
    const state = exit.state.slice();
    for (let v = 0; v < VARIABLE_COUNT; v++) {
      const slot = state[v];
      if (slot === undefined || slot === DEAD) continue;
      if (slot instanceof IrValue) state[v] = again(slot);
      if (slot instanceof LazyFlag) state[v] = slot.forced ?? new LazyFlag(slot.make);
    }
    this.#exits.push({ ...exit, label, state } as Exit);
    return label;
  }

  /** Jumps by the index of a jump table; indices outside, and another table than the known one, use the real target. */
  #switch(block: Block, target: IrValue, live: Live): void {
    const fn = this.#fn;
    const sem = this.#sem;
    const table = block.table!;
    const otherwise = this.#addExit({ kind: "indirect", target, state: sem.state, live });
    for (let i = 0; i < 6; i++) {
      const slot = sem.state[FLAG_FIRST + i];
      if (live.rare & (1 << i) && slot instanceof LazyFlag) sem.force(slot, true);
    }
    if (this.#tableBase) {
      const isOther = sem.ne(this.#tableBase, sem.address(table.table));
      const known = fn.newLabel("table");
      fn.branch(isOther, otherwise, known, true);
      fn.begin(known);
    }
    const labels = new Map<number, string>();
    let cases = "";
    table.targets.forEach((pc, i) => {
      if (!labels.has(pc)) labels.set(pc, fn.newLabel("case"));
      cases += ` i64 ${i}, label %${labels.get(pc)}`;
    });
    fn.end(`switch ${fn.typed(this.#tableIndex!, "i64")}, label %${otherwise} [${cases} ]`);
    for (const [pc, label] of labels) {
      fn.begin(label);
      fn.jump(this.#edge(pc));
    }
  }

  // Edges.

  /** Prepares to go on at `pc` with the state as it is now, and gives the label to branch to. */
  #edge(pc: number): string {
    const sem = this.#sem;
    const target = this.#context.graph.blocks.get(pc);
    if (!target) return this.#addExit({ kind: "dispatch", pc, state: sem.state, live: ALL_LIVE });
    if (!this.#members.has(target)) {
      // The middle of another piece is no entry: the interpreter takes it to the next one.
      if (!target.isHead) return this.#addExit({ kind: "dispatch", pc, state: sem.state, live: ALL_LIVE });
      return this.#addExit({ kind: "piece", target, state: sem.state, live: target.live });
    }
    if (target === this.#piece.head) {
      this.#latches.push(snapshot(sem, target.live, this.#splitAtHead));
      return "head";
    }
    const loop = this.#loops.get(target);
    if (loop) {
      loop.addLatch(snapshot(sem, target.live, loop.splitWidths));
      return this.#label(target);
    }
    const incoming = snapshot(sem, target.live);
    const list = this.#incoming.get(target);
    if (list) list.push(incoming);
    else this.#incoming.set(target, [incoming]);
    return this.#isInnerHead(target) ? `${this.#label(target)}_in` : this.#label(target);
  }

  // The start and the exits.

  #addPoll(head: Block, state: readonly Slot[]): string {
    return this.#addExit({ kind: "poll", pc: head.start, state, live: head.live });
  }

  /** Leaves by `exit` if something is pending, else goes on at `rest`. */
  #poll(exit: string, rest: string): void {
    const fn = this.#fn;
    if (this.#pollsRegister) {
      fn.end(`callbr void asm sideeffect "cbnz w18, \${0:l}", "!i"() to label %${rest} [label %${exit}]`);
      return;
    }
    const pending = fn.emit(`load volatile i32, ptr ${this.#transfers.pointer(offsetOf(CpuState, "pending"))}`);
    fn.branch(fn.value(1, "i1", `icmp ne i32 ${pending}, 0`), exit, rest, true);
  }

  /** Whether the loop changes the variable. */
  #isChangedByLoop(variable: number): boolean {
    return this.#latches.some((latch) => {
      const slot = this.#original(latch.state[variable]);
      return slot !== undefined && slot !== this.#atHead[variable];
    });
  }

  /** Type and text of an argument that has not changed since the head. */
  #argumentAtHead(variable: number): string {
    const known = this.#argumentTexts[variable];
    if (known !== undefined) return known;
    const value = this.valueAtHead(variable);
    const text = this.#fn.typed(value, VARIABLES[variable]!.type);
    // Of two parts a whole is made where it is wanted.
    if (!(value instanceof SplitValue)) this.#argumentTexts[variable] = text;
    return text;
  }

  #writeExit(exit: Exit): void {
    const fn = this.#fn;
    fn.begin(exit.label);
    this.#sem.settle(whatMayBePending(exit.state));
    for (const v of IN_MEMORY) {
      if (!isLive(v, exit.live)) continue;
      if (exit.state[v] !== undefined || this.#latches.length > 0) this.#storeBack(v, exit.state[v]);
    }
    const args: string[] = [];
    for (const v of ARGUMENTS) {
      const value = exit.state[v];
      assert(!(value instanceof LazyFlag), "flags are no arguments");
      const { type } = VARIABLES[v]!;
      if (value === DEAD || (value && !isLive(v, exit.live))) args.push(`${type} ${this.#anything(type)}`);
      else args.push(value ? fn.typed(value, type) : this.#argumentAtHead(v));
    }
    switch (exit.kind) {
      case "piece":
        this.#transfers.toPiece(
          pieceSymbol(exit.target.start, this.#context.symbolPrefix),
          this.#definedHere.has(exit.target),
          args,
        );
        break;
      case "dispatch":
        this.#transfers.dispatch(this.#sem.address(exit.pc), args);
        break;
      case "indirect":
        this.#transfers.indirect(exit.target, args);
        break;
      case "fault":
        this.#transfers.leaveFault(args);
        break;
      case "trap":
        this.#transfers.storeField("exit_detail", "i32", `${exit.vector}`);
        this.#transfers.leave("trap", this.#sem.address(exit.pc), args);
        break;
      default:
        this.#transfers.leave(exit.kind, this.#sem.address(exit.pc), args);
    }
  }

  /** A vector that nobody reads, without an instruction. */
  #anything(type: string): string {
    assert(type.startsWith("<"), "general registers are always live");
    return this.#fn.emit(`call ${type} asm "", "=w"()`);
  }

  /** Stores a variable that lives in CpuState, if the piece changed it. */
  #storeBack(variable: number, slot: Slot): void {
    const fn = this.#fn;
    let value = slot instanceof LazyFlag ? this.#sem.force(slot, false) : this.#original(slot);
    if (value === DEAD) return;
    assert(!(value instanceof LazyFlag), "flags on edges are forced");
    if (value === undefined || value === this.#atHead[variable]) {
      if (!this.#isChangedByLoop(variable)) return;
      value = this.valueAtHead(variable);
    }
    const { offset, type, memoryType } = VARIABLES[variable]!;
    let text = fn.text(value, type);
    if (type !== memoryType) text = fn.emit(`zext ${type} ${text} to ${memoryType}`);
    fn.effect(`store ${memoryType} ${text}, ptr ${this.#transfers.pointer(offset)}, !tbaa ${TBAA.cpu}`);
  }

  #writeStart(poll: string | null): void {
    const fn = this.#fn;
    const first = this.#label(this.#piece.head);
    const hasHead = this.#isLoop || poll !== null;
    fn.begin("pre");
    for (let v = 0; v < VARIABLE_COUNT; v++) if (this.#atHead[v] && !VARIABLES[v]!.isArgument) this.#loadVariable(v);
    const atEntry = this.#splitEntry();
    fn.jump(hasHead ? "head" : first);
    if (!hasHead) return;
    fn.begin("head");
    if (this.#isLoop) for (let v = 0; v < VARIABLE_COUNT; v++) if (this.#atHead[v]) this.#writePhi(v, atEntry.get(v));
    for (const v of atEntry.keys()) {
      const { name, type } = VARIABLES[v]!;
      fn.effect(`%h_${name} = bitcast ${fn.typed(this.#atHead[v]!, type)} to ${type}`);
    }
    // Memory may change behind the piece's back from one iteration to the next: others share it.
    if (this.#isLoop) fn.effect('call void asm sideeffect "", "~{memory}"()');
    if (!poll) {
      fn.jump(first);
      return;
    }
    this.#poll(poll, first);
  }

  #loadVariable(variable: number): void {
    const fn = this.#fn;
    const { name, type, memoryType, offset } = VARIABLES[variable]!;
    const loaded = `load ${memoryType}, ptr ${this.#transfers.pointer(offset)}, !tbaa ${TBAA.cpu}`;
    if (type === memoryType) fn.effect(`%e_${name} = ${loaded}`);
    else fn.effect(`%e_${name} = trunc ${memoryType} ${fn.emit(loaded)} to ${type}`);
  }

  /** What comes in from outside of what is a scalar and a rest at the head, by variable. */
  #splitEntry(): ReadonlyMap<number, SplitText> {
    const splits = new Map<number, SplitText>();
    for (const [v, width] of this.#splitAtHead) {
      if (!this.#atHead[v]) continue;
      const { name, width: bits, type, isArgument } = VARIABLES[v]!;
      const value = this.#fn.named(bits, type, `${isArgument ? "%" : "%e_"}${name}`);
      splits.set(v, this.#splitText(v, width, value, this.#piece.head.live));
    }
    return splits;
  }

  #writePhi(variable: number, atEntry: SplitText | undefined): void {
    const { name, type, isArgument } = VARIABLES[variable]!;
    if (atEntry) {
      const [full, { width }] = [`%h_${name}`, atEntry];
      const same: SplitText = { width, scalar: partName(full, "scalar"), rest: partName(full, "rest") };
      const latches = this.#latches.map(({ label, texts, splits }) => {
        const dropped = texts[variable] === "" ? NO_SPLIT : same;
        return [splits.get(variable) ?? dropped, label] as const;
      });
      for (const line of splitPhi(full, width, [[atEntry, "pre"], ...latches])) this.#fn.effect(line);
      return;
    }
    const parts = [`[ ${isArgument ? "%" : "%e_"}${name}, %pre ]`];
    for (const latch of this.#latches) {
      const text = latch.texts[variable];
      // What was dropped is what nobody reads: any value will do.
      parts.push(`[ ${text === undefined ? `%h_${name}` : text === "" ? "zeroinitializer" : text}, %${latch.label} ]`);
    }
    this.#fn.effect(`%h_${name} = phi ${type} ${parts.join(", ")}`);
  }
}
