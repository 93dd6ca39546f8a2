// What the lab leaves on this machine while it runs, and how it is found again. There is one process on which all others
// depend: the first one of the lab's pid namespace. It is known by a variable of its environment that names the lab's
// directory, not by a file that could be stale. Its end takes every process, mount, network card and namespace of the
// lab along; what is left are control groups and files.

import { readdir, readFile, readlink, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostError } from "../base/index.ts";
import { sha256 } from "../host/index.ts";

/** The variable that marks the lab's processes. */
export const MARK = "HCONTAINER_LAB";
const END_TIMEOUT_MS = 20_000;

/** Polls until `done` answers something other than undefined. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  done: () => Promise<T | undefined>,
  log: () => Promise<string> = async () => "",
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 200)) {
    const result = await done();
    if (result !== undefined) return result;
    if (performance.now() > end) throw new HostError("lab-timeout", `${what}: not within ${timeoutMs} ms`, await log());
    await sleep(pauseMs);
  }
}

async function text(path: string): Promise<string> {
  return readFile(path, "latin1").catch(() => "");
}

/** The pids here of processes that bear the lab's mark. */
async function marked(directory: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const mark = `${MARK}=${directory}`;
  const bears = async (pid: string): Promise<boolean> =>
    (await text(`/proc/${pid}/environ`)).split("\0").includes(mark);
  const found = await Promise.all(pids.map(async (pid) => ((await bears(pid)) ? Number(pid) : 0)));
  return found.filter((pid) => pid !== 0);
}

/** The directories of all labs that have processes on this machine. */
export async function runningLabs(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(pids.map((pid) => text(`/proc/${pid}/environ`)));
  const variables = environments.flatMap((environment) => environment.split("\0"));
  const marks = variables.filter((variable) => variable.startsWith(`${MARK}=`));
  return [...new Set(marks.map((mark) => mark.slice(MARK.length + 1)))];
}

/** The pid here of the first process of the lab's pid namespace; undefined when the lab does not run. */
export async function findFirstProcess(directory: string): Promise<number | undefined> {
  for (const pid of await marked(directory)) {
    const status = await text(`/proc/${pid}/status`);
    const pids = /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    // Two numbers: ours and its own. A container's first process has three, and no mark.
    if (pids.length === 2 && pids[1] === "1" && !/^State:\s*[ZX]/m.test(status)) return pid;
  }
  return undefined;
}

/** The pid here of the lab's virtual machine. */
export async function findMachine(directory: string): Promise<number | undefined> {
  for (const pid of await marked(directory)) {
    const program = await readlink(`/proc/${pid}/exe`).catch(() => "");
    if (program.includes("qemu-system")) return pid;
  }
  return undefined;
}

/** The control group under which the amd64 node's containers are. */
export function controlGroup(directory: string): string {
  return `hcontainer-${sha256(directory).slice(0, 12)}`;
}

/** Where the lab's control group is, in each hierarchy that this machine has. */
async function controlGroupPaths(directory: string): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  const paths: string[] = [];
  for (const mount of mounts) {
    const [before, after] = mount.split(" - ");
    if (/^cgroup2? /.test(after ?? "")) paths.push(join(before!.split(" ")[4]!, controlGroup(directory)));
  }
  return paths;
}

async function removeControlGroup(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeControlGroup(join(path, entry.name));
  await rmdir(path).catch(() => undefined);
}

/** Ends the lab's processes, removes its control groups and its directory. What is not there is passed over. */
export async function sweep(directory: string): Promise<void> {
  for (const pid of await marked(directory)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Ended by itself, or with its namespace.
    }
  }
  await until("the end of the lab's processes", END_TIMEOUT_MS, async () =>
    (await marked(directory)).length === 0 ? true : undefined,
  );
  const groups = await controlGroupPaths(directory);
  await until("the end of the lab's control groups", END_TIMEOUT_MS, async () => {
    for (const group of groups) await removeControlGroup(group);
    const left = await Promise.all(
      groups.map((group) =>
        readdir(group)
          .then(() => 1)
          .catch(() => 0),
      ),
    );
    return left.includes(1) ? undefined : true;
  });
  // The mount namespace goes a moment after its last process; until then the directory is busy.
  await until("the removal of the lab's directory", END_TIMEOUT_MS, () =>
    rm(directory, { recursive: true, force: true }).then(
      () => true,
      () => undefined,
    ),
  );
}

/** What of the lab is still on this machine, in words; empty when nothing is. */
export async function leftovers(directory: string): Promise<string[]> {
  const found = (await marked(directory)).map((pid) => `process ${pid}`);
  for (const group of await controlGroupPaths(directory))
    if ((await readdir(group).catch(() => undefined)) !== undefined) found.push(`control group ${group}`);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  for (const mount of mounts) if (mount.includes(` ${directory}/`)) found.push(`mount ${mount.split(" ")[4]}`);
  if ((await readdir(directory).catch(() => undefined)) !== undefined) found.push(`directory ${directory}`);
  return found;
}
