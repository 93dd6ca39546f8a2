// The C side of the interpreter: the header with hc_decoded, and the tables from which runtime/decode.c finds the
// function for an instruction. Candidates of one opcode lie together, the more special ones first.

import { printC } from "../abi/index.ts";
import type { Form } from "../x86/index.ts";
import { Decoded } from "./decoded.ts";
import { AXES, type Candidate } from "./variants.ts";

/** A candidate whose variants have their place in hc_ops: from `first` on. */
export interface PlacedCandidate {
  readonly candidate: Candidate;
  readonly first: number;
}

/** First map number of each encoding in the decoder's table of opcodes. */
const MAP_BASES = { legacy: 0, vex: 3, evex: 6 } as const;
const MAP_COUNT = 10;

/**
 * What of an instruction's bytes chooses the candidate. The decoder sets one bit of each group; a candidate accepts an
 * instruction when all those bits are among the ones that it accepts. Values are the groups' first bits.
 */
const GROUPS = {
  /** Mandatory prefix: none, 66, F3, F2. */
  prefix: 0,
  /** REX.W, VEX.W or EVEX.W, + 2 with a 66 prefix (legacy). */
  size: 4,
  /** Vector length 0..3; + 4 with EVEX.b and a memory operand; 8 with EVEX.b and a register. Legacy: 0. */
  length: 8,
  /** 0 register, 1 memory. */
  modrm: 17,
  /** modrm.reg, modrm.rm. */
  reg: 19,
  rm: 27,
  /** REX.B. */
  rexB: 35,
  /** Address size prefix. */
  address: 37,
} as const;
const PREFIX_PLACES = { none: 0, "66": 1, f3: 2, f2: 3 } as const;

/** Bits of hc_candidate.flags, by name in C. */
const FLAGS = {
  HAS_MODRM: 1 << 0,
  IS_MEMORY: 1 << 1,
  MOFFS: 1 << 2,
  POP: 1 << 3,
  POP16: 1 << 4,
  VSIB: 1 << 5,
  OPCODE_REGISTER: 1 << 6,
  ROUNDS: 1 << 7,
  IS4: 1 << 8,
  /** What is forbidden or demanded beyond the choice of the candidate. */
  USES_VVVV: 1 << 9,
  CAN_ZERO: 1 << 10,
  MASK_REG: 1 << 11,
  MASK_VVVV: 1 << 12,
  GENERAL_REG: 1 << 13,
  DISTINCT: 1 << 14,
} as const;

const bits = (first: number, places: readonly number[]): bigint =>
  places.reduce((mask, place) => mask | (1n << BigInt(first + place)), 0n);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Places in the group `size` that a form accepts. */
function acceptedSizes(form: Form): number[] {
  if (form.encoding !== "legacy") return form.w === null ? [0, 1] : [form.w];
  // As a mandatory prefix, 66 says nothing about the operand size.
  const isMandatory = form.prefix === "66";
  const places = {
    16: [2],
    // REX.W selects it, too, where there is no form of 64 bits; those come first.
    32: isMandatory ? [2, 3] : [0, 1, 3],
    64: [1, 3],
    default64: isMandatory ? [2, 3] : [0, 1, 3],
    forced64: upTo(4),
    any: upTo(4),
  }[form.operandSize];
  return places.filter((place) => !(form.refuses66 && place >= 2));
}

/** Places in the group `length` that a candidate accepts. */
function acceptedLengths({ form, modrm, axis }: Candidate): number[] {
  if (form.encoding === "legacy") return [0];
  const lengths = form.l === null ? [0, 1, 2] : [form.l];
  if (modrm === "memory") {
    return axis === "maskBroadcast" || axis === "broadcast" ? [...lengths, ...lengths.map((l) => l + 4)] : lengths;
  }
  // With a register operand EVEX.b means rounding or exception control, and the length is the whole register's.
  const controls = (form.canRound || form.canSuppressExceptions) && (form.l === null || form.l === 2);
  return controls ? [...lengths, 8] : lengths;
}

/** The bits that a candidate accepts. */
function acceptedBits(candidate: Candidate): bigint {
  const { form, modrm } = candidate;
  const prefixes = form.prefix === "any" ? (form.refusesRepeat ? [0, 1] : upTo(4)) : [PREFIX_PLACES[form.prefix]];
  const modrms = !form.hasModrm || form.ignoresMod ? [0, 1] : [modrm === "memory" ? 1 : 0];
  const addresses = form.addressSize === null ? [0, 1] : [form.addressSize === 32 ? 1 : 0];
  return (
    bits(GROUPS.prefix, prefixes) |
    bits(GROUPS.size, acceptedSizes(form)) |
    bits(GROUPS.length, acceptedLengths(candidate)) |
    bits(GROUPS.modrm, modrms) |
    bits(GROUPS.reg, form.reg === null ? upTo(8) : [form.reg]) |
    bits(GROUPS.rm, form.rm === null ? upTo(8) : [form.rm]) |
    bits(GROUPS.rexB, form.isWithoutRexB ? [0] : [0, 1]) |
    bits(GROUPS.address, addresses)
  );
}

function flagsOf({ form, modrm }: Candidate): number {
  const uses = (source: string): boolean => form.operands.some((operand) => operand.source === source);
  const is = (kind: string, source: string): boolean =>
    form.operands.some((operand) => operand.source === source && operand.kind === kind);
  const isMemory = modrm === "memory";
  // pop computes the address of its operand after it has moved rsp.
  const isPop = form.mnemonic === "Pop" && isMemory;
  const facts: Readonly<Record<keyof typeof FLAGS, boolean>> = {
    HAS_MODRM: form.hasModrm,
    IS_MEMORY: isMemory,
    MOFFS: uses("moffs"),
    POP: isPop,
    POP16: isPop && form.operandSize === 16,
    VSIB: form.vsibWidth > 0,
    OPCODE_REGISTER: uses("opcode"),
    ROUNDS: form.canRound,
    IS4: uses("is4"),
    USES_VVVV: form.usesVvvv,
    // Zeroing is for registers; in memory the other lanes stay.
    CAN_ZERO: form.canZero && !(isMemory && form.operands[0]!.source === "rm"),
    MASK_REG: is("mask", "reg"),
    MASK_VVVV: is("mask", "vvvv"),
    GENERAL_REG: is("gpr", "reg"),
    DISTINCT: form.wantsDistinctRegisters,
  };
  return Object.entries(FLAGS).reduce(
    (mask, [name, bit]) => (facts[name as keyof typeof FLAGS] ? mask | bit : mask),
    0,
  );
}

/** Bytes of the first and the second immediate. */
function immediateBytes(form: Form): [number, number] {
  const bytes = form.operands
    .filter((o) => ["immediate", "secondImmediate", "branch", "is4"].includes(o.source))
    .map((o) => (o.source === "is4" ? 1 : o.width / 8));
  return [bytes[0] ?? 0, bytes[1] ?? 0];
}

/** Order of candidates of one opcode: higher first. */
function rank({ form }: Candidate): number {
  let value = 0;
  if (form.prefix !== "any") value += 32;
  if (form.isWithoutRexB) value += 16;
  if (form.rm !== null) value += 8;
  if (form.reg !== null) value += 4;
  // Forms of 64 bits come before those of 32, which REX.W selects too where there is none of 64.
  if (form.operandSize !== "any") value += form.operandSize === 32 ? 1 : 2;
  return value;
}

/** The opcodes (map and byte) that lead to a form. */
function* opcodesOf(form: Form): Generator<number> {
  const map = MAP_BASES[form.encoding] + form.map;
  const bytes = form.operands.some((operand) => operand.source === "opcode") ? 8 : 1;
  for (let i = 0; i < bytes; i++) yield map * 256 + form.opcode + i;
}

const log2 = (bytes: number): number => Math.round(Math.log2(Math.max(1, bytes)));

/** Approximations raise no floating-point exceptions whatever they are made of here. */
const RAISES_NOTHING = /^V?R(?:cp|sqrt)/;
/** What is suppressed of floating-point exceptions, by the candidate: none of them, all if EVEX.b is set, or all. */
const EXCEPTIONS = { raised: 0, controlled: 1, none: 2 } as const;

function exceptionsOf({ form, modrm }: Candidate): number {
  if (RAISES_NOTHING.test(form.mnemonic)) return EXCEPTIONS.none;
  return form.canSuppressExceptions && modrm !== "memory" ? EXCEPTIONS.controlled : EXCEPTIONS.raised;
}

function printCandidate({ candidate, first }: PlacedCandidate): string {
  const { form, axis } = candidate;
  const [imm1, imm2] = immediateBytes(form);
  const values = [
    `0x${acceptedBits(candidate).toString(16)}ull`,
    first,
    flagsOf(candidate),
    AXES.indexOf(axis),
    imm1 | (imm2 << 4),
    log2(form.displacementScale) | (log2(form.broadcastBits / 8) << 4),
    exceptionsOf(candidate),
  ];
  return `    {${values.join(", ")}}, /* ${form.code} */`;
}

/** The header interp-tables.h. */
export function printHeader(functions: number): string {
  let text = "/* Printed by src/interp/tables.ts; do not edit. */\n#pragma once\n";
  text += "#include <stddef.h>\n#include <stdint.h>\n\n";
  text += `${printC(Decoded)}\n`;
  text += "struct hc_candidate {\n    uint64_t accepts; /* bits of the groups HC_GROUP_* */\n";
  text += "    uint16_t first, flags;\n    uint8_t axis;\n";
  text += "    uint8_t immediates; /* bytes: first | second << 4 */\n";
  text += "    uint8_t scales;     /* log2 of the factors of disp8: whole operand | broadcast element << 4 */\n";
  text += "    uint8_t exceptions; /* HC_EXCEPTIONS_* */\n};\n\n";
  text += `#define HC_MAPS ${MAP_COUNT}\n#define HC_OPS ${functions}\n`;
  const enumeration = (prefix: string, names: Readonly<Record<string, number>>): string =>
    Object.entries(names)
      .map(([name, value]) => `#define ${prefix}${name.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()} ${value}\n`)
      .join("");
  text += enumeration("HC_GROUP_", GROUPS);
  text += enumeration("HC_AXIS_", Object.fromEntries(AXES.map((axis, index) => [axis, index])));
  text += enumeration("HC_FORM_", FLAGS);
  text += enumeration("HC_EXCEPTIONS_", EXCEPTIONS);
  text += "\ntypedef void hc_op(struct cpu_state *, const struct hc_decoded *);\n";
  text += "extern hc_op *const hc_ops[HC_OPS];\nextern const struct hc_candidate hc_candidates[];\n";
  text += "/* Candidates of opcode `o` of map `m` are those from [m * 256 + o] up to the next one's. */\n";
  text += "extern const uint16_t hc_opcodes[HC_MAPS * 256 + 1];\n";
  return text;
}

/** The file interp-tables.c. `functions[n]` is the name of entry n of hc_ops, null where there is no instruction. */
export function printTables(placed: readonly PlacedCandidate[], functions: readonly (string | null)[]): string {
  const byOpcode: PlacedCandidate[][] = Array.from({ length: MAP_COUNT * 256 }, () => []);
  for (const one of placed) for (const opcode of opcodesOf(one.candidate.form)) byOpcode[opcode]!.push(one);
  let text = '/* Printed by src/interp/tables.ts; do not edit. */\n#include "abi.h"\n#include "interp-tables.h"\n\n';
  text += "const struct hc_candidate hc_candidates[] = {\n";
  const starts: number[] = [0];
  for (const list of byOpcode) {
    const modrms = new Set(list.map((one) => one.candidate.form.hasModrm));
    if (modrms.size > 1)
      throw new Error(`internal error: ${list[0]!.candidate.form.code} differs in modrm from others`);
    list.sort((a, b) => rank(b.candidate) - rank(a.candidate));
    for (const one of list) text += `${printCandidate(one)}\n`;
    starts.push(starts[starts.length - 1]! + list.length);
  }
  text += "    {0},\n};\n\n";
  if (starts[starts.length - 1]! > 0xffff) throw new Error("internal error: too many candidates");
  text += `const uint16_t hc_opcodes[HC_MAPS * 256 + 1] = {${starts.join(",")}};\n\n`;
  for (const name of functions) if (name !== null) text += `hc_op ${name};\n`;
  const entries = functions.map((name) => name ?? "0");
  text += `hc_op *const hc_ops[HC_OPS] = {\n    ${entries.join(",\n    ")}};\n`;
  return text;
}
