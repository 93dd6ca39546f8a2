// tier: fast
// The page of what runs abroad is the one that tables and results make.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { printCompatibility } from "./compatibility.ts";

test("docs/compatibility.md is up to date", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/compatibility.md"), "utf8");
  assert.equal(page, printCompatibility(), "run: node test/compatibility.ts > docs/compatibility.md");
});
