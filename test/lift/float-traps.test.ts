// tier: runtime
// Floating-point exceptions that are not masked are the signals that the CPU and the kernel make of them, interpreted and from
// translated code, against a native run. Needs qemu-user, gcc and LLVM 19.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildRuntime, translateFile } from "../../src/host/index.ts";

const FLAGS = ["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];
let directory = "";
let program = "";
let runtime = "";
let native = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hcontainer-float-traps-"));
  runtime = await buildRuntime("qemu-user");
  program = join(directory, "float-traps");
  execFileSync("gcc", [...FLAGS, "-o", program, join(import.meta.dirname, "float-traps.c")]);
  native = execFileSync(program, [], { encoding: "utf8" });
  assert.ok(native.split("\n").length > 3000);
});
after(() => rmSync(directory, { recursive: true, force: true }));

function check(translations: string): void {
  const env = { PATH: "/usr/bin:/bin", HCONTAINER_TRANSLATIONS: translations };
  const ours = execFileSync("qemu-aarch64", [runtime, program, program], { env, encoding: "utf8" }).split("\n");
  const differing = native.split("\n").flatMap((line, i) => (line === ours[i] ? [] : [`want ${line}, got ${ours[i]}`]));
  assert.deepEqual(differing.slice(0, 8), []);
}

test("interpreted", () => check("/nowhere"));

for (const variant of ["plain", "precise"] as const) {
  test(`translated, ${variant}`, async () => {
    const { path, report } = await translateFile(program, { variant });
    copyFileSync(path, join(directory, report.name));
    check(directory);
  });
}
