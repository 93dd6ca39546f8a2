// The other way to hold the guest's registers, for comparison only: a guest function is one host function and a guest
// call is a host call. Inside, registers are SSA values as in pieces; at calls and returns they go through CpuState, but
// for those that `passed` and `returned` name, which travel in host registers. A function returns the guest pc at which
// to go on; a caller that finds another than its return point returns in its turn.
//
// It shares semantics, discovery, liveness and polls with the translator, so that only the convention differs. What a
// benchmark without signals and threads does not need (traps, the dispatcher behind a cache miss) ends the program.

import { CpuState, LOOKUP_ENTRIES, LOOKUP_OFFSET, LOOKUP_SHIFT, offsetOf } from "../../src/abi/index.ts";
import { assert } from "../../src/base/index.ts";
import type { Block } from "../../src/lift/graph.ts";
import type { LiftedFile } from "../../src/lift/module.ts";
import { LiftInsn } from "../../src/lift/operands.ts";
import { LazyFlag, LiftSem, type PieceHooks, type Slot } from "../../src/lift/sem.ts";
import { FLAG_FIRST, LOW_FIRST, VARIABLE_COUNT, VARIABLES } from "../../src/lift/variables.ts";
import { IrFunction, IrModule, type IrValue, TBAA } from "../../src/llvm/index.ts";
import { TABLE } from "../../src/sem/index.ts";
import { FLOW } from "../../src/x86/index.ts";

/** Which general registers (by number) travel in host registers: into functions, and out of them. */
export interface HostConvention {
  readonly passed: readonly number[];
  readonly returned: readonly number[];
}

const ATTRIBUTES =
  'attributes #0 = { nounwind null_pointer_is_valid "frame-pointer"="none" "no-trapping-math"="true" }';
/** Variables that calls synchronise: general registers and the low halves of xmm0..15. */
const SYNCHRONISED = [
  ...Array.from({ length: 16 }, (_, i) => i),
  ...Array.from({ length: 16 }, (_, i) => LOW_FIRST + i),
];
const symbol = (block: Block): string => `f_${block.start.toString(16)}`;

class FunctionWriter implements PieceHooks {
  readonly #file: LiftedFile;
  readonly #head: Block;
  readonly #convention: HostConvention;
  readonly #fn: IrFunction;
  readonly #sem: LiftSem;
  readonly #loaded: (IrValue | undefined)[] = [];
  readonly #skips: string[] = [];
  /** Variables that the function changes anywhere: only those need to be written back. */
  readonly written: Set<number>;

  constructor(
    module: IrModule,
    head: Block,
    file: LiftedFile,
    convention: HostConvention,
    written = new Set<number>(),
  ) {
    this.#file = file;
    this.written = written;
    this.#head = head;
    this.#convention = convention;
    module.declare(ATTRIBUTES);
    module.declare("declare void @bench_syscall(ptr)");
    module.declare("declare void @bench_stop(ptr, i64)");
    const parameters = ["ptr noalias %state", ...convention.passed.map((v) => `i64 %in${v}`)].join(", ");
    this.#fn = new IrFunction(module, `define ${this.#resultType()} @${symbol(head)}(${parameters}) #0`);
    this.#sem = new LiftSem(this.#fn, this, file.context.options);
  }

  #resultType(): string {
    const { returned } = this.#convention;
    return returned.length === 0 ? "i64" : `{ ${["i64", ...returned.map(() => "i64")].join(", ")} }`;
  }

  isDeadAbove(): boolean {
    return false;
  }

  /** The function's blocks: all that is reached without entering another function. */
  #blocks(): Block[] {
    const found = new Set<Block>([this.#head]);
    for (const block of found) {
      for (const next of block.successors) if (!this.#isOtherFunction(next)) found.add(next);
      if (block.returnPoint) found.add(block.returnPoint);
    }
    return [...found];
  }

  #isOtherFunction(block: Block): boolean {
    return block !== this.#head && this.#file.isFunction(block);
  }

  write(): void {
    const fn = this.#fn;
    for (let v = 0; v < VARIABLE_COUNT; v++) fn.effect(`%a_${v} = alloca ${VARIABLES[v]!.type}`);
    this.#fetch(this.#convention.passed);
    for (const v of this.#convention.passed) fn.effect(`store i64 %in${v}, ptr %a_${v}`);
    fn.jump(`b_${this.#head.start.toString(16)}`);
    for (const block of this.#blocks()) this.#writeBlock(block);
    fn.finish();
  }

  /** CpuState → allocas, but for `except`. */
  #fetch(except: readonly number[]): void {
    for (const v of SYNCHRONISED) {
      if (except.includes(v)) continue;
      const { type, offset } = VARIABLES[v]!;
      const value = this.#fn.emit(`load ${type}, ptr ${this.#sem.pointer(offset)}, !tbaa ${TBAA.cpu}`);
      this.#fn.effect(`store ${type} ${value}, ptr %a_${v}`);
    }
  }

  /** Allocas → CpuState, but for `except`. */
  #flush(except: readonly number[]): void {
    for (const v of SYNCHRONISED) {
      const isCurrent = !this.written.has(v) && !this.#convention.passed.includes(v);
      if (except.includes(v) || isCurrent) continue;
      const { type, offset } = VARIABLES[v]!;
      const value = this.#fn.emit(`load ${type}, ptr %a_${v}`);
      this.#fn.effect(`store ${type} ${value}, ptr ${this.#sem.pointer(offset)}, !tbaa ${TBAA.cpu}`);
    }
  }

  valueAtHead(variable: number): IrValue {
    const { width, type } = VARIABLES[variable]!;
    const value = this.#fn.value(width, type, `load ${type}, ptr %a_${variable}`);
    this.#loaded[variable] = value;
    this.#sem.state[variable] = value;
    return value;
  }

  anchor(): { value: IrValue; at: bigint } {
    throw new Error("the kernels are linked to a fixed address");
  }

  leaveIf(): void {}

  landing(): never {
    throw new Error("only plain code is measured here");
  }

  skipIf(condition: IrValue): void {
    const rest = this.#fn.newLabel("more");
    const skip = this.#fn.newLabel("skip");
    this.#skips.push(skip);
    this.#fn.branch(condition, skip, rest);
    this.#fn.begin(rest);
  }

  #writeBlock(block: Block): void {
    const [fn, sem] = [this.#fn, this.#sem];
    fn.begin(`b_${block.start.toString(16)}`);
    sem.state = new Array<Slot>(VARIABLE_COUNT).fill(undefined);
    this.#loaded.fill(undefined);
    if (block.isLoopHead) this.#poll(block);
    const { scanner } = this.#file.context.map.segmentOf(block.start)!;
    for (const pc of block.pcs) {
      scanner.decode(pc);
      const instruction = scanner.instruction();
      sem.startInstruction(instruction);
      if (block.isInterpreted && pc === block.pcs[block.pcs.length - 1]) {
        this.#stop(pc);
        return;
      }
      TABLE.get(instruction.mnemonic)!.semantic(sem, new LiftInsn(sem, instruction));
    }
    this.#endBlock(block);
  }

  #poll(block: Block): void {
    const fn = this.#fn;
    const pending = fn.emit(`load volatile i32, ptr ${this.#sem.pointer(offsetOf(CpuState, "pending"))}`);
    const [poll, go] = [fn.newLabel("poll"), fn.newLabel("go")];
    fn.branch(fn.value(1, "i1", `icmp ne i32 ${pending}, 0`), poll, go, true);
    fn.begin(poll);
    this.#return(this.#sem.int(64, block.start));
    fn.begin(go);
  }

  #stop(pc: number): void {
    this.#fn.effect(`call void @bench_stop(ptr %state, i64 ${pc})`);
    this.#fn.end("unreachable");
  }

  /** Block's values → allocas; flags only where they are live. */
  #store(liveFlags: number): void {
    const sem = this.#sem;
    for (let v = 0; v < VARIABLE_COUNT; v++) {
      const slot = sem.state[v];
      if (slot === undefined || slot === this.#loaded[v] || typeof slot === "symbol") continue;
      if (v >= FLAG_FIRST && (liveFlags & (1 << (v - FLAG_FIRST))) === 0) continue;
      const value = slot instanceof LazyFlag ? sem.force(slot, true) : slot;
      this.written.add(v);
      this.#fn.effect(`store ${this.#fn.typed(value, VARIABLES[v]!.type)}, ptr %a_${v}`);
    }
  }

  #endBlock(block: Block): void {
    const [fn, sem] = [this.#fn, this.#sem];
    const { control } = sem;
    const { map, liveAfter } = this.#file.context;
    const last = block.pcs[block.pcs.length - 1]!;
    const target = map.targets.get(last);
    const live = liveAfter.get(block)!;
    if (control?.kind === "branch" || control?.kind === "again") {
      const text = fn.text(control.condition, "i1");
      this.#store(live.rare);
      const [one, zero] = [fn.newLabel("one"), fn.newLabel("zero")];
      fn.end(`br i1 ${text}, label %${one}, label %${zero}`);
      fn.begin(one);
      this.#goTo(control.kind === "again" ? last : target!);
      fn.begin(zero);
      this.#goTo(block.end);
      for (const skip of this.#skips.splice(0)) {
        fn.begin(skip);
        this.#goTo(block.end);
      }
      return;
    }
    this.#store(live.rare);
    if (block.flow === FLOW.next || block.flow === FLOW.repeat) this.#goTo(block.end);
    else if (block.flow === FLOW.jump) this.#goTo(target!);
    else if (block.flow === FLOW.syscall) {
      this.#flush([]);
      fn.effect("call void @bench_syscall(ptr %state)");
      this.#fetch([]);
      this.#goTo(block.end);
    } else {
      assert(control !== null && "target" in control, "what is left transfers control");
      if (control.kind === "ret") this.#return(control.target);
      else if (control.kind === "call") this.#call(block.callee, control.target, block.returnPoint, block.end);
      else this.#call(null, control.target, null, 0);
    }
  }

  #goTo(pc: number): void {
    const block = this.#file.context.graph.blocks.get(pc);
    if (!block) this.#stop(pc);
    else if (this.#isOtherFunction(block)) this.#call(block, this.#sem.int(64, pc), null, 0);
    else this.#fn.jump(`b_${pc.toString(16)}`);
  }

  #return(pc: IrValue): void {
    const fn = this.#fn;
    const { returned } = this.#convention;
    const next = fn.text(pc, "i64");
    this.#flush(returned);
    if (returned.length === 0) {
      fn.end(`ret i64 ${next}`);
      return;
    }
    const type = this.#resultType();
    let result = fn.emit(`insertvalue ${type} poison, i64 ${next}, 0`);
    returned.forEach((v, i) => {
      const value = fn.emit(`load i64, ptr %a_${v}`);
      result = fn.emit(`insertvalue ${type} ${result}, i64 ${value}, ${i + 1}`);
    });
    fn.end(`ret ${type} ${result}`);
  }

  /** Calls a function; without a return point it is a tail call, and its result is ours. */
  #call(callee: Block | null, target: IrValue, returnPoint: Block | null, returnPc: number): void {
    const fn = this.#fn;
    const { passed, returned } = this.#convention;
    const callable = callee ? `@${symbol(callee)}` : this.#lookUp(target);
    this.#flush(passed);
    const args = ["ptr %state", ...passed.map((v) => `i64 ${fn.emit(`load i64, ptr %a_${v}`)}`)];
    const result = fn.emit(`call ${this.#resultType()} ${callable}(${args.join(", ")})`);
    if (!returnPoint) {
      fn.end(`ret ${this.#resultType()} ${result}`);
      return;
    }
    const next = returned.length === 0 ? result : fn.emit(`extractvalue ${this.#resultType()} ${result}, 0`);
    const [expected, other] = [fn.newLabel("back"), fn.newLabel("elsewhere")];
    fn.branch(fn.value(1, "i1", `icmp ne i64 ${next}, ${returnPc}`), other, expected, true);
    fn.begin(other);
    fn.end(`ret ${this.#resultType()} ${result}`);
    fn.begin(expected);
    this.#fetch(returned);
    returned.forEach((v, i) => {
      fn.effect(`store i64 ${fn.emit(`extractvalue ${this.#resultType()} ${result}, ${i + 1}`)}, ptr %a_${v}`);
    });
    fn.jump(`b_${returnPoint.start.toString(16)}`);
  }

  #lookUp(target: IrValue): string {
    const fn = this.#fn;
    const pc = fn.text(target, "i64");
    const mixed = fn.emit(`xor i64 ${pc}, ${fn.emit(`lshr i64 ${pc}, ${LOOKUP_SHIFT}`)}`);
    const slot = fn.emit(`and i64 ${mixed}, ${LOOKUP_ENTRIES - 1}`);
    const cache = this.#sem.pointer(LOOKUP_OFFSET);
    const entry = fn.emit(`getelementptr i8, ptr ${cache}, i64 ${fn.emit(`shl i64 ${slot}, 4`)}`);
    const guest = fn.emit(`load i64, ptr ${entry}, !tbaa ${TBAA.cpu}`);
    const host = fn.emit(`load ptr, ptr ${fn.emit(`getelementptr i8, ptr ${entry}, i64 8`)}, !tbaa ${TBAA.cpu}`);
    const [miss, hit] = [fn.newLabel("miss"), fn.newLabel("hit")];
    fn.branch(fn.value(1, "i1", `icmp ne i64 ${guest}, ${pc}`), miss, hit, true);
    fn.begin(miss);
    fn.effect(`call void @bench_stop(ptr %state, i64 ${pc})`);
    fn.end("unreachable");
    fn.begin(hit);
    return host;
  }
}

/** The whole program as one module, with a table { guest pc, host address } of its functions for the harness. */
export function writeHostCalls(file: LiftedFile, convention: HostConvention): string {
  const module = new IrModule("aarch64");
  const heads = [...file.context.graph.blocks.values()].filter((block) => file.isFunction(block));
  for (const head of heads) {
    const trial = new FunctionWriter(new IrModule("aarch64"), head, file, convention);
    trial.write();
    new FunctionWriter(module, head, file, convention, trial.written).write();
  }
  const rows = heads.map((head) => `{ i64, ptr } { i64 ${head.start}, ptr @${symbol(head)} }`);
  module.append(`@bench_functions = global [${rows.length} x { i64, ptr }] [ ${rows.join(", ")} ]`);
  module.append(`@bench_function_count = global i64 ${rows.length}`);
  return module.toString();
}
