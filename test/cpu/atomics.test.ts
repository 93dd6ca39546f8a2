// tier: cpu
// Locked instructions of four threads, natively, interpreted and translated: nothing may get lost.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildRuntime, run, runChecked, translateFile } from "../../src/host/index.ts";

let directory = "";
let program = "";
let runtime = "";
let expected = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hcontainer-atomics-"));
  program = join(directory, "atomics");
  await runChecked("gcc", ["-static", "-O1", "-pthread", join(import.meta.dirname, "atomics.c"), "-o", program]);
  runtime = await buildRuntime("qemu-user");
  expected = (await runChecked(program, [])).stdout;
});
after(() => rmSync(directory, { recursive: true, force: true }));

async function inRuntime(translations: readonly string[]): Promise<string> {
  const { stdout, stderr, status } = await run("env", [...translations, "qemu-aarch64", runtime, program, program]);
  assert.equal(status, 0, stderr);
  return stdout;
}

test("interpreted", async () => assert.equal(await inRuntime([]), expected));

test("translated", async () => {
  const { path, report } = await translateFile(program, { variant: "ordered" });
  copyFileSync(path, join(directory, report.name));
  assert.equal(await inRuntime([`HCONTAINER_TRANSLATIONS=${directory}`]), expected);
});
