// Processes of a container as the node sees them: who they are (by control group) and their memory (/proc/PID/mem).
// Runs on the foreign node as root. A process may end at any moment; what has ended is left out, never an error.

import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { HC_BASE, offsetOf, PROC_AREA_OFFSET, PROC_MAGIC, ProcState } from "../abi/index.ts";

const PROC_STATE_ADDRESS = Number(HC_BASE + PROC_AREA_OFFSET);

/** Control group paths of a process by hierarchy; undefined when it has ended. */
function controlGroups(pid: number | string): Map<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return undefined;
  }
  const groups = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== undefined && path !== undefined && path !== "/") groups.set(controllers, path);
  }
  return groups;
}

/** One letter of `ps`, such as Z for a zombie; empty when the process has ended. */
export function processState(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
  } catch {
    return "";
  }
}

/** The live processes in the control groups of `initPid` and below, zombies left out. */
export function processesOf(initPid: number): number[] {
  const own = controlGroups(initPid);
  if (own === undefined || own.size === 0) return [];
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const groups = controlGroups(name);
    if (groups === undefined) continue;
    const inside = [...own].some(([controllers, path]) => {
      const other = groups.get(controllers);
      return other !== undefined && (other === path || other.startsWith(`${path}/`));
    });
    if (inside && !["", "Z", "X"].includes(processState(Number(name)))) found.push(Number(name));
  }
  return found;
}

/** Number of kernel threads of a process; 0 when it has ended. */
export function threadCount(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length;
  } catch {
    return 0;
  }
}

/** Whether a signal is waiting to be taken by a process or by one of its threads. */
export function hasPending(pid: number, signal: number): boolean {
  const bit = 1n << BigInt(signal - 1);
  try {
    return readdirSync(`/proc/${pid}/task`).some((task) => {
      const status = readFileSync(`/proc/${pid}/task/${task}/status`, "latin1");
      return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(
        (m) => (BigInt(`0x${m[1]}`) & bit) !== 0n,
      );
    });
  } catch {
    return false;
  }
}

/** Name and executable of a process, for messages. */
export function describeProcess(pid: number): string {
  try {
    return `process ${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    return `process ${pid}`;
  }
}

export interface ParkState {
  readonly quiesce: number;
  readonly threads: number;
  readonly parked: number;
}

function withMemory<T>(pid: number, flags: "r" | "r+", work: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/mem`, flags);
  } catch {
    return undefined;
  }
  try {
    return work(fd);
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** What the runtime in the process says of its threads; undefined when the process runs no translated code (yet). */
export function readParkState(pid: number): ParkState | undefined {
  return withMemory(pid, "r", (fd) => {
    const bytes = Buffer.alloc(offsetOf(ProcState, "brk_start"));
    if (readSync(fd, bytes, 0, bytes.length, PROC_STATE_ADDRESS) !== bytes.length) return undefined;
    if (bytes.readBigUInt64LE(offsetOf(ProcState, "magic")) !== PROC_MAGIC) return undefined;
    return {
      quiesce: bytes.readUInt32LE(offsetOf(ProcState, "quiesce")),
      threads: bytes.readUInt32LE(offsetOf(ProcState, "threads")),
      parked: bytes.readUInt32LE(offsetOf(ProcState, "parked")),
    };
  });
}

/** Lets the threads of a process go on. */
export function clearQuiesce(pid: number): void {
  withMemory(pid, "r+", (fd) => {
    writeSync(fd, Buffer.alloc(4), 0, 4, PROC_STATE_ADDRESS + offsetOf(ProcState, "quiesce"));
  });
}
