// SHA-256 as libraries write it for x86, two rounds an instruction, in arm64's instructions of four rounds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readElf } from "../../src/elf/index.ts";
import { discover, liftFile, writeShards } from "../../src/lift/index.ts";
import { elfOf } from "../cpu/one-instruction.ts";

const FIRST = "0f38cbd1"; // sha256rnds2 xmm2, xmm1
const SECOND = "0f38cbca"; // sha256rnds2 xmm1, xmm2
const UPPER = "660f70c00e"; // pshufd xmm0, xmm0, 14
const LOAD = "f30f6f06"; // movdqu xmm0, [rsi]

function roundsIn(...instructions: readonly string[]): number {
  const bytes = Buffer.from(["f30f6f0f", LOAD, ...instructions, "f30f7f0f", "c3"].join(""), "hex");
  const shards = [...writeShards(liftFile(discover(readElf(elfOf(bytes), "sha256")).map))];
  return shards
    .map(
      ({ ir }) =>
        Buffer.from(ir)
          .toString("latin1")
          .split(/= call .*sha256h\(/).length - 1,
    )
    .reduce((a, b) => a + b);
}

test("two times two rounds on the halves of the same words are four rounds at once", () => {
  assert.equal(roundsIn(FIRST, UPPER, SECOND), 1);
  assert.equal(roundsIn(FIRST, UPPER, SECOND, LOAD, FIRST, UPPER, SECOND), 2);
});

test("rounds on other words, or on another state, are done by themselves", () => {
  assert.equal(roundsIn(FIRST, SECOND), 2);
  assert.equal(roundsIn(FIRST, UPPER, LOAD, SECOND), 2);
  assert.equal(roundsIn(FIRST, UPPER, "660fefc9" /* pxor xmm1, xmm1 */, SECOND), 2);
  assert.equal(roundsIn(FIRST, UPPER, "660fefd2" /* pxor xmm2, xmm2 */, SECOND), 2);
});
