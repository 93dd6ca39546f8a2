// What each file of an image set is, by its name: the magic number that it starts with, what its first and its further
// records are, and which raw bytes follow a record. Facts from CRIU's documentation (https://criu.org/Images).

import type { DescMessage, Message } from "@bufbuild/protobuf";
import * as pb from "./gen/criu_pb.ts";

/** Magic numbers: of image files in general, of service files, and of the inventory, which stands alone. */
export const COMMON_MAGIC = 0x5456_4319;
export const SERVICE_MAGIC = 0x5510_5940;

export interface ImageKind {
  /** Name of the file up to the first `-` or `.`, longest match wins. */
  readonly name: string;
  /** Type magic; 0 for raw files without any framing. */
  readonly magic: number;
  /** True for the inventory, which has the type magic only. */
  readonly isLone?: boolean;
  /** True for files that start with the service magic. */
  readonly isService?: boolean;
  /** Schema of the first record if it differs. */
  readonly head?: DescMessage;
  /** Schema of the (other) records; absent when we do not look into them. */
  readonly record?: DescMessage;
  /** Number of raw bytes behind a record, or "rest": everything behind the first record is raw. */
  readonly extra?: "rest" | ((message: Message) => number);
}

const length =
  <M extends Message>(of: (message: M) => number) =>
  (message: Message): number =>
    of(message as M);

const raw = (name: string): ImageKind => ({ name, magic: 0 });

/** Every kind of image that we know. */
export const IMAGE_KINDS: readonly ImageKind[] = [
  { name: "inventory", magic: 0x5831_3116, isLone: true, record: pb.InventoryEntrySchema },
  { name: "pstree", magic: 0x5027_3030, record: pb.PstreeEntrySchema },
  { name: "core", magic: 0x5505_3847, record: pb.CoreEntrySchema },
  { name: "ids", magic: 0x5443_2030, record: pb.TaskKobjIdsEntrySchema },
  { name: "mm", magic: 0x5749_2820, record: pb.MmEntrySchema },
  { name: "pagemap", magic: 0x5608_4025, head: pb.PagemapHeadSchema, record: pb.PagemapEntrySchema },
  { name: "pagemap-shmem", magic: 0x5608_4025, head: pb.PagemapHeadSchema, record: pb.PagemapEntrySchema },
  raw("pages"),
  { name: "fdinfo", magic: 0x5621_3732, record: pb.FdinfoEntrySchema },
  { name: "files", magic: 0x5630_3138, record: pb.FileEntrySchema },
  { name: "fs", magic: 0x5140_3912 },
  { name: "seccomp", magic: 0x6441_3049, record: pb.SeccompEntrySchema },
  { name: "mountpoints", magic: 0x5556_3928, record: pb.MountEntrySchema },
  { name: "cpuinfo", magic: 0x6140_4013, record: pb.CpuinfoEntrySchema },
  { name: "cgroup", magic: 0x5938_3330 },
  { name: "creds", magic: 0x5402_3547 },
  { name: "utsns", magic: 0x5447_3203 },
  { name: "timens", magic: 0x4311_4433 },
  { name: "userns", magic: 0x5547_4906 },
  { name: "pidns", magic: 0x6115_7326 },
  { name: "netdev", magic: 0x5737_3951 },
  { name: "netns", magic: 0x5593_3752 },
  { name: "ipcns-var", magic: 0x5311_5007 },
  { name: "ipcns-shm", magic: 0x4628_3044 },
  { name: "ipcns-msg", magic: 0x5545_3737, extra: "rest" },
  { name: "ipcns-sem", magic: 0x5957_3019, extra: "rest" },
  { name: "tty-info", magic: 0x5945_3036, record: pb.TtyInfoEntrySchema },
  { name: "tty-data", magic: 0x5941_3026 },
  { name: "memfd", magic: 0x4845_3499 },
  { name: "filelocks", magic: 0x5432_3616 },
  { name: "remap-fpath", magic: 0x5913_3954 },
  { name: "ghost-file", magic: 0x5258_3605, extra: "rest" },
  { name: "apparmor", magic: 0x5942_3047 },
  { name: "autofs", magic: 0x4935_3943 },
  { name: "binfmt-misc", magic: 0x6734_3323 },
  { name: "bpfmap-file", magic: 0x5750_6142 },
  { name: "bpfmap-data", magic: 0x6432_4033, extra: "rest" },
  { name: "pidfd", magic: 0x5443_5556 },
  {
    name: "pipes-data",
    magic: 0x5645_3709,
    record: pb.PipeDataEntrySchema,
    extra: length((m: pb.PipeDataEntry) => m.bytes),
  },
  {
    name: "fifo-data",
    magic: 0x5933_3054,
    record: pb.PipeDataEntrySchema,
    extra: length((m: pb.PipeDataEntry) => m.bytes),
  },
  {
    name: "sk-queues",
    magic: 0x5626_4026,
    record: pb.SkPacketEntrySchema,
    extra: length((m: pb.SkPacketEntry) => m.length),
  },
  {
    name: "tcp-stream",
    magic: 0x5146_5506,
    record: pb.TcpStreamEntrySchema,
    extra: length((m: pb.TcpStreamEntry) => m.inqLen + m.outqLen),
  },
  { name: "stats", magic: 0x5709_3306, isService: true },
  { name: "irmap-cache", magic: 0x5700_4059, isService: true },
  raw("iptables"),
  raw("ip6tables"),
  raw("nftables"),
  raw("ifaddr"),
  raw("route"),
  raw("route6"),
  raw("rule"),
  raw("netns-ct"),
  raw("netns-exp"),
  raw("tmpfs"),
  raw("tmpfs-dev"),
];

/** The kind of the image file `name` (without directories), or undefined when it is none that we know. */
export function kindOf(name: string): ImageKind | undefined {
  if (!/\.(img|tar\.gz\.img)$/.test(name) && !/^(stats|irmap)-/.test(name)) return undefined;
  let best: ImageKind | undefined;
  for (const kind of IMAGE_KINDS) {
    if (!name.startsWith(kind.name) || !/^[-.]/.test(name.slice(kind.name.length))) continue;
    if (best === undefined || kind.name.length > best.name.length) best = kind;
  }
  return best;
}
