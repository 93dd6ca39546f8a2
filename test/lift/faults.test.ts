// tier: runtime
// Programs that handle their faults: what the handler finds, and how the program goes on when it comes back, translated
// precisely, in order, and interpreted, against a native run. SEED can be set. Needs qemu-user, gcc and LLVM 19.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readElf } from "../../src/elf/index.ts";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { type CodeMap, discover } from "../../src/lift/index.ts";
import { FLOW } from "../../src/x86/index.ts";
import { IS_AMD } from "../cpu/not-comparable.ts";
import { faultingProgram } from "./faults/program.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const SEQUENCES = Number(process.env["COUNT"] ?? 150);
/** Words of what the handler writes for each fault. */
const NAMES = [
  ...[
    "signal",
    "code",
    "address",
    "sequence",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rdi",
    "rsi",
    "rbp",
  ],
  ...["rbx", "rdx", "rax", "rcx", "rsp", "rip", "flags", "segments", "error", "trap", "mask", "cr2"],
  ...["x87", "x87", "x87", ...Array.from({ length: 32 }, (_, i) => `xmm${i >> 1}`)],
  ...Array.from({ length: 64 }, (_, i) => `arena[${8 * i}]`),
];

let directory = "";
let runtime = "";
let program = "";
let inNative: bigint[] = [];
let loops: ReadonlySet<number> = new Set();
const VECTORS = NAMES.flatMap((name, i) => (name.startsWith("xmm") ? [i] : []));
const ARITHMETIC_FLAGS = 0x8d5n;
/** The bits in rflags of the scanner's flags. */
const FLAG_BITS = [0n, 2n, 4n, 6n, 7n, 11n];

function words(output: Buffer): bigint[] {
  assert.equal(output.length % (8 * NAMES.length), 0, `${output.length} bytes are whole records`);
  return Array.from({ length: output.length / 8 }, (_, i) => output.readBigUInt64LE(8 * i));
}

/** Arithmetic flags that are surely read from `pc` on, whichever way the program goes: the others translated code may drop. */
function liveFlags({ segments }: CodeMap, pc: number): bigint {
  const { scanner } = segments[0]!;
  let [live, dead] = [0, 0];
  for (let at = pc; ; ) {
    const length = scanner.decode(at);
    if (length === 0) break;
    live |= scanner.flagsRead & ~dead;
    dead |= scanner.flagsModified;
    // What follows the sequences reads all that it finds.
    if (scanner.flow === FLOW.jump) live |= 63 & ~dead;
    if (scanner.flow !== FLOW.next) break;
    at += length;
  }
  return FLAG_BITS.reduce((mask, bit, i) => (live & (1 << i) ? mask | (1n << bit) : mask), 0n);
}

/** Runs the program with the translations there; `code` is what they translate, if anything. */
function check(translations: string, code?: CodeMap): void {
  const native = [...inNative];
  const env = { PATH: "/usr/bin", HCONTAINER_TRANSLATIONS: translations };
  const { stdout, stderr, status } = spawnSync("qemu-aarch64", [runtime, program, program], {
    env,
    maxBuffer: 1 << 28,
  });
  assert.equal(status, 0, stderr.toString());
  const ours = words(stdout);
  const [flags, error] = [NAMES.indexOf("flags"), NAMES.indexOf("error")];
  for (let at = 0; at < Math.max(native.length, ours.length); at += NAMES.length) {
    if (loops.has(Number(native[at + 3])))
      for (const side of [native, ours]) {
        side[at + flags] = (side[at + flags] ?? 0n) & ~ARITHMETIC_FLAGS;
        for (const i of VECTORS) side[at + i] = 0n;
      }
    if (code) {
      const kept = ~ARITHMETIC_FLAGS | liveFlags(code, Number(native[at + NAMES.indexOf("rip")]));
      for (const side of [native, ours]) side[at + flags] = (side[at + flags] ?? 0n) & kept;
    }
    // Whether a page was present when it was written to or executed depends on what the kernel did before.
    for (const side of [native, ours]) {
      if (((side[at + error] ?? 0n) & 0x12n) !== 0n) side[at + error]! |= 1n;
    }
    const differences = NAMES.flatMap((name, i) =>
      ours[at + i] === native[at + i]
        ? []
        : [`${name}=${ours[at + i]?.toString(16)}(want ${native[at + i]?.toString(16)})`],
    );
    const place = `fault ${at / NAMES.length}, sequence ${native[at + 3]}, at ${native[at + NAMES.indexOf("rip")]?.toString(16)}`;
    assert.deepEqual(differences.slice(0, 8), [], `seed ${seed}, ${place}`);
  }
}

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "hcontainer-faults-"));
  runtime = await buildRuntime("qemu-user");
  const source = join(directory, "program.s");
  program = process.env["KEEP"] ?? join(directory, "program");
  const made = faultingProgram(seed, SEQUENCES, !IS_AMD);
  loops = made.loops;
  writeFileSync(source, made.text);
  const handler = join(import.meta.dirname, "faults", "handler.c");
  const flags = ["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-w"];
  execFileSync("gcc", [...flags, "-Wl,-z,noexecstack", handler, source, "-o", program]);
  inNative = words(execFileSync(program, [], { maxBuffer: 1 << 28 }));
  assert.ok(inNative.length > SEQUENCES * NAMES.length * 0.8);
});
after(() => rmSync(directory, { recursive: true, force: true }));

test("interpreted", () => check("/nowhere"));

for (const variant of ["precise", "ordered"] as const) {
  test(`translated, ${variant}`, { timeout: 600_000 }, async (t) => {
    t.diagnostic(`seed ${seed}, ${inNative.length / NAMES.length} faults`);
    const translations = join(directory, variant);
    mkdirSync(translations);
    const { path, report } = await translateFile(program, { variant });
    copyFileSync(path, join(translations, report.name));
    check(translations, discover(readElf(readFileSync(program), program)).map);
  });
}
