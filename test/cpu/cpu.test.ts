// tier: cpu
// Holds every form that the interpreter executes against the real CPU with random states, on x86-64 and, with the results
// that the CPU gave, on arm64 under qemu-user. SEED and COUNT (states a case) can be set.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compareWithCpu, excerpt } from "./run.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

for (const [target, defaultCount] of [
  ["x86_64", 40],
  ["aarch64", 10],
] as const) {
  test(`every instruction does what the CPU does, on ${target}`, { timeout: 1_200_000 }, async (t) => {
    const count = Number(process.env["COUNT"] ?? defaultCount);
    t.diagnostic(`seed ${seed}, ${count} states a case`);
    const { agreed, report } = await compareWithCpu({ seed, count, encodings: 2, target });
    t.diagnostic(report.trimEnd().split("\n").slice(-2).join("; "));
    assert.ok(agreed, excerpt(report));
  });

  test(`every memory operand faults where the CPU faults, on ${target}`, { timeout: 1_200_000 }, async (t) => {
    const count = Number(process.env["COUNT"] ?? defaultCount);
    t.diagnostic(`seed ${seed}, ${count} states a case`);
    const { agreed, report } = await compareWithCpu({ seed, count, encodings: 2, target, edges: true });
    t.diagnostic(report.trimEnd().split("\n").slice(-2).join("; "));
    assert.ok(agreed, excerpt(report));
  });
}
