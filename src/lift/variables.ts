// The guest's registers as the lifter's variables. The first ARGUMENT_COUNT travel in arguments from piece to piece, in
// the order of the convention (ARCHITECTURE.md); the others are loaded from CpuState where a piece needs them and stored
// when it leaves. A vector register is three variables, so that code that never goes beyond 128 bits has one.

import { CpuState, FLAG_NAMES, GPR_NAMES, offsetOf } from "../abi/index.ts";
import type { Flag } from "../sem/index.ts";

/** Numbers of variables. */
export const GPR_FIRST = 0;
export const LOW_FIRST = 16;
export const MID_FIRST = 48;
export const HIGH_FIRST = 80;
export const MASK_FIRST = 112;
export const FLAG_FIRST = 120;
export const VARIABLE_COUNT = 126;

/** General registers in argument order, after the state pointer. */
const ARGUMENT_GPRS = ["rsp", "rbx", "rbp", "r12", "r13", "r14", "r15", "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9"];
ARGUMENT_GPRS.push("r10", "r11");
const ARGUMENT_VECTORS = 8;

export interface Variable {
  readonly name: string;
  readonly width: number;
  /** LLVM type in which it crosses blocks. */
  readonly type: string;
  /** Where it is in CpuState, and as which LLVM type. */
  readonly offset: number;
  readonly memoryType: string;
  readonly isArgument: boolean;
}

function makeVariables(): Variable[] {
  const variables: Variable[] = [];
  GPR_NAMES.forEach((name, i) => {
    variables.push({
      name,
      width: 64,
      type: "i64",
      offset: offsetOf(CpuState, "gpr", i),
      memoryType: "i64",
      isArgument: true,
    });
  });
  const parts: [string, number, number, string][] = [
    ["xmm", 0, 128, "<2 x i64>"],
    ["ymmh", 16, 128, "<2 x i64>"],
    ["zmmh", 32, 256, "<4 x i64>"],
  ];
  for (const [prefix, at, width, type] of parts) {
    for (let i = 0; i < 32; i++) {
      const offset = offsetOf(CpuState, "zmm", i) + at;
      const isArgument = prefix === "xmm" && i < ARGUMENT_VECTORS;
      variables.push({ name: `${prefix}${i}`, width, type, offset, memoryType: type, isArgument });
    }
  }
  for (let i = 0; i < 8; i++) {
    const offset = offsetOf(CpuState, "k", i);
    variables.push({ name: `k${i}`, width: 64, type: "i64", offset, memoryType: "i64", isArgument: false });
  }
  for (const name of FLAG_NAMES) {
    const offset = offsetOf(CpuState, name);
    variables.push({ name, width: 1, type: "i1", offset, memoryType: "i8", isArgument: false });
  }
  return variables;
}

export const VARIABLES: readonly Variable[] = makeVariables();

/** Variables that travel in arguments, in order. */
export const ARGUMENTS: readonly number[] = [
  ...ARGUMENT_GPRS.map((name) => (GPR_NAMES as readonly string[]).indexOf(name)),
  ...Array.from({ length: ARGUMENT_VECTORS }, (_, i) => LOW_FIRST + i),
];

/** Variables that live in CpuState. */
export const IN_MEMORY: readonly number[] = VARIABLES.flatMap(({ isArgument }, v) => (isArgument ? [] : [v]));

/**
 * What every piece gets behind the guest's registers: the lookup cache, and, if nothing but the cache and the dispatcher lead
 * to it, the guest's pc that it begins at. Others find anything in `pc`.
 */
const MORE_ARGUMENTS = [
  { type: "ptr", name: "lookup" },
  { type: "i64", name: "pc" },
] as const;

/** Parameter list of every piece. */
export const PARAMETERS = `ptr noalias %state, ${[...ARGUMENTS.map((v) => VARIABLES[v]!), ...MORE_ARGUMENTS]
  .map(({ type, name }) => `${type} %${name}`)
  .join(", ")}`;
/** Parameter types of every piece. */
export const PARAMETER_TYPES = `ptr, ${[...ARGUMENTS.map((v) => VARIABLES[v]!), ...MORE_ARGUMENTS].map(({ type }) => type).join(", ")}`;

/** The first vector register that only AVX-512 has. */
const NEW_VECTOR_FIRST = 16;
const MASK_BIT = FLAG_NAMES.length;
const VECTOR_BIT = MASK_BIT + 8;

/**
 * What is live (liveness.ts), as three masks: flags, mask registers and vector registers from the 16th on, these as a whole;
 * the first 16 vector registers, from bit 0 their low 128 bits, from bit 16 the rest of each; and of those low 128 bits what
 * scalars leave alone, from bit 0 bits 32 to 63, from bit 16 bits 64 to 127. Or part of that.
 */
export interface Live {
  readonly rare: number;
  readonly vectors: number;
  readonly upper: number;
}

/** The bit of a variable in `rare`; 0 = it is not in it. */
export function rareBit(variable: number): number {
  if (variable >= FLAG_FIRST) return 1 << (variable - FLAG_FIRST);
  if (variable >= MASK_FIRST) return 1 << (variable - MASK_FIRST + MASK_BIT);
  const register = variable < LOW_FIRST ? 0 : (variable - LOW_FIRST) % 32;
  return register < NEW_VECTOR_FIRST ? 0 : 1 << (register - NEW_VECTOR_FIRST + VECTOR_BIT);
}

/** The bit of a variable in `vectors`; 0 = it is not in it. */
export function vectorBit(variable: number): number {
  if (variable < LOW_FIRST || variable >= MASK_FIRST) return 0;
  const register = (variable - LOW_FIRST) % 32;
  if (register >= NEW_VECTOR_FIRST) return 0;
  return 1 << (variable < MID_FIRST ? register : register + 16);
}

/** Parts of the low 128 bits of a vector register. */
export const UPPER_PARTS = ["middle", "high"] as const;

/** The bit in `upper` of a part of a variable; 0 = it has none. */
export function upperBit(variable: number, part: (typeof UPPER_PARTS)[number]): number {
  const register = variable - LOW_FIRST;
  if (register < 0 || register >= NEW_VECTOR_FIRST) return 0;
  return 1 << (part === "middle" ? register : register + 16);
}

/** The bits in `upper` of what a variable holds above `width` bits; null = that is not told apart. */
export function upperBitsAbove(variable: number, width: number): number | null {
  const high = upperBit(variable, "high");
  if (high === 0 || width < 32) return null;
  return width < 64 ? high | upperBit(variable, "middle") : high;
}

export const NOTHING_LIVE: Live = { rare: 0, vectors: 0, upper: 0 };

/** The bits of a variable. */
export function bitsOf(variable: number): Live {
  const upper = upperBit(variable, "middle") | upperBit(variable, "high");
  return { rare: rareBit(variable), vectors: vectorBit(variable), upper };
}

export function or(a: Live, b: Live): Live {
  return { rare: a.rare | b.rare, vectors: a.vectors | b.vectors, upper: a.upper | b.upper };
}

const RARE_BITS = VARIABLES.map((_, v) => rareBit(v));
const VECTOR_BITS = VARIABLES.map((_, v) => vectorBit(v));

/** Whether a variable is among what is live; general registers always are. */
export function isLive(variable: number, { rare, vectors }: Live): boolean {
  const [rareOne, vectorOne] = [RARE_BITS[variable]!, VECTOR_BITS[variable]!];
  return (rareOne | vectorOne) === 0 || (rare & rareOne) !== 0 || (vectors & vectorOne) !== 0;
}

const ALL_RARE = (1 << (VECTOR_BIT + 16)) - 1;
/** All that liveness is computed of. */
export const ALL_LIVE: Live = { rare: ALL_RARE, vectors: -1, upper: -1 };
/** The flags, in `rare`. */
export const FLAGS_LIVE = (1 << MASK_BIT) - 1;
/** The registers, in `rare`. */
export const REGISTERS_LIVE = ALL_RARE & ~FLAGS_LIVE;
/** Vector registers that functions take arguments in, and those that they return results in, in `vectors` and in `upper`. */
export const [ARGUMENT_VECTORS_LIVE, RESULT_VECTORS_LIVE] = [0x00ff00ff, 0x00030003];

export function flagVariable(flag: Flag): number {
  return FLAG_FIRST + FLAG_NAMES.indexOf(flag);
}
