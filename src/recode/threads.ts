// One thread in both forms: its core image and its area in the process.

import { clearField, create, isFieldSet } from "@bufbuild/protobuf";
import {
  CpuState,
  THREAD_AREA_BYTES,
  THREAD_HOME_BLOB_BYTES,
  THREAD_HOME_BLOB_OFFSET,
  THREAD_PRIVATE_OFFSET,
  THREAD_SIGNAL_STACK_BYTES,
  THREAD_SIGNAL_STACK_OFFSET,
  ThreadState,
} from "../abi/index.ts";
import { assert, InputError } from "../base/index.ts";
import {
  Aarch64RegistersSchema,
  Aarch64SimdSchema,
  CoreEntrySchema,
  decodeMessage,
  encodeMessage,
  type Memory,
  RseqEntrySchema,
  type ThreadCoreEntry,
  ThreadCoreEntrySchema,
  ThreadInfoAarch64Schema,
  type ThreadInfoX86,
  ThreadInfoX86Schema,
  ThreadSasEntrySchema,
} from "../image/index.ts";
import { decodeCpuState, encodeCpuState } from "./cpu-state.ts";
import { type ThreadHome, ThreadHomeSchema } from "./gen/home_pb.ts";
import { type Layout, MACHINE } from "./layout.ts";
import type { Problems } from "./problems.ts";
import type { Process, Thread } from "./process.ts";
import { rewindInterruptedCall } from "./restart.ts";
import type { RuntimeFile } from "./runtime-file.ts";
import { hostMask } from "./signals.ts";
import { StructView } from "./struct-view.ts";

/** sizeof(struct robust_list_head) of x86-64. */
const ROBUST_LIST_HEAD_BYTES = 24;

const NATIVE_CS = 0x33n;
const NATIVE_MODE = 1;

/** Refuses machine states that translated code cannot take on. */
export function checkThread(thread: Thread, place: string, problems: Problems): void {
  const { core, coreName } = thread;
  if (core.mtype !== MACHINE.x86_64) {
    problems.add("architecture", `thread ${thread.tid} is of machine type ${core.mtype}, not x86-64`, place);
    return;
  }
  const info = core.threadInfo;
  if (!info?.gpregs || !info.fpregs || !core.threadCore) {
    problems.add("image-core", "the core image lacks registers", coreName, "the image set is damaged: copy it again");
    return;
  }
  const { gpregs, fpregs } = info;
  if (gpregs.mode > NATIVE_MODE || gpregs.cs !== NATIVE_CS) {
    problems.add(
      "mode-32bit",
      `thread ${thread.tid} runs 32-bit code`,
      place,
      "only 64-bit programs can be translated",
    );
  }
  if (info.tls.some((descriptor) => descriptor.usable || !descriptor.segNotPresent)) {
    problems.add("tls-segments", `thread ${thread.tid} uses segment descriptors of its own`, place);
  }
  if (fpregs.xsave?.cet && (fpregs.xsave.cet.cet & 1n) !== 0n) {
    problems.add(
      "shadow-stack",
      `thread ${thread.tid} runs with a shadow stack`,
      place,
      "start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
    );
  }
  if (core.threadCore.seccompMode === 1) {
    problems.add("seccomp-strict", `thread ${thread.tid} is in strict seccomp mode`, place);
  }
}

/** CpuState of a home thread: as dumped, with an interrupted call begun again. */
function departure(info: ThreadInfoX86): Uint8Array<ArrayBuffer> {
  const copy = decodeMessage(ThreadInfoX86Schema, encodeMessage(ThreadInfoX86Schema, info), "thread");
  if (copy.gpregs) rewindInterruptedCall(copy.gpregs);
  return encodeCpuState(copy);
}

/** Changes a thread's core image to the foreign form; gives the bytes of its area, as far as there is anything in it. */
export function threadToForeign(
  thread: Thread,
  slot: number,
  layout: Layout,
  runtime: RuntimeFile,
): Uint8Array<ArrayBuffer> {
  const { core } = thread;
  const info = core.threadInfo;
  const common = core.threadCore;
  assert(info && common, "checkThread has seen the thread");
  const area = new Uint8Array(THREAD_HOME_BLOB_OFFSET + THREAD_HOME_BLOB_BYTES);
  area.set(departure(info));
  const state = new StructView(ThreadState, area.subarray(THREAD_PRIVATE_OFFSET));
  state.set("in_use", 1);
  state.set("host_tid", thread.tid);
  state.set("sigmask", guestMask(thread));
  state.set("clear_tid", info.clearTidAddr);
  state.set("robust_list", common.futexRla);
  state.set("robust_len", common.futexRlaLen);
  if (common.sas) {
    state.set("sas_sp", common.sas.ssSp);
    state.set("sas_size", common.sas.ssSize);
    state.set("sas_flags", common.sas.ssFlags);
  }
  const home = create(ThreadHomeSchema, { threadInfo: encodeMessage(ThreadInfoX86Schema, info) });
  if (common.rseqEntry) {
    state.set("rseq_addr", common.rseqEntry.rseqAbiPointer);
    state.set("rseq_len", common.rseqEntry.rseqAbiSize);
    state.set("rseq_sig", common.rseqEntry.signature);
    home.rseqEntry = encodeMessage(RseqEntrySchema, common.rseqEntry);
    clearField(common, ThreadCoreEntrySchema.field.rseqEntry);
  }
  const blob = encodeMessage(ThreadHomeSchema, home);
  if (blob.length > THREAD_HOME_BLOB_BYTES) {
    throw new InputError("home-too-large", `the machine state takes ${blob.length} bytes`, thread.coreName);
  }
  area.set(blob, THREAD_HOME_BLOB_OFFSET);
  state.set("home_blob_len", blob.length);

  const start = layout.threadArea(slot);
  setMask(thread, hostMask(guestMask(thread)));
  common.sas = create(ThreadSasEntrySchema, {
    ssSp: start + BigInt(THREAD_SIGNAL_STACK_OFFSET),
    ssSize: BigInt(THREAD_SIGNAL_STACK_BYTES),
    ssFlags: 0,
  });
  core.mtype = MACHINE.aarch64;
  clearField(core, CoreEntrySchema.field.threadInfo);
  core.tiAarch64 = create(ThreadInfoAarch64Schema, {
    clearTidAddr: info.clearTidAddr,
    tls: start,
    gpregs: create(Aarch64RegistersSchema, {
      regs: new Array<bigint>(31).fill(0n),
      sp: start + BigInt(THREAD_AREA_BYTES),
      pc: runtime.resume,
      pstate: 0n,
    }),
    fpsimd: create(Aarch64SimdSchema, { vregs: new Array<bigint>(64).fill(0n), fpsr: 0, fpcr: 0 }),
  });
  return area;
}

/** Blocked signals: CRIU keeps a leader's with the process and the other threads' with the thread. */
function guestMask(thread: Thread): bigint {
  const { tc, threadCore } = thread.core;
  return tc?.blkSigset ?? threadCore?.blkSigset ?? 0n;
}

function setMask(thread: Thread, mask: bigint): void {
  const { tc, threadCore } = thread.core;
  if (tc) tc.blkSigset = mask;
  if (threadCore && (!tc || isFieldSet(threadCore, ThreadCoreEntrySchema.field.blkSigset))) threadCore.blkSigset = mask;
}

/** The address of a translated thread's area: its host thread pointer. Refuses what cannot be one. */
export function areaOf(thread: Thread, layout: Layout, place: string): bigint {
  const tls = thread.core.tiAarch64?.tls;
  const first = layout.threadArea(0);
  const isArea = tls !== undefined && tls >= first && (tls - first) % BigInt(THREAD_AREA_BYTES) === 0n;
  if (!isArea || tls >= layout.translations) {
    throw new InputError("not-translated", `thread ${thread.tid} is not one of translated code`, place);
  }
  return tls;
}

/** Changes a parked translated thread's core image back to the home form. */
export function threadToHome(thread: Thread, process: Process, layout: Layout): void {
  const { core } = thread;
  const { memory, place } = process;
  const area = areaOf(thread, layout, place);
  const common = core.threadCore;
  if (!common) throw new InputError("image-core", "the core image lacks its thread part", thread.coreName);
  const state = new StructView(ThreadState, memory.read(area + BigInt(THREAD_PRIVATE_OFFSET), ThreadState.sizeBytes));
  if (state.number("parked") !== 1) {
    throw new InputError(
      "thread-running",
      `thread ${thread.tid} was not parked when it was dumped`,
      place,
      "ask the container to quiesce and dump it again",
    );
  }
  const home = readThreadHome(memory, area, state, place);
  const cpu = memory.read(area, CpuState.sizeBytes);
  const before = home.threadInfo.length > 0 ? decodeMessage(ThreadInfoX86Schema, home.threadInfo, place) : undefined;
  const info = before && isUntouched(cpu, departure(before)) ? before : decodeCpuState(cpu, before);
  info.clearTidAddr = state.get("clear_tid");
  core.mtype = MACHINE.x86_64;
  clearField(core, CoreEntrySchema.field.tiAarch64);
  core.threadInfo = info;

  setMask(thread, state.get("sigmask"));
  common.futexRla = state.get("robust_list");
  // The kernel takes one length only, or none was set.
  const robustBytes = state.number("robust_len");
  if (robustBytes !== 0 && robustBytes !== ROBUST_LIST_HEAD_BYTES)
    throw new InputError("thread-state", `a robust list head of ${robustBytes} bytes`, place);
  common.futexRlaLen = robustBytes;
  common.sas = create(ThreadSasEntrySchema, {
    ssSp: state.get("sas_sp"),
    ssSize: state.get("sas_size"),
    ssFlags: state.number("sas_flags"),
  });
  restoreRseq(common, state, home, place);
}

function readThreadHome(memory: Memory, area: bigint, state: StructView, place: string): ThreadHome {
  const length = state.number("home_blob_len");
  if (length === 0) return create(ThreadHomeSchema);
  if (length > THREAD_HOME_BLOB_BYTES) throw new InputError("image-home-blob", `home blob of ${length} bytes`, place);
  const bytes = memory.read(area + BigInt(THREAD_HOME_BLOB_OFFSET), length);
  return decodeMessage(ThreadHomeSchema, bytes, `${place} home blob`);
}

function restoreRseq(common: ThreadCoreEntry, state: StructView, home: ThreadHome, place: string): void {
  const address = state.get("rseq_addr");
  const before = home.rseqEntry.length > 0 ? decodeMessage(RseqEntrySchema, home.rseqEntry, place) : undefined;
  // CRIU writes an entry of zeros for a thread that has registered none, as one that has just begun a program.
  if (address === 0n && before === undefined) return;
  const entry = before?.rseqAbiPointer === address ? before : create(RseqEntrySchema, { rseqAbiPointer: address });
  entry.rseqAbiSize = state.number("rseq_len");
  entry.signature = state.number("rseq_sig");
  common.rseqEntry = entry;
}

/** What is the runtime's alone in CpuState; the rest is the guest's. */
const HOST_FIELDS: ReadonlySet<string> = new Set([
  "pending",
  "exit_reason",
  "exit_detail",
  "exit_fn",
  "host_sp",
  "dispatch_fn",
  "helper_result",
  "decode_cache",
  "home_cpu",
  "flag_pad",
  "x87_pad",
]);

/** Whether a thread is where it was when it left home: then its machine state is still exactly the old one. */
function isUntouched(now: Uint8Array, then: Uint8Array): boolean {
  for (const field of CpuState.fields) {
    if (HOST_FIELDS.has(field.name)) continue;
    for (let at = field.offset; at < field.offset + field.sizeBytes; at++) if (now[at] !== then[at]) return false;
  }
  return true;
}
