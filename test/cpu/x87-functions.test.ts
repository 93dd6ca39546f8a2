// tier: cpu
// Holds the transcendental x87 helpers against the processor: results may differ by one unit in the last place, as both
// sides' errors are below one.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../src/host/index.ts";
import { linkWithInterpreter } from "./link.ts";

test("x87 functions are within one unit of the processor's", { skip: process.arch !== "x64" }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-x87-"));
  try {
    const program = join(directory, "x87-functions");
    await linkWithInterpreter("x86_64", "x87-functions.c", program);
    const seed = process.env["HCONTAINER_SEED"] ?? String(Date.now() % 1_000_000);
    const result = await run(program, [seed, "20000"]);
    t.diagnostic(result.stdout);
    assert.equal(result.status, 0, result.stdout);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
