// tier: runtime
// Larger and larger parts of a program are translated while it runs: it goes over from one to the next and computes on.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Variant } from "../../src/abi/index.ts";
import { executedEntries } from "../../src/exec/executed.ts";
import { type FoundProgram, locateProgram, qemuCommand } from "../../src/exec/index.ts";
import { partOfEntries } from "../../src/exec/known.ts";
import { makeNodeDirectory, offerMore } from "../../src/exec/node-directory.ts";
import { type Growth, translateFile } from "../../src/host/index.ts";

const directory = mkdtempSync(join(tmpdir(), "hcontainer-growing-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const program = join(directory, "growing");
execFileSync("gcc", ["-O1", "-static", "-pthread", "-o", program, join(import.meta.dirname, "growing.c")]);

interface Running {
  readonly pid: number;
  /** Ends the program's input; gives its output. */
  end(): Promise<string>;
}

function start(args: readonly string[], node: string, log: string): Running {
  writeFileSync(log, "");
  const found: FoundProgram = { ...locateProgram("/", [program], "/"), args: [program, ...args] };
  const line = qemuCommand(found, node, log, { cwd: directory }, { HCONTAINER_LOG_EXECUTED: "1" });
  const child = spawn(line.command, line.args, {
    env: { ...process.env, ...line.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data.toString();
  });
  const ended = new Promise<string>((done) => child.on("close", () => done(output)));
  return {
    pid: child.pid!,
    end: () => {
      child.stdin.end();
      return ended;
    },
  };
}

/** Waits until something holds; what never does fails. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 50) {
    assert.ok(waited < 120_000, `not within two minutes: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const maps = (pid: number, file: string): boolean =>
  readFileSync(`/proc/${pid}/maps`, "utf8").includes(` ${statSync(file).ino} `);

const CASES: readonly { readonly variant: Variant; readonly args: readonly string[] }[] = [
  { variant: "plain", args: [] },
  { variant: "ordered", args: ["threads"] },
];

for (const { variant, args } of CASES)
  test(`a running program goes over to larger translations, ${variant}`, { timeout: 600_000 }, async () => {
    const log = join(directory, `log-${variant}`);
    const node = join(directory, `node-${variant}`);
    await makeNodeDirectory(node, []);
    const running = start(args, node, log);
    const growths = new Map<string, Growth>();
    const offered: number[] = [];
    for (const share of [0.2, 0.6, 1]) {
      // Until it does the same all the time, it has always more that was not executed before.
      await until("it executes something", () => executedEntries(readFileSync(log, "latin1")).size > 0);
      const [entries] = executedEntries(readFileSync(log, "latin1")).values();
      const some = [...entries!].filter((_, i) => (i * 7) % 10 < share * 10);
      const part = partOfEntries(some);
      const { path, report } = await translateFile(program, { variant, part, growths });
      offered.push(report.entries);
      await offerMore(node, { name: report.name, path });
      await until(`it maps ${report.entries} entries`, () => maps(running.pid, path));
    }
    assert.ok(offered[0]! < offered[1]! && offered[1]! < offered[2]!, `${offered}`);
    assert.equal(await running.end(), "0 wrong\n");
  });
