// Regular files of an image set, and the mount through which a container sees the node's directory.

import { create } from "@bufbuild/protobuf";
import { NODE_MOUNT, RUNTIME_FILE } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import {
  decodeRecords,
  encodeRecords,
  type FileEntry,
  FileEntrySchema,
  type ImageSource,
  MountEntrySchema,
  OwnerEntrySchema,
  RegFileEntrySchema,
  readWhole,
} from "../image/index.ts";
import { FILE_TYPE } from "./layout.ts";

export const FILES = "files.img";

const O_LARGEFILE_ARM64 = 0o400000;
/** Linux mount flags: read-only, no set-user-ID, no devices; as the OCI runtime mounts it. */
const MS_RDONLY_NOSUID_NODEV = 1 | 2 | 4;

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const encodeText = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

/** All files of the set, in order. */
export function readFiles(source: ImageSource): FileEntry[] {
  return decodeRecords(FileEntrySchema, FILES, readWhole(source, FILES));
}

/** The paths of regular files by id. */
export function regularFiles(files: readonly FileEntry[]): Map<number, string> {
  const paths = new Map<number, string>();
  for (const file of files) if (file.reg) paths.set(file.id, text(file.reg.name));
  return paths;
}

/** Whether a path is one of the node's own. */
export function isNodePath(path: string): boolean {
  return path === NODE_MOUNT || path.startsWith(`${NODE_MOUNT}/`);
}

/** Adds the runtime's file to `files` and gives its id. `mountId` is that of the mount it is on, or undefined. */
export function addRuntimeFile(files: FileEntry[], sizeBytes: number, mountId: number | undefined): number {
  let id = 0;
  for (const file of files) id = Math.max(id, file.id);
  id += 1;
  if (id >= 2 ** 31) throw new InputError("image-files", "file ids are used up", FILES);
  const owner = create(OwnerEntrySchema, { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 });
  const reg = create(RegFileEntrySchema, {
    id,
    flags: O_LARGEFILE_ARM64,
    pos: 0n,
    fown: owner,
    name: encodeText(`${NODE_MOUNT}/${RUNTIME_FILE}`),
    size: BigInt(sizeBytes),
  });
  if (mountId !== undefined) reg.mntId = mountId;
  files.push(create(FileEntrySchema, { type: FILE_TYPE.regular, id, reg }));
  return id;
}

/** Names of the images of mount namespaces. */
function mountImages(source: ImageSource): string[] {
  return source.names.filter((name) => /^mountpoints-\d+\.img$/.test(name));
}

export interface MountChange {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly mountId: number;
}

/** The mount of the node's directory added to the set's mount namespace; null when the set has none of its own. */
export function addNodeMount(source: ImageSource): MountChange | null {
  const [name, ...others] = mountImages(source);
  if (name === undefined) return null;
  if (others.length > 0) {
    throw new InputError(
      "mount-namespaces",
      `${others.length + 1} mount namespaces; only a container's own is supported`,
      others[0]!,
      "end the processes that made mount namespaces inside the container",
    );
  }
  const mounts = decodeRecords(MountEntrySchema, name, readWhole(source, name));
  const root = mounts.find((mount) => ["/", "./", "."].includes(text(mount.mountpoint)));
  if (!root) throw new InputError("image-mounts", "no mount is the root", name);
  for (const mount of mounts) {
    if (isNodePath(text(mount.mountpoint).replace(/^\.\//, "/"))) {
      throw new InputError("mount-taken", `the container has a mount on ${NODE_MOUNT} itself`, name);
    }
  }
  const mountId = mounts.reduce((max, mount) => Math.max(max, mount.mntId), 0) + 1;
  // As CRIU describes a bind mount of a container from outside; the engine's runtime names it by its place.
  const mount = create(MountEntrySchema, {
    fstype: 0,
    mntId: mountId,
    rootDev: mounts.reduce((max, m) => Math.max(max, m.rootDev), 0) + 1,
    parentMntId: root.mntId,
    flags: MS_RDONLY_NOSUID_NODEV,
    root: encodeText("/"),
    mountpoint: encodeText(NODE_MOUNT),
    source: encodeText("hcontainer"),
    options: encodeText(""),
    sharedId: 0,
    masterId: 0,
    sbFlags: 0,
    extKey: encodeText(NODE_MOUNT),
  });
  return { name, mountId, bytes: encodeRecords(MountEntrySchema, name, [mount, ...mounts]) };
}

/** The mount image without the node's mount; null when there is nothing to remove. */
export function removeNodeMount(source: ImageSource): { name: string; bytes: Uint8Array } | null {
  for (const name of mountImages(source)) {
    const mounts = decodeRecords(MountEntrySchema, name, readWhole(source, name));
    const kept = mounts.filter((mount) => !isNodePath(text(mount.mountpoint).replace(/^\.\//, "/")));
    if (kept.length !== mounts.length) return { name, bytes: encodeRecords(MountEntrySchema, name, kept) };
  }
  return null;
}
