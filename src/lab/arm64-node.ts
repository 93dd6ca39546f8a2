// The arm64 node: a virtual machine in the amd64 node's network and pid namespaces (so it ends with them), with this
// machine's files. Two cards: ssh on one, the containers' segment on the other.
//
// It boots once: when its engine answers, its memory is saved beside what it wrote to its disk, and kept in the cache.
// From then on it resumes there, which takes a second or two instead of the better part of a minute.
//
// The processor is neoverse-n1: it has LSE and RCpc, and no pointer authentication. With that (`-cpu max`) criu's restore
// of processes hangs in this emulation after it has restored the keys.

import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HostError } from "../base/index.ts";
import { cached, lastLines, type NodeShell, quote, remoteShell, runChecked } from "../host/index.ts";
import { launch } from "./amd64-node.ts";
import type { NodeDisk } from "./disk.ts";
import { findMachine, until } from "./machine.ts";
import { MACS, MANAGEMENT, SEGMENT_TAP } from "./network.ts";
import { ControlSocket } from "./qmp.ts";
import type { Progress } from "./roots.ts";

const BOOT_TIMEOUT_MS = 240_000;
const LAUNCH_TIMEOUT_MS = 10_000;
const SAVE_TIMEOUT_MS = 60_000;
const RESUME_TIMEOUT_MS = 60_000;

export interface MachineOptions {
  readonly cpus: number;
  readonly memoryMiB: number;
}

/** What a run of the virtual machine needs: whose namespaces it enters, and where its files are. */
export interface MachinePlace {
  /** The first process of the amd64 node. */
  readonly pid: number;
  /** The lab's directory. */
  readonly directory: string;
  readonly node: NodeDisk;
  readonly options: MachineOptions;
}

interface Snapshot {
  /** What was written to the disk until the memory was saved. */
  readonly disk: string;
  readonly memory: string;
}

const fileOf = (place: MachinePlace, name: string): string => join(place.directory, "arm64", name);
const enter = (pid: number): string[] => ["nsenter", "--target", String(pid), "--net", "--pid"];
const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

async function machineLog(place: MachinePlace): Promise<string> {
  return (await textOf(fileOf(place, "qemu.log"))) + lastLines(await textOf(fileOf(place, "console.log")), 30);
}

/** A new disk whose unwritten parts are those of `backing`. */
async function makeOverlay(path: string, backing: string, format: "raw" | "qcow2"): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await runChecked("qemu-img", ["create", "-q", "-f", "qcow2", "-b", backing, "-F", format, path]);
}

/** Starts the virtual machine on `disk`; it saves and resumes only between runs with the same arguments. */
async function startMachine(place: MachinePlace, disk: string, extra: readonly string[]): Promise<ControlSocket> {
  const { node, options } = place;
  const card = (id: string, tap: string, mac: string): string[] => [
    ...["-netdev", `tap,id=${id},ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=${id},mac=${mac},romfile=`],
  ];
  const control = fileOf(place, "control");
  const machine = [
    ...["-name", "hcontainer-lab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-accel", "tcg,thread=multi,tb-size=512"],
    ...["-smp", String(options.cpus), "-m", String(options.memoryMiB)],
    ...["-kernel", node.kernel, "-initrd", node.initramfs],
    ...["-append", "console=ttyAMA0 loglevel=4 mitigations=off audit=0 panic=-1"],
    ...["-serial", `file:${fileOf(place, "console.log")}`, "-qmp", `unix:${control},server=on,wait=off`],
    ...["-drive", `if=none,id=disk,file=${disk},format=qcow2,cache=unsafe`, "-device", "virtio-blk-pci,drive=disk"],
    ...["-device", "virtio-rng-pci"],
    ...card("management", MANAGEMENT.tap, MACS.management),
    ...card("segment", SEGMENT_TAP, MACS.segment),
    ...extra,
  ];
  await rm(control, { force: true });
  const [command, ...args] = [...enter(place.pid), "qemu-system-aarch64", ...machine];
  await launch(command!, args, place.directory, fileOf(place, "qemu.log"));
  return until(
    "the start of the virtual machine",
    LAUNCH_TIMEOUT_MS,
    () => ControlSocket.open(control).catch(() => undefined),
    () => machineLog(place),
  );
}

/** Waits until the virtual machine says on its console that its engine answers. */
async function waitForBoot(place: MachinePlace): Promise<void> {
  const answer = await until(
    "the arm64 node's engine",
    BOOT_TIMEOUT_MS,
    async () => {
      const line = /hcontainer-lab: (.*)/.exec(await textOf(fileOf(place, "console.log")))?.[1];
      if (line !== undefined) return line;
      return (await findMachine(place.directory)) === undefined ? "the virtual machine ended" : undefined;
    },
    () => machineLog(place),
  );
  if (answer.trim() !== "ready")
    throw new HostError("lab-machine", `the arm64 node did not start: ${answer}`, await machineLog(place));
}

/** Writes the memory of the virtual machine to a file and ends it, so that its disk is as that memory left it. */
async function saveAndQuit(place: MachinePlace, control: ControlSocket, memory: string): Promise<void> {
  await control.execute("stop");
  // The default limit is that of a network.
  await control.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 40 });
  await control.execute("migrate", { uri: `exec:cat >${quote(memory)}` });
  await until("saving the virtual machine", SAVE_TIMEOUT_MS, async () => {
    const status = await control.status("query-migrate");
    if (status === "failed") throw new HostError("lab-machine", "the virtual machine could not be saved");
    return status === "completed" ? true : undefined;
  });
  await control.execute("quit");
  control.close();
  await until("the end of the virtual machine", SAVE_TIMEOUT_MS, async () =>
    (await findMachine(place.directory)) === undefined ? true : undefined,
  );
}

/** The node as it was when its engine first answered. */
async function snapshotOf(place: MachinePlace, progress: Progress): Promise<Snapshot> {
  const { cpus, memoryMiB } = place.options;
  const emulator = (await runChecked("qemu-system-aarch64", ["--version"])).stdout;
  // The disk's content has keys in it that are new with every build, so their digest names that build.
  const disk = await textOf(place.node.knownHosts);
  const directory = await cached(
    `snapshot ${emulator} ${disk} ${cpus} ${memoryMiB}`,
    "-snapshot-arm64",
    async (path) => {
      progress("arm64: booting for the first time");
      await mkdir(path, { recursive: true });
      const overlay = join(path, "disk.qcow2");
      await makeOverlay(overlay, place.node.disk, "raw");
      await mkdir(join(place.directory, "arm64"), { recursive: true });
      const control = await startMachine(place, overlay, []);
      await waitForBoot(place);
      progress("arm64: saving");
      await saveAndQuit(place, control, join(path, "memory"));
    },
  );
  return { disk: join(directory, "disk.qcow2"), memory: join(directory, "memory") };
}

/** Starts the node where its snapshot was taken, which is made first if there is none, and opens its shell. */
export async function startArm64(place: MachinePlace, progress: Progress): Promise<void> {
  const snapshot = await snapshotOf(place, progress);
  progress("arm64: starting");
  const overlay = fileOf(place, "disk.qcow2");
  await makeOverlay(overlay, snapshot.disk, "qcow2");
  const control = await startMachine(place, overlay, ["-incoming", `exec:cat ${quote(snapshot.memory)}`]);
  await until(
    "resuming the virtual machine",
    RESUME_TIMEOUT_MS,
    async () => {
      const status = await control.status("query-status");
      // It was stopped when it was saved, and comes back so.
      if (status === "paused" || status === "prelaunch") await control.execute("cont");
      return status === "running" ? true : undefined;
    },
    () => machineLog(place),
  );
  control.close();
  const shell = await arm64Shell(place.pid, place.directory, place.node);
  // Its clock stopped when it was saved. Opening the connection takes seconds, using it does not.
  await shell.runChecked("true", [], { timeoutMs: RESUME_TIMEOUT_MS });
  await shell.runChecked("date", ["-s", `@${(Date.now() / 1000).toFixed(3)}`], { timeoutMs: RESUME_TIMEOUT_MS });
}

/** The shell of the arm64 node. */
export async function arm64Shell(pid: number, directory: string, node: NodeDisk): Promise<NodeShell> {
  // ssh takes a key only when nobody else can read it; say so here rather than in its riddle.
  if (((await stat(node.identity)).mode & 0o077) !== 0)
    throw new HostError("lab-key", `${node.identity} can be read by others, so ssh refuses it`);
  return remoteShell("arm64", {
    host: MANAGEMENT.arm64,
    identityPath: node.identity,
    knownHostsPath: node.knownHosts,
    prefix: enter(pid),
    controlPath: join(directory, "ssh"),
  });
}
