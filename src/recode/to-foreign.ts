// Home form → translated form, for a whole image set. Processes keep everything that is theirs; threads are pointed at
// the runtime, and what the foreign kernel would not understand is moved into the process itself (ARCHITECTURE.md, "Home
// form and translated form"). Problems are collected first: nothing is changed for a set that cannot be recoded.

import { clone, create } from "@bufbuild/protobuf";
import { MAX_THREADS, RUNTIME_FILE } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import {
  type Changes,
  type Content,
  CoreEntrySchema,
  encodeMessage,
  encodeRecords,
  type FileEntry,
  FileEntrySchema,
  type ImageSource,
  type MmEntry,
  MmEntrySchema,
  readWhole,
} from "../image/index.ts";
import { areasToForeign, checkAreas, isSharedMemory, ownAreas } from "./areas.ts";
import { checkSet } from "./check.ts";
import { settleUnanswered } from "./connections.ts";
import { moveFileFlags } from "./file-flags.ts";
import { addNodeMount, addRuntimeFile, FILES, type MountChange, readFiles, regularFiles } from "./files.ts";
import { KeptImageSchema, type ProcessHome, ProcessHomeSchema } from "./gen/home_pb.ts";
import { CPU_IMAGE, readHomeCpu } from "./home-cpu.ts";
import { AUXV_WORDS, Layout, MACHINE } from "./layout.ts";
import { ModuleFinder, type ReadFile, type Unlisted } from "./modules.ts";
import { type Problem, Problems } from "./problems.ts";
import { type Process, type ProcessTree, readProcessTree } from "./process.ts";
import { ProcessArea, trimAuxv } from "./process-state.ts";
import { type RuntimeFile, readRuntime } from "./runtime-file.ts";
import { seccompToForeign } from "./seccomp.ts";
import { actionsToForeign } from "./signals.ts";
import { checkThread, threadToForeign } from "./threads.ts";
import { findVdsoCalls } from "./vdso.ts";

export interface ForeignOptions {
  /** The runtime's ELF file for the foreign node. */
  readonly runtime: Uint8Array;
  /** Reads a file of the container's root file system by its path in it; null when there is none. */
  readonly readFile: ReadFile;
}

export interface ForeignResult {
  readonly changes: Changes;
  /** Code keys of the modules whose translations the processes will look for, with their paths. */
  readonly modules: readonly { readonly path: string; readonly key: readonly number[] }[];
  /** Executable files whose code will be interpreted, and why. */
  readonly unlisted: readonly Unlisted[];
}

/** Images of the whole set that a foreign CRIU cannot use; the root process keeps them. */
const KEPT_IMAGES = [CPU_IMAGE];
const VDSO_LIMIT_BYTES = 1 << 20;

interface Checked {
  readonly problems: Problems;
  readonly tree: ProcessTree;
  readonly files: FileEntry[];
  readonly seccomp: Changes;
  readonly mount: MountChange | null;
}

/** Reads a home set and collects what stands in the way of recoding it. */
function check(source: ImageSource): Checked {
  const tree = readProcessTree(source);
  const files = readFiles(source);
  const problems = new Problems();
  checkSet(source, tree, files, problems);
  for (const process of tree.processes) checkProcess(process, problems);
  for (const zombie of tree.zombies) {
    if (zombie.core.mtype !== MACHINE.x86_64) checkThread(zombie, zombie.coreName, problems);
  }
  const seccomp = problems.collect(() => seccompToForeign(source)) ?? new Map();
  const mount = problems.collect(() => addNodeMount(source)) ?? null;
  return { problems, tree, files, seccomp, mount };
}

/** What stands in the way of turning a home set into the translated form: all of it, in one run. */
export function checkHome(source: ImageSource): readonly Problem[] {
  const problems = new Problems();
  const checked = problems.collect(() => check(source));
  return checked ? checked.problems.all : problems.all;
}

/** Turns a home image set into the translated form. */
export function toForeign(source: ImageSource, options: ForeignOptions): ForeignResult {
  const runtime = readRuntime(options.runtime, RUNTIME_FILE);
  const layout = new Layout(runtime.base);
  const { problems, tree, files, seccomp, mount } = check(source);
  problems.throwIfAny();

  const changes = new Map<string, Content | null>([...seccomp, ...settleUnanswered(source, files)]);
  const paths = regularFiles(files);
  for (const file of files) moveFileFlags(file, "toForeign");
  const mountId = mount?.mountId ?? files.find((file) => file.reg)?.reg?.mntId;
  const fileId = addRuntimeFile(files, runtime.sizeBytes, mountId);
  changes.set(FILES, encodeRecords(FileEntrySchema, FILES, files));
  if (mount !== null) changes.set(mount.name, mount.bytes);
  const cpu = readHomeCpu(source);
  const finder = new ModuleFinder(options.readFile);
  const modules = new Map<string, { path: string; key: readonly number[] }>();
  const unlisted = new Map<string, Unlisted>();
  tree.processes.forEach((process, index) => {
    const kept = index === 0 ? KEPT_IMAGES.filter((name) => source.sizeOf(name) >= 0) : [];
    const images = kept.map((name) => create(KeptImageSchema, { name, content: copyOf(readWhole(source, name)) }));
    for (const name of kept) changes.set(name, null);
    const home = create(ProcessHomeSchema, { images });
    const found = finder.find(process.mm.vmas, process.memory, paths);
    for (const module of found.modules) modules.set(module.path, { path: module.path, key: module.key });
    for (const each of found.unlisted) unlisted.set(each.path, each);
    recodeProcess(process, { runtime, layout, fileId, cpu, home, modules: found.modules, changes });
  });
  for (const zombie of tree.zombies) {
    zombie.core.mtype = MACHINE.aarch64;
    changes.set(zombie.coreName, encodeRecords(CoreEntrySchema, zombie.coreName, [zombie.core]));
  }
  return { changes, modules: [...modules.values()], unlisted: [...unlisted.values()] };
}

function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function checkProcess(process: Process, problems: Problems): void {
  const { place, mm, memory, threads } = process;
  checkAreas(mm.vmas, place, problems);
  if (mm.aios.length > 0) problems.add("aio-ring", "uses kernel AIO", place);
  if (memory.hasParent) {
    problems.add("image-parent", "the dump is incremental", memory.name, "dump without --prev-images-dir");
  }
  if (threads.length > MAX_THREADS) {
    problems.add("too-many-threads", `${threads.length} threads; ${MAX_THREADS} are supported`, place);
  }
  for (const thread of threads) checkThread(thread, place, problems);
  // The original message must not be changed, so the check works on nothing but counts.
  if (threads[0]!.core.tc!.sigactions.length !== 62) {
    problems.add("image-sigactions", "the core image lacks signal actions", place, "dump with CRIU 4.1.1 or newer");
  }
}

interface Work {
  readonly runtime: RuntimeFile;
  readonly layout: Layout;
  readonly fileId: number;
  /** HomeCpu, if the set tells of it. */
  readonly cpu: Uint8Array | null;
  readonly home: ProcessHome;
  readonly modules: Parameters<ProcessArea["setModules"]>[0];
  readonly changes: Map<string, Content | null>;
}

function recodeProcess(process: Process, work: Work): void {
  const { place, mm, mmName, memory, threads } = process;
  const { runtime, layout, home, changes } = work;
  const area = new ProcessArea(mm, threads.length, mm.vmas.some(isSharedMemory), layout);
  actionsToForeign(threads[0]!.core.tc!, area.state, hostHandler(runtime), place);
  area.setModules(work.modules);
  if (work.cpu !== null) area.state.slice("home_cpu").set(work.cpu);
  home.mm = mapWithoutAreas(mm);
  const { areas, kept, vdso } = areasToForeign(mm.vmas);
  home.vmas = kept.map(copyOf);
  const [first] = vdso;
  if (first !== undefined) {
    const size = Number(first.end - first.start);
    if (size > VDSO_LIMIT_BYTES) throw new InputError("image-vdso", `a vdso of ${size} bytes`, mmName);
    area.state.set("vdso_start", first.start);
    area.state.set("vdso_end", first.end);
    findVdsoCalls(memory.read(first.start, size), first.start, place).forEach((address, index) => {
      area.state.set("vdso_entry", address, index);
    });
  }
  area.setHome(home, place);
  memory.add(layout.processArea, area.bytes);
  threads.forEach((thread, slot) => {
    const bytes = threadToForeign(thread, slot, layout, runtime);
    memory.add(layout.threadArea(slot), bytes);
    changes.set(thread.coreName, encodeRecords(CoreEntrySchema, thread.coreName, [thread.core]));
  });
  for (const segment of runtime.segments) coverTail(process, segment);
  mm.vmas = [...areas, ...ownAreas(layout, runtime, work.fileId, threads.length)];
  mm.savedAuxv = trimAuxv(mm.savedAuxv, AUXV_WORDS.foreign);
  changes.set(mmName, encodeRecords(MmEntrySchema, mmName, [mm]));
  changes.set(memory.name, memory.encode());
  changes.set(memory.pagesName, memory.pagesContent());
}

/** The last page of a segment that has zero-filled memory behind its file bytes must not show the rest of the file. */
function coverTail(process: Process, segment: RuntimeFile["segments"][number]): void {
  const within = Number(segment.fileBytes % 4096n);
  if (within === 0 || segment.start + ((segment.fileBytes + 4095n) & ~4095n) >= segment.end) return;
  const page = new Uint8Array(4096);
  const from = Number(segment.fileBytes) - within;
  page.set(segment.content.subarray(from, from + within));
  process.memory.add(segment.start + BigInt(from), page);
}

function hostHandler(runtime: RuntimeFile): { handler: bigint; restorer: bigint } {
  return { handler: runtime.signalHandler, restorer: runtime.signalRestorer };
}

function mapWithoutAreas(mm: MmEntry): Uint8Array<ArrayBuffer> {
  const copy = clone(MmEntrySchema, { ...mm, vmas: [] } as MmEntry);
  return copyOf(encodeMessage(MmEntrySchema, copy));
}
