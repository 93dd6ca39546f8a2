// Processes of a container as the node sees them: who they are (by control group) and their memory (/proc/PID/mem).
// Runs on the foreign node as root. A process may end at any moment; what has ended is left out, never an error.

import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import {
  HC_BASE,
  keyName,
  MAX_MODULES,
  MISSED_ENOUGH,
  MISSED_ENTRIES,
  MissedEntry,
  MODULE_STATUS,
  Module,
  offsetOf,
  PROC_AREA_BYTES,
  PROC_AREA_OFFSET,
  PROC_MAGIC,
  PROC_MISSED_OFFSET,
  ProcState,
} from "../abi/index.ts";

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

/** Entries that the translations of a process's modules lack, by the name of the module's code key. The container may lie. */
export function readMissed(pid: number): Map<string, number[]> {
  const missed = new Map<string, number[]>();
  withMemory(pid, "r", (fd) => {
    const area = Buffer.alloc(PROC_AREA_BYTES);
    if (readSync(fd, area, 0, area.length, PROC_STATE_ADDRESS) !== area.length) return;
    if (area.readBigUInt64LE(offsetOf(ProcState, "magic")) !== PROC_MAGIC) return;
    for (let i = 0; i < MISSED_ENTRIES; i++) {
      const at = PROC_MISSED_OFFSET + i * MissedEntry.sizeBytes;
      const pc = area.readBigUInt64LE(at + offsetOf(MissedEntry, "pc"));
      if (area.readBigUInt64LE(at + offsetOf(MissedEntry, "count")) < BigInt(MISSED_ENOUGH)) continue;
      const found = moduleAt(area, pc);
      if (found === undefined) continue;
      const list = missed.get(found.key) ?? [];
      missed.set(found.key, [...list, Number(BigInt.asUintN(64, pc - found.bias))]);
    }
  });
  return missed;
}

/** Key and load bias of the module that holds `pc`, in a copy of the process area. */
function moduleAt(area: Buffer, pc: bigint): { key: string; bias: bigint } | undefined {
  const count = Math.min(area.readUInt32LE(offsetOf(ProcState, "module_count")), MAX_MODULES);
  for (let i = 0; i < count; i++) {
    const at = offsetOf(ProcState, "modules", i);
    const word = (name: string): bigint => area.readBigUInt64LE(at + offsetOf(Module, name));
    if (area.readUInt32LE(at + offsetOf(Module, "status")) !== MODULE_STATUS.loaded) continue;
    if (pc < word("guest_start") || pc >= word("guest_end")) continue;
    const key = [0, 1, 2, 3].map((lane) => area.readUInt32LE(at + offsetOf(Module, "key", lane)));
    return { key: keyName(key), bias: word("guest_bias") };
  }
  return undefined;
}

/** Lets the threads of a process go on. */
export function clearQuiesce(pid: number): void {
  withMemory(pid, "r+", (fd) => {
    writeSync(fd, Buffer.alloc(4), 0, 4, PROC_STATE_ADDRESS + offsetOf(ProcState, "quiesce"));
  });
}
