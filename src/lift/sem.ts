// Binds the vocabulary of semantics to one piece that is being written: registers are SSA values, operands are known.
// What ends a basic block or leaves the piece is only noted here, or handed to the piece's writer, which knows the graph.

import { CpuState, offsetOf, type Variant } from "../abi/index.ts";
import { assert } from "../base/index.ts";
import {
  type AtomicOp,
  GuardedMemory,
  type IrFunction,
  IrMemory,
  IrNativeOps,
  IrValue,
  type Landing,
  laneType,
  PendingValue,
  type Place,
  SplitValue,
} from "../llvm/index.ts";
import { type Flag, type Sem, Unsupported } from "../sem/index.ts";
import type { Instruction } from "../x86/index.ts";
import type { PrivateFrame } from "./private-frames.ts";
import { partName, partType, REST_TYPE, type SplitText } from "./splits.ts";
import { FLAG_FIRST, flagVariable, HIGH_FIRST, LOW_FIRST, MASK_FIRST, MID_FIRST, VARIABLES } from "./variables.ts";

/** A flag whose value nobody has needed yet. */
export class LazyFlag {
  readonly make: () => IrValue;
  forced: IrValue | undefined;
  constructor(make: () => IrValue) {
    this.make = make;
  }
}

/** Stands for a value that was dropped since nobody can read it. */
export const DEAD = Symbol("dead");

/** The value of a variable: undefined is the value at the head of the piece. */
export type Slot = IrValue | LazyFlag | typeof DEAD | undefined;

/** How the instruction at hand goes on, if not behind it. */
export type Control =
  | { readonly kind: "jump" | "call" | "ret"; readonly target: IrValue }
  | { readonly kind: "branch" | "again"; readonly condition: IrValue }
  | { readonly kind: "syscall" };

/** What a LiftSem needs of the piece that it writes. */
export interface PieceHooks {
  /** The value of a variable at the head of the piece. */
  valueAtHead(variable: number): IrValue;
  /** A run-time address in the guest's file from which \`address\` is best made, and what it is without the load bias. */
  anchor(address: bigint): { readonly value: IrValue; readonly at: bigint };
  /** Leaves for the interpreter or with an exception if `condition` is 1, with the given state. */
  leaveIf(condition: IrValue, reason: "interpret" | "trap", vector: number, state: readonly Slot[]): void;
  /** Goes on behind the instruction if `condition` is 1. */
  skipIf(condition: IrValue): void;
  /** Label of an exit at which the interpreter goes on at `pc` with the given state. */
  landing(pc: number, state: readonly Slot[]): Landing;
  /** Whether nobody reads what a vector register holds above its low `width` bits, up to 128, behind the instruction at hand. */
  isDeadAbove(register: number, width: number): boolean;
}

/** What a LiftSem knows of the file. */
export interface LiftOptions {
  readonly isRelocatable: boolean;
  readonly variant: Variant;
  /** Whether an address in the file (without bias) lies where nobody writes. */
  isConstant(address: bigint): boolean;
}

/** What of some slots has to be settled before paths part. */
export function whatMayBePending(slots: readonly Slot[]): IrValue[] {
  return slots.filter((slot) => slot instanceof PendingValue || slot instanceof SplitValue);
}

const GENERAL_PROTECTION = 13;
const [RSP, RBP] = [4, 5];
const PUSHES = /^(?:Push|Call)/;
const POPS = /^(?:Pop|Ret|Leave)/;
/**
 * Words of the thread control block, by their distance from fs, that have their value before others know of the thread: its
 * own address (twice), and what guards stacks and pointers (System V ABI for x86-64; glibc's and musl's pthread).
 */
const CONTROL_BLOCK = new Set([0n, 0x10n, 0x28n, 0x30n]);

/**
 * A stretch of instructions that may be executed again from its start: nothing in it has changed anything that the start
 * relies on. A fault in it goes back there, and the interpreter finds it again.
 */
interface Region {
  readonly pc: number;
  readonly state: readonly Slot[];
  landing: Landing | null;
  hasLoads: boolean;
  /** Something happened that must not happen twice. */
  isOver: boolean;
}
const FIELD_WIDTHS = new Map(CpuState.fields.map((f) => [f.name, f.sizeBytes * 8]));

/** What a vector register holds in the lanes that a mask selects. */
interface Selected {
  readonly slots: readonly Slot[];
  readonly mask: IrValue;
  readonly laneBits: number;
  readonly value: IrValue;
}

export class LiftSem extends IrNativeOps implements Sem<IrValue> {
  protected override readonly delaysNans = true;
  readonly #hooks: PieceHooks;
  readonly #memory: IrMemory;
  readonly #options: LiftOptions;
  /** Guest memory in all variants but the plain one. */
  readonly #guarded: GuardedMemory | null;
  /** Values that are the sum of another and a constant. */
  readonly #sums = new WeakMap<IrValue, { readonly root: IrValue; readonly offset: bigint }>();
  /** Values that are addresses in the file, and what they are without the load bias. */
  readonly #anchors = new WeakMap<IrValue, bigint>();
  /** By vector register, what was written there under a mask last. */
  readonly #selected = new Map<number, Selected>();
  /** Upper halves of fixed addresses, and the LLVM block that each was made in last. */
  readonly #fixedHighs = new Map<bigint, { readonly label: string; readonly value: IrValue }>();
  /** What the block has read of it; nothing else changes it. */
  #fsBase: IrValue | undefined;
  #region: Region | null = null;
  #privateFrame: PrivateFrame = "none";
  /** Values of the variables now. */
  state: Slot[];
  control: Control | null = null;
  /** What the current instruction did to flags: read before it set them, set whatever happened. */
  flagsRead = 0;
  flagsSet = 0;
  #isConditional = false;
  #instruction: Instruction | null = null;
  /** What the current instruction has overwritten, oldest first: variables, and what was in them. */
  readonly #written: number[] = [];
  readonly #overwritten: Slot[] = [];

  constructor(fn: IrFunction, hooks: PieceHooks, options: LiftOptions) {
    super(fn);
    this.#hooks = hooks;
    this.#memory = new IrMemory(this, false);
    this.#options = options;
    this.#guarded = options.variant === "plain" ? null : new GuardedMemory(this, options.variant === "ordered");
    this.state = new Array<Slot>(VARIABLES.length).fill(undefined);
  }

  /** To be called before a block's first instruction. */
  startBlock(privateFrame: PrivateFrame): void {
    this.#region = null;
    this.#fsBase = undefined;
    this.forgetPending();
    this.#privateFrame = privateFrame;
  }

  /** To be called before an instruction's semantic. */
  startInstruction(instruction: Instruction): void {
    if (this.#region?.isOver) this.#region = null;
    this.#instruction = instruction;
    this.#written.length = 0;
    this.#overwritten.length = 0;
    this.#isConditional = false;
    this.control = null;
    this.flagsRead = 0;
    this.flagsSet = 0;
    // Before the instruction branches, if it does.
    if (this.#guarded && instruction.segment === "fs") this.field("fs_base");
  }

  /** The state before the current instruction. */
  stateAtStart(): readonly Slot[] {
    const state = this.state.slice();
    for (let i = this.#written.length - 1; i >= 0; i--) state[this.#written[i]!] = this.#overwritten[i];
    return state;
  }

  /** The value of a variable that is no lazy flag. */
  read(variable: number): IrValue {
    const slot = this.state[variable];
    if (slot instanceof IrValue) return slot;
    if (slot instanceof LazyFlag) return this.force(slot, true);
    return this.#hooks.valueAtHead(variable);
  }

  write(variable: number, value: Slot): void {
    this.#written.push(variable);
    this.#overwritten.push(this.state[variable]);
    this.state[variable] = value;
  }

  /** The value of a lazy flag; `keep` when the place of writing dominates all that follows in the block. */
  force(flag: LazyFlag, keep: boolean): IrValue {
    if (flag.forced) return flag.forced;
    const value = flag.make();
    assert(value.width === 1, "a flag is one bit wide");
    if (keep) flag.forced = value;
    return value;
  }

  /** Makes right what is pending in the variables; to be called where paths part or meet, as both sides may need it. */
  settleState(): void {
    this.settle(whatMayBePending(this.state));
  }

  /** An address in the guest's file as a run-time value. */
  address(pc: number | bigint): IrValue {
    const value = BigInt(pc);
    if (!this.#options.isRelocatable) return this.int(64, value);
    const { value: anchor, at } = this.#hooks.anchor(value);
    this.#anchors.set(anchor, at);
    const distance = value - at;
    const isShort = distance > -0x1000n && distance < 0x1000n;
    if (isShort) return this.add(anchor, this.int(64, distance));
    const [pages, low] = [distance >> 12n, distance & 0xfffn];
    const page = this.addPages(anchor, pages);
    this.#anchors.set(page, at + (pages << 12n));
    return this.add(page, this.int(64, low));
  }

  /** Adds so many pages: as an immediate of aarch64, where LLVM would make the number first. */
  addPages(value: IrValue, pages: bigint): IrValue {
    const [op, count] = pages < 0n ? ["sub", -pages] : ["add", pages];
    if (count === 0n) return value;
    if (count > 0xfffn) return this.add(value, this.int(64, pages << 12n));
    const text = `call i64 asm "${op} $0, $1, #${count}, lsl #12", "=r,r"(i64 ${this.fn.text(value, "i64")}) memory(none)`;
    return this.fn.value(64, "i64", text);
  }

  /**
   * The address of an access to a fixed place in two parts, of which the access itself can hold the second: one instruction
   * less than making the whole. The first is shared where another access is near it.
   */
  #fixedPlace(addr: IrValue, width: number): IrValue {
    const at = addr.constant;
    if (at === undefined || at >= 1n << 32n) return addr;
    const [low, bytes] = [at & 0xffffn, BigInt(width / 8)];
    const high = at - low;
    // Ordered accesses take a register alone.
    if (high === 0n || low === 0n || this.#options.variant === "ordered") return addr;
    if (this.#guarded && (low % bytes !== 0n || low >= 0x1000n * bytes || width > 128)) return addr;
    const known = this.#fixedHighs.get(high);
    const base = known?.label === this.fn.label ? known.value : this.#fixedHigh(high);
    this.#fixedHighs.set(high, { label: this.fn.label, value: base });
    this.#anchors.set(base, high);
    return this.add(base, this.int(64, low));
  }

  /** In the form of an asm, since LLVM would put the parts together again; other blocks make their own. */
  #fixedHigh(high: bigint): IrValue {
    const { fn } = this;
    const text = `call i64 asm "movz $0, #${high >> 16n}, lsl #16 // ${fn.label}", "=r"() memory(none)`;
    return fn.value(64, "i64", text);
  }

  gpr(number: number, width: 8 | 16 | 32 | 64): IrValue {
    return this.trunc(this.read(number), width);
  }

  setGpr(number: number, value: IrValue): void {
    if (value.width === 64) this.write(number, value);
    else if (value.width === 32) this.write(number, this.zext(value, 64));
    else this.setGprBits(number, 0, value);
  }

  /** Replaces some bits of a general register. */
  setGprBits(number: number, low: number, value: IrValue): void {
    const old = this.read(number);
    const mask = ((1n << BigInt(value.width)) - 1n) << BigInt(low);
    const kept = this.and(old, this.int(64, BigInt.asUintN(64, ~mask)));
    const part = this.shl(this.zext(value, 64), this.int(64, low));
    this.write(number, this.or(kept, part));
  }

  vector(number: number, width: number): IrValue {
    const low = this.read(LOW_FIRST + number);
    if (width <= 128) return this.trunc(low, width);
    const mid = this.read(MID_FIRST + number);
    if (width === 256) return this.concat(mid, low);
    return this.concat(this.read(HIGH_FIRST + number), mid, low);
  }

  setVector(number: number, value: IrValue, above: "merge" | "zero"): void {
    const { width } = value;
    if (width < 128) {
      const isMerged = above === "merge" || this.#hooks.isDeadAbove(number, width);
      const full = isMerged ? this.withLow(number, number, value) : this.zext(value, 128);
      this.setVector(number, full, above);
      return;
    }
    this.write(LOW_FIRST + number, this.trunc(value, 128));
    if (width >= 256) this.write(MID_FIRST + number, this.bits(value, 128, 128));
    else if (above === "zero") this.write(MID_FIRST + number, this.int(128, 0));
    if (width >= 512) this.write(HIGH_FIRST + number, this.bits(value, 256, 256));
    else if (above === "zero") this.write(HIGH_FIRST + number, this.int(256, 0));
  }

  /** What is to be in a vector register: `value` in the low bits, above it, up to 128, what another holds there. */
  withLow(number: number, above: number, value: IrValue): IrValue {
    // LLVM needs no instruction to put a scalar into what it may choose.
    const isDead = this.#hooks.isDeadAbove(number, value.width);
    const rest = isDead ? this.#anyRest() : this.read(LOW_FIRST + above);
    return this.setLane(rest, value.width, 0, value);
  }

  #anyRest(): IrValue {
    return this.fn.named(128, REST_TYPE, "poison");
  }

  /** A vector register of two parts. */
  split(scalar: IrValue, rest: IrValue): SplitValue {
    return new SplitValue(scalar, rest, (low, above) => super.setLane(above, low.width, 0, low));
  }

  /** A vector register as a scalar of `width` bits and a rest, at the place of writing; `isAll` if nobody reads the rest. */
  splitText(value: IrValue, width: number, isAll: boolean): SplitText {
    const known = value instanceof SplitValue && value.scalar.width === width ? value : null;
    const scalar = known?.scalar ?? this.bits(value, 0, width);
    const rest = isAll ? this.#anyRest() : (known?.rest ?? value);
    const text = (of: IrValue, part: "scalar" | "rest"): string => this.fn.text(of, partType(part, width));
    return { width, scalar: text(scalar, "scalar"), rest: text(rest, "rest") };
  }

  /** The register that `splitPhi` makes under this name, in this LLVM block. */
  splitNamed(name: string, width: number, block = this.fn.block): SplitValue {
    const named = (bits: number, part: "scalar" | "rest"): IrValue =>
      new IrValue(bits, undefined, [{ type: partType(part, width), name: partName(name, part), block }]);
    return this.split(named(width, "scalar"), named(128, "rest"));
  }

  override setLane(a: IrValue, laneBits: number, index: number, value: IrValue): IrValue {
    const isScalar = index === 0 && a.width === 128 && (laneBits === 32 || laneBits === 64);
    if (!isScalar || (a instanceof PendingValue && !a.isSettled)) return super.setLane(a, laneBits, index, value);
    return this.split(value, a instanceof SplitValue && a.scalar.width <= laneBits ? a.rest : a);
  }

  override bits(a: IrValue, low: number, width: number): IrValue {
    if (!(a instanceof SplitValue) || width === a.width) return super.bits(a, low, width);
    const { scalar } = a;
    if (low + width <= scalar.width)
      return this.bits(scalar instanceof PendingValue ? scalar.now() : scalar, low, width);
    return low >= scalar.width ? this.bits(a.rest, low, width) : super.bits(a, low, width);
  }

  mask(number: number): IrValue {
    return this.read(MASK_FIRST + number);
  }

  /** Notes what was just written to a vector register under a mask: `value` in the selected lanes, something else in others. */
  noteSelected(register: number, mask: number, laneBits: number, value: IrValue): void {
    if (value instanceof PendingValue) return;
    const slots = this.#slotsOf(register);
    this.#selected.set(register, { slots, mask: this.mask(mask), laneBits, value });
  }

  /** The value of which a register still has the lanes that this mask selects, if it has been noted. */
  selected(register: number, mask: number, laneBits: number, width: number): IrValue | undefined {
    const noted = this.#selected.get(register);
    if (!noted || noted.laneBits !== laneBits || noted.value.width !== width) return undefined;
    const isSame =
      noted.mask === this.mask(mask) && this.#slotsOf(register).every((slot, i) => slot === noted.slots[i]);
    return isSame ? noted.value : undefined;
  }

  #slotsOf(register: number): readonly Slot[] {
    return [LOW_FIRST, MID_FIRST, HIGH_FIRST].map((first) => this.state[first + register]);
  }

  setMask(number: number, value: IrValue): void {
    this.write(MASK_FIRST + number, this.zext(value, 64));
  }

  /** Text of a pointer to a byte of CpuState. */
  pointer(offset: number): string {
    return this.fn.emit(`getelementptr i8, ptr %state, i64 ${offset}`);
  }

  field(name: string): IrValue {
    // LLVM takes it that accesses to guest memory may change it, where they are guarded.
    if (name !== "fs_base" || !this.#guarded) return this.#loadField(name);
    this.#fsBase ??= this.#loadField(name);
    return this.#fsBase;
  }

  #loadField(name: string): IrValue {
    const width = FIELD_WIDTHS.get(name);
    assert(width !== undefined && width <= 64, `${name} is a scalar field of CpuState`);
    return this.#memory.loadState(this.pointer(offsetOf(CpuState, name)), width, width / 8);
  }

  setField(name: string, value: IrValue): void {
    this.#endRegion();
    if (name === "fs_base") this.#fsBase = undefined;
    assert(FIELD_WIDTHS.get(name) === value.width, `${name} has ${value.width} bits`);
    this.#memory.storeState(this.pointer(offsetOf(CpuState, name)), value, value.width / 8);
  }

  #x87Pointer(index: IrValue): string {
    const slot = this.and(index.width > 64 ? this.trunc(index, 64) : this.zext(index, 64), this.int(64, 7));
    const offset = this.add(this.shl(slot, this.int(64, 4)), this.int(64, offsetOf(CpuState, "st")));
    return this.fn.emit(`getelementptr i8, ptr %state, ${this.fn.typed(offset, "i64")}`);
  }

  x87(index: IrValue): IrValue {
    const pointer = this.#x87Pointer(index);
    const low = this.#memory.loadState(pointer, 64, 16);
    const high = this.#memory.loadState(this.fn.emit(`getelementptr i8, ptr ${pointer}, i64 8`), 16, 8);
    return this.or(this.shl(this.zext(high, 80), this.int(80, 64)), this.zext(low, 80));
  }

  setX87(index: IrValue, value: IrValue): void {
    this.#endRegion();
    const pointer = this.#x87Pointer(index);
    this.#memory.storeState(pointer, this.trunc(value, 64), 16);
    this.#memory.storeState(this.fn.emit(`getelementptr i8, ptr ${pointer}, i64 8`), this.bits(value, 64, 16), 8);
  }

  flag(flag: Flag): IrValue {
    const variable = flagVariable(flag);
    const bit = 1 << (variable - FLAG_FIRST);
    if ((this.flagsSet & bit) === 0) this.flagsRead |= bit;
    return this.read(variable);
  }

  setFlag(flag: Flag, value: () => IrValue): void {
    const variable = flagVariable(flag);
    if (!this.#isConditional) this.flagsSet |= 1 << (variable - FLAG_FIRST);
    this.write(variable, new LazyFlag(value));
  }

  override add(a: IrValue, b: IrValue): IrValue {
    const sum = super.add(a, b);
    if (b.constant !== undefined) this.#noteSum(sum, a, b.constant);
    else if (a.constant !== undefined) this.#noteSum(sum, b, a.constant);
    return sum;
  }

  override sub(a: IrValue, b: IrValue): IrValue {
    const difference = super.sub(a, b);
    if (b.constant !== undefined) this.#noteSum(difference, a, -b.constant);
    return difference;
  }

  override zext(a: IrValue, width: number): IrValue {
    const wide = this.#guarded?.wide(a);
    if (wide && width > a.width && width <= 64) return this.trunc(wide, width);
    return super.zext(a, width);
  }

  #noteSum(sum: IrValue, of: IrValue, constant: bigint): void {
    if (!this.#guarded || sum.constant !== undefined || sum === of || sum.width !== 64) return;
    const { root, offset } = this.#place(of);
    this.#sums.set(sum, { root, offset: BigInt.asIntN(64, offset + constant) });
  }

  #place(address: IrValue): Place {
    return { address, ...(this.#sums.get(address) ?? { root: address, offset: 0n }) };
  }

  /** Whether no other thread can tell in which order this memory is accessed. */
  #isPrivate(place: Place, isStore: boolean): boolean {
    const { address, root, offset } = place;
    if (this.#options.variant !== "ordered" || this.#isOwnFrame(place, isStore)) return true;
    if (!isStore && root === this.#fsBase && CONTROL_BLOCK.has(offset)) return true;
    if (address.constant !== undefined) return this.#options.isConstant(address.constant);
    const at = this.#anchors.get(root);
    return at !== undefined && this.#options.isConstant(at + offset);
  }

  /** Whether this is in the part of the stack that only this thread knows. */
  #isOwnFrame({ root }: Place, isStore: boolean): boolean {
    const { mnemonic } = this.#instruction!;
    const isAt = (register: number): boolean => root === this.#place(this.read(register)).root;
    const isAtRsp = isAt(RSP);
    // Nobody knows yet of what is pushed; and what is popped is the thread's own: saved registers and return addresses.
    if (isStore ? isAtRsp && PUSHES.test(mnemonic) : POPS.test(mnemonic) && (isAtRsp || isAt(RBP))) return true;
    if (this.#privateFrame === "none") return false;
    return isAtRsp || (this.#privateFrame === "rsp and rbp" && isAt(RBP));
  }

  /** Where a fault of the next access leads: to the start of the region that it is in. */
  #landing(): Landing {
    const { pc } = this.#instruction!;
    let region = this.#region;
    if (!region || (region.isOver && region.pc !== pc)) {
      region = { pc, state: this.stateAtStart(), landing: null, hasLoads: false, isOver: false };
      this.#region = region;
    }
    region.landing ??= this.#hooks.landing(region.pc, region.state);
    return region.landing;
  }

  #endRegion(): void {
    if (this.#region) this.#region.isOver = true;
  }

  load(width: number, addr: IrValue): IrValue {
    const at = this.#fixedPlace(addr, width);
    if (!this.#guarded) return this.#memory.load(width, at);
    const place = this.#place(at);
    const value = this.#guarded.load(width, place, this.#isPrivate(place, false), () => this.#landing());
    this.#region!.hasLoads = true;
    return value;
  }

  store(addr: IrValue, value: IrValue): void {
    const at = this.#fixedPlace(addr, value.width);
    if (!this.#guarded) {
      this.#memory.store(at, value);
      return;
    }
    const place = this.#place(at);
    const isOwn = this.#isOwnFrame(place, true);
    this.#guarded.store(place, value, this.#isPrivate(place, true), () => this.#landing());
    // May be stored once more if nobody else sees it, and if nothing was read that it may have changed.
    if (this.#region!.hasLoads || (!isOwn && this.#options.variant === "ordered")) this.#endRegion();
  }

  loadIf(condition: IrValue, width: number, addr: IrValue): IrValue {
    if (condition.constant !== undefined)
      return condition.constant === 1n ? this.load(width, addr) : this.int(width, 0);
    const { fn } = this;
    const [yes, join] = [fn.newLabel("load"), fn.newLabel("loaded")];
    const before = fn.label;
    fn.branch(condition, yes, join);
    fn.begin(yes);
    const loaded = this.load(width, addr);
    const type = loaded.type;
    const text = fn.text(loaded, type);
    const after = fn.label;
    fn.jump(join);
    fn.begin(join);
    const zero = type.startsWith("<") ? "zeroinitializer" : "0";
    return fn.value(width, type, `phi ${type} [ ${zero}, %${before} ], [ ${text}, %${after} ]`);
  }

  /** Whether others may look at memory meanwhile, or write to it: then nothing is stored that the program does not store. */
  get isObserved(): boolean {
    return this.#options.variant === "ordered";
  }

  /** Goes one of two ways, the first of them rarely, that meet again. What they need is settled before. */
  part(condition: IrValue, rare: () => void, usual: () => void): void {
    const { fn } = this;
    const [there, here, join] = [fn.newLabel("rare"), fn.newLabel("usual"), fn.newLabel("join")];
    fn.branch(condition, there, here, true);
    for (const [label, write] of [
      [there, rare],
      [here, usual],
    ] as const) {
      fn.begin(label);
      write();
      fn.jump(join);
    }
    fn.begin(join);
  }

  /** What one of two ways makes, as `part` takes them. */
  either(condition: IrValue, rare: () => IrValue, usual: () => IrValue): IrValue {
    const { fn } = this;
    const arms: string[] = [];
    let [width, type] = [0, ""];
    const noted = (make: () => IrValue) => () => {
      const value = make();
      width = value.width;
      type = LiftSem.wordType(width);
      arms.push(`[ ${fn.text(value, type)}, %${fn.label} ]`);
    };
    this.part(condition, noted(rare), noted(usual));
    return fn.value(width, type, `phi ${type} ${arms.join(", ")}`);
  }

  storeIf(condition: IrValue, addr: IrValue, value: IrValue): void {
    if (condition.constant === 0n) return;
    if (condition.constant === 1n) {
      this.store(addr, value);
      return;
    }
    const { fn } = this;
    this.settle([value]);
    const [yes, join] = [fn.newLabel("store"), fn.newLabel("stored")];
    fn.branch(condition, yes, join);
    fn.begin(yes);
    this.store(addr, value);
    fn.jump(join);
    fn.begin(join);
  }

  atomicRmw(op: AtomicOp, addr: IrValue, value: IrValue): IrValue {
    if (this.#guarded && this.#options.variant === "ordered") {
      const old = this.#guarded.atomicRmw(op, this.#place(addr), value, () => this.#landing());
      this.#endRegion();
      return old;
    }
    // Nobody else sees the memory, and signals reach the guest between instructions only.
    const old = this.load(value.width, addr);
    this.store(addr, op === "xchg" ? value : this[op](old, value));
    return old;
  }

  atomicCas(addr: IrValue, expected: IrValue, desired: IrValue): IrValue {
    if (this.#guarded && this.#options.variant === "ordered") {
      const old = this.#guarded.atomicCas(this.#place(addr), expected, desired, () => this.#landing());
      this.#endRegion();
      return old;
    }
    const old = this.load(desired.width, addr);
    this.store(addr, this.select(this.eq(old, expected), desired, old));
    return old;
  }

  fence(kind: "full" | "load" | "store"): void {
    this.#guarded?.fence(kind);
  }

  pc(): IrValue {
    return this.address(this.#instruction!.pc);
  }

  nextPc(): IrValue {
    return this.address(this.#instruction!.pc + this.#instruction!.length);
  }

  jump(target: IrValue, kind: "jump" | "call" | "ret"): void {
    this.control = { kind, target };
  }

  branch(condition: IrValue, _target: IrValue): void {
    this.control = { kind: "branch", condition };
  }

  againIf(condition: IrValue): void {
    this.control = { kind: "again", condition };
  }

  skipIf(condition: IrValue): void {
    this.#isConditional = true;
    if (condition.constant !== 0n) this.#hooks.skipIf(condition);
  }

  rareIf(condition: IrValue): boolean {
    if (condition.constant !== 0n) this.#hooks.leaveIf(condition, "interpret", 0, this.stateAtStart());
    return true;
  }

  trapIf(condition: IrValue, vector: number): void {
    // Aligned vector accesses to misaligned memory raise #GP on the CPU. A check would cost every such access three
    // instructions and only programs that crash could tell: translated code does the access.
    if (vector === GENERAL_PROTECTION && condition.constant === undefined && this.#accessesVectorMemory()) return;
    if (condition.constant !== 0n) this.#hooks.leaveIf(condition, "trap", vector, this.stateAtStart());
  }

  #accessesVectorMemory(): boolean {
    const kinds = this.#instruction!.operands.map((operand) => operand.kind);
    return kinds.includes("memory") && kinds.includes("vector");
  }

  syscall(): void {
    this.control = { kind: "syscall" };
  }

  helper(name: string): void {
    throw new Unsupported(`${this.#instruction!.mnemonic}: done by the interpreter (${name})`);
  }

  /** The all-zero or all-one lanes of a mask value, for blending registers. */
  lanesOf(mask: IrValue, laneBits: number): IrValue {
    return this.expandMask(mask, laneBits);
  }

  /** LLVM type in which `width` bits are cut into words. */
  static wordType(width: number): string {
    return laneType(width, 64);
  }
}
