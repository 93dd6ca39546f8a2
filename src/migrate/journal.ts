// The journal of a migration: JSON lines, appended and synced before and after each step, so that a migration whose
// process died can be told from one that is under way and be brought to an end. What it must hold for that: both nodes,
// the container there and here, the checkpoint's name, and which steps were begun.

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Json } from "../host/index.ts";

export interface JournalEntry {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly event: "start" | "begin" | "done" | "failed" | "note" | "end";
  readonly step?: string;
  readonly data?: { readonly [key: string]: Json };
}

/** Where journals are kept. */
export function journalDirectory(): string {
  const own = process.env["HCONTAINER_STATE"];
  if (own) return own;
  return join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local/state"), "hcontainer");
}

/** The start time of a process, which tells it from a later one with the same id; empty when it has ended. */
function processIdentity(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** A journal that is being written. */
export class Journal {
  readonly path: string;
  readonly #fd: number;

  constructor(id: string, data: { readonly [key: string]: Json }) {
    mkdirSync(journalDirectory(), { recursive: true, mode: 0o700 });
    this.path = join(journalDirectory(), `${id}.jsonl`);
    this.#fd = openSync(this.path, "ax", 0o600);
    this.write("start", undefined, { ...data, pid: process.pid, pidStart: processIdentity(process.pid) });
  }

  write(event: JournalEntry["event"], step?: string, data?: { readonly [key: string]: Json }): void {
    const entry: JournalEntry = { time: Date.now(), event, ...(step && { step }), ...(data && { data }) };
    writeSync(this.#fd, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.#fd);
  }

  /** Ends the journal: nothing is left to recover. */
  end(result: string): void {
    this.write("end", undefined, { result });
    closeSync(this.#fd);
  }
}

/** A journal as it was found. */
export interface OldJournal {
  readonly path: string;
  readonly entries: readonly JournalEntry[];
}

/** Journals of migrations that did not end and whose process is gone. */
export function unfinishedJournals(): OldJournal[] {
  const directory = journalDirectory();
  if (!existsSync(directory)) return [];
  const found: OldJournal[] = [];
  for (const name of readdirSync(directory).filter((n) => n.endsWith(".jsonl"))) {
    const path = join(directory, name);
    const entries: JournalEntry[] = [];
    for (const line of readFileSync(path, "utf8").split("\n")) {
      try {
        if (line) entries.push(JSON.parse(line) as JournalEntry);
      } catch {
        // The last line of a process that died while writing.
      }
    }
    const start = entries[0]?.data;
    if (start === undefined || entries.some((entry) => entry.event === "end")) continue;
    const isAlive = processIdentity(Number(start["pid"])) === start["pidStart"] && start["pidStart"] !== "";
    if (!isAlive) found.push({ path, entries });
  }
  return found;
}
