// Mounts that the home kernel had and this one has no place for: control groups (whose hierarchies differ between
// kernels and set-ups) and masks over files of /proc and /sys that do not exist here. They are left out of what is
// restored and kept, with the contents of their tmpfs, so that the way home puts them back where they were.

import type { Changes, Content, ImageSource, MountEntry } from "../image/index.ts";
import { decodeRecords, encodeRecords, MountEntrySchema, readWhole } from "../image/index.ts";

/** What was left out, as files to keep by the container. */
export type Kept = ReadonlyMap<string, Uint8Array>;

/** Names of the files in which mounts are kept. */
const MOUNTS = "mountpoints.img";
const PLACES = "places.json";
/** Device numbers as CRIU writes them: the major number above this many minor ones. */
const MINORS = 1 << 20;
const CONTROL_GROUPS = "/sys/fs/cgroup";

/** By number as it was at home: path of a mount that stayed. */
interface Places {
  /** Parents of kept mounts. */
  readonly parents: Readonly<Record<string, string>>;
  /** File systems that kept mounts share with one that stayed. */
  readonly devices: Readonly<Record<string, string>>;
}

const pathOf = (mount: MountEntry): string =>
  Buffer.from(mount.mountpoint)
    .toString("utf8")
    .replace(/^\.\/?/, "/");
const isBelow = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`);
const tmpfsImage = (device: number): string => `tmpfs-dev-${device}.tar.gz.img`;

function mountImage(names: readonly string[]): string | undefined {
  return names.find((name) => /^mountpoints-\d+\.img$/.test(name));
}

function contentOf(source: ImageSource, changes: Changes, name: string): Uint8Array {
  const changed = changes.get(name);
  return changed instanceof Uint8Array ? changed : readWhole(source, name);
}

/** Mounts that cannot be here, and all that are on them. */
function findDisplaced(mounts: readonly MountEntry[], exists: (path: string) => boolean): Set<number> {
  const displaced = new Set<number>();
  for (const mount of mounts) {
    const path = pathOf(mount);
    const isKernels = isBelow(path, "/proc") || isBelow(path, "/sys");
    if (isBelow(path, CONTROL_GROUPS) || (isKernels && !exists(path))) displaced.add(mount.mntId);
  }
  for (let before = -1; before !== displaced.size; ) {
    before = displaced.size;
    for (const mount of mounts) if (displaced.has(mount.parentMntId)) displaced.add(mount.mntId);
  }
  return displaced;
}

/** Takes what this kernel has no place for out of a set; `exists` says whether a path of /proc or /sys is here. */
export function displaceMounts(
  source: ImageSource,
  changes: Changes,
  exists: (path: string) => boolean,
): { changes: Changes; kept: Kept } {
  const name = mountImage(source.names);
  if (name === undefined) return { changes, kept: new Map() };
  const mounts = decodeRecords(MountEntrySchema, name, contentOf(source, changes, name));
  const displaced = findDisplaced(mounts, exists);
  if (displaced.size === 0) return { changes, kept: new Map() };
  const away = mounts.filter((mount) => displaced.has(mount.mntId));
  const here = mounts.filter((mount) => !displaced.has(mount.mntId));
  const parents: Record<string, string> = {};
  const devices: Record<string, string> = {};
  const next = new Map<string, Content | null>(changes);
  const kept = new Map<string, Uint8Array>([[MOUNTS, encodeRecords(MountEntrySchema, name, away)]]);
  for (const mount of away) {
    const parent = here.find((other) => other.mntId === mount.parentMntId);
    if (parent !== undefined) parents[mount.parentMntId] = pathOf(parent);
    const twin = here.find((other) => other.rootDev === mount.rootDev);
    if (twin !== undefined) {
      devices[mount.rootDev] = pathOf(twin);
      continue;
    }
    const image = tmpfsImage(mount.rootDev);
    if (source.sizeOf(image) < 0) continue;
    kept.set(image, readWhole(source, image));
    next.set(image, null);
  }
  next.set(name, encodeRecords(MountEntrySchema, name, here));
  kept.set(PLACES, Buffer.from(JSON.stringify({ parents, devices } satisfies Places)));
  return { changes: next, kept };
}

/** Puts the kept mounts back into a set in home form. */
export function replaceMounts(source: ImageSource, changes: Changes, kept: Kept): Changes {
  const name = mountImage(source.names);
  const away = kept.get(MOUNTS);
  const text = kept.get(PLACES);
  if (name === undefined || away === undefined || text === undefined) return changes;
  const places = JSON.parse(Buffer.from(text).toString("utf8")) as Places;
  const here = decodeRecords(MountEntrySchema, name, contentOf(source, changes, name));
  const byPath = new Map(here.map((mount) => [pathOf(mount), mount]));
  let nextId = here.reduce((max, mount) => Math.max(max, mount.mntId), 0) + 1;
  // File systems without a disk have numbers below MINORS; CRIU looks for a disk behind the others.
  const diskless = here.map((mount) => mount.rootDev).filter((device) => device < MINORS);
  let nextDevice = Math.max(0, ...diskless) + 1;
  const mounts = decodeRecords(MountEntrySchema, name, away);
  const ids = new Map(mounts.map((mount) => [mount.mntId, nextId++]));
  const devices = new Map<number, number>();
  const next = new Map<string, Content | null>(changes);
  for (const mount of mounts) {
    const old = mount.rootDev;
    if (!devices.has(old)) {
      const twin = byPath.get(places.devices[old] ?? "");
      devices.set(old, twin?.rootDev ?? nextDevice++);
      const content = kept.get(tmpfsImage(old));
      if (content !== undefined) next.set(tmpfsImage(devices.get(old)!), content);
    }
    mount.rootDev = devices.get(old)!;
    mount.mntId = ids.get(mount.mntId)!;
    const parent = ids.get(mount.parentMntId) ?? byPath.get(places.parents[mount.parentMntId] ?? "")?.mntId;
    mount.parentMntId = parent ?? here.at(-1)!.mntId;
  }
  // CRIU lists a mount before the one that it is on.
  next.set(name, encodeRecords(MountEntrySchema, name, [...mounts, ...here]));
  return next;
}
