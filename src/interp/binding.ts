// The vocabulary bound for the interpreter: registers in CpuState, one LLVM function an instruction variant. Effects on
// registers come last (registers.ts); memory is accessed in the order in which the semantic asks.

import { CpuState, EXIT, offsetOf } from "../abi/index.ts";
import { type IrFunction, IrMemory, IrNativeOps, type IrValue } from "../llvm/index.ts";
import type { Flag, Sem } from "../sem/index.ts";
import { Decoded } from "./decoded.ts";
import { Registers } from "./registers.ts";

const DECODED_BITS: Readonly<Record<string, number>> = { u8: 8, u16: 16, u64: 64 };

/** Operations and machine for one function of the interpreter. */
export class InterpreterSem extends IrNativeOps implements Sem<IrValue> {
  readonly registers: Registers;
  readonly memory: IrMemory;

  constructor(fn: IrFunction) {
    super(fn);
    this.memory = new IrMemory(this, true, true);
    this.registers = new Registers(this, this.memory);
  }

  /** A field of the decoded instruction, zero-extended to 64 bits. */
  decoded(name: string): IrValue {
    const field = Decoded.fields.find((f) => f.name === name);
    const bits = field && typeof field.type === "string" ? DECODED_BITS[field.type] : undefined;
    if (!field || bits === undefined) throw new Error(`internal error: hc_decoded has no field ${name}`);
    const pointer = this.fn.emit(`getelementptr i8, ptr %decoded, i64 ${field.offset}`);
    return this.zext(this.memory.loadState(pointer, bits, bits / 8), 64);
  }

  gpr(number: number, width: 8 | 16 | 32 | 64): IrValue {
    return this.registers.gpr(this.int(64, number * 8), width);
  }

  setGpr(number: number, value: IrValue): void {
    this.registers.setGpr(this.int(64, number * 8), value);
  }

  vector(number: number, width: number): IrValue {
    return this.registers.vector(this.int(64, number), width);
  }

  setVector(number: number, value: IrValue, above: "merge" | "zero"): void {
    this.registers.setVector(this.int(64, number), value, above);
  }

  mask(number: number): IrValue {
    return this.registers.mask(this.int(64, number));
  }

  setMask(number: number, value: IrValue): void {
    this.registers.setMask(this.int(64, number), value);
  }

  field(name: string): IrValue {
    return this.registers.field(name);
  }

  setField(name: string, value: IrValue): void {
    this.registers.setField(name, value);
  }

  x87(index: IrValue): IrValue {
    return this.registers.x87(this.#physical(index));
  }

  setX87(index: IrValue, value: IrValue): void {
    this.registers.setX87(this.#physical(index), value);
  }

  flag(flag: Flag): IrValue {
    return this.registers.flag(flag);
  }

  setFlag(flag: Flag, value: () => IrValue): void {
    this.registers.setFlag(flag, value);
  }

  load(width: number, addr: IrValue): IrValue {
    return this.memory.load(width, addr);
  }

  store(addr: IrValue, value: IrValue): void {
    this.memory.store(addr, value);
  }

  loadIf(condition: IrValue, width: number, addr: IrValue): IrValue {
    this.registers.settleFlags();
    return this.memory.loadIf(condition, width, addr);
  }

  storeIf(condition: IrValue, addr: IrValue, value: IrValue): void {
    this.registers.settleFlags();
    this.memory.storeIf(condition, addr, value);
  }

  atomicRmw(op: "add" | "sub" | "and" | "or" | "xor" | "xchg", addr: IrValue, value: IrValue): IrValue {
    this.registers.settleFlags();
    return this.memory.atomicRmw(op, addr, value);
  }

  atomicCas(addr: IrValue, expected: IrValue, desired: IrValue): IrValue {
    this.registers.settleFlags();
    return this.memory.atomicCas(addr, expected, desired);
  }

  fence(kind: "full" | "load" | "store"): void {
    this.memory.fence(kind);
  }

  pc(): IrValue {
    return this.registers.field("rip");
  }

  nextPc(): IrValue {
    return this.decoded("next_rip");
  }

  jump(target: IrValue): void {
    this.#leave(target);
  }

  branch(condition: IrValue, target: IrValue): void {
    this.#leave(this.select(condition, target, this.nextPc()));
  }

  skipIf(condition: IrValue): void {
    this.#leaveIf(condition, () => this.nextPc());
  }

  againIf(condition: IrValue): void {
    this.#leaveIf(condition, null);
  }

  rareIf(): boolean {
    return false;
  }

  trapIf(condition: IrValue, vector: number): void {
    if (condition.constant === 0n) return;
    this.registers.settleFlags();
    const [trap, goOn] = [this.fn.newLabel("trap"), this.fn.newLabel("go")];
    this.fn.branch(condition, trap, goOn, true);
    this.fn.begin(trap);
    this.#exit(EXIT.trap, vector);
    this.fn.end("ret void");
    this.fn.begin(goOn);
  }

  syscall(): void {
    this.registers.commit();
    this.#storeField("rip", this.nextPc());
    this.#exit(EXIT.syscall, 0);
    this.fn.end("ret void");
  }

  helper(name: string, argument: IrValue): void {
    this.registers.commit();
    this.fn.module.declare(`declare void @hc_helper_${name}(ptr, i64)`);
    this.fn.effect(`call void @hc_helper_${name}(ptr %state, ${this.fn.typed(argument, "i64")})`);
    // A helper may have raised an exception; the instruction ends there then.
    const reason = this.registers.field("exit_reason");
    const [left, goOn] = [this.fn.newLabel("left"), this.fn.newLabel("go")];
    this.fn.branch(this.ne(reason, this.int(32, EXIT.dispatch)), left, goOn, true);
    this.fn.begin(left);
    this.fn.end("ret void");
    this.fn.begin(goOn);
  }

  /** Ends the function if the semantic has not: the next instruction follows. */
  finish(): void {
    if (!this.fn.ended) this.#leave(this.nextPc());
    this.fn.finish();
  }

  #physical(index: IrValue): IrValue {
    const wide = this.w(index) > 64 ? this.trunc(index, 64) : this.zext(index, 64);
    return this.and(wide, this.int(64, 7));
  }

  #leave(target: IrValue): void {
    this.registers.commit();
    this.#storeField("rip", target);
    this.fn.end("ret void");
  }

  /** Where the condition is 1 the function ends here with what is written so far; null: at the same instruction. */
  #leaveIf(condition: IrValue, target: (() => IrValue) | null): void {
    if (condition.constant === 0n) return;
    this.registers.settleFlags();
    const [leave, goOn] = [this.fn.newLabel("leave"), this.fn.newLabel("go")];
    this.fn.branch(condition, leave, goOn);
    this.fn.begin(leave);
    this.registers.commit(true);
    if (target) this.#storeField("rip", target());
    this.fn.end("ret void");
    this.fn.begin(goOn);
  }

  #exit(reason: number, detail: number): void {
    this.#storeField("exit_reason", this.int(32, reason));
    this.#storeField("exit_detail", this.int(32, detail));
  }

  #storeField(name: string, value: IrValue): void {
    const pointer = this.fn.emit(`getelementptr i8, ptr %state, i64 ${offsetOf(CpuState, name)}`);
    this.memory.storeState(pointer, value, this.w(value) / 8);
  }
}
