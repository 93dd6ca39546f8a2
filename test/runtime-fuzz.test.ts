// tier: lab
// Random sequences of system calls (runtime/fuzz/calls.c), natively and in the runtime on a real arm64 kernel: results, errors and
// what was written must be the same. And hostile ones, after which the runtime must not have met a fault of its own and
// nothing hangs. HCONTAINER_SEED and HCONTAINER_SEQUENCES choose others. Needs no root.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KernelMachine, type Result } from "./runtime/kernel-machine.ts";

const SEED = Number(process.env["HCONTAINER_SEED"] ?? 500);
const SEQUENCES = Number(process.env["HCONTAINER_SEQUENCES"] ?? 60);
const HOSTILE = Math.ceil(SEQUENCES / 3);
const machine = new KernelMachine();
const skip = existsSync("/dev/shm") ? false : "needs a tmpfs to run natively in";
let native: Result = { status: -1, output: "" };

before(async () => {
  if (skip) return;
  process.stdout.write(`# seed ${SEED}, ${SEQUENCES} sequences\n`);
  const program = machine.compile(join(import.meta.dirname, "runtime/fuzz/calls.c"));
  machine.files.set("calls", readFileSync(program));
  native = machine.runNatively(program, [`${SEED}`, `${SEQUENCES}`]);
  const script = `/calls ${SEED} ${SEQUENCES} > /tmp/out 2>&1; report compared $?
busybox mkdir hostile; cd hostile
busybox timeout 600 /calls ${SEED} ${HOSTILE} hostile > /tmp/out 2>&1; report hostile $?`;
  await machine.boot(script, { interpreted: true, timeoutMs: 900_000 });
});
after(() => machine.remove());

/** By sequence, the lines that it printed. */
function bySequence(output: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const part of output.split(/^sequence /m).slice(1)) {
    const lines = part.trimEnd().split("\n");
    found.set(lines[0]!, lines.slice(1));
  }
  return found;
}

test("calls do what they do natively", { skip }, () => {
  assert.equal(native.status, 0);
  const expected = bySequence(native.output);
  const actual = bySequence(machine.result("compared").output);
  assert.equal(expected.size, SEQUENCES);
  for (const [seed, lines] of expected) {
    const other = actual.get(seed) ?? [];
    const at = lines.findIndex((line, index) => line !== other[index]);
    // What follows the first difference follows from it.
    if (at >= 0) assert.equal(other[at], lines[at], `sequence ${seed}, call ${at}`);
    assert.equal(other.length, lines.length, `sequence ${seed}`);
  }
});

test("hostile calls do the runtime no harm", { skip }, () => {
  const { status, output } = machine.result("hostile");
  assert.equal(status, 0);
  assert.doesNotMatch(output, /hcontainer: /);
  assert.equal(output.match(/^ended$/gm)?.length, HOSTILE);
});
