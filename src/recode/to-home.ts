// Translated form → home form, for a whole image set that was dumped on a foreign node with every thread parked. What
// the processes carry for their home form goes back to its places; what a process has none of because it began its
// program abroad is made as the home kernel would have made it.

import {
  type Changes,
  type Content,
  CoreEntrySchema,
  decodeMessage,
  encodeRecords,
  type FileEntry,
  FileEntrySchema,
  type ImageSource,
  kindOf,
  MmEntrySchema,
  readImage,
} from "../image/index.ts";
import { areasToHome } from "./areas.ts";
import { settleUnanswered } from "./connections.ts";
import { moveFileFlags } from "./file-flags.ts";
import { FILES, isNodePath, readFiles, regularFiles, removeNodeMount, text } from "./files.ts";
import { GUEST_END, Layout, MACHINE, VMA } from "./layout.ts";
import { Problems } from "./problems.ts";
import { type Process, readProcessTree } from "./process.ts";
import { type ForeignProcess, homeAuxv, readProcessArea, restoreMemoryMap } from "./process-state.ts";
import { seccompToHome } from "./seccomp.ts";
import { actionsToHome, dropQuiesceSignals } from "./signals.ts";
import { threadToHome } from "./threads.ts";

export interface HomeOptions {
  /** Base address of the runtime that the processes run on. */
  readonly base: bigint;
}

/** Turns a dump of translated processes back into the home form. */
export function toHome(source: ImageSource, options: HomeOptions): Changes {
  const layout = new Layout(options.base);
  const tree = readProcessTree(source);
  const files = readFiles(source);
  const paths = regularFiles(files);
  const problems = new Problems();
  const changes = new Map<string, Content | null>();
  problems.collect(() => {
    for (const [name, content] of seccompToHome(source)) changes.set(name, content);
    for (const [name, content] of settleUnanswered(source, files)) changes.set(name, content);
  });
  for (const process of tree.processes) {
    problems.collect(() => recodeProcess(process, layout, paths, changes));
  }
  for (const zombie of tree.zombies) {
    zombie.core.mtype = MACHINE.x86_64;
    changes.set(zombie.coreName, encodeRecords(CoreEntrySchema, zombie.coreName, [zombie.core]));
  }
  problems.collect(() => {
    const mount = removeNodeMount(source);
    if (mount !== null) changes.set(mount.name, mount.bytes);
  });
  const kept = withoutNodeFiles(source, files, tree.processes, problems);
  problems.throwIfAny();
  for (const file of kept) moveFileFlags(file, "toHome");
  changes.set(FILES, encodeRecords(FileEntrySchema, FILES, kept));
  return changes;
}

function recodeProcess(
  process: Process,
  layout: Layout,
  paths: ReadonlyMap<number, string>,
  changes: Map<string, Content | null>,
): void {
  const { mm, mmName, memory, threads, place } = process;
  const foreign = readProcessArea(process, layout);
  for (const thread of threads) {
    threadToHome(thread, process, layout);
    dropQuiesceSignals(thread.core.threadCore?.signalsP);
  }
  const leader = threads[0]!.core.tc!;
  actionsToHome(leader, foreign.state, place);
  dropQuiesceSignals(leader.signalsS);
  mm.vmas = areasToHome(mm.vmas, foreign.home.vmas, memory, place);
  restoreMemoryMap(mm, foreign.state);
  restoreAuxv(process, foreign);
  restoreProgramFile(process, paths);
  for (const image of foreign.home.images) {
    // The process could have written anything there: only a plain name of an image goes on.
    const isPlain = /^[\w.-]+$/.test(image.name) && kindOf(image.name) !== undefined;
    if (isPlain && !changes.has(image.name)) changes.set(image.name, image.content);
  }
  for (const thread of threads) {
    changes.set(thread.coreName, encodeRecords(CoreEntrySchema, thread.coreName, [thread.core]));
  }
  changes.set(mmName, encodeRecords(MmEntrySchema, mmName, [mm]));
  changes.set(memory.name, memory.encode());
  changes.set(memory.pagesName, memory.pagesContent());
}

/** The auxiliary vector as it was dumped at home, or the one that the runtime made. */
function restoreAuxv(process: Process, { home, state }: ForeignProcess): void {
  const before = home.mm.length > 0 ? decodeMessage(MmEntrySchema, home.mm, `${process.place} home blob`) : undefined;
  process.mm.savedAuxv = before ? before.savedAuxv : homeAuxv(state);
}

/** /proc/self/exe of a process whose program the runtime loaded is the runtime: at home it is the program. */
function restoreProgramFile({ mm }: Process, paths: ReadonlyMap<number, string>): void {
  if (!isNodePath(paths.get(mm.exeFileId) ?? "")) return;
  const code = mm.vmas.find(
    (vma) =>
      vma.start <= mm.startCode && mm.startCode < vma.end && (vma.status & (VMA.filePrivate | VMA.fileShared)) !== 0,
  );
  if (code) mm.exeFileId = Number(code.shmid);
}

/** The files without the node's own; refuses a set in which a process of the container uses one of those. */
function withoutNodeFiles(
  source: ImageSource,
  files: readonly FileEntry[],
  processes: readonly Process[],
  problems: Problems,
): FileEntry[] {
  const ours = new Set(files.filter((file) => file.reg && isNodePath(text(file.reg.name))).map((file) => file.id));
  const advice = `close what is open of /.hcontainer in the container`;
  for (const { mm, place } of processes) {
    if (ours.has(mm.exeFileId)) problems.add("program-file", "the program's own file is not mapped", place);
    for (const vma of mm.vmas) {
      if (vma.start < GUEST_END && vma.status & (VMA.filePrivate | VMA.fileShared) && ours.has(Number(vma.shmid))) {
        problems.add("node-file-used", "maps a file of the node", place, advice);
      }
    }
  }
  for (const name of source.names) {
    if (kindOf(name)?.name !== "fdinfo") continue;
    problems.collect(() => checkDescriptors(source, name, ours, advice, problems));
  }
  return files.filter((file) => !ours.has(file.id));
}

function checkDescriptors(
  source: ImageSource,
  name: string,
  ours: ReadonlySet<number>,
  advice: string,
  problems: Problems,
): void {
  const image = readImage(name, source.read(name, 0, source.sizeOf(name)));
  for (const { message } of image.records) {
    const { id, fd } = decodeMessage(image.kind.record!, message, name) as unknown as { id: number; fd: number };
    if (ours.has(id)) problems.add("node-file-used", `descriptor ${fd} is a file of the node`, name, advice);
  }
}
