// What the comparison with the CPU leaves out, and why. docs/instructions.md lists it.

import { readFileSync } from "node:fs";

const forms = (stem: string, types: readonly string[]): string[] => types.map((type) => stem + type);

/** Mnemonics by reason. */
export const NOT_COMPARABLE: readonly {
  readonly names: readonly string[];
  readonly reason: string;
}[] = [
  {
    names: ["Vrcp14", "Vrsqrt14"].flatMap((stem) => forms(stem, ["ps", "pd", "ss", "sd"])),
    reason: "approximations that are each maker's own",
  },
  {
    names: ["F2xm1", "Fyl2x", "Fyl2xp1", "Fptan", "Fpatan", "Fsin", "Fcos", "Fsincos"],
    reason: "x87-functions.c compares them within their error",
  },
  { names: ["Syscall", "Sysenter", "Int", "Int1", "Int3"], reason: "they enter the kernel" },
  { names: ["Sysexit", "Sysexitq"], reason: "some makers do not know it in 64-bit mode, others forbid it" },
  { names: ["Rdfsbase", "Wrfsbase"], reason: "fs is the harness's own thread pointer; gs is compared" },
  { names: ["Fnsave", "Frstor", "Fnstenv", "Fldenv"], reason: "signal frames carry no x87 instruction pointers here" },
  { names: ["Lsl"], reason: "the kernel tells the processor's number by a segment's limit" },
  { names: ["Vmcall", "Vmmcall", "Monitorx", "Mwaitx"], reason: "a hypervisor decides what they do" },
  { names: ["Xbegin", "Xabort", "Xend", "Xtest"], reason: "transactions" },
  { names: ["Umonitor", "Umwait", "Tpause"], reason: "they wait" },
];

/**
 * What the makers' CPUs do differently, and the interpreter and the translator as AMD's Zen: held against that alone. What
 * differs was found on an Intel Sapphire Rapids.
 */
export const AS_ON_ZEN: readonly {
  /** As docs/instructions.md names them. */
  readonly what: string;
  readonly codes: RegExp;
  /** Only with a memory operand, or with a prefix that repeats it. */
  readonly only?: "memory" | "repeated";
  readonly reason: string;
}[] = [
  {
    what: "rcpps rcpss rsqrtps rsqrtss vrcpps vrcpss vrsqrtps vrsqrtss",
    codes: /^(VEX_V)?R(cp|sqrt)[ps]s_/i,
    reason: "approximations that are each maker's own",
  },
  { what: "shld shrd of 16 bits", codes: /^Sh[lr]d_rm16_/, reason: "by more than 16 bits the manuals leave all open" },
  {
    what: "rcl rcr of 8 and 16 bits",
    codes: /^Rc[lr]_rm(8|16)_(CL|imm8)/,
    reason: "by more bits than there are, all the way round, the overflow flag is each maker's own",
  },
  {
    what: "fxsave fxrstor xsave xsaveopt xsavec xrstor xgetbv",
    codes: /^(Fxsave|Fxrstor|Xsave|Xrstor|Xgetbv)/,
    reason: "whether the last x87 instruction's place is in the image, MXCSR's bit 17, components",
  },
  { what: "ldmxcsr vldmxcsr", codes: /^(VEX_V)?ldmxcsr/i, reason: "MXCSR's bit 17, which only AMD's CPUs have" },
  {
    what: "movd movq movntq that store an MMX register",
    codes: /^(Movq_(rm64|mmm64)_mm|Movd_rm32_mm|Movntq_)/,
    reason: "Intel's CPUs reset the top of the x87 stack",
  },
  {
    what: "sha1* sha256*",
    codes: /^Sha(1|256)/,
    only: "memory",
    reason: "Intel's CPUs refuse addresses that are not aligned",
  },
  { what: "movsxd of 16 bits", codes: /^Movsxd_r16/, reason: "AMD's CPUs read 32 bits of memory" },
  { what: "dpps dppd vdpps vdppd", codes: /^(VEX_V)?dpp[sd]_/i, reason: "which NaN comes out where several meet" },
  {
    what: "repeated cmps and scas",
    codes: /^(Cmps[bwdq]|Scas[bwdq])_/,
    only: "repeated",
    reason: "the flags where a fault interrupts them: on Intel's CPUs those from before",
  },
];

/** Whether AMD made this machine's CPU. */
export const IS_AMD = /^vendor_id\s*: AuthenticAMD$/m.test(readFileSync("/proc/cpuinfo", "latin1"));
const EXCLUDED = new Set(NOT_COMPARABLE.flatMap(({ names }) => names));

/** Forms of instructions that are compared else: loads of the harness's segment registers, and what differs from maker to maker. */
const NOT_COMPARABLE_CODE = /^(Mov_Sreg_|Pop[wq]_[FG]S|(Jmp|Call)_m1664|Reservednop_.*0F0D)/;

/** Whether this machine's CPU can be asked about an instruction. */
export function isHeldAgainst(code: string, bytes: readonly number[], isMemory: boolean): boolean {
  const isRepeated = bytes.includes(0xf2) || bytes.includes(0xf3);
  const concerns = { memory: isMemory, repeated: isRepeated, any: true };
  return IS_AMD || !AS_ON_ZEN.some(({ codes, only }) => concerns[only ?? "any"] && codes.test(code));
}

/** Whether any CPU can be asked about this form. */
export function isComparable(form: { readonly mnemonic: string; readonly code: string }): boolean {
  return !EXCLUDED.has(form.mnemonic) && !NOT_COMPARABLE_CODE.test(form.code);
}
