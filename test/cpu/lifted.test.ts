// tier: cpu
// Holds the lifted form of every instruction, compiled for arm64, against the real CPU with random states. SEED and COUNT
// (states a case) can be set.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compareLiftedWithCpu } from "./lifted.ts";
import { excerpt } from "./run.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const count = Number(process.env["COUNT"] ?? 10);

test("every lifted instruction does what the CPU does", { timeout: 1_200_000 }, async (t) => {
  t.diagnostic(`seed ${seed}, ${count} states a case`);
  const { agreed, report } = await compareLiftedWithCpu({ seed, count, encodings: 1, target: "aarch64" });
  t.diagnostic(report.trimEnd().split("\n").slice(-3).join("; "));
  assert.ok(agreed, excerpt(report));
});

test("every memory operand faults where the CPU faults, with the registers as they were", {
  timeout: 1_200_000,
}, async (t) => {
  t.diagnostic(`seed ${seed}, ${count} states a case`);
  const options = { seed, count, encodings: 1, target: "aarch64", edges: true } as const;
  for (const variant of ["precise", "ordered"] as const) {
    const { agreed, report } = await compareLiftedWithCpu({ ...options, variant });
    t.diagnostic(`${variant}: ${report.trimEnd().split("\n").slice(-3).join("; ")}`);
    assert.ok(agreed, excerpt(report));
  }
});
