// Decodes guest code in place for the translator: one reused decoder over a code segment, asked for the instruction at
// an address. What discovery wants of an instruction (length, flow, addresses that it names) comes as numbers; the
// lifter asks for the whole as an `Instruction` record. iced-x86 numbers stay inside this directory.

import {
  Code,
  Decoder,
  DecoderOptions,
  EncodingKind,
  FlowControl,
  Instruction as Iced,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
  RoundingControl,
} from "iced-x86";

/** What an instruction does to the flow of control. */
export const FLOW = {
  /** Goes on behind it. */
  next: 0,
  /** Goes on behind it or at `target`. */
  branch: 1,
  jump: 2,
  call: 3,
  ret: 4,
  indirectJump: 5,
  indirectCall: 6,
  syscall: 7,
  /** A repeated string instruction: goes on behind it or once more. */
  repeat: 8,
  /** Never goes on (ud2, hlt, far transfers …): the interpreter's business. */
  stop: 9,
} as const;
export type Flow = (typeof FLOW)[keyof typeof FLOW];

export type OperandKind =
  | "gpr"
  | "vector"
  | "mask"
  | "mm"
  | "st"
  | "segment"
  | "memory"
  | "immediate"
  | "branch"
  | "other";

export interface Operand {
  readonly kind: OperandKind;
  /** Bits. Memory: what is accessed (EVEX broadcast: the full vector); immediates after their extension; branch 64. */
  readonly width: number;
  /** Register number; ah, ch, dh, bh are 0..3 with `isHighByte`. */
  readonly register: number;
  readonly isHighByte: boolean;
  /** Immediate (extended to `width`) or branch target, unsigned. */
  readonly value: bigint;
}

export interface MemoryOperand {
  /** General register numbers, -1 for none. */
  readonly base: number;
  /** Index register (a vector register number for vsib), -1 for none. */
  readonly index: number;
  readonly scale: number;
  /** Sign-extended displacement; for rip-relative operands the whole address. */
  readonly displacement: bigint;
  readonly isRipRelative: boolean;
  readonly segment: "fs" | "gs" | null;
  readonly addressSize: 32 | 64;
  /** Bits of the element that an EVEX broadcast reads; 0 = none. */
  readonly broadcastBits: number;
  /** Width of the vsib index register; 0 = no vsib. */
  readonly vsibWidth: number;
}

/** One decoded instruction, independent of the decoder. */
export interface Instruction {
  readonly pc: number;
  readonly length: number;
  readonly mnemonic: string;
  readonly code: string;
  readonly encoding: "legacy" | "vex" | "evex";
  readonly operands: readonly Operand[];
  readonly memory: MemoryOperand | null;
  readonly addressSize: 32 | 64;
  readonly segment: "fs" | "gs" | null;
  readonly isLocked: boolean;
  readonly rep: "none" | "rep" | "repne";
  /** EVEX opmask register, 0 = none. */
  readonly opmask: number;
  readonly isZeroing: boolean;
  /** EVEX static rounding, null = mxcsr's. */
  readonly rounding: "nearest" | "down" | "up" | "zero" | null;
  readonly suppressesExceptions: boolean;
}

const FLOW_OF: Readonly<Record<number, Flow>> = {
  [FlowControl.Next]: FLOW.next,
  [FlowControl.UnconditionalBranch]: FLOW.jump,
  [FlowControl.IndirectBranch]: FLOW.indirectJump,
  [FlowControl.ConditionalBranch]: FLOW.branch,
  [FlowControl.Return]: FLOW.ret,
  [FlowControl.Call]: FLOW.call,
  [FlowControl.IndirectCall]: FLOW.indirectCall,
  [FlowControl.Interrupt]: FLOW.stop,
  [FlowControl.XbeginXabortXend]: FLOW.stop,
  [FlowControl.Exception]: FLOW.stop,
};
const ROUNDINGS = {
  [RoundingControl.None]: null,
  [RoundingControl.RoundToNearest]: "nearest",
  [RoundingControl.RoundDown]: "down",
  [RoundingControl.RoundUp]: "up",
  [RoundingControl.RoundTowardZero]: "zero",
} as const;
const IMMEDIATE_WIDTHS: Readonly<Record<number, number>> = {
  [OpKind.Immediate8]: 8,
  [OpKind.Immediate8_2nd]: 8,
  [OpKind.Immediate16]: 16,
  [OpKind.Immediate32]: 32,
  [OpKind.Immediate64]: 64,
  [OpKind.Immediate8to16]: 16,
  [OpKind.Immediate8to32]: 32,
  [OpKind.Immediate8to64]: 64,
  [OpKind.Immediate32to64]: 64,
};
const SYSCALL = [Code.Syscall as number];

/** Loops that count ecx: an address size prefix that no operand shows. */
const COUNTS_ECX = new Set<number>([Code.Loop_rel8_64_ECX, Code.Loope_rel8_64_ECX, Code.Loopne_rel8_64_ECX]);

/** The number that `Scanner.mnemonic` gives for iced's mnemonic `name`. */
export function mnemonicNumber(name: string): number {
  const number = (Mnemonic as unknown as Readonly<Record<string, number>>)[name];
  if (number === undefined) throw new Error(`internal error: no mnemonic ${name}`);
  return number;
}

/** rflags bits as the lifter's masks: bit i is FLAG_NAMES[i] of src/abi (cf pf af zf sf of). */
function flagMask(iced: number): number {
  return (
    ((iced >> 4) & 1) | // CF
    (((iced >> 5) & 1) << 1) | // PF
    (((iced >> 3) & 1) << 2) | // AF
    (((iced >> 2) & 1) << 3) | // ZF
    (((iced >> 1) & 1) << 4) | // SF
    ((iced & 1) << 5) // OF
  );
}

/** What an instruction does with the address of the stack frame. */
export const STACK_USE = {
  /** Makes an address out of rsp that may go anywhere. */
  rspEscapes: 1,
  /** Makes one out of rbp, whatever that holds. */
  rbpEscapes: 2,
  /** Makes rbp an address of the frame. */
  rbpIsFrame: 4,
} as const;
const MOVES_RSP = new Set([Mnemonic.Mov, Mnemonic.Add, Mnemonic.Sub, Mnemonic.And]);

function fullRegister(register: Register): Register {
  return RegisterExt.isGPR(register) ? RegisterExt.fullRegister(register) : register;
}

/** Decodes the code of one segment. Addresses are numbers (below 2^47). */
export class Scanner {
  readonly start: number;
  readonly end: number;
  readonly #decoder: Decoder;
  readonly #iced = new Iced();
  #pc = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.start = start;
    this.end = start + bytes.length;
    this.#decoder = new Decoder(64, bytes, DecoderOptions.None);
  }

  /** Gives the memory of the decoder back; the scanner is unusable then. */
  free(): void {
    this.#decoder.free();
    this.#iced.free();
  }

  /** Makes the instruction at `pc` the current one and gives its length, or 0 if there is none. */
  decode(pc: number): number {
    if (pc < this.start || pc >= this.end) return 0;
    this.#decoder.position = pc - this.start;
    this.#decoder.ip = BigInt(pc);
    this.#decoder.decodeOut(this.#iced);
    this.#pc = pc;
    return this.#iced.code === Code.INVALID ? 0 : this.#iced.length;
  }

  get flow(): Flow {
    const iced = this.#iced;
    if (SYSCALL.includes(iced.code)) return FLOW.syscall;
    const flow = FLOW_OF[iced.flowControl]!;
    if (flow === FLOW.next) {
      const isRepeated = iced.isStringInstruction && (iced.hasRepPrefix || iced.hasRepnePrefix);
      return isRepeated ? FLOW.repeat : FLOW.next;
    }
    if (flow === FLOW.jump || flow === FLOW.call || flow === FLOW.branch) {
      return iced.op0Kind === OpKind.NearBranch64 ? flow : FLOW.stop;
    }
    if (flow === FLOW.ret) {
      return iced.mnemonic === Mnemonic.Ret ? FLOW.ret : FLOW.stop;
    }
    if (iced.isJmpFarIndirect || iced.isCallFarIndirect || iced.mnemonic === Mnemonic.Syscall) return FLOW.stop;
    return flow;
  }

  /** Target of a direct branch, jump or call. */
  get target(): number {
    return Number(this.#iced.nearBranchTarget);
  }

  /** Flags that the CPU's instruction reads, as a mask. */
  get flagsRead(): number {
    return flagMask(this.#iced.rflagsRead);
  }

  /** Flags that it writes, perhaps with undefined values, as a mask. */
  get flagsModified(): number {
    return flagMask(this.#iced.rflagsModified);
  }

  /** Mnemonic number: comparable within one run only. */
  get mnemonic(): number {
    return this.#iced.mnemonic;
  }

  /** Whether the memory operand, or lea's, is at a fixed place: its address, else -1. */
  get fixedAddress(): number {
    const iced = this.#iced;
    if (iced.isIpRelMemoryOperand) return Number(iced.ipRelMemoryAddress);
    if (iced.memoryBase !== Register.None || iced.memoryIndex !== Register.None) return -1;
    for (let i = 0; i < iced.opCount; i++) {
      if (
        iced.opKind(i) === OpKind.Memory &&
        iced.memorySegment !== Register.FS &&
        iced.memorySegment !== Register.GS
      ) {
        return Number(iced.memoryDisplacementU64);
      }
    }
    return -1;
  }

  /** What the instruction does with the addresses in rsp and rbp, as bits of STACK_USE. */
  get stackUse(): number {
    const iced = this.#iced;
    const target =
      iced.opCount > 0 && iced.op0Kind === OpKind.Register ? fullRegister(iced.op0Register) : Register.None;
    switch (iced.mnemonic) {
      case Mnemonic.Cmp:
      case Mnemonic.Test:
      case Mnemonic.Pop:
        return 0;
      case Mnemonic.Leave:
      case Mnemonic.Enter:
        return STACK_USE.rbpIsFrame;
      case Mnemonic.Lea: {
        if (target === Register.RSP) return 0;
        const registers = [fullRegister(iced.memoryBase), fullRegister(iced.memoryIndex)];
        if (registers.includes(Register.RSP)) {
          return target === Register.RBP ? STACK_USE.rbpIsFrame : STACK_USE.rspEscapes;
        }
        return registers.includes(Register.RBP) ? STACK_USE.rbpEscapes : 0;
      }
      case Mnemonic.Push:
        return target === Register.RSP ? STACK_USE.rspEscapes : 0;
      default:
        break;
    }
    let use = 0;
    for (let i = 0; i < iced.opCount; i++) {
      if (iced.opKind(i) !== OpKind.Register) continue;
      const register = fullRegister(iced.opRegister(i));
      if (register === Register.RSP && i > 0) {
        use |= target === Register.RBP && iced.mnemonic === Mnemonic.Mov ? STACK_USE.rbpIsFrame : STACK_USE.rspEscapes;
      }
      // A register that is only written, or changed by what is no address of the stack, gives nothing away.
      if (register === Register.RSP && i === 0 && !MOVES_RSP.has(iced.mnemonic)) use |= STACK_USE.rspEscapes;
      if (register === Register.RBP && i > 0 && target !== Register.RSP) use |= STACK_USE.rbpEscapes;
    }
    return use;
  }

  /** Immediate operands of 32 bits or more, as numbers (0 = none): candidates for code addresses. */
  get wideImmediate(): number {
    const iced = this.#iced;
    for (let i = 0; i < iced.opCount; i++) {
      const kind = iced.opKind(i);
      if (kind === OpKind.Immediate32 || kind === OpKind.Immediate64 || kind === OpKind.Immediate32to64) {
        const value = iced.immediate(i);
        return value > 0n && value < 0x8000_0000_0000n ? Number(value) : 0;
      }
    }
    return 0;
  }

  /** A string that is the same for instructions that differ in register numbers, displacements and wide constants only. */
  get shape(): string {
    const iced = this.#iced;
    let text = `${iced.code}`;
    for (let i = 0; i < iced.opCount; i++) {
      const kind = iced.opKind(i);
      text += `,${kind}`;
      // Byte immediates change what an instruction does (a shift by 0 sets no flags), so they count.
      if (kind === OpKind.Immediate8) text += `#${iced.immediate8}`;
    }
    // Which registers are the same matters (xor eax, eax), and high bytes are another shape.
    if (iced.opCount > 1 && iced.op0Kind === OpKind.Register && iced.op0Register === iced.op1Register) text += "=";
    for (let i = 0; i < iced.opCount; i++) {
      if (
        iced.opKind(i) === OpKind.Register &&
        iced.opRegister(i) >= Register.AH &&
        iced.opRegister(i) <= Register.BH
      ) {
        text += "h";
      }
    }
    if (iced.hasLockPrefix) text += "L";
    if (iced.hasRepPrefix) text += "R";
    if (iced.hasRepnePrefix) text += "N";
    if (iced.hasOpMask) text += iced.zeroingMasking ? "Z" : "M";
    if (iced.isBroadcast) text += "B";
    if (iced.roundingControl !== RoundingControl.None) text += `r${iced.roundingControl}`;
    if (iced.suppressAllExceptions) text += "S";
    if (iced.memorySegment === Register.FS || iced.memorySegment === Register.GS) text += "s";
    if (this.#addressSize() === 32) text += "a";
    return text;
  }

  get mnemonicName(): string {
    return Mnemonic[this.#iced.mnemonic]!;
  }

  #addressSize(): 32 | 64 {
    const iced = this.#iced;
    for (const register of [iced.memoryBase, iced.memoryIndex]) {
      if (register === Register.EIP || (register >= Register.EAX && register <= Register.R15D)) return 32;
    }
    for (let i = 0; i < iced.opCount; i++) {
      const kind = iced.opKind(i);
      if (kind === OpKind.MemorySegESI || kind === OpKind.MemoryESEDI || kind === OpKind.MemorySegEDI) return 32;
    }
    if (COUNTS_ECX.has(iced.code)) return 32;
    if (iced.memoryDisplSize === 4 && iced.memoryBase === Register.None && iced.memoryIndex === Register.None)
      return 32;
    return 64;
  }

  /** The current instruction as a record. */
  instruction(): Instruction {
    const iced = this.#iced;
    const operands: Operand[] = [];
    let memory: MemoryOperand | null = null;
    for (let i = 0; i < iced.opCount; i++) {
      operands.push(this.#operand(i));
      if (iced.opKind(i) === OpKind.Memory) memory = this.#memory();
    }
    const encoding =
      iced.encoding === EncodingKind.VEX ? "vex" : iced.encoding === EncodingKind.EVEX ? "evex" : "legacy";
    return {
      pc: this.#pc,
      length: iced.length,
      mnemonic: Mnemonic[iced.mnemonic]!,
      code: Code[iced.code]!,
      encoding,
      operands,
      memory,
      addressSize: this.#addressSize(),
      segment: iced.memorySegment === Register.FS ? "fs" : iced.memorySegment === Register.GS ? "gs" : null,
      isLocked: iced.hasLockPrefix,
      rep: iced.hasRepnePrefix ? "repne" : iced.hasRepPrefix ? "rep" : "none",
      opmask: iced.hasOpMask ? iced.opMask - Register.K0 : 0,
      isZeroing: iced.zeroingMasking,
      rounding: ROUNDINGS[iced.roundingControl as keyof typeof ROUNDINGS] ?? null,
      suppressesExceptions: iced.suppressAllExceptions,
    };
  }

  #operand(i: number): Operand {
    const iced = this.#iced;
    const kind = iced.opKind(i);
    const plain = { register: 0, isHighByte: false, value: 0n };
    if (kind === OpKind.Register) return registerOperand(iced.opRegister(i));
    if (kind === OpKind.Memory) return { ...plain, kind: "memory", width: this.#memoryBits() };
    if (kind === OpKind.NearBranch64) return { ...plain, kind: "branch", width: 64, value: iced.nearBranchTarget };
    const width = IMMEDIATE_WIDTHS[kind];
    if (width !== undefined) {
      return { ...plain, kind: "immediate", width, value: BigInt.asUintN(width, iced.immediate(i)) };
    }
    // String instructions' implicit memory operands and far pointers: semantics address them themselves.
    return { ...plain, kind: "other", width: MemorySizeExt.size(iced.memorySize) * 8 };
  }

  #memoryBits(): number {
    const size = this.#iced.memorySize;
    const broadcast = /^Broadcast(\d+)_/.exec(MemorySize[size] ?? "");
    return broadcast ? Number(broadcast[1]) : MemorySizeExt.size(size) * 8;
  }

  #memory(): MemoryOperand {
    const iced = this.#iced;
    const isRipRelative = iced.isIpRelMemoryOperand;
    const [base, index] = [iced.memoryBase, iced.memoryIndex];
    const isVsib = iced.isVsib;
    return {
      base: isRipRelative || base === Register.None ? -1 : RegisterExt.number(base),
      index: index === Register.None ? -1 : RegisterExt.number(index),
      scale: iced.memoryIndexScale,
      displacement: isRipRelative ? iced.ipRelMemoryAddress : BigInt.asIntN(64, iced.memoryDisplacementU64),
      isRipRelative,
      segment: iced.memorySegment === Register.FS ? "fs" : iced.memorySegment === Register.GS ? "gs" : null,
      addressSize: this.#addressSize(),
      broadcastBits: iced.isBroadcast ? MemorySizeExt.elementSize(iced.memorySize) * 8 : 0,
      vsibWidth: isVsib ? RegisterExt.size(index) * 8 : 0,
    };
  }
}

function registerOperand(register: Register): Operand {
  const number = RegisterExt.number(register);
  const plain = { register: number, isHighByte: false, value: 0n };
  if (register >= Register.AH && register <= Register.BH) {
    return { ...plain, kind: "gpr", width: 8, register: register - Register.AH, isHighByte: true };
  }
  if (RegisterExt.isGPR(register)) {
    // iced counts 8-bit registers with the high bytes among them.
    const full = RegisterExt.number(RegisterExt.fullRegister(register));
    return { ...plain, kind: "gpr", width: RegisterExt.size(register) * 8, register: full };
  }
  if (RegisterExt.isVectorRegister(register)) {
    return { ...plain, kind: "vector", width: RegisterExt.size(register) * 8 };
  }
  if (RegisterExt.isK(register)) return { ...plain, kind: "mask", width: 64 };
  if (RegisterExt.isMM(register)) return { ...plain, kind: "mm", width: 64 };
  if (RegisterExt.isST(register)) return { ...plain, kind: "st", width: 80 };
  if (RegisterExt.isSegmentRegister(register)) return { ...plain, kind: "segment", width: 16 };
  return { ...plain, kind: "other", width: 64 };
}
