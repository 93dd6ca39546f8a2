// tier: cpu
// What is lifted from hostile files is valid IR, which LLVM compiles in bounded time.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "../../src/base/index.ts";
import { readElf } from "../../src/elf/index.ts";
import { run } from "../../src/host/index.ts";
import { discover, liftFile, type Shard, writeShards } from "../../src/lift/index.ts";
import { elfAround } from "./elf-around.ts";
import { mutate, noise } from "./mutate.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const CASES = Number(process.env["FUZZ_CASES"] ?? 4);
const LIMIT_MS = 120_000;

/** The first modules of a file, or none if the file is refused. */
function shardsOf(bytes: Uint8Array): Shard[] {
  try {
    const shards = writeShards(liftFile(discover(readElf(bytes, "fuzz")).map));
    return [...shards].slice(0, 2);
  } catch (error) {
    if (error instanceof InputError) return [];
    throw error;
  }
}

test("LLVM takes what noise and damaged code are lifted to", { timeout: 1_200_000 }, async (t) => {
  const good = readFileSync("/bin/true");
  let compiled = 0;
  for (let n = seed; n < seed + CASES; n++) {
    for (const bytes of [elfAround(noise(3000, n), { isRelocatable: n % 2 === 0 }), mutate(good, n).bytes]) {
      for (const { ir } of shardsOf(bytes)) {
        const llc = ["-mtriple=aarch64-linux-gnu", "-mattr=+v8.1a,+lse,+rcpc,+aes,+sha2", "-O1", "-o", "/dev/null"];
        const { status, stderr } = await run("llc-19", llc, { input: ir, timeoutMs: LIMIT_MS });
        assert.equal(status, 0, `SEED=${n}: ${stderr.slice(0, 2000)}`);
        compiled++;
      }
    }
  }
  t.diagnostic(`seed ${seed}: ${compiled} modules`);
});
