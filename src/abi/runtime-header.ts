// The header of the runtime's ELF file: what the recoder must know to let a restored thread start in it. It lies at
// RUNTIME_HEADER_OFFSET of the file, inside its first loaded segment. Addresses are those that the file is linked at;
// it is not relocated. A thread is restored with pc = `resume`, tpidr_el0 = its CpuState and sp = the end of its thread
// area; its other registers hold nothing. A caught signal's host action is `signal_handler` with `signal_restorer`, on
// the thread area's signal stack, SA_SIGINFO, with every signal but QUIESCE_SIGNAL in its mask.

import { defineStruct, type Struct } from "./layout.ts";

export const RUNTIME_MAGIC = 0x31304e5552434848n; // "HHCRUN01"
/** File offset of the header. */
export const RUNTIME_HEADER_OFFSET = 0x400;
/** Name of the runtime's file in NODE_MOUNT. */
export const RUNTIME_FILE = "runtime";
/**
 * First word of the runtime's command line as a tool of the node, before a pid and a time in milliseconds: lets a process
 * that a signal has stopped park without being continued. The exit status is 0 when it is parked.
 */
export const PARK_STOPPED = "--park-stopped";

export const RuntimeHeader: Struct = defineStruct("runtime_header", [
  ["magic", "u64", "RUNTIME_MAGIC"],
  ["abi_version", "u32", "ABI_VERSION"],
  ["reserved", "u32", "0"],
  ["base", "u64", "address that the file is linked at: HC_BASE or HC_BASE_QEMU_USER"],
  ["resume", "u64", "where a restored thread starts"],
  ["signal_handler", "u64", "host signal handler, (int, siginfo_t *, void *)"],
  ["signal_restorer", "u64", "calls rt_sigreturn"],
]);
