// What of a whole image set stands in the way of recoding it, beside its threads and areas.

import {
  decodeSingle,
  type FileEntry,
  type ImageSource,
  kindOf,
  readWhole,
  type TaskKobjIdsEntry,
  TaskKobjIdsEntrySchema,
} from "../image/index.ts";
import type { Problems } from "./problems.ts";
import type { ProcessTree } from "./process.ts";

/** Types of files that have been looked at: FileEntry.type, and what a user calls them. */
const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [1, "regular file"],
  [2, "pipe"],
  [3, "named pipe"],
  [4, "internet socket"],
  [5, "Unix socket"],
  [6, "eventfd"],
  [7, "epoll"],
  [8, "inotify"],
  [9, "signalfd"],
  [10, "packet socket"],
  [11, "terminal"],
  [12, "fanotify"],
  [13, "netlink socket"],
  [14, "namespace"],
  [15, "tun device"],
  [16, "external file"],
  [17, "timerfd"],
  [18, "memfd"],
  [20, "pidfd"],
]);

/** Images whose content depends on the architecture in a way that is not recoded. */
const UNSUPPORTED_IMAGES: ReadonlyMap<string, string> = new Map([
  ["bpfmap-file", "BPF maps are not supported"],
  ["bpfmap-data", "BPF maps are not supported"],
]);

/** The name of a file's type, for messages. */
export function fileTypeName(file: FileEntry): string {
  return FILE_TYPES.get(file.type) ?? `type ${file.type}`;
}

/** Collects what is wrong with the set as a whole. */
export function checkSet(
  source: ImageSource,
  tree: ProcessTree,
  files: readonly FileEntry[],
  problems: Problems,
): void {
  for (const file of files) {
    if (!FILE_TYPES.has(file.type)) {
      problems.add("file-type", `open file ${file.id} is of type ${file.type}, which is not known`, "files.img");
    }
  }
  for (const name of source.names) {
    if (!name.endsWith(".img")) continue;
    const kind = kindOf(name);
    if (!kind) {
      problems.add(
        "image-unknown",
        "an image file of a kind that is not known",
        name,
        "it may hold something that depends on the architecture: use a newer version of hcontainer",
      );
      continue;
    }
    const reason = UNSUPPORTED_IMAGES.get(kind.name);
    if (reason !== undefined) problems.add("image-unsupported", reason, name);
  }
  checkSharing(source, tree, problems);
}

function readIds(source: ImageSource, name: string): TaskKobjIdsEntry {
  return decodeSingle(TaskKobjIdsEntrySchema, name, readWhole(source, name));
}

/** Two processes in one address space would share one process area. */
function checkSharing(source: ImageSource, tree: ProcessTree, problems: Problems): void {
  const owners = new Map<number, number>();
  for (const { pid, place, threads } of tree.processes) {
    const name = `ids-${pid}.img`;
    const ids = source.sizeOf(name) < 0 ? threads[0]!.core.ids : readIds(source, name);
    if (!ids) continue;
    const { vmId } = ids;
    const owner = owners.get(vmId);
    owners.set(vmId, pid);
    if (owner === undefined) continue;
    problems.add(
      "shared-memory-map",
      `processes ${owner} and ${pid} share one address space`,
      place,
      "dump again: a process was caught inside vfork",
    );
  }
}
