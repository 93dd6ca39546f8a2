// Runs one program under qemu user mode and counts what it executes: natively built for arm64, translated, or in the arm64
// build of qemu-x86_64. Paths of a root directory are found by qemu's -L, so nothing needs root or leaves a trace.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HostError } from "../base/index.ts";
import { cached, runChecked, sha256 } from "../host/index.ts";
import type { Workload } from "./bench-workloads.ts";

const QEMU = "/usr/bin/qemu-aarch64";
const HOME_QEMU = "/usr/bin/qemu-x86_64";
/** The plugins, see their sources. */
type Plugin = "insn-count" | "blocks";
const TIMEOUT_MS = 1_800_000;
const CONNECT_MS = 120_000;

/** Interpreters hash with a random number otherwise, and do more or less work by it. */
const SAME_HASHES = { PYTHONHASHSEED: "0", PERL_HASH_SEED: "0", PERL_PERTURB_KEYS: "0" };

/** How a program is run: qemu's own -L, and the words before the program. */
export interface Way {
  readonly root: string;
  readonly words: (workload: Workload) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The emulator, if not that of arm64. */
  readonly emulator?: string;
}

export interface Measured {
  readonly instructions: number;
  /** Processor time of the emulated program, in seconds. */
  readonly seconds: number;
  /** sha256 of what it wrote. */
  readonly output: string;
}

/** A plugin, compiled for this machine. */
async function builtPlugin(name: Plugin): Promise<string> {
  const source = fileURLToPath(new URL(`../../bench/insn-count/${name}.c`, import.meta.url));
  const key = [name, sha256(await readFile(source))].join("\n");
  return cached(key, ".so", async (path) => {
    await runChecked("gcc", ["-O2", "-shared", "-fPIC", "-x", "c", "-o", path, source]);
  });
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Talks to a server until it ends, one round after the other; gives all that it replied. */
async function converse(path: string, requests: NonNullable<Workload["requests"]>): Promise<Buffer> {
  const deadline = performance.now() + CONNECT_MS;
  let socket: Socket | undefined;
  while (!socket) {
    socket = await connect(path).catch(() => undefined);
    if (performance.now() > deadline) throw new HostError("timeout", "the server does not answer");
    if (!socket) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const replies: Buffer[] = [];
  // Each round ends with a command whose reply is known, so the next is sent when the whole of it is answered.
  const mark = "+PONG\r\n";
  for (let round = 0; round < requests.count; round++) {
    const answered = new Promise<void>((resolve, reject) => {
      let text = "";
      const onData = (data: Buffer): void => {
        replies.push(data);
        text = (text + data.toString("latin1")).slice(-mark.length);
        if (text !== mark) return;
        socket.off("data", onData);
        resolve();
      };
      socket.on("data", onData);
      socket.once("close", () => reject(new HostError("server-ended", "the server ended in the middle")));
    });
    socket.write(`${requests.text}PING\r\n`);
    await answered;
  }
  socket.on("error", () => undefined);
  socket.end(requests.last);
  return Buffer.concat(replies);
}

/** Seconds of user and system time of the children, the last line that a shell's `times` prints. */
function childSeconds(text: string): number {
  const last = text.trimEnd().split("\n").at(-1) ?? "";
  let sum = 0;
  for (const [, minutes, seconds] of last.matchAll(/(\d+)m([\d.]+)s/g)) sum += Number(minutes) * 60 + Number(seconds);
  return sum;
}

/** Runs the workload once; `plugin` counts. */
async function runOnce(workload: Workload, way: Way, inputs: string, plugin: string[]): Promise<[Buffer, string]> {
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-bench-"));
  try {
    const socket = join(scratch, "socket");
    const args = workload.args.map((arg) => (arg === "%s" ? socket : arg));
    const line = [way.emulator ?? QEMU, ...plugin, "-L", way.root, ...way.words(workload), ...args];
    const shell = ["-c", '"$@" 2>/dev/null; status=$?; times >&2; exit $status', "sh", ...line];
    const env = { PATH: "/usr/bin:/bin", LC_ALL: "C", HOME: "/", ...SAME_HASHES, ...way.env };
    const child = spawn("sh", shell, { cwd: inputs, env, stdio: ["ignore", "pipe", "pipe"], timeout: TIMEOUT_MS });
    const [output, times]: [Buffer[], string[]] = [[], []];
    // A server's own output is its log, with times in it.
    child.stdout.on("data", (data: Buffer) => workload.requests || output.push(data));
    child.stderr.on("data", (data: Buffer) => times.push(data.toString()));
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    if (workload.requests) output.push(await converse(socket, workload.requests));
    const status = await ended;
    if (status !== 0)
      throw new HostError("bench-failed", `${workload.name} ended with status ${status}`, times.join(""));
    return [Buffer.concat(output), times.join("")];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function plugged(name: Plugin, log: string): Promise<string[]> {
  return ["-plugin", await builtPlugin(name), "-d", "plugin", "-D", log];
}

/** The end of qemu's command line: some programs do what the name says that they are started by, and files may be links. */
export function emulatorWords(name: string, file: string): string[] {
  return ["-0", name, file];
}

const homeWay = (root: string, path: string): Way => ({
  root,
  words: ({ program }) => emulatorWords(program, path),
  env: {},
  emulator: HOME_QEMU,
});
/** Libraries choose their functions by the CPU: that of this machine has them all, or nearly. */
const HOME_CPU = ["-cpu", "max"];

/** sha256 of what the amd64 program at `path` in `root` writes: what it has to write on arm64. */
export async function expectedOutput(workload: Workload, root: string, path: string, inputs: string): Promise<string> {
  return sha256((await runOnce(workload, homeWay(root, path), inputs, HOME_CPU))[0]);
}

/** What the plugin that lists blocks says of a run of the amd64 program at `path` in `root`. */
export function listHomeBlocks(workload: Workload, root: string, path: string, inputs: string): Promise<string> {
  return listBlocks(workload, homeWay(root, path), inputs, HOME_CPU);
}

/** What the plugin that lists blocks says of a run. */
export async function listBlocks(
  workload: Workload,
  way: Way,
  inputs: string,
  options: readonly string[] = [],
): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-bench-"));
  try {
    const log = join(scratch, "blocks");
    await runOnce(workload, way, inputs, [...options, ...(await plugged("blocks", log))]);
    return await readFile(log, "utf8");
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Counts and times a workload, in two runs: counting costs time. */
export async function measure(workload: Workload, way: Way, inputs: string, isTimed: boolean): Promise<Measured> {
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-bench-"));
  try {
    const log = join(scratch, "count");
    const [output] = await runOnce(workload, way, inputs, await plugged("insn-count", log));
    const instructions = [...(await readFile(log, "utf8")).matchAll(/insns (\d+)/g)].reduce(
      (n, m) => n + Number(m[1]),
      0,
    );
    const times = isTimed ? (await runOnce(workload, way, inputs, []))[1] : "";
    return { instructions, seconds: childSeconds(times), output: sha256(output) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
