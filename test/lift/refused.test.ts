// tier: runtime
// A part of a file that LLVM does not compile is interpreted, and the rest is translated. LLVM's optimizer is made to fail on it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildRuntime, translateFile } from "../../src/host/index.ts";

const directory = mkdtempSync(join(tmpdir(), "hcontainer-refused-"));
const before = { PATH: process.env["PATH"], HCONTAINER_CACHE: process.env["HCONTAINER_CACHE"] };
const program = join(directory, "refused");
after(() => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** Puts an optimizer first that fails on modules that define one of these. */
function refuse(symbols: string): void {
  const tool = execFileSync("sh", ["-c", "command -v opt-19"], { encoding: "utf8" }).trim();
  const script = `#!/bin/sh\ncat > "$0.$$"\nif grep -qE 'define.*@(${symbols})\\(' "$0.$$"; then rm "$0.$$"; exit 1; fi\n${tool} "$@" < "$0.$$"\nstatus=$?\nrm "$0.$$"\nexit $status\n`;
  mkdirSync(join(directory, "bin"), { recursive: true });
  writeFileSync(join(directory, "bin/opt-19"), script, { mode: 0o755 });
  process.env["PATH"] = `${join(directory, "bin")}:${before.PATH}`;
}

test("what LLVM refuses is interpreted, the rest translated", async () => {
  const flags = ["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fcf-protection=none"];
  execFileSync("gcc", [...flags, "-o", program, join(import.meta.dirname, "refused.c")]);
  const address = (name: string): string =>
    new RegExp(`^0*([0-9a-f]+) . ${name}$`, "m").exec(execFileSync("nm", [program], { encoding: "utf8" }))![1]!;
  const runtime = await buildRuntime("qemu-user");
  // A cache of its own: what was compiled once is not compiled again.
  process.env["HCONTAINER_CACHE"] = join(directory, "cache");
  refuse(`p_${address("far_away")}`);
  const { path, report } = await translateFile(program);
  assert.ok(report.refusedInstructions >= 6 && report.refusedInstructions < 20, `${report.refusedInstructions}`);
  assert.ok(report.entries >= 3, "the rest has entries");
  copyFileSync(path, join(directory, report.name));
  const log = join(directory, "log");
  writeFileSync(log, "");
  const env = { HCONTAINER_TRANSLATIONS: directory, HCONTAINER_MODULE_LOG: log, PATH: before.PATH };
  const output = execFileSync("qemu-aarch64", [runtime, program, program], { env, encoding: "utf8" });
  assert.equal(output, execFileSync(program, { encoding: "utf8" }));
  assert.match(readFileSync(log, "utf8"), new RegExp(`^missed \\S+ ${address("far_away")}$`, "m"));
});

test("a file of which LLVM takes nothing is refused", async () => {
  process.env["HCONTAINER_CACHE"] = join(directory, "other-cache");
  refuse("p_[0-9a-f]+");
  await assert.rejects(translateFile(program), { code: "translation-refused" });
});
