// The canonical state as the runtime keeps it in a translated process, and where it lies. One table for the C runtime
// (runtime/gen/abi.h is printed from it by src/abi/print-header.ts), the translator and the recoder.
//
// Everything of ours lies above the 47 bits that an x86-64 program can address. `HC_BASE` is the link address of the
// runtime; the test build for qemu user mode, which has 47 bits for guest and host together, is linked lower and the
// other addresses follow from its base.

import { defineStruct, type Struct } from "./layout.ts";

/** Raised whenever the meaning of anything in this directory or of the translated code's conventions changes. */
export const ABI_VERSION = 7;

/** Base address of the runtime in a real foreign process. */
export const HC_BASE = 0x9000_0000_0000n;
/** Base address of the runtime under qemu user mode (tests, instruction counts). */
export const HC_BASE_QEMU_USER = 0x1000_0000_0000n;
/** Offsets from the base. */
export const PROC_AREA_OFFSET = 0x1_0000_0000n;
export const THREAD_AREA_OFFSET = 0x1_1000_0000n;
export const TRANSLATION_OFFSET = 0x10_0000_0000n;
/** Size of one thread's area; slot n lies at HC_BASE + THREAD_AREA_OFFSET + n * THREAD_AREA_BYTES. */
export const THREAD_AREA_BYTES = 0x280000;
export const MAX_THREADS = 4096;
export const MAX_MODULES = 256;

/** Where a node's directory of runtime and translations is mounted inside a container on a foreign node. */
export const NODE_MOUNT = "/.hcontainer";

/** x86-64 general registers in encoding order; `gpr[4]` is rsp. */
export const GPR_NAMES = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
] as const;

export const FLAG_NAMES = ["cf", "pf", "af", "zf", "sf", "of"] as const;
export type FlagName = (typeof FLAG_NAMES)[number];

/** One guest thread's registers. Translated code addresses it through host register x20. */
export const CpuState: Struct = defineStruct("cpu_state", [
  ["gpr", "u64", "rax rcx rdx rbx rsp rbp rsi rdi r8..r15", { count: 16 }],
  ["rip", "u64", "guest pc; valid whenever control is in the dispatcher"],
  ["fs_base", "u64", "base of fs"],
  ["gs_base", "u64", "base of gs"],
  ["cf", "u8", "flags, each 0 or 1"],
  ["pf", "u8", ""],
  ["af", "u8", ""],
  ["zf", "u8", ""],
  ["sf", "u8", ""],
  ["of", "u8", ""],
  ["df", "u8", "direction flag, 0 or 1"],
  ["flag_pad", "u8", ""],
  ["rflags_rest", "u64", "the other user-changeable bits of rflags (AC, ID, TF, NT) in place"],
  ["mxcsr", "u32", "SSE control and status"],
  ["pending", "u32", "non-zero asks translated code to leave at its next poll"],
  ["exit_reason", "u32", "why translated code left: EXIT_*"],
  ["exit_detail", "u32", "vector of a trap"],
  ["exit_fn", "u64", "host address that translated code jumps to in order to leave"],
  ["host_sp", "u64", "the dispatcher's stack pointer while translated code runs"],
  [
    "dispatch_fn",
    "u64",
    "host address that translated code jumps to with rip stored, to go on at rip without leaving if it can",
  ],
  ["helper_result", "u64", "what a helper gives back to the semantic that called it; means nothing in between"],
  ["decode_cache", "u64", "host address of DECODE_CACHE_BYTES for the interpreter's decoded instructions, 0 = none"],
  ["home_cpu", "u64", "host address of the process's HomeCpu, by which cpuid and xsave answer; 0 = none"],
  ["k", "u64", "AVX-512 mask registers", { count: 8, at: 0x140 }],
  ["fcw", "u16", "x87 control word"],
  ["fsw", "u16", "x87 status word, top of stack included"],
  ["ftw", "u8", "x87 abridged tag word, a bit a physical register, 1 = in use"],
  ["x87_pad", "u8", ""],
  ["fop", "u16", "x87 last opcode"],
  ["fip", "u64", "x87 last instruction pointer"],
  ["fdp", "u64", "x87 last data pointer"],
  [
    "st",
    { bytes: 16 },
    "x87 physical registers R0..R7, 80 bits each; MMX registers are their low 64 bits",
    { count: 8 },
  ],
  ["zmm", { bytes: 64 }, "vector registers", { count: 32, at: 0x400 }],
]);

/** A slot of the lookup cache that translated code probes for indirect jumps and returns. Empty: guest = ~0. */
export const LookupEntry: Struct = defineStruct("lookup_entry", [
  ["guest", "u64", "guest pc"],
  ["host", "u64", "host address of its translation"],
]);
/**
 * Entries in the cache (a power of two). Slot of a pc: `(pc ^ pc >> LOOKUP_SHIFT) & (LOOKUP_ENTRIES - 1)`: addresses that
 * differ by whole pages only, as functions and their callers like to, must not share a slot.
 */
export const LOOKUP_BITS = 12;
export const LOOKUP_ENTRIES = 1 << LOOKUP_BITS;
export const LOOKUP_SHIFT = 12;
/** Offsets inside a thread area. The cache is aligned to its size: translated code relies on that. */
export const LOOKUP_OFFSET = 0x10000;
export const THREAD_PRIVATE_OFFSET = 0x1000;
export const THREAD_HOME_BLOB_OFFSET = 0x3000;
export const THREAD_HOME_BLOB_BYTES = 0x4000;
export const THREAD_SIGNAL_STACK_OFFSET = 0x20000;
export const THREAD_SIGNAL_STACK_BYTES = 0x10000;
/**
 * What the lookup cache had to make room for, or lost to a signal: found again without a search. Slots have the same form,
 * zeros are empty, and the slot of a pc is `(pc ^ pc >> SECOND_LOOKUP_SHIFT) & (SECOND_LOOKUP_ENTRIES - 1)`.
 */
export const SECOND_LOOKUP_OFFSET = 0x30000;
export const SECOND_LOOKUP_ENTRIES = 8192;
export const SECOND_LOOKUP_SHIFT = 17;
/** What the interpreter has decoded (interp.c), filled from its beginning; zeros are an empty cache. */
export const DECODE_CACHE_OFFSET = 0x50000;
export const DECODE_CACHE_BYTES = 0x200000;
/** Behind it the host stack grows down from the end of the area. */

/** What a thread has beside registers. Starts at THREAD_PRIVATE_OFFSET of its area. */
export const ThreadState: Struct = defineStruct("thread_state", [
  ["in_use", "u32", "1 while the slot belongs to a live thread"],
  ["parked", "u32", "1 while the thread is stopped at a safepoint with canonical state"],
  ["host_tid", "i32", "gettid() as the process itself sees it"],
  ["sas_flags", "i32", "guest sigaltstack flags"],
  ["sas_sp", "u64", "guest sigaltstack"],
  ["sas_size", "u64", ""],
  ["sigmask", "u64", "the guest's blocked signals"],
  ["clear_tid", "u64", "guest address for CLONE_CHILD_CLEARTID"],
  ["robust_list", "u64", "guest set_robust_list head"],
  ["robust_len", "u64", ""],
  ["rseq_addr", "u64", "guest rseq area; never registered with the host kernel"],
  ["rseq_len", "u32", ""],
  ["rseq_sig", "u32", ""],
  ["home_blob_len", "u32", "bytes used of the home blob: the home thread's machine state as CRIU wrote it"],
  ["signal_number", "u32", "signal taken from the host and not yet delivered to the guest; 0 = none"],
  ["signal_info", "u8", "its siginfo_t", { count: 128 }],
]);

/** A guest signal action, x86-64 kernel layout. */
export const GuestSigaction: Struct = defineStruct("guest_sigaction", [
  ["handler", "u64", "SIG_DFL 0, SIG_IGN 1 or a guest address"],
  ["flags", "u64", ""],
  ["restorer", "u64", ""],
  ["mask", "u64", ""],
]);

/** An executable file of the guest that is mapped, and its translation. */
export const Module: Struct = defineStruct("module", [
  ["guest_start", "u64", "first guest address of the file's executable range"],
  ["guest_end", "u64", "one past the last"],
  ["guest_bias", "u64", "load bias: run-time address minus the ELF file's virtual address"],
  ["key", "u32", "code key of the file (see code-key.ts)", { count: 4 }],
  ["status", "u32", "MODULE_*"],
  ["entries", "u32", "entries in the translation's table"],
  ["host_image", "u64", "host address of the mapped translation"],
  ["host_bytes", "u64", "its size"],
  ["variant", "u32", "VARIANT_* of the mapped translation"],
]);
/** Absent: never to be used again, as the code was changed or the file is bad. Missing: not there yet. */
export const MODULE_STATUS = { free: 0, listed: 1, loaded: 2, absent: 3, missing: 4 } as const;

/**
 * The CPU that a process started on, as far as its home told (cpuinfo.img). What cpuid tells abroad is what both that CPU and the
 * translator have. Zeros: not known, as for programs that are started abroad.
 */
export const HomeCpu: Struct = defineStruct("home_cpu", [
  ["vendor", "u32", "0 = nothing is known; 1 Intel, 2 AMD, 3 another"],
  ["signature", "u32", "leaf 1, eax"],
  ["components", "u32", "state components that xsave has there"],
  ["has_gap", "u32", "1: AVX-512's components lie behind the place for MPX, as Intel has them"],
  ["leaf1_ecx", "u32", ""],
  ["leaf1_edx", "u32", ""],
  ["leaf7_ebx", "u32", ""],
  ["leaf7_ecx", "u32", ""],
  ["leaf7_edx", "u32", ""],
  ["leafd1_eax", "u32", "leaf 13, subleaf 1"],
  ["extended_ecx", "u32", "leaf 0x80000001"],
  ["extended_edx", "u32", ""],
  ["name", "u8", "leaves 0x80000002..4", { count: 48 }],
]);

/** One process. At HC_BASE + PROC_AREA_OFFSET. */
export const ProcState: Struct = defineStruct("proc_state", [
  ["magic", "u64", "PROC_MAGIC"],
  ["abi_version", "u32", "ABI_VERSION"],
  ["quiesce", "u32", "1: every thread parks at its next safepoint; set by the quiesce signal, cleared by the node"],
  ["threads", "u32", "live threads"],
  ["parked", "u32", "threads that are parked"],
  ["brk_start", "u64", "guest heap: the runtime keeps brk itself"],
  ["brk_now", "u64", ""],
  ["vdso_start", "u64", "the home kernel's vdso, kept as ordinary memory; 0 = none"],
  ["vdso_end", "u64", ""],
  [
    "start_code",
    "u64",
    "the mm fields that the home form needs; kept here since execve on a foreign node starts the runtime",
  ],
  ["end_code", "u64", ""],
  ["start_data", "u64", ""],
  ["end_data", "u64", ""],
  ["start_stack", "u64", ""],
  ["arg_start", "u64", ""],
  ["arg_end", "u64", ""],
  ["env_start", "u64", ""],
  ["env_end", "u64", ""],
  ["vdso_entry", "u64", "guest addresses answered by the runtime, in the order of VDSO_CALLS; 0 = none", { count: 8 }],
  ["auxv", "u64", "the guest's auxiliary vector, AT_NULL terminated", { count: 64 }],
  ["sigactions", { struct: GuestSigaction }, "by signal number - 1", { count: 64 }],
  ["home_blob_len", "u32", "bytes used of the home blob"],
  ["module_count", "u32", ""],
  ["variant", "u32", "the least VARIANT_* that the process needs: ordered once it has threads or shares memory"],
  ["translation_next", "u64", "host address where the next translation is mapped"],
  ["modules", { struct: Module }, "", { count: MAX_MODULES }],
  ["home_cpu", { struct: HomeCpu }, ""],
  [
    "program_path",
    "u8",
    "the program's file, if the runtime loaded it (then /proc/self/exe is the runtime); else empty",
    { count: 4096 },
  ],
]);
export const PROC_MAGIC = 0x31434f5250434848n; // "HHCPROC1"
/** Where the runtime keeps what concerns nobody else (zeros in a recoded process). */
export const PROC_PRIVATE_OFFSET = 0x10000;
/** The home blob of a process: what its home form needs back and the kernel abroad cannot keep. */
export const PROC_HOME_BLOB_OFFSET = 0x20000;
export const PROC_HOME_BLOB_BYTES = 0x10000;
/**
 * A guest pc that the dispatcher has asked for in vain in a module that has a translation. The node reads the table, so
 * that the next translation has entries there; nothing relies on it: slots are fought for, and counts race.
 */
export const MissedEntry: Struct = defineStruct("missed_entry", [
  ["pc", "u64", "guest address; 0 = free"],
  ["count", "u64", "how often it was asked for, less what others claimed the slot for"],
]);
/** Directory beside the node's where it keeps what it has read of these tables: a file for each code key. */
export const MISSED_DIRECTORY = "entries";
export const PROC_MISSED_OFFSET = 0x30000;
export const MISSED_ENTRIES = 256;
/** A pc that was asked for so often is worth an entry. */
export const MISSED_ENOUGH = 16;
/** Where the build for qemu user mode remembers what it has logged as executed: a filter of bits, or counters. */
export const PROC_EXECUTED_OFFSET = 0x31000;
export const PROC_EXECUTED_BYTES = 0xf000;
/** Size of the whole process area. */
export const PROC_AREA_BYTES = 0x40000;

/** The vdso functions that the runtime answers itself, in the order of ProcState.vdso_entry. */
export const VDSO_CALLS = [
  "__vdso_clock_gettime",
  "__vdso_gettimeofday",
  "__vdso_time",
  "__vdso_getcpu",
  "__vdso_clock_getres",
  "__vdso_getrandom",
] as const;

/** Why translated code left for the dispatcher (CpuState.exit_reason). rip says where to go on. */
export const EXIT = {
  /** Go on at rip: no translation was found in the cache. */
  dispatch: 0,
  /** rip is after a `syscall` instruction (rcx and r11 not yet set). */
  syscall: 1,
  /** A poll saw CpuState.pending. */
  poll: 2,
  /** Interpret the one instruction at rip, then go on. */
  interpret: 3,
  /** Exception `exit_detail` (x86 vector number) at rip. */
  trap: 4,
} as const;

/**
 * The last words of a seccomp filter that keeps the guest's own, for x86-64, behind its end:
 * filter | the guest's | ld #length of the guest's | ld #SECCOMP_ORIGINAL_MAGIC | ret #SECCOMP_ORIGINAL_MAGIC
 */
export const SECCOMP_ORIGINAL_MAGIC = 0x4843_5342;

/** The host signal by which a node asks a process to quiesce (sent from outside its pid namespace). */
export const QUIESCE_SIGNAL = 64;

export const STRUCTS: readonly Struct[] = [
  CpuState,
  LookupEntry,
  ThreadState,
  GuestSigaction,
  Module,
  HomeCpu,
  ProcState,
  MissedEntry,
];
