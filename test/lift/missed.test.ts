// tier: runtime
// Code that discovery cannot find is interpreted, told by the runtime, and translated the next time.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readElf } from "../../src/elf/index.ts";
import { rememberFiles } from "../../src/exec/index.ts";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { discover } from "../../src/lift/index.ts";

const FLAGS = [
  "-O1",
  "-static",
  "-nostdlib",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-asynchronous-unwind-tables",
];
let directory = "";
let program = "";
let runtime = "";
const cacheBefore = process.env["HCONTAINER_CACHE"];

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hcontainer-missed-"));
  runtime = await buildRuntime("qemu-user");
  // A cache of its own: what is remembered must not be there from another run.
  process.env["HCONTAINER_CACHE"] = join(directory, "cache");
  program = join(directory, "missed");
  execFileSync("gcc", [...FLAGS, "-o", program, join(import.meta.dirname, "missed.c")]);
});
after(() => {
  if (cacheBefore === undefined) delete process.env["HCONTAINER_CACHE"];
  else process.env["HCONTAINER_CACHE"] = cacheBefore;
  rmSync(directory, { recursive: true, force: true });
});

/** Runs the program with the translation that is made now; gives its output and the lines that the runtime logged. */
async function runTranslated(): Promise<{ output: string; missed: string[]; hinted: number; log: string }> {
  const { path, report } = await translateFile(program);
  copyFileSync(path, join(directory, report.name));
  const log = join(directory, "log");
  writeFileSync(log, "");
  const env = { PATH: "/usr/bin:/bin", HCONTAINER_TRANSLATIONS: directory, HCONTAINER_MODULE_LOG: log };
  const output = execFileSync("qemu-aarch64", [runtime, program, program], { env, encoding: "utf8" });
  const missed = readFileSync(log, "utf8").split("\n");
  return { output, missed: missed.filter((line) => line.startsWith("missed")), hinted: report.hintedEntries, log };
}

test("what discovery misses is interpreted, remembered and translated the next time", async () => {
  const expected = execFileSync(program, [], { encoding: "utf8" });
  const first = await runTranslated();
  assert.equal(first.output, expected);
  assert.equal(first.hinted, 0);
  assert.equal(first.missed.length, 1, "the hidden function is told once");
  await rememberFiles(program, first.log);
  const second = await runTranslated();
  assert.equal(second.output, expected);
  assert.equal(second.hinted, 1);
  assert.deepEqual(second.missed, []);
});

test("hints that are no code make no entries", () => {
  const elf = readElf(readFileSync(program), program);
  const { map } = discover(elf);
  const [segment] = map.segments;
  const before = segment!.marks.slice();
  const inside = segment!.lengths.findIndex((length) => length > 2);
  const lies = [0, 1, 2 ** 47 - 1, segment!.end, segment!.start - 1, segment!.start + inside + 1];
  assert.deepEqual(discover(elf, lies).map.segments[0]!.marks, before);
});
