// The processes of an image set as recoding needs them: per process its tree entry, the core image of every thread, its
// memory map and its memory. Reading checks what the rest of the recoder relies on: one entry per process, threads that
// exist, areas that are page-aligned, ascending and apart.

import { InputError } from "../base/index.ts";
import {
  type CoreEntry,
  CoreEntrySchema,
  decodeRecords,
  decodeSingle,
  type ImageSource,
  Memory,
  type MmEntry,
  MmEntrySchema,
  PstreeEntrySchema,
  readWhole,
  type VmaEntry,
} from "../image/index.ts";
import { TASK } from "./layout.ts";

export interface Thread {
  readonly tid: number;
  readonly coreName: string;
  readonly core: CoreEntry;
}

export interface Process {
  readonly pid: number;
  /** "process 12 (sleep)", for messages. */
  readonly place: string;
  readonly mmName: string;
  readonly mm: MmEntry;
  readonly memory: Memory;
  /** The leader first. */
  readonly threads: readonly Thread[];
}

export interface ProcessTree {
  readonly processes: readonly Process[];
  /** Processes that have ended and wait for their parents: only a core image of little content. */
  readonly zombies: readonly Thread[];
}

const MAX_THREADS_IN_TREE = 100_000;
const PAGE = 4096n;

function refuse(message: string, place: string): never {
  throw new InputError("image-tree", message, place, "the image set is damaged or incomplete: copy it again");
}

function readThread(source: ImageSource, tid: number): Thread {
  const coreName = `core-${tid}.img`;
  return { tid, coreName, core: decodeSingle(CoreEntrySchema, coreName, readWhole(source, coreName)) };
}

/** The command name of a process, for messages. */
function commandName(core: CoreEntry): string {
  const name = String.fromCharCode(...(core.tc?.comm ?? []).slice(0, 16));
  return name.replace(/[^\x20-\x7e]/g, "");
}

/** Reads the process tree. Contents of the messages are the callers' to change; nothing is shared between calls. */
export function readProcessTree(source: ImageSource): ProcessTree {
  const tree = decodeRecords(PstreeEntrySchema, "pstree.img", readWhole(source, "pstree.img"));
  if (tree.length === 0) refuse("the process tree is empty", "pstree.img");
  const seen = new Set<number>();
  const claim = (tid: number): void => {
    if (tid <= 0 || tid >= 2 ** 31 || seen.has(tid)) refuse(`thread ${tid} is there twice or no thread`, "pstree.img");
    if (seen.size >= MAX_THREADS_IN_TREE) refuse(`more than ${MAX_THREADS_IN_TREE} threads`, "pstree.img");
    seen.add(tid);
  };
  const processes: Process[] = [];
  const zombies: Thread[] = [];
  for (const { pid, threads: tids } of tree) {
    claim(pid);
    const leader = readThread(source, pid);
    if (!leader.core.tc) refuse("the core image of a process has no task part", leader.coreName);
    if (leader.core.tc.taskState === TASK.dead) {
      zombies.push(leader);
      continue;
    }
    const threads = [leader];
    for (const tid of tids) {
      if (tid === pid) continue;
      claim(tid);
      threads.push(readThread(source, tid));
    }
    const mmName = `mm-${pid}.img`;
    const mm = decodeSingle(MmEntrySchema, mmName, readWhole(source, mmName));
    checkAreas(mm.vmas, mmName);
    const memory = Memory.read(source, `pagemap-${pid}.img`);
    processes.push({ pid, place: `process ${pid} (${commandName(leader.core)})`, mmName, mm, memory, threads });
  }
  return { processes, zombies };
}

function checkAreas(vmas: readonly VmaEntry[], place: string): void {
  let end = 0n;
  vmas.forEach((vma, index) => {
    if (vma.start < end || vma.end <= vma.start || vma.start % PAGE !== 0n || vma.end % PAGE !== 0n) {
      refuse("is not page-aligned or overlaps the one before", `${place} area ${index}`);
    }
    end = vma.end;
  });
}
