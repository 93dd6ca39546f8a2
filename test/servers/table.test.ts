// tier: fast
// The page of servers is the one that the results make.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { printServersPage } from "./table.ts";

test("docs/servers.md is up to date", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/servers.md"), "utf8");
  assert.equal(page, printServersPage(), "run: node test/servers/table.ts");
});
