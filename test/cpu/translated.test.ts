// tier: cpu
// Holds translated code for every form that does not need the program's own stack against the real CPU. SEED and COUNT (states a case)
// can be set.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hasFeature } from "./run.ts";
import { compareTranslated } from "./translated.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

test("translated instructions do what the CPU does", { timeout: 1_200_000 }, async (t) => {
  const count = Number(process.env["COUNT"] ?? 20);
  const { caseCount, faulted, differences } = await compareTranslated({ seed, count, encodings: 1 });
  t.diagnostic(`seed ${seed}, ${caseCount} cases, ${count} states each; ${faulted.length} faulted natively`);
  assert.deepEqual(differences, []);
  assert.ok(caseCount > (hasFeature("avx512bw") ? 3000 : 2000), `${caseCount} cases`);
});

test("vectors of 64-bit integers become singles by rounding once", async (t) => {
  const mnemonics = ["Vcvtqq2ps", "Vcvtuqq2ps"];
  const { caseCount, differences } = await compareTranslated({ mnemonics, seed: 4, count: 600, encodings: 6 });
  t.diagnostic(`${caseCount} cases`);
  assert.deepEqual(differences, []);
});
