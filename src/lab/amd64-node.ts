// The amd64 node: this machine's kernel and processors, with a Docker engine of its own in namespaces of its own. Its
// root is an overlay over the cached one, so criu, runc and their settings are the lab's and nothing is installed or
// changed outside. Its first process is the one that `findFirstProcess` finds.

import { spawn } from "node:child_process";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HostError } from "../base/index.ts";
import { exists, lastLines, localShell, type NodeShell, runChecked } from "../host/index.ts";
import { controlGroup, findFirstProcess, MARK, until } from "./machine.ts";
import { CLIENT } from "./network.ts";
import { engineSettings } from "./roots.ts";

const NETWORK_TIMEOUT_MS = 30_000;
const ENGINE_TIMEOUT_MS = 60_000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Starts a program that outlives us, with the lab's mark and its output in a file. */
export async function launch(command: string, args: readonly string[], directory: string, log: string): Promise<void> {
  const file = await open(log, "a");
  const child = spawn(command, args, {
    detached: true,
    cwd: "/",
    env: { PATH, [MARK]: directory },
    stdio: ["ignore", file.fd, file.fd],
  });
  const started = new Promise<void>((resolve, reject) => {
    child.on("spawn", resolve);
    child.on("error", (cause) => reject(new HostError("command-not-started", `cannot start ${command}`, "", cause)));
  });
  await started.finally(() => file.close());
  child.unref();
}

/** The bit of CAP_SYS_RESOURCE in a set of capabilities. */
const SYS_RESOURCE = 24n;
const CRIU = "usr/sbin/criu";
const CRIU_PRELOAD = "opt/criu/prlimit.so";

/**
 * Where this machine's root lacks CAP_SYS_RESOURCE, criu is started with a library that reads the limits of other users'
 * processes where everybody may (prlimit.c).
 */
async function helpCriu(root: string, files: string): Promise<void> {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile("/proc/self/status", "utf8"))?.[1];
  if (((BigInt(`0x${effective ?? "0"}`) >> SYS_RESOURCE) & 1n) === 1n) return;
  for (const path of [CRIU, CRIU_PRELOAD]) await mkdir(dirname(join(files, path)), { recursive: true });
  const options = ["-O1", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-fuse-ld=lld-19"];
  await runChecked("clang-19", [...options, "-o", join(files, CRIU_PRELOAD), join(import.meta.dirname, "prlimit.c")]);
  const script = await readFile(join(root, CRIU), "utf8");
  const helped = script.replace(" --library-path ", ` --preload /${CRIU_PRELOAD} --library-path `);
  await writeFile(join(files, CRIU), helped, { mode: 0o755 });
}

/** What a file of the node says; undefined when it is not there. */
async function said(pid: number, path: string): Promise<string | undefined> {
  return readFile(`/proc/${pid}/root${path}`, "utf8").catch(() => undefined);
}

/** Starts the node up to its network, and returns the pid of its first process. Its engine may take longer. */
export async function startAmd64(directory: string, root: string): Promise<number> {
  const files = join(directory, "amd64/files");
  await mkdir(join(files, "etc/docker"), { recursive: true });
  await writeFile(join(files, "etc/docker/daemon.json"), engineSettings("amd64", `/${controlGroup(directory)}`));
  await helpCriu(root, files);
  const script = join(import.meta.dirname, "nodes/start-amd64.sh");
  const namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"];
  const log = join(directory, "amd64.log");
  await launch("unshare", [...namespaces, "sh", script, directory, root], directory, log);
  return until(
    "the amd64 node's network",
    NETWORK_TIMEOUT_MS,
    async () => {
      const pid = await findFirstProcess(directory);
      // Before the node has changed its root, the path would name a file of this machine's.
      if (pid === undefined || !(await exists(`/proc/${pid}/root/etc/hcontainer-lab`))) return undefined;
      return (await said(pid, "/run/hcontainer-network")) === undefined ? undefined : pid;
    },
    async () => lastLines(await readFile(log, "utf8").catch(() => "")),
  );
}

/** Waits until the node's engine answers. */
export async function waitForAmd64(pid: number): Promise<void> {
  const answer = await until(
    "the amd64 node's engine",
    ENGINE_TIMEOUT_MS,
    () => said(pid, "/run/hcontainer-ready"),
    async () => lastLines((await said(pid, "/var/log/dockerd.log")) ?? ""),
  );
  if (!answer.includes("ready")) throw new HostError("lab-engine", "the amd64 node's engine failed", answer);
}

/** The shell of the amd64 node. */
export function amd64Shell(pid: number): NodeShell {
  const namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid"];
  return localShell("amd64", {
    prefix: ["nsenter", "--target", String(pid), ...namespaces, "--wdns=/", "env", `PATH=${PATH}`],
  });
}

/** This machine's programs and files with the network of a client on the segment. */
export function clientShell(pid: number): NodeShell {
  return localShell("client", { prefix: ["nsenter", `--net=/proc/${pid}/root/run/netns/${CLIENT.name}`] });
}
