// What the comparison with the CPU leaves out, and why. docs/instructions.md lists it.

import { readFileSync } from "node:fs";

const forms = (stem: string, types: readonly string[]): string[] => types.map((type) => stem + type);

/** Mnemonics by reason. */
export const NOT_COMPARABLE: readonly {
  readonly names: readonly string[];
  readonly reason: string;
  /** The CPUs that can be asked all the same, as /proc/cpuinfo names their maker. */
  readonly butOn?: string;
}[] = [
  {
    names: ["Rcp", "Rsqrt", "Vrcp", "Vrsqrt"].flatMap((stem) => forms(stem, ["ps", "ss"])),
    reason: "approximations that are each maker's own: compared on AMD's CPUs only",
    butOn: "AuthenticAMD",
  },
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

const maker = /^vendor_id\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1];
const EXCLUDED = new Set(
  NOT_COMPARABLE.filter(({ butOn }) => butOn === undefined || butOn !== maker).flatMap(({ names }) => names),
);

/** Forms of instructions that are compared else: loads of the harness's segment registers, and what differs from maker to maker. */
const NOT_COMPARABLE_CODE = /^(Mov_Sreg_|Pop[wq]_[FG]S|(Jmp|Call)_m1664|Reservednop_.*0F0D)/;

/** Whether the CPU can be asked about this form. */
export function isComparable(form: { readonly mnemonic: string; readonly code: string }): boolean {
  return !EXCLUDED.has(form.mnemonic) && !NOT_COMPARABLE_CODE.test(form.code);
}
