// tier: fast
// The page of programs is the one that the results make.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAMS } from "./programs.ts";
import { printProgramsPage } from "./results.ts";

test("docs/programs.md is up to date", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/programs.md"), "utf8");
  assert.equal(page, printProgramsPage(), "run: node test/corpus/results.ts > docs/programs.md");
});

test("rows of the corpus have names of their own", () => {
  const names = PROGRAMS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});
