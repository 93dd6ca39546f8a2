// Holds src/ against the rows of ARCHITECTURE.md: a module is imported through its index.ts only, from rows below only,
// and what is below `host` imports nothing of the machine.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const ROWS: readonly (readonly string[])[] = [
  ["base", "abi"],
  ["elf", "x86", "llvm", "image"],
  ["sem"],
  ["interp", "lift"],
  ["recode"],
  ["host"],
  ["lab", "migrate", "exec"],
  ["oci", "cli"],
];
const PURE_BELOW = 5;
const source = resolve(import.meta.dirname, "../src");
const rowOf = (module: string): number => ROWS.findIndex((row) => row.includes(module));

function* imports(file: string): Generator<string> {
  const text = readFileSync(file, "utf8");
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) yield match[1]!;
}

test("every module keeps to its row", () => {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
  assert.ok(files.length > 5);
  const wrong: string[] = [];
  for (const file of files) {
    const module = file.split("/")[0]!;
    const row = rowOf(module);
    if (row < 0) wrong.push(`${file}: module ${module} has no row`);
    for (const name of imports(join(source, file))) {
      if (name.startsWith("node:")) {
        if (row < PURE_BELOW) wrong.push(`${file}: pure module imports ${name}`);
        continue;
      }
      if (!name.startsWith(".")) continue;
      const target = relative(source, resolve(source, dirname(file), name));
      const [other, ...rest] = target.split("/");
      if (other === module) continue;
      if (rest.join("/") !== "index.ts") wrong.push(`${file}: imports ${target}, not the module's index.ts`);
      if (rowOf(other!) >= row && !(row === 7 && module === "cli" && other === "oci"))
        wrong.push(`${file}: row ${row} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});
