// Hostile and damaged ELF files end in an InputError or in less information, and never in anything else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError, randomFrom } from "../src/base/index.ts";
import { fileCodeKey, readBuildId, readDynamic, readElf, readFrames, readStaticSymbols } from "../src/elf/index.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const SOURCE = ["/usr/bin/env", "/bin/ls", "/lib64/ld-linux-x86-64.so.2"];

/** Reads all that can be read of a file. */
function readAll(bytes: Uint8Array): void {
  const elf = readElf(bytes, "test");
  fileCodeKey(elf);
  readBuildId(elf);
  readDynamic(elf);
  readStaticSymbols(elf);
  readFrames(elf);
}

function codeOf(action: () => void): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof InputError, `no InputError: ${String(error)}`);
    return error.code;
  }
  return "accepted";
}

test("what is no x86-64 ELF file is refused by name", () => {
  const good = readFileSync(SOURCE[0]!);
  const changed = (at: number, value: number): Uint8Array => {
    const copy = Uint8Array.from(good);
    copy[at] = value;
    return copy;
  };
  assert.equal(
    codeOf(() => readAll(new Uint8Array(0))),
    "elf-magic",
  );
  assert.equal(
    codeOf(() => readAll(new TextEncoder().encode("#!/bin/sh\n"))),
    "elf-magic",
  );
  assert.equal(
    codeOf(() => readAll(good.subarray(0, 40))),
    "elf-truncated",
  );
  assert.equal(
    codeOf(() => readAll(changed(4, 1))),
    "elf-class",
  );
  assert.equal(
    codeOf(() => readAll(changed(18, 183))),
    "elf-machine",
  );
  assert.equal(
    codeOf(() => readAll(changed(16, 1))),
    "elf-type",
  );
  assert.equal(
    codeOf(() => readAll(changed(56, 0))),
    "elf-header",
  );
});

test("truncated files are refused or read in part", () => {
  const good = readFileSync(SOURCE[1]!);
  for (let length = 0; length < good.length; length += 1 + (length >> 5))
    codeOf(() => readAll(good.subarray(0, length)));
});

test("damaged files are refused or read in part, in bounded time", (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const outcomes = new Map<string, number>();
  for (const source of SOURCE) {
    const good = readFileSync(source);
    for (let round = 0; round < 150; round++) {
      const copy = Uint8Array.from(good);
      for (let n = random(12); n >= 0; n--) {
        // Half of the damage goes to headers, where it hurts.
        const at = random(2) ? random(Math.min(copy.length, 4096)) : random(copy.length);
        copy[at] = random(3) ? random(256) : [0, 0xff, 0x7f, 0x80][random(4)]!;
      }
      const start = performance.now();
      const outcome = codeOf(() => readAll(copy));
      assert.ok(performance.now() - start < 2000, `${source} round ${round}: too slow`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }
  assert.ok(outcomes.size > 1, "some damage must be noticed");
});
