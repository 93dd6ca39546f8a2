// tier: cpu
// What cpuid tells a process abroad of its home CPU, held against the CPU of this machine.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../src/host/index.ts";
import { linkWithInterpreter } from "./link.ts";

test("cpuid abroad answers for the home CPU", { skip: process.arch !== "x64" }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-home-cpu-"));
  try {
    const program = join(directory, "home-cpu");
    await linkWithInterpreter("x86_64", "home-cpu.c", program);
    const { stdout, status } = await run(program, []);
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
