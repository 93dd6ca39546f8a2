// Instructions about the machine: identification, time, random numbers, thread pointers, control and saving of the vector state. What
// is long lies in runtime/helpers.c. A helper that has a result for an operand hands it over in rax, which is put back here.

import { clearFlags, isZero } from "./flags.ts";
import { resize } from "./operands.ts";
import type { Sem, Semantic } from "./vocabulary.ts";

/** The components that xcr0 enables: x87, SSE, AVX and the three of AVX-512; runtime/helpers.c knows the same number. */
export const ENABLED_COMPONENTS = 0xe7n;

/** The bits that mxcsr has; AMD's processors have the one for misaligned operands, 17. */
const MXCSR_RESERVED = 0xfffd_0000;

/** The bits of mxcsr that mask exceptions. */
const MXCSR_MASKS = 0x1f80;

function isBadMxcsr<V>(sem: Sem<V>, value: V): V {
  return sem.not(isZero(sem, sem.and(value, sem.int(32, MXCSR_RESERVED))));
}

/** Whether a value of mxcsr lets an exception trap. Only the interpreter looks for that: translated code leaves for it. */
function trapsFloat<V>(sem: Sem<V>, mxcsr: V): V {
  const masks = sem.int(32, MXCSR_MASKS);
  return sem.ne(sem.and(mxcsr, masks), masks);
}

/** Runs a helper whose 64-bit result is not for rax. */
function askHelper<V>(sem: Sem<V>, name: string): V {
  const before = sem.gpr(0, 64);
  sem.helper(name, sem.int(64, 0));
  const result = sem.gpr(0, 64);
  sem.setGpr(0, before);
  return result;
}

/** cpuid, rdtsc, rdtscp: the helper does all of it. */
export function byHelper(name: string): Semantic {
  return (sem) => sem.helper(name, sem.int(64, 0));
}

/** xgetbv: 0 is xcr0, 1 what of it is in use. */
export function getExtendedControl(): Semantic {
  return (sem) => {
    sem.trapIf(sem.ult(sem.int(32, 1), sem.gpr(1, 32)), 13);
    sem.helper("xgetbv", sem.int(64, 0));
  };
}

/** rdrand and rdseed: they always succeed here. */
export function readRandom(): Semantic {
  return (sem, insn) => {
    insn.write(0, resize(sem, askHelper(sem, "random"), insn.width(0)));
    clearFlags(sem, "of", "sf", "zf", "af", "pf");
    sem.setFlag("cf", () => sem.int(1, 1));
  };
}

/** rdpid: node and CPU number as Linux keeps them in tsc_aux. */
export function readProcessorId(): Semantic {
  return (sem, insn) => insn.write(0, resize(sem, askHelper(sem, "processor_id"), insn.width(0)));
}

/** lsl: Linux keeps node and CPU number in the limit of one segment, and the flat segments have all ones. */
export function loadSegmentLimit(): Semantic {
  return (sem, insn) => {
    const index = sem.and(resize(sem, insn.read(1), 16), sem.int(16, 0xfffc));
    const is = (value: number) => sem.eq(index, sem.int(16, value));
    const flat = sem.or(is(0x20), sem.or(is(0x28), is(0x30)));
    const limit = sem.select(flat, sem.int(64, 0xffff_ffffn), askHelper(sem, "processor_id"));
    const known = sem.or(flat, is(0x78));
    insn.writeIf(known, 0, resize(sem, limit, insn.width(0)));
    sem.setFlag("zf", () => known);
  };
}

export function readBase(field: "fs_base" | "gs_base"): Semantic {
  return (sem, insn) => insn.write(0, resize(sem, sem.field(field), insn.width(0)));
}

/** wrfsbase and wrgsbase: #GP for an address that is not canonical. */
export function writeBase(field: "fs_base" | "gs_base"): Semantic {
  return (sem, insn) => {
    const base = resize(sem, insn.read(0), 64);
    sem.trapIf(sem.ne(sem.sext(sem.trunc(base, 48), 64), base), 13);
    sem.setField(field, base);
  };
}

/** ldmxcsr: the helper then gives the host's floating-point unit the same rounding and denormal modes. */
export function loadMxcsr(): Semantic {
  return (sem, insn) => {
    const value = insn.read(0);
    sem.rareIf(trapsFloat(sem, value));
    sem.trapIf(isBadMxcsr(sem, value), 13);
    sem.setField("mxcsr", value);
    sem.helper("mxcsr", sem.int(64, 0));
  };
}

/** stmxcsr: the helper first fetches the exception flags that the host's floating-point unit gathered. */
export function storeMxcsr(): Semantic {
  return (sem, insn) => {
    sem.helper("mxcsr_flags", sem.int(64, 0));
    insn.write(0, sem.field("mxcsr"));
  };
}

/** emms: all x87 registers are empty, and the top of the stack is 0, as on AMD's Zen. */
export function emptyMmx(): Semantic {
  return (sem) => {
    sem.setField("ftw", sem.int(8, 0));
    sem.setField("fsw", sem.and(sem.field("fsw"), sem.int(16, 0xc7ff)));
  };
}

/** fxsave, fxrstor, the xsave family: a helper with the address; #GP if it is not aligned. */
export function saveArea(helper: string, alignment: 16 | 64): Semantic {
  return (sem, insn) => {
    const address = insn.address(0);
    sem.trapIf(sem.not(isZero(sem, sem.and(address, sem.int(64, alignment - 1)))), 13);
    sem.helper(helper, address);
  };
}

/** fxrstor: #GP for reserved bits of mxcsr. */
export function restoreLegacy(helper: string): Semantic {
  return (sem, insn) => {
    const address = insn.address(0);
    const mxcsr = sem.load(32, sem.add(address, sem.int(64, 24)));
    const misaligned = sem.not(isZero(sem, sem.and(address, sem.int(64, 15))));
    sem.rareIf(trapsFloat(sem, mxcsr));
    sem.trapIf(sem.or(misaligned, isBadMxcsr(sem, mxcsr)), 13);
    sem.helper(helper, address);
  };
}

/** xrstor: #GP for a header that names components we do not have, a reserved field, or reserved bits of mxcsr. */
export function restoreExtended(helper: string): Semantic {
  return (sem, insn) => {
    const address = insn.address(0);
    const word = (offset: number) => sem.load(64, sem.add(address, sem.int(64, offset)));
    const not = (value: bigint) => sem.int(64, BigInt.asUintN(64, ~value));
    sem.trapIf(sem.not(isZero(sem, sem.and(address, sem.int(64, 63)))), 13);
    const [present, layout, reserved] = [word(512), word(520), word(528)];
    const compact = sem.bits(layout, 63, 1);
    const components = sem.and(layout, sem.int(64, (1n << 63n) - 1n));
    const allowed = sem.select(compact, components, sem.int(64, ENABLED_COMPONENTS));
    const unknown = sem.or(
      sem.or(sem.and(present, sem.not(allowed)), sem.and(components, not(ENABLED_COMPONENTS))),
      sem.select(compact, sem.int(64, 0), layout),
    );
    const rest = [536, 544, 552, 560, 568].map(word).reduce((sum, value) => sem.or(sum, value));
    const wrong = sem.or(sem.or(unknown, reserved), sem.select(compact, rest, sem.int(64, 0)));
    sem.trapIf(sem.not(isZero(sem, wrong)), 13);
    const requested = sem.concat(sem.gpr(2, 32), sem.gpr(0, 32));
    // mxcsr is loaded for SSE or AVX in the standard form, for SSE that is present in the compact one.
    const mxcsr = sem.load(32, sem.add(address, sem.int(64, 24)));
    const loaded = sem.select(
      compact,
      sem.and(sem.and(requested, present), sem.int(64, 2)),
      sem.and(requested, sem.int(64, 6)),
    );
    const isLoaded = sem.not(isZero(sem, loaded));
    sem.rareIf(sem.and(trapsFloat(sem, mxcsr), isLoaded));
    sem.trapIf(sem.and(isBadMxcsr(sem, mxcsr), isLoaded), 13);
    sem.helper(helper, address);
  };
}

export function fence(kind: "full" | "load" | "store"): Semantic {
  return (sem) => sem.fence(kind);
}

/** Nothing: hints, prefetches, markers of control-flow enforcement. */
export function nothing(): Semantic {
  return () => {};
}

/** clflush and its kin: the line is read, so that a bad address faults; memory is coherent anyway. */
export function touchLine(): Semantic {
  return (sem, insn) => {
    sem.load(8, insn.address(0));
  };
}

/** xtest outside a transaction: zf is 1. Waiting instructions that return at once: cf and the rest are 0. */
export function setOnly(zf: 0 | 1): Semantic {
  return (sem) => {
    clearFlags(sem, "cf", "of", "sf", "af", "pf");
    sem.setFlag("zf", () => sem.int(1, zf));
  };
}
