// tier: runtime
// Chains of floating-point instructions, translated, against the CPU: results whose NaNs are looked at late, or several at
// once, are what they are natively. Needs a CPU with FMA, qemu-user, gcc and LLVM 19.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { makeChains } from "./float-chains.ts";

const SEED = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1_000_000);
/** A maximum of a signalling NaN and of a zero that LLVM knew. */
const KEPT_SEED = 12;
const OUTPUT = { encoding: "utf8", maxBuffer: 1 << 26 } as const;

for (const [variant, seed] of [
  ["plain", KEPT_SEED],
  ["plain", SEED],
  ["ordered", SEED],
] as const) {
  test(`random chains, ${variant}, seed ${seed}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "hcontainer-float-chains-"));
    try {
      const [source, program] = [join(directory, "chains.c"), join(directory, "chains")];
      writeFileSync(source, makeChains(seed));
      execFileSync("gcc", ["-O1", "-static", "-mfma", "-o", program, source]);
      const native = execFileSync(program, [], OUTPUT).split("\n");
      assert.ok(native.length > 1000);
      const { path, report } = await translateFile(program, { variant });
      copyFileSync(path, join(directory, report.name));
      const runtime = await buildRuntime("qemu-user");
      const env = { PATH: "/usr/bin:/bin", HCONTAINER_TRANSLATIONS: directory };
      const ours = execFileSync("qemu-aarch64", [runtime, program, program], { env, ...OUTPUT }).split("\n");
      const differing = native.flatMap((line, i) => (line === ours[i] ? [] : [`want ${line}\ngot  ${ours[i]}`]));
      assert.deepEqual(differing.slice(0, 4), []);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}
