// Directory trees from node to node: a snapshot says what a tree holds, two snapshots say what changed in between, and
// tar carries the difference with owners, modes, times, links, holes and extended attributes (overlay keeps its
// whiteouts and opaque marks as device files and attributes). The bytes never enter this process.

import { HostError } from "../base/index.ts";
import { runPipeline } from "../host/index.ts";
import type { MigrationNode } from "./node.ts";

/** Path relative to the tree's root → what must be equal for the entry to be unchanged. */
export type Snapshot = ReadonlyMap<string, string>;

export interface TreeDifference {
  /** Entries to copy, directories before what is in them. */
  readonly changed: readonly string[];
  /** Entries that are gone, or whose type differs. */
  readonly removed: readonly string[];
}

const PACK = 'cd "$1" && tar --null --no-recursion --numeric-owner --sparse --xattrs --xattrs-include="*" -c -f - -T -';
const UNPACK = 'mkdir -p "$1" && cd "$1" && tar --numeric-owner -p --xattrs --xattrs-include="*" -x -f -';

/** What a tree holds now. Entries that vanish while it is read are left out. */
export async function snapshot(node: MigrationNode, directory: string, exclude: readonly string[]): Promise<Snapshot> {
  const format = "%P\\0%y %m %U:%G %s %i %T@ %C@\\0";
  const result = await node.shell.run("find", [directory, "-mindepth", "1", "-printf", format]);
  if (result.status !== 0 && result.stdout === "" && result.stderr !== "")
    throw new HostError("tree-unreadable", `cannot read ${directory} on ${node.name}`, result.stderr);
  const fields = result.stdout.split("\0");
  const entries = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const path = fields[i]!;
    if (!exclude.some((name) => path === name || path.startsWith(`${name}/`))) entries.set(path, fields[i + 1]!);
  }
  return entries;
}

/** Seconds since 1970 by the node's clock. */
export async function clockOf(node: MigrationNode): Promise<number> {
  return Number((await node.shell.runChecked("date", ["+%s.%N"])).stdout);
}

/** Kernels give files the time of their last tick, which is up to a hundredth of a second old. */
const TICK_SECONDS = 0.1;

/**
 * What of a snapshot of a living tree tells of a later change: a file that was changed at about the time \`since\` or later may be
 * changed again within the same tick, and those that processes have mapped (\`shared\`, by path in the tree) are written to
 * without a sign. Such entries will never be unchanged.
 */
export function settledPart(state: Snapshot, since: number, shared: ReadonlySet<string>): Snapshot {
  const inodes = new Set<string>();
  for (const path of shared) {
    const known = state.get(path);
    if (known !== undefined) inodes.add(inodeOf(known));
  }
  const isSettled = (entry: string): boolean =>
    Number(entry.split(" ")[6]) < since - TICK_SECONDS && !inodes.has(inodeOf(entry));
  return new Map([...state].map(([path, entry]) => [path, isSettled(entry) ? entry : `${entry[0]} unsettled`]));
}

const inodeOf = (entry: string): string => entry.split(" ")[4]!;

/** What has to be done to a copy made at `before` so that it becomes `after`. */
export function difference(before: Snapshot, after: Snapshot): TreeDifference {
  const changed: string[] = [];
  const removed: string[] = [];
  for (const [path, state] of after) {
    const old = before.get(path);
    if (old === state) continue;
    changed.push(path);
    if (old !== undefined && old[0] !== state[0]) removed.push(path);
  }
  for (const path of before.keys()) if (!after.has(path)) removed.push(path);
  return { changed: changed.sort(), removed };
}

/** Removes entries of a tree, whatever they are. */
async function removeEntries(node: MigrationNode, directory: string, entries: readonly string[]): Promise<void> {
  if (entries.length === 0) return;
  await node.shell.runChecked("sh", ["-c", 'cd "$1" && xargs -0 rm -rf --', "sh", directory], {
    input: entries.map((entry) => `./${entry}\0`).join(""),
  });
}

/**
 * Copies entries of a tree (all of them named, directories alone) to the other node's directory. A file that changes
 * while it is read is not an error here: whoever copies a live tree copies the difference again at rest.
 */
async function copyEntries(
  source: MigrationNode,
  from: string,
  target: MigrationNode,
  to: string,
  entries: readonly string[],
  isLive: boolean,
): Promise<void> {
  if (entries.length === 0) return;
  // tar's status 1 says that a file changed while it was read; 2 with --ignore-failed-read gone files do not cause.
  const script = isLive ? `(${PACK} --ignore-failed-read --warning=no-file-changed) || [ $? -eq 1 ]` : PACK;
  const pack = source.shell.commandLine("sh", ["-c", script, "sh", from]);
  const unpack = target.shell.commandLine("sh", ["-c", UNPACK, "sh", to]);
  await runPipeline([pack, unpack], { input: entries.map((entry) => `./${entry}\0`).join("") });
}

/** Makes the tree at the target what `after` says of the source, given that it is a copy of `before`. */
export async function applyDifference(
  source: MigrationNode,
  from: string,
  target: MigrationNode,
  to: string,
  changes: TreeDifference,
  isLive: boolean,
): Promise<void> {
  await removeEntries(target, to, changes.removed);
  await copyEntries(source, from, target, to, changes.changed, isLive);
}

const SUMS = 'cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum';

/** Copies a directory at rest and makes sure that every file arrived whole. Answers the bytes of its files. */
export async function copyDirectory(
  source: MigrationNode,
  from: string,
  target: MigrationNode,
  to: string,
): Promise<void> {
  const sums = source.shell.runChecked("sh", ["-c", SUMS, "sh", from]);
  await runPipeline([
    source.shell.commandLine("tar", ["-C", from, "--numeric-owner", "--sparse", "-c", "-f", "-", "."]),
    target.shell.commandLine("sh", ["-c", UNPACK, "sh", to]),
  ]);
  const check = await target.shell.run("sh", ["-c", 'cd "$1" && sha256sum --quiet -c -', "sh", to], {
    input: (await sums).stdout,
  });
  if (check.status !== 0)
    throw new HostError(
      "transfer-damaged",
      `${to} on ${target.name} differs from ${from} on ${source.name}`,
      check.stdout,
    );
}
