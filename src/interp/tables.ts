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
export const MAP_COUNT = 10;
const ANY = 0xff;
const PREFIX_NUMBERS = { any: 0, none: 1, "66": 2, f3: 3, f2: 4 } as const;
const SIZE_NUMBERS = { any: 0, 16: 1, 32: 2, 64: 3, default64: 4, forced64: 5 } as const;
const MODRM_NUMBERS = { none: 0, register: 1, memory: 2, ignored: 3 } as const;
/** Bits of hc_candidate.flags, by name in C. */
const FLAGS = {
  NO_REX_B: 1 << 0,
  USES_VVVV: 1 << 1,
  MOFFS: 1 << 2,
  POP: 1 << 3,
  VSIB: 1 << 4,
  OPCODE_REGISTER: 1 << 5,
  ROUNDS: 1 << 6,
  SUPPRESSES: 1 << 7,
  ADDRESS32: 1 << 8,
  ADDRESS64: 1 << 9,
  IS4: 1 << 10,
  CAN_ZERO: 1 << 11,
  MASK_REG: 1 << 12,
  MASK_VVVV: 1 << 13,
  REFUSES_REPEAT: 1 << 14,
  REFUSES_66: 1 << 15,
  GENERAL_REG: 1 << 16,
  DISTINCT: 1 << 17,
} as const;

function flagsOf({ form, modrm }: Candidate): number {
  const uses = (source: string): boolean => form.operands.some((operand) => operand.source === source);
  let flags = 0;
  if (form.isWithoutRexB) flags |= FLAGS.NO_REX_B;
  if (form.usesVvvv) flags |= FLAGS.USES_VVVV;
  if (uses("moffs")) flags |= FLAGS.MOFFS;
  // pop computes the address of its operand after it has moved rsp.
  if (form.mnemonic === "Pop" && modrm === "memory") flags |= FLAGS.POP;
  if (form.vsibWidth > 0) flags |= FLAGS.VSIB;
  if (uses("opcode")) flags |= FLAGS.OPCODE_REGISTER;
  if (form.canRound) flags |= FLAGS.ROUNDS;
  if (form.canSuppressExceptions) flags |= FLAGS.SUPPRESSES;
  if (form.addressSize === 32) flags |= FLAGS.ADDRESS32;
  if (form.addressSize === 64) flags |= FLAGS.ADDRESS64;
  if (uses("is4")) flags |= FLAGS.IS4;
  // Zeroing is for registers; in memory the other lanes stay.
  if (form.canZero && !(modrm === "memory" && form.operands[0]!.source === "rm")) flags |= FLAGS.CAN_ZERO;
  const is = (kind: string, source: string): boolean =>
    form.operands.some((operand) => operand.source === source && operand.kind === kind);
  if (is("mask", "reg")) flags |= FLAGS.MASK_REG;
  if (is("mask", "vvvv")) flags |= FLAGS.MASK_VVVV;
  if (is("gpr", "reg")) flags |= FLAGS.GENERAL_REG;
  if (form.wantsDistinctRegisters) flags |= FLAGS.DISTINCT;
  if (form.refusesRepeat) flags |= FLAGS.REFUSES_REPEAT;
  if (form.refuses66) flags |= FLAGS.REFUSES_66;
  return flags;
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

function printCandidate({ candidate, first }: PlacedCandidate): string {
  const { form, modrm, axis } = candidate;
  const [imm1, imm2] = immediateBytes(form);
  const any = (value: number | null): number => (value === null ? ANY : value);
  const values = [
    flagsOf(candidate),
    first,
    PREFIX_NUMBERS[form.prefix],
    SIZE_NUMBERS[form.operandSize],
    any(form.w),
    any(form.l),
    any(form.reg),
    any(form.rm),
    MODRM_NUMBERS[form.ignoresMod ? "ignored" : modrm],
    AXES.indexOf(axis),
    imm1 | (imm2 << 4),
    log2(form.displacementScale) | (log2(form.broadcastBits / 8) << 4),
  ];
  return `    {${values.join(", ")}}, /* ${form.code} */`;
}

/** The header interp-tables.h. */
export function printHeader(functions: number): string {
  let text = "/* Printed by src/interp/tables.ts; do not edit. */\n#pragma once\n";
  text += "#include <stddef.h>\n#include <stdint.h>\n\n";
  text += `${printC(Decoded)}\n`;
  text +=
    "struct hc_candidate {\n    uint32_t flags;\n    uint16_t first;\n    uint8_t prefix, operand_size, w, l, reg, rm, modrm, axis;\n";
  text += "    uint8_t immediates; /* bytes: first | second << 4 */\n";
  text += "    uint8_t scales;     /* log2 of the factors of disp8: whole operand | broadcast element << 4 */\n};\n\n";
  text += `#define HC_ANY ${ANY}\n#define HC_MAPS ${MAP_COUNT}\n#define HC_OPS ${functions}\n`;
  const enumeration = (prefix: string, names: Readonly<Record<string, number>>): string =>
    Object.entries(names)
      .map(([name, value]) => `#define ${prefix}${name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()} ${value}\n`)
      .join("");
  text += enumeration("HC_PREFIX_", PREFIX_NUMBERS);
  text += enumeration("HC_SIZE_", SIZE_NUMBERS);
  text += enumeration("HC_MODRM_", MODRM_NUMBERS);
  text += enumeration("HC_AXIS_", Object.fromEntries(AXES.map((axis, index) => [axis, index])));
  for (const [name, bit] of Object.entries(FLAGS)) text += `#define HC_FORM_${name} ${bit}\n`;
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
