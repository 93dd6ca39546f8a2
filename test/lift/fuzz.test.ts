// Discovery and lifting of hostile files end soon, in a translation of what can be found or in an InputError. The time
// is bounded; FUZZ_MS gives more of it, SEED another place to begin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "../../src/base/index.ts";
import { readElf } from "../../src/elf/index.ts";
import { discover, liftFile, writeShards } from "../../src/lift/index.ts";
import { elfAround } from "./elf-around.ts";
import { mutate, noise } from "./mutate.ts";

const budgetMs = Number(process.env["FUZZ_MS"] ?? 1200);
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const SOURCE = "/bin/true";
/** Processor time that a case may take: a hundred times what the files usually do. */
const CASE_LIMIT_MS = 10_000;

/** Seeds of cases that once failed. */
const KEPT: readonly number[] = [];

function translateIr(bytes: Uint8Array): "accepted" | "refused" {
  try {
    const lifted = liftFile(discover(readElf(bytes, "fuzz")).map);
    for (const { ir } of writeShards(lifted)) assert.ok(ir.length > 0);
    return "accepted";
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return "refused";
  }
}

/** Runs a case; what it threw or how long it took is told with its seed. */
function check(name: string, bytes: Uint8Array): "accepted" | "refused" {
  const before = process.cpuUsage();
  let result: "accepted" | "refused";
  try {
    result = translateIr(bytes);
  } catch (error) {
    throw new Error(`${name}: ${String(error)}`, { cause: error });
  }
  const { user, system } = process.cpuUsage(before);
  assert.ok((user + system) / 1000 < CASE_LIMIT_MS, `${name}: took ${(user + system) / 1000} ms of processor time`);
  return result;
}

/** Runs cases from consecutive seeds while there is time. */
function runCases(shareMs: number, makeCase: (n: number) => [string, Uint8Array]): string {
  const end = performance.now() + shareMs;
  let [accepted, refused] = [0, 0];
  for (let n = seed; n === seed || performance.now() < end; n++) {
    if (check(...makeCase(n)) === "accepted") accepted++;
    else refused++;
  }
  return `seed ${seed}: ${accepted} translated, ${refused} refused`;
}

const good = readFileSync(SOURCE);
function mutated(n: number): [string, Uint8Array] {
  const { bytes, kind } = mutate(good, n);
  return [`SEED=${n} (${kind})`, bytes];
}
function noisy(n: number): [string, Uint8Array] {
  return [`SEED=${n} (noise as code)`, elfAround(noise(200 + (n % 4000), n), { isRelocatable: n % 2 === 0 })];
}

test("damaged files", (t) => {
  assert.equal(check("undamaged", good), "accepted");
  for (const n of KEPT) check(...mutated(n));
  t.diagnostic(runCases(budgetMs / 2, mutated));
});

test("noise as code", (t) => {
  for (const n of KEPT) check(...noisy(n));
  t.diagnostic(runCases(budgetMs / 2, noisy));
});

/** `size` bytes of one instruction again and again, with an ending. */
function repeated(size: number, instruction: readonly number[], ending: readonly number[]): Uint8Array {
  const code = new Uint8Array(size);
  for (let i = 0; i + instruction.length <= size - ending.length; i += instruction.length) code.set(instruction, i);
  code.set(ending, size - ending.length);
  return code;
}

const WORST: Readonly<Record<string, Uint8Array>> = {
  "code that nothing refers to and that ends badly": repeated(100_000, [0x48, 0x89, 0xc0], [0xf4, 0xf4]),
  "nothing but calls of one function": repeated(60_000, [0xe8, 0, 0, 0, 0], [0xc3]),
  "nothing but indirect jumps": repeated(40_000, [0xff, 0x24, 0xc5, 0x00, 0x10, 0x40, 0x00], [0xc3]),
  "nothing but branches to one place": repeated(30_000, [0x75, 0x00], [0xc3]),
  "nothing but zero bytes": new Uint8Array(60_000),
};
for (const [name, code] of Object.entries(WORST)) {
  test(`the worst: ${name}`, () => {
    // The entry alone decides what is reached at first; a leading return leaves the rest to guessing.
    for (const entry of [[], [0xc3]]) check(name, elfAround(Buffer.concat([Uint8Array.from(entry), code])));
  });
}

test("a file without code is refused by name", () => {
  const file = elfAround(Uint8Array.of(0xc3));
  new DataView(file.buffer).setUint32(68, 4, true);
  assert.throws(() => discover(readElf(file, "fuzz")), { code: "elf-no-code" });
});
