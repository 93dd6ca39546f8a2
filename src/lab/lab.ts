// The lab's life: up, attach, status, down. Its directory holds what it writes; a lab is running when its first process
// is (see machine.ts).

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostError, InputError } from "../base/index.ts";
import { cacheDirectory, type NodeShell, run, withLock } from "../host/index.ts";
import { amd64Shell, clientShell, startAmd64, waitForAmd64 } from "./amd64-node.ts";
import { arm64Shell, type MachineOptions, startArm64 } from "./arm64-node.ts";
import { arm64Disk, filesOf } from "./disk.ts";
import { controlGroup, findFirstProcess, findMachine, leftovers, runningLabs, sweep } from "./machine.ts";
import { CLIENT, NETWORK, SEGMENT, SUBNET } from "./network.ts";
import type { Architecture } from "./recipe.ts";
import { amd64Root, type Progress } from "./roots.ts";

const STATUS_TIMEOUT_MS = 30_000;
/** A lab that does not answer for longer is broken and is started anew. */
const ANSWER_TIMEOUT_MS = 180_000;
const ANSWER_PAUSE_MS = 500;

export interface LabOptions {
  /** Where the lab keeps what it writes; `labDirectory()` unless said. */
  readonly directory?: string;
  readonly cpus?: number;
  readonly memoryMiB?: number;
}

export interface LabNode {
  readonly name: Architecture;
  readonly architecture: Architecture;
  readonly shell: NodeShell;
  /** The node's own address on the segment. */
  readonly address: string;
}

export interface Lab {
  readonly directory: string;
  readonly nodes: Readonly<Record<Architecture, LabNode>>;
  /** This machine's programs and files, with the network of a client on the segment. */
  readonly client: NodeShell;
  /** The Docker network of both nodes, on whose addresses containers can keep theirs when they move. */
  readonly network: { readonly name: string; readonly subnet: string; readonly clientAddress: string };
}

export interface LabStatus {
  readonly running: boolean;
  readonly directory: string;
  readonly nodes: readonly NodeStatus[];
}

export interface NodeStatus {
  readonly name: Architecture;
  /** `starting` when its processes run and its engine does not answer. */
  readonly state: "ready" | "starting" | "down";
  /** The node's own address on the segment. */
  readonly address?: string;
  readonly kernel?: string;
  readonly engine?: string;
  readonly criu?: string;
  readonly containers?: number;
}

interface Running {
  readonly nodeDirectory: string;
}

/** The lab's directory: HCONTAINER_LAB_DIRECTORY, or one for the whole machine. */
export function labDirectory(): string {
  const { HCONTAINER_LAB_DIRECTORY: own } = process.env;
  return resolve(own || "/var/lib/hcontainer/lab");
}

// Not in the lab's directory, which goes away, nor beside it, where it would stay.
const lockOf = (directory: string): string => `/run/lock/${controlGroup(directory)}`;
const recordOf = (directory: string): string => join(directory, "lab.json");

async function compose(directory: string, pid: number, nodeDirectory: string): Promise<Lab> {
  const node = (name: Architecture, shell: NodeShell): LabNode => ({
    name,
    architecture: name,
    shell,
    address: SEGMENT[name].gateway,
  });
  return {
    directory,
    nodes: {
      amd64: node("amd64", amd64Shell(pid)),
      arm64: node("arm64", await arm64Shell(pid, directory, filesOf(nodeDirectory))),
    },
    client: clientShell(pid),
    network: { name: NETWORK, subnet: SUBNET, clientAddress: CLIENT.address },
  };
}

/** Programs that the lab runs on this machine, with the Debian package that has each. */
const PROGRAMS: readonly (readonly [program: string, package_: string])[] = [
  ["mmdebstrap", "mmdebstrap"],
  ["qemu-system-aarch64", "qemu-system-arm"],
  ["qemu-img", "qemu-utils"],
  ["mkfs.ext4", "e2fsprogs"],
  ["depmod", "kmod"],
  ["xz", "xz-utils"],
  ["cpio", "cpio"],
  ["ssh", "openssh-client"],
  ["ssh-keygen", "openssh-client"],
  ["unshare", "util-linux"],
  ["nsenter", "util-linux"],
  ["npm", "npm"],
  ["gcc", "gcc"],
];

async function checkMachine(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new InputError("lab-needs-root", "the lab makes namespaces and mounts", "", "run it as root");
  const missing: string[] = [];
  for (const [program, package_] of PROGRAMS)
    if ((await run("sh", ["-c", 'command -v "$1"', "sh", program])).status !== 0) missing.push(package_);
  if (missing.length > 0)
    throw new InputError(
      "lab-needs-packages",
      "programs that the lab needs are not installed",
      "",
      `apt-get install ${[...new Set(missing)].join(" ")}`,
    );
}

async function start(directory: string, options: MachineOptions, progress: Progress): Promise<Lab> {
  progress("building or finding the nodes");
  const [root, disk] = await Promise.all([amd64Root(progress), arm64Disk(progress)]);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  progress("amd64: starting");
  const pid = await startAmd64(directory, root);
  const nodeDirectory = resolve(disk.disk, "..");
  const running: Running = { nodeDirectory };
  await writeFile(recordOf(directory), `${JSON.stringify(running)}\n`);
  await Promise.all([
    waitForAmd64(pid).then(() => progress("amd64: ready")),
    startArm64({ pid, directory, node: disk, options }, progress).then(() => progress("arm64: ready")),
  ]);
  return compose(directory, pid, nodeDirectory);
}

/** Whether the lab runs and its nodes answer. A node with much to do is slow: what it does must not end for that. */
async function answers(directory: string): Promise<boolean> {
  const end = performance.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    const { nodes } = await status(directory);
    if (nodes.every((node) => node.state === "ready")) return true;
    if (nodes.some((node) => node.state === "down") || performance.now() > end) return false;
    await sleep(ANSWER_PAUSE_MS);
  }
}

/** Brings the lab up, or finds it up. What a crashed one left is removed first; a lab that does not come up goes away. */
export async function up(options: LabOptions, progress: Progress): Promise<Lab> {
  await checkMachine();
  const directory = resolve(options.directory ?? labDirectory());
  return withLock(lockOf(directory), async () => {
    if (await answers(directory)) return attach(directory);
    await sweep(directory);
    const interrupted = (): void => {
      void sweep(directory).finally(() => process.exit(130));
    };
    process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
    try {
      const machine = { cpus: options.cpus ?? 2, memoryMiB: options.memoryMiB ?? 3072 };
      return await start(directory, machine, progress);
    } catch (error) {
      await sweep(directory);
      throw error;
    } finally {
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
    }
  });
}

/** The lab that is running. */
export async function attach(directory: string = labDirectory()): Promise<Lab> {
  const pid = await findFirstProcess(directory);
  const record = await readFile(recordOf(directory), "utf8").catch(() => undefined);
  if (pid === undefined || record === undefined)
    throw new HostError("lab-not-running", `no lab runs at ${directory}: start it with "hcontainer lab up"`);
  const { nodeDirectory } = JSON.parse(record) as Running;
  return compose(directory, pid, nodeDirectory);
}

async function nodeStatus(node: LabNode): Promise<NodeStatus> {
  // One command, so that a node far away is asked once.
  const script =
    "uname -r; criu --version | sed -n 's/Version: //p'; docker version -f '{{.Server.Version}}' && docker ps -q | wc -l";
  const result = await node.shell.run("sh", ["-c", script], { timeoutMs: STATUS_TIMEOUT_MS }).catch(() => undefined);
  if (result === undefined || result.status !== 0) return { name: node.name, state: "starting" };
  const [kernel, criu, engine, containers] = result.stdout.trim().split("\n");
  return {
    name: node.name,
    state: "ready",
    address: node.address,
    ...(kernel === undefined ? {} : { kernel }),
    ...(criu === undefined ? {} : { criu }),
    ...(engine === undefined ? {} : { engine }),
    containers: Number(containers),
  };
}

/** Whether the lab runs, and what its nodes answer. */
export async function status(directory: string = labDirectory()): Promise<LabStatus> {
  const down = (name: Architecture): NodeStatus => ({ name, state: "down" });
  const lab = await attach(directory).catch(() => undefined);
  if (lab === undefined) return { running: false, directory, nodes: [down("amd64"), down("arm64")] };
  const machine = await findMachine(directory);
  const nodes = await Promise.all([
    nodeStatus(lab.nodes.amd64),
    machine === undefined ? down("arm64") : nodeStatus(lab.nodes.arm64),
  ]);
  return { running: true, directory, nodes };
}

/** Takes the lab down and removes everything of it but the cache. Returns what could not be removed. */
export async function down(directory: string = labDirectory()): Promise<string[]> {
  return withLock(lockOf(directory), async () => {
    await sweep(directory);
    return leftovers(directory);
  });
}

// How the cache entries of nodes end (roots.ts, disk.ts, arm64-node.ts), with the lock beside each.
const CACHE_ENTRY = /-(root-amd64|node-arm64|snapshot-arm64|criu-amd64|criu-arm64)(\.lock|\.part)?$/;

/** Removes the built nodes from the cache. Refuses while a lab runs: its roots are there. */
export async function purge(): Promise<void> {
  const running = await runningLabs();
  if (running.length > 0)
    throw new InputError(
      "lab-cache-in-use",
      `labs run on the cached nodes: ${running.join(", ")}`,
      cacheDirectory(),
      "take them down first",
    );
  for (const name of await readdir(cacheDirectory()).catch(() => []))
    if (CACHE_ENTRY.test(name)) await rm(join(cacheDirectory(), name), { recursive: true, force: true });
}
