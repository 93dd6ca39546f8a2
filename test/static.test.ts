// tier: check
// The tree as a whole: types and lint.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");

function tool(name: string, ...args: string[]): void {
  const result = spawnSync(join(root, "node_modules/.bin", name), args, { cwd: root, encoding: "utf8" });
  assert.equal(result.status, 0, `${name} ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
}

test("types are right", () => tool("tsc", "--noEmit"));
test("biome finds nothing", () => tool("biome", "check", "."));
