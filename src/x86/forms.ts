// Every instruction form that a 64-bit program can contain, as plain data: how its bytes are recognised and what
// its operands are. The interpreter's decoder tables are printed from it. iced-x86's own tables are the source; its
// numbers stay inside this directory.
//
// Privileged forms are there, since a program that executes one gets another exception than for an undefined instruction. Left
// out are those of other decoder options (other makers' retired extensions), XOP, 3DNow!, MVEX and AMX.

import {
  Code,
  CodeExt,
  EncodingKind,
  MandatoryPrefix,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  OpCodeOperandKind,
  OpCodeTableKind,
  TupleType,
} from "iced-x86";
import type { OperandKind } from "./scanner.ts";

/** Where an operand's register number, address or value comes from. */
export type OperandSource =
  | "reg" // modrm.reg
  | "rm" // modrm.rm, a register or the memory operand
  | "vvvv"
  | "opcode" // the opcode's low three bits
  | "is4" // the immediate's high four bits
  | "fixed" // `number`
  | "immediate"
  | "secondImmediate"
  | "branch"
  | "moffs"
  | "implicit"; // memory behind rsi, rdi, rbx + al

/** An operand of a form. */
export interface FormOperand {
  readonly kind: OperandKind;
  readonly source: OperandSource;
  /** Bits of the operand if it is a register; of the immediate as it is stored in the instruction. */
  readonly width: number;
  /** Register number of a fixed operand; the value of a constant immediate. */
  readonly number: number;
  /** Bits of an immediate after its extension. */
  readonly extendedWidth: number;
}

/** What the instruction's operand size must be. `default64`: 64 without 66; `forced64`: always 64. */
export type FormOperandSize = 16 | 32 | 64 | "any" | "default64" | "forced64";

/** One iced-x86 code. */
export interface Form {
  readonly code: string;
  readonly mnemonic: string;
  readonly encoding: "legacy" | "vex" | "evex";
  /** Opcode map: 0 one-byte, 1 0F, 2 0F38, 3 0F3A, 5 and 6 the EVEX maps of these numbers. */
  readonly map: number;
  readonly opcode: number;
  /** "any": none is mandatory. */
  readonly prefix: "any" | "none" | "66" | "f3" | "f2";
  readonly operandSize: FormOperandSize;
  /** Address size that selects this form, or null. */
  readonly addressSize: 32 | 64 | null;
  /** VEX and EVEX: W and L that select the form; null for either. */
  readonly w: 0 | 1 | null;
  readonly l: 0 | 1 | 2 | null;
  /** modrm.reg and modrm.rm that select the form, or null. */
  readonly reg: number | null;
  readonly rm: number | null;
  readonly hasModrm: boolean;
  /** Which kinds of modrm the form takes; both are false if it has none. */
  readonly takesRegister: boolean;
  readonly takesMemory: boolean;
  /** The mod bits of modrm do not matter: rm is a register always. */
  readonly ignoresMod: boolean;
  /** F2 and F3, or 66, make it undefined. */
  readonly refusesRepeat: boolean;
  readonly refuses66: boolean;
  /** Its vector registers, the vsib index among them, must differ. */
  readonly wantsDistinctRegisters: boolean;
  /** Only without REX.B (nop, pause: with it the byte is an xchg). */
  readonly isWithoutRexB: boolean;
  readonly operands: readonly FormOperand[];
  /** Bits that the memory operand accesses (EVEX broadcast: the full vector's). */
  readonly memoryBits: number;
  /** EVEX: bits of the element that a broadcast reads, 0 = cannot. */
  readonly broadcastBits: number;
  /** EVEX: factor of an 8-bit displacement in bytes. */
  readonly displacementScale: number;
  /** Width of the vsib index register, 0 = no vsib. */
  readonly vsibWidth: number;
  readonly canLock: boolean;
  /** A string instruction: repetition prefixes and the address size change what it does. */
  readonly isString: boolean;
  readonly hasImplicitMemory: boolean;
  readonly usesVvvv: boolean;
  readonly canMask: boolean;
  readonly mustMask: boolean;
  readonly canZero: boolean;
  /** EVEX.b with a register operand gives a rounding mode; only suppresses exceptions. */
  readonly canRound: boolean;
  readonly canSuppressExceptions: boolean;
}

const register = (kind: OperandKind, width: number, source: OperandSource, number = 0): FormOperand => ({
  kind,
  source,
  width,
  number,
  extendedWidth: width,
});
const immediate = (width: number, extendedWidth = width): FormOperand => ({
  kind: "immediate",
  source: "immediate",
  width,
  number: 0,
  extendedWidth,
});
const MEMORY = register("memory", 0, "rm");

const FIXED: Readonly<Record<string, FormOperand>> = {
  es: register("segment", 16, "fixed", 0),
  cs: register("segment", 16, "fixed", 1),
  ss: register("segment", 16, "fixed", 2),
  ds: register("segment", 16, "fixed", 3),
  fs: register("segment", 16, "fixed", 4),
  gs: register("segment", 16, "fixed", 5),
  al: register("gpr", 8, "fixed", 0),
  cl: register("gpr", 8, "fixed", 1),
  ax: register("gpr", 16, "fixed", 0),
  dx: register("gpr", 16, "fixed", 2),
  eax: register("gpr", 32, "fixed", 0),
  rax: register("gpr", 64, "fixed", 0),
  st0: register("st", 80, "fixed", 0),
  sti_opcode: register("st", 80, "rm"),
  seg_reg: register("segment", 16, "reg"),
  imm8: immediate(8),
  imm8_const_1: { kind: "immediate", source: "fixed", width: 8, number: 1, extendedWidth: 8 },
  imm8sex16: immediate(8, 16),
  imm8sex32: immediate(8, 32),
  imm8sex64: immediate(8, 64),
  imm16: immediate(16),
  imm32: immediate(32),
  imm32sex64: immediate(32, 64),
  imm64: immediate(64),
  br64_1: { kind: "branch", source: "branch", width: 8, number: 0, extendedWidth: 64 },
  br64_4: { kind: "branch", source: "branch", width: 32, number: 0, extendedWidth: 64 },
  xbegin_4: { kind: "branch", source: "branch", width: 32, number: 0, extendedWidth: 64 },
  cr_reg: register("other", 64, "reg"),
  dr_reg: register("other", 64, "reg"),
  mem_offs: register("memory", 0, "moffs"),
  seg_rSI: register("other", 0, "implicit"),
  es_rDI: register("other", 0, "implicit"),
  seg_rDI: register("other", 0, "implicit"),
  seg_rBX_al: register("other", 0, "implicit"),
};
const CLASSES: Readonly<Record<string, readonly [OperandKind, number]>> = {
  r8: ["gpr", 8],
  r16: ["gpr", 16],
  r32: ["gpr", 32],
  r64: ["gpr", 64],
  mm: ["mm", 64],
  xmm: ["vector", 128],
  ymm: ["vector", 256],
  zmm: ["vector", 512],
  k: ["mask", 64],
};
const PLACES: Readonly<Record<string, OperandSource>> = {
  reg: "reg",
  reg_mem: "reg",
  rm: "rm",
  or_mem: "rm",
  vvvv: "vvvv",
  opcode: "opcode",
  is4: "is4",
};

/** The operand for iced-x86's operand kind, or null if it belongs to a form that is left out. */
function operandOf(name: string): FormOperand | null {
  const fixed = FIXED[name];
  if (fixed) return fixed;
  if (name === "mem" || name.startsWith("mem_vsib")) return MEMORY;
  const parts = /^([a-z]+?\d*)_(reg|reg_mem|rm|or_mem|vvvv|opcode|is4)$/.exec(name);
  if (!parts) return null;
  const found = CLASSES[parts[1]!];
  return found ? register(found[0], found[1], PLACES[parts[2]!]!) : null;
}

const MAPS: Readonly<Record<number, number>> = {
  [OpCodeTableKind.Normal]: 0,
  [OpCodeTableKind.T0F]: 1,
  [OpCodeTableKind.T0F38]: 2,
  [OpCodeTableKind.T0F3A]: 3,
};
const PREFIXES = {
  [MandatoryPrefix.None]: "any",
  [MandatoryPrefix.PNP]: "none",
  [MandatoryPrefix.P66]: "66",
  [MandatoryPrefix.PF3]: "f3",
  [MandatoryPrefix.PF2]: "f2",
} as const;
const ENCODINGS: Readonly<Record<number, Form["encoding"]>> = {
  [EncodingKind.Legacy]: "legacy",
  [EncodingKind.VEX]: "vex",
  [EncodingKind.EVEX]: "evex",
};

type Info = ReturnType<typeof CodeExt.opCode>;

function operandSizeOf(info: Info): FormOperandSize {
  if (info.forceOpSize64 || info.intelForceOpSize64) return "forced64";
  if (info.operandSize === 0) return "any";
  if (info.operandSize === 64 && info.defaultOpSize64) return "default64";
  return info.operandSize as 16 | 32 | 64;
}

function formOf(code: number, info: Info): Form | null {
  const encoding = ENCODINGS[info.encoding];
  const map = MAPS[info.table];
  if (encoding === undefined || map === undefined || !info.isInstruction || !info.mode64 || info.fwait) return null;
  if (!info.intelDecoder64) return null;
  if (info.decoderOption !== 0 && !info.isReservedNop) return null;
  const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind, info.op4Kind].slice(0, info.opCount);
  const names = kinds.map((kind) => OpCodeOperandKind[kind]!);
  const operands: FormOperand[] = [];
  for (const name of names) {
    const operand = operandOf(name);
    if (!operand) return null;
    const isSecond = operand.source === "immediate" && operands.some((o) => o.source === "immediate");
    operands.push(isSecond ? { ...operand, source: "secondImmediate" } : operand);
  }
  const codeName = Code[code]!;
  const legacy = encoding === "legacy";
  const secondByte = info.opCode > 0xff ? info.opCode & 0xff : null;
  const hasSti = names.includes("sti_opcode");
  const both = names.some((name) => name.endsWith("_or_mem"));
  const memoryOnly = names.some((name) => name === "mem" || name.startsWith("mem_vsib"));
  const hasModrm =
    secondByte !== null || info.isGroup || operands.some((o) => o.source === "reg" || (o.source === "rm" && !hasSti));
  const vsib = names.map((name) => /^mem_vsib\d+([xyz])$/.exec(name)?.[1]).find((letter) => letter !== undefined);
  const memoryName = MemorySize[info.memorySize] ?? "";
  const hasImplicitMemory = operands.some((o) => o.source === "implicit");
  return {
    code: codeName,
    mnemonic: Mnemonic[info.mnemonic]!,
    encoding,
    map,
    opcode: secondByte === null ? info.opCode : info.opCode >> 8,
    prefix: PREFIXES[info.mandatoryPrefix as keyof typeof PREFIXES],
    operandSize: legacy ? operandSizeOf(info) : "any",
    addressSize: info.addressSize === 32 || info.addressSize === 64 ? info.addressSize : null,
    w: legacy || info.isWIG ? null : (info.W as 0 | 1),
    l: legacy || info.isLIG ? null : (info.L as 0 | 1 | 2),
    reg: secondByte !== null ? (secondByte >> 3) & 7 : info.isGroup ? info.groupIndex : null,
    rm: secondByte !== null && !hasSti ? secondByte & 7 : info.isRmGroup ? info.rmGroupIndex : null,
    hasModrm,
    takesRegister: hasModrm && !memoryOnly,
    takesMemory: hasModrm && (memoryOnly || both) && secondByte === null,
    ignoresMod: info.ignoresModBits,
    refusesRepeat: info.nfx,
    refuses66: info.no66,
    wantsDistinctRegisters: info.requiresUniqueRegNums,
    isWithoutRexB: ["Nopw", "Nopd", "Nopq", "Pause"].includes(codeName),
    operands,
    memoryBits: MemorySizeExt.size(info.memorySize) * 8,
    broadcastBits: info.canBroadcast ? MemorySizeExt.elementSize(info.broadcastMemorySize) * 8 : 0,
    displacementScale: encoding === "evex" ? Number(/^N(\d+)/.exec(TupleType[info.tupleType]!)![1]) : 1,
    vsibWidth: vsib === undefined ? 0 : vsib === "x" ? 128 : vsib === "y" ? 256 : 512,
    canLock: info.canUseLockPrefix,
    isString: hasImplicitMemory && (info.canUseRepPrefix || info.canUseRepnePrefix) && memoryName !== "",
    hasImplicitMemory,
    usesVvvv: operands.some((o) => o.source === "vvvv"),
    canMask: info.canUseOpMaskRegister,
    mustMask: info.requireOpMaskRegister,
    canZero: info.canUseZeroingMasking,
    canRound: info.canUseRoundingControl,
    canSuppressExceptions: info.canSuppressAllExceptions,
  };
}

/** All forms, in iced-x86's order. */
export function enumerateForms(): Form[] {
  const forms: Form[] = [];
  for (const name of Object.keys(Code)) {
    const code = Number(name);
    if (!Number.isInteger(code)) continue;
    const info = CodeExt.opCode(code);
    const form = formOf(code, info);
    info.free();
    if (form) forms.push(form);
  }
  return forms;
}
