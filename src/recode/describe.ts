// What an image set holds, for people: processes with their threads and memory, open files by type, connections, mounts.

import {
  decodeRecords,
  type FileEntry,
  type ImageSource,
  kindOf,
  type MountEntry,
  MountEntrySchema,
  PAGE_BYTES,
  PstreeEntrySchema,
  readWhole,
  SeccompEntrySchema,
} from "../image/index.ts";
import { fileTypeName } from "./check.ts";
import { readFiles, regularFiles, text } from "./files.ts";
import { type Form, formOf } from "./form.ts";
import { VMA } from "./layout.ts";
import { type Process, readProcessTree } from "./process.ts";

export interface ProcessSummary {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Path of the program's file. */
  readonly program: string;
  readonly threads: number;
  readonly areas: number;
  /** Bytes of memory that the set holds. */
  readonly memoryBytes: number;
  readonly hasSeccomp: boolean;
  readonly isZombie: boolean;
}

export interface SetSummary {
  readonly form: Form;
  readonly processes: readonly ProcessSummary[];
  /** Number of open files by type. */
  readonly files: Readonly<Record<string, number>>;
  /** Internet sockets that are connected. */
  readonly connections: number;
  /** Paths of the files that are mapped as code. */
  readonly code: readonly string[];
  readonly mounts: number;
  readonly seccompFilters: number;
  readonly images: number;
  readonly bytes: number;
  /** Image files of kinds that are not known. */
  readonly unknownImages: readonly string[];
}

const TCP_ESTABLISHED = 1;
const PROT_EXECUTE = 4;

function mountsOf(source: ImageSource): MountEntry[] {
  const names = source.names.filter((name) => kindOf(name)?.name === "mountpoints");
  return names.flatMap((name) => decodeRecords(MountEntrySchema, name, readWhole(source, name)));
}

function countFiles(files: readonly FileEntry[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const file of files) {
    const name = fileTypeName(file);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function codeFiles(processes: readonly Process[], paths: ReadonlyMap<number, string>): string[] {
  const found = new Set<string>();
  for (const { mm } of processes) {
    for (const vma of mm.vmas) {
      if ((vma.prot & PROT_EXECUTE) === 0 || (vma.status & (VMA.filePrivate | VMA.fileShared)) === 0) continue;
      found.add(paths.get(Number(vma.shmid)) ?? `file ${vma.shmid}`);
    }
  }
  return [...found].sort();
}

/** Describes an image set in any form. */
export function describeSet(source: ImageSource): SetSummary {
  const tree = readProcessTree(source);
  const files = readFiles(source);
  const paths = regularFiles(files);
  const parents = new Map(
    decodeRecords(PstreeEntrySchema, "pstree.img", readWhole(source, "pstree.img")).map((e) => [e.pid, e.ppid]),
  );
  const commandOf = (comm: Uint8Array | undefined): string => text(comm ?? new Uint8Array(0)).replace(/\0.*$/s, "");
  const processes = tree.processes.map(
    ({ pid, mm, memory, threads }): ProcessSummary => ({
      pid,
      parent: parents.get(pid) ?? 0,
      name: commandOf(threads[0]!.core.tc?.comm),
      program: paths.get(mm.exeFileId) ?? "",
      threads: threads.length,
      areas: mm.vmas.length,
      memoryBytes: memory.presentPages * PAGE_BYTES,
      hasSeccomp: threads.some((thread) => (thread.core.threadCore?.seccompMode ?? 0) !== 0),
      isZombie: false,
    }),
  );
  const zombies = tree.zombies.map(({ tid, core }): ProcessSummary => {
    const none = { program: "", threads: 0, areas: 0, memoryBytes: 0, hasSeccomp: false, isZombie: true };
    return { pid: tid, parent: parents.get(tid) ?? 0, name: commandOf(core.tc?.comm), ...none };
  });
  const seccomp =
    source.sizeOf("seccomp.img") < 0
      ? []
      : decodeRecords(SeccompEntrySchema, "seccomp.img", readWhole(source, "seccomp.img"));
  const images = source.names.filter((name) => kindOf(name) !== undefined);
  return {
    form: formOf(source),
    processes: [...processes, ...zombies].sort((a, b) => a.pid - b.pid),
    files: countFiles(files),
    connections: files.filter((file) => file.isk?.state === TCP_ESTABLISHED).length,
    code: codeFiles(tree.processes, paths),
    mounts: mountsOf(source).length,
    seccompFilters: seccomp.reduce((sum, entry) => sum + entry.filters.length, 0),
    images: images.length,
    bytes: images.reduce((sum, name) => sum + source.sizeOf(name), 0),
    unknownImages: source.names.filter((name) => name.endsWith(".img") && kindOf(name) === undefined),
  };
}
