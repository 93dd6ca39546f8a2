// Loads, stores and atomics of guest memory and of CpuState. Guest accesses have alignment 1 and any address, null
// included (functions that use them carry `null_pointer_is_valid`). With `ordered`, they keep x86's order (TSO) on
// aarch64; on x86_64 the processor does.

import type { IrFunction } from "./function.ts";
import { TBAA } from "./function.ts";
import type { IrOps } from "./ops.ts";
import { type IrValue, laneType } from "./value.ts";

/** The LLVM type in which `width` bits are best loaded and stored. */
function memoryType(width: number): string {
  return width >= 128 && width % 64 === 0 ? laneType(width, 64) : `i${width}`;
}

/** Emits memory accesses into the function that `ops` writes. */
export class IrMemory {
  readonly #ops: IrOps;
  readonly ordered: boolean;
  readonly #keepsFaults: boolean;

  /** With `keepsFaults`, an access whose result nobody needs is made all the same. */
  constructor(ops: IrOps, ordered: boolean, keepsFaults = false) {
    this.#ops = ops;
    this.ordered = ordered && ops.target === "aarch64";
    this.#keepsFaults = keepsFaults;
  }

  get #access(): "" | " volatile" {
    return this.#keepsFaults ? " volatile" : "";
  }

  get #fn(): IrFunction {
    return this.#ops.fn;
  }

  /** Reads `width` bits of CpuState behind `pointer` (text of a ptr operand); `align` is what is known of it. */
  loadState(pointer: string, width: number, align = 1): IrValue {
    const type = memoryType(width);
    return this.#fn.value(width, type, `load ${type}, ptr ${pointer}, align ${align}, !tbaa ${TBAA.cpu}`);
  }

  storeState(pointer: string, value: IrValue, align = 1): void {
    const type = memoryType(value.width);
    this.#fn.effect(`store ${this.#fn.typed(value, type)}, ptr ${pointer}, align ${align}, !tbaa ${TBAA.cpu}`);
  }

  /** Pointer text for a guest address. */
  pointer(addr: IrValue): string {
    return this.#fn.emit(`inttoptr i64 ${this.#fn.text(addr, "i64")} to ptr`);
  }

  load(width: number, addr: IrValue): IrValue {
    const type = memoryType(width);
    const pointer = this.pointer(addr);
    const value = this.#fn.value(
      width,
      type,
      `load${this.#access} ${type}, ptr ${pointer}, align 1, !tbaa ${TBAA.mem}`,
    );
    if (this.ordered) this.#fn.effect("fence acquire");
    return this.#keepsFaults ? this.#wholly(value) : this.#ops.noteLoaded(value);
  }

  /** LLVM for aarch64 reads less of even a volatile vector when only some lanes of it are used: this uses them all. */
  #wholly(value: IrValue): IrValue {
    if (this.#ops.target !== "aarch64" || value.width % 128 !== 0) return value;
    const parts: IrValue[] = [];
    for (let low = 0; low < value.width; low += 128) {
      const part = this.#fn.typed(this.#ops.bits(value, low, 128), "<2 x i64>");
      parts.unshift(this.#fn.value(128, "<2 x i64>", `call <2 x i64> asm sideeffect "", "=w,0"(${part})`));
    }
    return parts.length === 1 ? parts[0]! : this.#ops.concat(...parts);
  }

  store(addr: IrValue, value: IrValue): void {
    if (this.ordered) this.#fn.effect("fence release");
    const type = memoryType(value.width);
    const pointer = this.pointer(addr);
    this.#fn.effect(`store${this.#access} ${this.#fn.typed(value, type)}, ptr ${pointer}, align 1, !tbaa ${TBAA.mem}`);
  }

  /** Loads where the condition is 1; else gives 0 and touches nothing. */
  loadIf(condition: IrValue, width: number, addr: IrValue): IrValue {
    const fn = this.#fn;
    if (condition.constant !== undefined) {
      return condition.constant === 1n ? this.load(width, addr) : this.#ops.int(width, 0);
    }
    const type = memoryType(width);
    const [then, join] = [fn.newLabel("load"), fn.newLabel("loaded")];
    const start = fn.label;
    fn.branch(condition, then, join);
    fn.begin(then);
    const value = fn.text(this.load(width, addr), type);
    const end = fn.label;
    fn.jump(join);
    fn.begin(join);
    const zero = type.startsWith("<") ? "zeroinitializer" : "0";
    return fn.value(width, type, `phi ${type} [ ${zero}, %${start} ], [ ${value}, %${end} ]`);
  }

  /** Stores where the condition is 1; else touches nothing. */
  storeIf(condition: IrValue, addr: IrValue, value: IrValue): void {
    const fn = this.#fn;
    if (condition.constant === 0n) return;
    if (condition.constant === 1n) {
      this.store(addr, value);
      return;
    }
    const [then, join] = [fn.newLabel("store"), fn.newLabel("stored")];
    fn.branch(condition, then, join);
    fn.begin(then);
    this.store(addr, value);
    fn.jump(join);
    fn.begin(join);
  }

  fence(kind: "full" | "load" | "store"): void {
    this.#fn.effect(`fence ${kind === "full" ? "seq_cst" : kind === "load" ? "acquire" : "release"}`);
  }

  /**
   * Atomic read-modify-write; gives the old value. Where the address is not aligned to the width (a split lock on x86),
   * the operation is done by a plain load and store between full fences: it is not atomic against other threads.
   */
  atomicRmw(op: "add" | "sub" | "and" | "or" | "xor" | "xchg", addr: IrValue, value: IrValue): IrValue {
    const ops = this.#ops;
    const width = value.width;
    const type = `i${width}`;
    return this.#alignedOrNot(
      addr,
      width,
      (pointer) => {
        const old = this.#fn.emit(
          `atomicrmw ${op} ptr ${pointer}, ${this.#fn.typed(value, type)} seq_cst, align ${width / 8}, !tbaa ${TBAA.mem}`,
        );
        return this.#fn.named(width, type, old);
      },
      (old) => (op === "xchg" ? value : ops[op](old, value)),
    );
  }

  /** Compare and swap; gives the old value. As for atomicRmw where the address is not aligned. */
  atomicCas(addr: IrValue, expected: IrValue, desired: IrValue): IrValue {
    const width = desired.width;
    const type = `i${width}`;
    return this.#alignedOrNot(
      addr,
      width,
      (pointer) => {
        const operands = `${this.#fn.typed(expected, type)}, ${this.#fn.typed(desired, type)}`;
        const pair = this.#fn.emit(
          `cmpxchg ptr ${pointer}, ${operands} seq_cst seq_cst, align ${width / 8}, !tbaa ${TBAA.mem}`,
        );
        const old = this.#fn.value(width, type, `extractvalue { ${type}, i1 } ${pair}, 0`);
        if (this.#ops.target === "aarch64")
          this.#writeBackUnless(`extractvalue { ${type}, i1 } ${pair}, 1`, pointer, width);
        return old;
      },
      (old) => this.#ops.select(this.#ops.eq(old, expected), desired, old),
    );
  }

  /** x86 writes where the comparison fails, too, and so faults where it may not write. */
  #writeBackUnless(done: string, pointer: string, width: number): void {
    const fn = this.#fn;
    const [write, rest] = [fn.newLabel("write"), fn.newLabel("written")];
    fn.branch(fn.value(1, "i1", done), rest, write);
    fn.begin(write);
    fn.emit(`atomicrmw volatile or ptr ${pointer}, i${width} 0 seq_cst, align ${width / 8}, !tbaa ${TBAA.mem}`);
    fn.jump(rest);
    fn.begin(rest);
  }

  #alignedOrNot(
    addr: IrValue,
    width: number,
    atomic: (pointer: string) => IrValue,
    update: (old: IrValue) => IrValue,
  ): IrValue {
    const fn = this.#fn;
    const ops = this.#ops;
    const type = `i${width}`;
    const pointer = this.pointer(addr);
    if (width === 8) return this.#fenced(atomic(pointer));
    const [split, whole, join] = [fn.newLabel("split"), fn.newLabel("aligned"), fn.newLabel("joined")];
    fn.branch(ops.ne(ops.and(addr, ops.int(64, width / 8 - 1)), ops.int(64, 0)), split, whole, true);
    fn.begin(split);
    fn.effect("fence seq_cst");
    const old = fn.value(width, type, `load ${type}, ptr ${pointer}, align 1, !tbaa ${TBAA.mem}`);
    fn.effect(`store ${fn.typed(update(old), type)}, ptr ${pointer}, align 1, !tbaa ${TBAA.mem}`);
    const splitText = fn.integer(old);
    const splitEnd = fn.label;
    fn.jump(join);
    fn.begin(whole);
    const wholeText = fn.integer(atomic(pointer));
    const wholeEnd = fn.label;
    fn.jump(join);
    fn.begin(join);
    const phi = `phi ${type} [ ${splitText}, %${splitEnd} ], [ ${wholeText}, %${wholeEnd} ]`;
    return this.#fenced(fn.value(width, type, phi));
  }

  /** Without LSE an atomic operation of aarch64 is a loop that is weaker than x86's full barrier. */
  #fenced(value: IrValue): IrValue {
    if (this.#ops.target === "aarch64") this.#fn.effect("fence seq_cst");
    return value;
  }
}
