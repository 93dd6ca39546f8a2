// tier: runtime
// Translated programs under qemu user mode against native runs, and discovery against what objdump prints. Needs qemu-user,
// gcc, binutils and LLVM 19.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readElf } from "../../src/elf/index.ts";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { discover } from "../../src/lift/index.ts";

const KINDS = {
  static: ["-O2", "-static"],
  "position-independent": ["-O2", "-fPIE", "-pie"],
  unoptimised: ["-O0", "-static"],
} as const;
const SOURCE = join(import.meta.dirname, "control.c");
let directory = "";
let runtime = "";

function build(kind: keyof typeof KINDS): string {
  const program = join(directory, `control-${kind}`);
  execFileSync("gcc", [...KINDS[kind], "-o", program, SOURCE, "-lm"]);
  return program;
}

/** Output of the program in the runtime, and how many instructions that took. */
function runCounted(program: string, translations: string): { output: string; instructions: number } {
  const log = join(directory, "count.txt");
  const plugin = ["-plugin", join(directory, "insn-count.so"), "-d", "plugin", "-D", log];
  const env = { PATH: "/usr/bin:/bin", HCONTAINER_TRANSLATIONS: translations };
  const output = execFileSync("qemu-aarch64", [...plugin, runtime, program, program], { env, encoding: "utf8" });
  return { output, instructions: Number(/insns (\d+)/.exec(readFileSync(log, "utf8"))?.[1]) };
}

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hcontainer-translate-"));
  for (const name of ["none", "all"]) mkdirSync(join(directory, name));
  runtime = await buildRuntime("qemu-user");
  const counter = join(import.meta.dirname, "../../bench/insn-count/insn-count.c");
  execFileSync("gcc", ["-O2", "-shared", "-fPIC", "-o", join(directory, "insn-count.so"), counter]);
});
after(() => rmSync(directory, { recursive: true, force: true }));

for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  test(`a ${kind} program does translated what it does natively`, { timeout: 600_000 }, async (t) => {
    const program = build(kind);
    const expected = execFileSync(program, [], { encoding: "utf8" });
    const { path, report } = await translateFile(program);
    copyFileSync(path, join(directory, "all", report.name));
    const translated = runCounted(program, join(directory, "all"));
    assert.equal(translated.output, expected);
    const interpreted = runCounted(program, join(directory, "none"));
    assert.equal(interpreted.output, expected);
    t.diagnostic(`${translated.instructions} instructions translated, ${interpreted.instructions} interpreted`);
    // The libraries of the dynamically linked program are interpreted in both runs.
    if (kind === "static") assert.ok(translated.instructions * 10 < interpreted.instructions);
    else assert.ok(translated.instructions < interpreted.instructions);
  });
}

test("discovery finds the instructions that objdump prints, and none between them", { timeout: 60_000 }, (t) => {
  const program = build("static");
  const { map } = discover(readElf(readFileSync(program), program));
  const listing = execFileSync("objdump", ["-d", "-j", ".text", "--no-show-raw-insn", program], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const printed = new Set<number>();
  let [all, found] = [0, 0];
  const missed: string[] = [];
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const match of listing.matchAll(/^ +([0-9a-f]+):\t(\S+)(.*)$/gm)) {
    const pc = Number.parseInt(match[1]!, 16);
    printed.add(pc);
    [low, high] = [Math.min(low, pc), Math.max(high, pc)];
    // Padding is of no interest; bytes that objdump cannot print are data.
    if (/^(nop|data16|cs|xchg|int3|hlt|ud2|\(bad\))/.test(match[2]!)) continue;
    all++;
    if (map.isInstruction(pc)) found++;
    else if (missed.length < 20) missed.push(match[0].trim());
  }
  assert.ok(all > 10_000);
  t.diagnostic(`${found} of ${all} instructions`);
  assert.ok(found / all > 0.99, `missed: ${missed.join("; ")}`);
  let between = 0;
  for (const segment of map.segments) {
    for (let pc = Math.max(low, segment.start); pc < Math.min(high, segment.end); pc++) {
      if (map.isInstruction(pc) && !printed.has(pc)) between++;
    }
  }
  t.diagnostic(`${between} where objdump prints none`);
  // Jumps over a lock prefix are real instructions between printed ones.
  assert.ok(between / all < 0.005);
});
