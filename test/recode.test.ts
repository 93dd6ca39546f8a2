// Recoding of image sets made up at random: home → foreign → home gives every file back byte for byte, refusals name
// what they refuse, and damage ends in a refusal.

import assert from "node:assert/strict";
import { constants } from "node:fs";
import { test } from "node:test";
import {
  CpuState,
  HC_BASE,
  HomeCpu,
  NODE_MOUNT,
  offsetOf,
  PROC_AREA_OFFSET,
  ProcState,
  THREAD_AREA_BYTES,
  THREAD_AREA_OFFSET,
  THREAD_PRIVATE_OFFSET,
  ThreadState,
} from "../src/abi/index.ts";
import { InputError, randomFrom } from "../src/base/index.ts";
import {
  applyInMemory,
  CoreEntrySchema,
  decodeRecords,
  decodeSingle,
  encodeRecords,
  FileEntrySchema,
  Memory,
  MemoryImages,
  MmEntrySchema,
  MountEntrySchema,
} from "../src/image/index.ts";
import {
  checkHome,
  describeSet,
  formOf,
  moveOpenFlags,
  RecodeError,
  readProcessTree,
  toForeign,
  toHome,
} from "../src/recode/index.ts";
import { assertSameSet, copyOf, headerOnlyRuntime, park, poke, roundTrip } from "./recode/support.ts";
import { noFile, Synthetic } from "./recode/synthetic.ts";

const seed = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1e6);
const foreignOf = (home: MemoryImages): MemoryImages =>
  copyOf(applyInMemory(home, toForeign(home, { runtime: headerOnlyRuntime(), readFile: noFile }).changes));
const back = (set: MemoryImages): MemoryImages => applyInMemory(set, toHome(set, { base: HC_BASE }));

test("home → foreign → home gives every file back", (t) => {
  t.diagnostic(`seed ${seed}`);
  for (let round = 0; round < 25; round++) {
    const home = new Synthetic(seed + round).set;
    assertSameSet(roundTrip(home, noFile).back, home);
  }
});

test("a foreign set has what the kernel and the runtime need", () => {
  const home = new Synthetic(7, { processes: 1, threads: 3 }).set;
  const set = foreignOf(home);
  assert.equal(set.sizeOf("cpuinfo.img"), -1);
  const [process] = readProcessTree(set).processes;
  assert.ok(process);
  const before = readProcessTree(home).processes[0]!;
  const at = HC_BASE + PROC_AREA_OFFSET + BigInt(offsetOf(ProcState, "home_cpu"));
  const cpuView = new DataView(process.memory.read(at, HomeCpu.sizeBytes).buffer);
  const told = ["vendor", "signature", "components", "has_gap"].map((name) =>
    cpuView.getUint32(offsetOf(HomeCpu, name), true),
  );
  assert.deepEqual(told, [1, 0x806f8, 0xe7, 1]);
  for (const [slot, { core }] of process.threads.entries()) {
    const area = HC_BASE + THREAD_AREA_OFFSET + BigInt(slot) * BigInt(THREAD_AREA_BYTES);
    assert.equal(core.mtype, 3);
    assert.equal(core.threadInfo, undefined);
    assert.equal(core.threadCore?.rseqEntry, undefined);
    assert.deepEqual([core.tiAarch64?.tls, core.tiAarch64?.gpregs?.sp], [area, area + BigInt(THREAD_AREA_BYTES)]);
    assert.equal(core.tiAarch64?.fpsimd?.vregs.length, 64);
    const cpu = process.memory.read(area, CpuState.sizeBytes);
    const r15 = new DataView(cpu.buffer).getBigUint64(offsetOf(CpuState, "gpr", 15), true);
    assert.equal(r15, before.threads[slot]!.core.threadInfo!.gpregs!.r15);
    const mask = core.tc?.blkSigset ?? core.threadCore!.blkSigset;
    assert.equal(mask >> 63n, 0n);
  }
  const vmas = process.mm.vmas;
  assert.ok(vmas.every(({ status }) => (status & 0x100c) === 0));
  assert.ok(vmas.every(({ start, end }, index) => start < end && (index === 0 || vmas[index - 1]!.end <= start)));
  assert.ok(vmas.some(({ start }) => start === HC_BASE));
  const magic = process.memory.read(HC_BASE + PROC_AREA_OFFSET, 8);
  assert.equal(new TextDecoder().decode(magic), "HHCPROC1");
  assert.equal(describeSet(set).form, "foreign");
  const mounts = decodeRecords(MountEntrySchema, "mountpoints-12.img", set.files.get("mountpoints-12.img")!);
  const ours = mounts.filter(({ mountpoint }) => new TextDecoder().decode(mountpoint) === NODE_MOUNT);
  assert.equal(ours.length, 1);
  assert.equal(ours[0]!.parentMntId, 20);
});

test("open flags are those of each architecture", () => {
  // This machine's own constants are x86-64's; arm64's are from its kernel's headers.
  assert.equal(moveOpenFlags(constants.O_DIRECTORY | constants.O_RDWR, "toForeign"), 0o40000 | constants.O_RDWR);
  assert.equal(moveOpenFlags(constants.O_NOFOLLOW, "toForeign"), 0o100000);
  assert.equal(moveOpenFlags(constants.O_DIRECT, "toForeign"), 0o200000);
  assert.equal(moveOpenFlags(0o100000, "toForeign"), 0o400000);
  for (let flags = 0; flags < 0o10000000; flags += 0o1001) {
    assert.equal(moveOpenFlags(moveOpenFlags(flags, "toForeign"), "toHome"), flags);
  }
});

const refusedAs = (code: string) => (error: unknown) => error instanceof InputError && error.code === code;

function changed(home: MemoryImages, name: string, bytes: Uint8Array): MemoryImages {
  return new MemoryImages(new Map([...home.files, [name, bytes]]));
}

test("what cannot move is refused by name, all of it in one run", () => {
  const home = new Synthetic(3, { processes: 1, threads: 1 }).set;
  const core = decodeSingle(CoreEntrySchema, "core-1.img", home.files.get("core-1.img")!);
  core.threadInfo!.gpregs!.cs = 0x23n;
  core.threadCore!.seccompMode = 1;
  const mm = decodeSingle(MmEntrySchema, "mm-1.img", home.files.get("mm-1.img")!);
  mm.vmas[2]!.status |= 1 << 13;
  let set = changed(home, "core-1.img", encodeRecords(CoreEntrySchema, "core-1.img", [core]));
  set = changed(set, "mm-1.img", encodeRecords(MmEntrySchema, "mm-1.img", [mm]));
  set = changed(set, "io_uring-1.img", new Uint8Array(8));
  const codes = checkHome(set).map(({ code }) => code);
  assert.deepEqual(codes.sort(), ["aio-ring", "image-unknown", "mode-32bit", "seccomp-strict"]);
  assert.throws(
    () => foreignOf(set),
    (error) => error instanceof RecodeError && error.problems.length === 4,
  );
});

test("only parked threads go home", () => {
  const set = foreignOf(new Synthetic(5, { processes: 1, threads: 2 }).set);
  assert.throws(() => back(set), refusedAs("thread-running"));
  park(set);
  assert.equal(formOf(back(set)), "home");
  poke(set, 1, HC_BASE + PROC_AREA_OFFSET + BigInt(offsetOf(ProcState, "abi_version")), 99);
  assert.throws(() => back(set), refusedAs("abi-version"));
});

test("what ran abroad comes home with its registers and without ours", () => {
  const home = new Synthetic(11, { processes: 1, threads: 1 }).set;
  const set = foreignOf(home);
  park(set);
  const cpu = HC_BASE + THREAD_AREA_OFFSET;
  poke(set, 1, cpu + BigInt(offsetOf(CpuState, "gpr", 3)), 0x5a);
  poke(set, 1, cpu + BigInt(offsetOf(CpuState, "cf")), 1);
  poke(set, 1, cpu + BigInt(offsetOf(CpuState, "zmm", 17)), 0x77);
  const after = readProcessTree(back(set)).processes[0]!.threads[0]!.core;
  const info = after.threadInfo!;
  assert.equal(info.gpregs!.bx & 0xffn, 0x5an);
  assert.equal(info.gpregs!.flags & 1n, 1n);
  assert.equal(info.gpregs!.origAx, 0xffff_ffff_ffff_ffffn);
  assert.equal(info.fpregs!.xsave!.hi16Zmm[8]! & 0xffn, 0x77n);
  assert.equal((info.fpregs!.xsave!.xstateBv >> 7n) & 1n, 1n);
  assert.equal(after.tiAarch64, undefined);
});

test("a program that began abroad comes home", () => {
  const set = foreignOf(new Synthetic(13, { processes: 1, threads: 1 }).set);
  park(set);
  const [proc, thread] = [HC_BASE + PROC_AREA_OFFSET, HC_BASE + THREAD_AREA_OFFSET];
  // As after an execve there: no home blobs, the kernel's own program is the runtime.
  for (let byte = 0; byte < 4; byte++) {
    poke(set, 1, proc + BigInt(offsetOf(ProcState, "home_blob_len") + byte), 0);
    poke(set, 1, thread + BigInt(THREAD_PRIVATE_OFFSET + homeBlobLength() + byte), 0);
  }
  const mm = decodeSingle(MmEntrySchema, "mm-1.img", set.files.get("mm-1.img")!);
  const files = decodeRecords(FileEntrySchema, "files.img", set.files.get("files.img")!);
  mm.exeFileId = files.at(-1)!.id;
  const exec = changed(set, "mm-1.img", encodeRecords(MmEntrySchema, "mm-1.img", [mm]));
  const home = back(exec);
  const [process] = readProcessTree(home).processes;
  assert.equal(process!.mm.exeFileId, 2);
  assert.equal(process!.mm.savedAuxv.length, 44);
  const { gpregs, tls } = process!.threads[0]!.core.threadInfo!;
  assert.deepEqual([gpregs!.cs, gpregs!.ss, gpregs!.mode, tls.length], [0x33n, 0x2bn, 1, 3]);
  assert.ok(process!.mm.vmas.every(({ start }) => start < 1n << 47n));
  assert.equal(Memory.read(home, "pagemap-1.img").page(HC_BASE + PROC_AREA_OFFSET), null);
});

function homeBlobLength(): number {
  return offsetOf(ThreadState, "home_blob_len");
}

test("random damage ends in a refusal or in another set, never otherwise", (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const home = new Synthetic(seed, { processes: 2, threads: 2 }).set;
  const foreign = foreignOf(home);
  park(foreign);
  let refused = 0;
  for (let round = 0; round < 600; round++) {
    const start = round % 2 ? foreign : home;
    const names = start.names.filter((name) => !name.startsWith("pages-") || start === foreign);
    const name = names[random(names.length)]!;
    const bytes = start.files.get(name)!.slice();
    const cut = random(8) === 0 ? bytes.slice(0, random(bytes.length)) : bytes;
    for (let n = 1 + random(3); n > 0 && cut.length > 0; n--) cut[random(cut.length)] = random(256);
    const set = changed(start, name, cut);
    try {
      if (start === home) foreignOf(set);
      else back(set);
    } catch (error) {
      refused++;
      assert.ok(error instanceof InputError, `round ${round}, ${name}: ${(error as Error).stack}`);
    }
  }
  assert.ok(refused > 50);
});
