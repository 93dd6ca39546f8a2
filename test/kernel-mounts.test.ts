// Mounts that one kernel has no place for leave the set and come back as they were.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { applyInMemory, decodeRecords, encodeRecords, MemoryImages, MountEntrySchema } from "../src/image/index.ts";
import { displaceMounts, replaceMounts } from "../src/oci/kernel-mounts.ts";

const NAME = "mountpoints-13.img";
const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text));

type Row = readonly [id: number, parent: number, device: number, path: string, fstype: number];
/** In CRIU's order: what is mounted on something comes before it. */
const HOME: readonly Row[] = [
  [229, 420, 110, "/proc/timer_list", 5],
  [227, 420, 115, "/proc/acpi", 5],
  [451, 428, 36, "/sys/fs/cgroup/pids", 12],
  [428, 426, 113, "/sys/fs/cgroup", 5],
  [488, 418, 254 << 20, "/etc/hosts", 0],
  [426, 418, 112, "/sys", 2],
  [422, 418, 110, "/dev", 5],
  [420, 418, 109, "/proc", 1],
  [418, 84, 101, "/", 17],
];

function imagesOf(rows: readonly Row[], files: readonly [string, string][]): MemoryImages {
  const mounts = rows.map(([mntId, parentMntId, rootDev, path, fstype]) =>
    create(MountEntrySchema, { fstype, mntId, rootDev, parentMntId, mountpoint: bytes(path), root: bytes("/") }),
  );
  const content = files.map(([name, text]): [string, Uint8Array] => [name, bytes(text)]);
  return new MemoryImages(new Map([[NAME, encodeRecords(MountEntrySchema, NAME, mounts)], ...content]));
}

/** Mounts with numbers replaced by what they stand for, so that two kernels' sets can be compared. */
function describe(images: MemoryImages): string[] {
  const mounts = decodeRecords(MountEntrySchema, NAME, images.files.get(NAME)!);
  const path = (id: number): string => {
    const found = mounts.find((mount) => mount.mntId === id);
    return found ? Buffer.from(found.mountpoint).toString() : "outside";
  };
  return mounts
    .map((mount) => {
      const image = images.files.get(`tmpfs-dev-${mount.rootDev}.tar.gz.img`);
      const sharing = mounts.filter((other) => other.rootDev === mount.rootDev).map((other) => path(other.mntId));
      const content = image ? Buffer.from(image).toString() : "";
      return `${path(mount.mntId)} on ${path(mount.parentMntId)} type ${mount.fstype} with ${sharing.sort()} ${content}`;
    })
    .sort();
}

const FILES: readonly [string, string][] = [
  ["tmpfs-dev-110.tar.gz.img", "dev"],
  ["tmpfs-dev-113.tar.gz.img", "cgroup"],
  ["tmpfs-dev-115.tar.gz.img", "acpi"],
];

test("control groups and masks over missing files leave; the rest stays", () => {
  const home = imagesOf(HOME, FILES);
  const { changes, kept } = displaceMounts(home, new Map(), (path) => path !== "/proc/acpi");
  const abroad = applyInMemory(home, changes);
  const left = decodeRecords(MountEntrySchema, NAME, abroad.files.get(NAME)!);
  const paths = left.map((mount) => Buffer.from(mount.mountpoint).toString());
  assert.deepEqual(paths, ["/proc/timer_list", "/sys", "/dev", "/proc", "/"].toSpliced(1, 0, "/etc/hosts"));
  assert.deepEqual([...abroad.files.keys()].sort(), [NAME, "tmpfs-dev-110.tar.gz.img"]);
  assert.ok(kept.has("tmpfs-dev-113.tar.gz.img") && kept.has("tmpfs-dev-115.tar.gz.img"));
});

test("after a stay under a kernel with other numbers everything is where it was", () => {
  const home = imagesOf(HOME, FILES);
  const { kept } = displaceMounts(home, new Map(), (path) => path !== "/proc/acpi" && path !== "/proc/timer_list");
  // The same mounts as another kernel numbers them; 427 and 113 are taken there by something else.
  const abroad = imagesOf(
    [
      [60, 50, 254 << 20, "/etc/hosts", 0],
      [427, 50, 113, "/sys", 2],
      [51, 50, 36, "/dev", 5],
      [428, 50, 115, "/proc", 1],
      [50, 7, 30, "/", 17],
    ],
    [["tmpfs-dev-36.tar.gz.img", "dev"]],
  );
  const back = applyInMemory(abroad, replaceMounts(abroad, new Map(), kept));
  assert.deepEqual(describe(back), describe(home));
  const devices = decodeRecords(MountEntrySchema, NAME, back.files.get(NAME)!).map((mount) => mount.rootDev);
  // Only what is on a disk at home may have a disk's number.
  assert.deepEqual(
    devices.filter((device) => device >= 1 << 20),
    [254 << 20],
  );
});
