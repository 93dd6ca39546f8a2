// The arm64 node: a virtual machine in the amd64 node's network and pid namespaces (so it ends with them), with this
// machine's files. Two cards: ssh on one, the containers' segment on the other.
//
// The processor is neoverse-n1: it has LSE and RCpc, and no pointer authentication. With that (`-cpu max`) criu's restore
// of processes hangs in this emulation after it has restored the keys.

import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HostError } from "../base/index.ts";
import { lastLines, type NodeShell, remoteShell, runChecked } from "../host/index.ts";
import { launch } from "./amd64-node.ts";
import type { NodeDisk } from "./disk.ts";
import { findMachine, until } from "./machine.ts";
import { MACS, MANAGEMENT, SEGMENT_TAP } from "./network.ts";

const BOOT_TIMEOUT_MS = 240_000;
const LAUNCH_TIMEOUT_MS = 10_000;

export interface MachineOptions {
  readonly cpus: number;
  readonly memoryMiB: number;
}

const consoleOf = (directory: string): string => join(directory, "arm64/console.log");
const logOf = (directory: string): string => join(directory, "arm64/qemu.log");

const enter = (pid: number): string[] => ["nsenter", "--target", String(pid), "--net", "--pid"];

/** Starts the virtual machine; `waitForArm64` says when its engine answers. */
export async function startArm64(
  pid: number,
  directory: string,
  node: NodeDisk,
  options: MachineOptions,
): Promise<void> {
  await mkdir(join(directory, "arm64"), { recursive: true });
  const overlay = join(directory, "arm64/disk.qcow2");
  await runChecked("qemu-img", ["create", "-q", "-f", "qcow2", "-b", node.disk, "-F", "raw", overlay]);
  const card = (id: string, tap: string, mac: string): string[] => [
    ...["-netdev", `tap,id=${id},ifname=${tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=${id},mac=${mac},romfile=`],
  ];
  const machine = [
    ...["-name", "hcontainer-lab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-accel", "tcg,thread=multi,tb-size=512"],
    ...["-smp", String(options.cpus), "-m", String(options.memoryMiB)],
    ...["-kernel", node.kernel, "-initrd", node.initramfs],
    ...["-append", "console=ttyAMA0 loglevel=4 mitigations=off audit=0 panic=-1"],
    ...["-serial", `file:${consoleOf(directory)}`],
    ...["-drive", `if=none,id=disk,file=${overlay},format=qcow2,cache=unsafe`, "-device", "virtio-blk-pci,drive=disk"],
    ...["-device", "virtio-rng-pci"],
    ...card("management", MANAGEMENT.tap, MACS.management),
    ...card("segment", SEGMENT_TAP, MACS.segment),
  ];
  const [command, ...args] = [...enter(pid), "qemu-system-aarch64", ...machine];
  await launch(command!, args, directory, logOf(directory));
  await until(
    "the start of the virtual machine",
    LAUNCH_TIMEOUT_MS,
    () => findMachine(directory),
    () => readFile(logOf(directory), "utf8").catch(() => ""),
  );
}

/** Waits until the virtual machine says that its engine answers. */
export async function waitForArm64(directory: string): Promise<void> {
  const printed = (): Promise<string> => readFile(consoleOf(directory), "utf8").catch(() => "");
  const answer = await until(
    "the arm64 node's engine",
    BOOT_TIMEOUT_MS,
    async () => {
      const line = /hcontainer-lab: (.*)/.exec(await printed())?.[1];
      if (line !== undefined) return line;
      return (await findMachine(directory)) === undefined ? "the virtual machine ended" : undefined;
    },
    async () => lastLines(await printed(), 30),
  );
  if (answer.trim() === "ready") return;
  const log = (await readFile(logOf(directory), "utf8").catch(() => "")) + lastLines(await printed(), 30);
  throw new HostError("lab-machine", `the arm64 node did not start: ${answer}`, log);
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
