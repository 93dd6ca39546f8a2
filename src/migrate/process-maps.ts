// What the kernel tells of a container's processes on their node: their threads, the signals that they handle, and what they
// have mapped. Paths are the container's own.

import { listAt } from "../host/index.ts";
import type { Container } from "./container.ts";
import type { MigrationNode } from "./node.ts";

const MAPS =
  'for pid; do echo process; grep -E "^(Threads|SigCgt):" "/proc/$pid/status" 2>/dev/null; cat "/proc/$pid/maps" 2>/dev/null; done; :';

/** The lines Threads and SigCgt of each process, and those of its map. */
export async function readProcesses(node: MigrationNode, container: Container): Promise<string[][]> {
  const top = await node.docker.call("GET", `/containers/${container.id}/top?ps_args=-eo%20pid`);
  const pids = listAt(top, "Processes").map((row) => String(listAt(row)[0] ?? ""));
  const { stdout } = await node.shell.runChecked("sh", ["-c", MAPS, "sh", ...pids.filter((pid) => /^\d+$/.test(pid))]);
  return stdout.split(/^process$/m).map((text) => text.split("\n"));
}

/** Files that processes share with their map: what is written to them so leaves no trace until the kernel writes them back. */
export function sharedFiles(processes: readonly (readonly string[])[]): Set<string> {
  const found = new Set<string>();
  for (const line of processes.flat()) {
    const path = /^\S+ \S{3}s \S+ \S+ \d+ +(\/.*)$/.exec(line)?.[1];
    if (path !== undefined && !path.endsWith(" (deleted)")) found.add(path.replaceAll("\\012", "\n"));
  }
  return found;
}
