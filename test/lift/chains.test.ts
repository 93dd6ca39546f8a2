// tier: runtime
// Random chains of instructions, translated, against the CPU. Of floating-point ones: results whose NaNs are looked at late, or
// several at once, are what they are natively, and so are results of functions that keep scalars. Of ones under masks: what is not selected is neither touched nor seen. Needs
// a CPU with FMA, and AVX-512 for the latter, qemu-user, gcc and LLVM 19.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { hasFeature } from "../cpu/run.ts";
import { makeChains } from "./float-chains.ts";
import { makeFunctions } from "./float-functions.ts";
import { makeMaskChains } from "./mask-chains.ts";

const SEED = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1_000_000);
/** A maximum of a signalling NaN and of a zero that LLVM knew. */
const KEPT_SEED = 12;
const OUTPUT = { encoding: "utf8", maxBuffer: 1 << 26 } as const;

interface Kind {
  readonly name: string;
  readonly options: readonly string[];
  make(seed: number): string;
}
const FLOATS: Kind = { name: "floats", options: ["-mfma"], make: makeChains };
const FUNCTIONS: Kind = { name: "functions", options: ["-O2", "-fno-math-errno"], make: makeFunctions };
const WIDE_FUNCTIONS: Kind = {
  name: "functions of AVX",
  options: ["-O3", "-mavx2", "-mfma", "-fno-math-errno"],
  make: makeFunctions,
};
const UNDER_MASKS: Kind = { name: "under masks", options: ["-mavx512bw", "-mavx512vl"], make: makeMaskChains };

for (const [kind, variant, seed] of [
  [FLOATS, "plain", KEPT_SEED],
  [FLOATS, "plain", SEED],
  [FLOATS, "ordered", SEED],
  [FUNCTIONS, "plain", SEED],
  [FUNCTIONS, "precise", SEED],
  [WIDE_FUNCTIONS, "plain", SEED],
  [UNDER_MASKS, "plain", SEED],
  [UNDER_MASKS, "precise", SEED],
] as const) {
  const isKnown = kind !== UNDER_MASKS || (hasFeature("AVX512BW") && hasFeature("AVX512VL"));
  const skip = isKnown ? false : "this processor has no AVX-512";
  test(`random chains, ${kind.name}, ${variant}, seed ${seed}`, { skip }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "hcontainer-chains-"));
    try {
      const [source, program] = [join(directory, "chains.c"), join(directory, "chains")];
      writeFileSync(source, kind.make(seed));
      execFileSync("gcc", ["-O1", ...kind.options, "-o", program, source]);
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
