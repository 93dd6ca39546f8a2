// docs/instructions.md must tell what the table tells.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TABLE } from "../../src/sem/index.ts";
import { enumerateForms } from "../../src/x86/index.ts";
import { AS_ON_ZEN, NOT_COMPARABLE } from "../cpu/not-comparable.ts";
import { printSupport } from "./print-support.ts";

test("docs/instructions.md is up to date", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/instructions.md"), "utf8");
  assert.equal(page, printSupport(), "run: node test/sem/print-support.ts > docs/instructions.md");
});

test("what is not compared has rows", () => {
  for (const name of NOT_COMPARABLE.flatMap(({ names }) => names)) assert.ok(TABLE.has(name), name);
  const all = enumerateForms().map(({ code }) => code);
  for (const { what, codes } of AS_ON_ZEN)
    assert.ok(
      all.some((code) => codes.test(code)),
      what,
    );
});
