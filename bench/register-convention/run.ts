// Measures how guest registers are best held between functions: instructions a round of each kernel, counted under
// qemu-aarch64, of the translator's continuation-passing style and of host calls, against the same C compiled for arm64
// and against qemu-x86_64's user mode if a build of it for arm64 is given.
//
//   node bench/register-convention/run.ts [ARM64-BUILD-OF-QEMU-X86_64]
//
// Needs gcc, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, qemu-user, and the LLVM tools.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printHeader } from "../../src/abi/index.ts";
import { readElf } from "../../src/elf/index.ts";
import { buildRuntime, run, runChecked, translateFile } from "../../src/host/index.ts";
import { discover, liftFile } from "../../src/lift/index.ts";
import { type HostConvention, writeHostCalls } from "./host-calls.ts";

const KERNELS = [
  ["h", "hash (SHA-256)"],
  ["s", "sort (recursive, comparison behind a pointer)"],
  ["t", "strings (words counted in a hash table)"],
] as const;
const [FEW, MANY] = [10, 30];
const PASSES =
  "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,gvn,dse,instcombine<no-verify-fixpoint>,simplifycfg,adce)";
const COMPILE = [
  "-O2",
  "-static",
  "-nostdlib",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-tree-loop-distribute-patterns",
];
/** rsp, rdi, rsi, rdx, rcx, r8, rax in; the pc, rsp, rax, rdx, rdi, rsi, rcx, r8 out: what eight registers hold. */
const EIGHT: HostConvention = { passed: [4, 7, 6, 2, 1, 8, 0], returned: [4, 0, 2, 7, 6, 1, 8] };
const MEMORY: HostConvention = { passed: [], returned: [] };

const here = import.meta.dirname;
const work = mkdtempSync(join(tmpdir(), "hcontainer-bench-"));
const plugin = join(work, "insn-count.so");

/** Runs a command under qemu-aarch64; gives the number of instructions and what it printed. */
async function count(args: readonly string[], env: Record<string, string> = {}): Promise<[number, string]> {
  const log = join(work, "count.txt");
  const { stdout } = await run("qemu-aarch64", ["-plugin", plugin, "-d", "plugin", "-D", log, ...args], { env });
  return [Number(/insns (\d+)/.exec(readFileSync(log, "utf8"))?.[1]), stdout];
}

/** Instructions a round, and whether the program's checksum is the native one. */
async function perRound(program: readonly string[], kernel: string, expected: string, env = {}): Promise<number> {
  const [few] = await count([...program, kernel, `${FEW}`], env);
  const [many, printed] = await count([...program, kernel, `${MANY}`], env);
  if (printed !== expected) throw new Error(`${program.join(" ")} ${kernel}: printed ${printed}, not ${expected}`);
  return (many - few) / (MANY - FEW);
}

async function buildHostCalls(guest: string, convention: HostConvention, name: string): Promise<string> {
  const file = liftFile(discover(readElf(readFileSync(guest), guest)).map);
  const [ir, bitcode, object, program] = ["ll", "bc", "o", "run"].map((suffix) => join(work, `${name}.${suffix}`)) as [
    string,
    string,
    string,
    string,
  ];
  writeFileSync(ir, writeHostCalls(file, convention));
  writeFileSync(join(work, "abi.h"), printHeader());
  await runChecked("opt-19", [`-passes=${PASSES}`, ir, "-o", bitcode]);
  await runChecked("llc-19", [
    "-O2",
    "-mtriple=aarch64-linux-gnu",
    "-mattr=+v8.1a,+lse,+rcpc",
    "-filetype=obj",
    bitcode,
    "-o",
    object,
  ]);
  const link = [
    "-O2",
    "-static",
    "-Wl,-Ttext-segment=0x10000000",
    `-I${work}`,
    join(here, "harness.c"),
    object,
    "-o",
    program,
  ];
  await runChecked("aarch64-linux-gnu-gcc", link);
  return program;
}

async function main(): Promise<void> {
  const [guest, native] = [join(work, "kernels.x86_64"), join(work, "kernels.aarch64")];
  await runChecked("gcc", [...COMPILE, "-o", guest, join(here, "kernels.c")]);
  await runChecked("aarch64-linux-gnu-gcc", [...COMPILE, "-o", native, join(here, "kernels.c")]);
  await runChecked("gcc", ["-O2", "-shared", "-fPIC", "-o", plugin, join(here, "../insn-count/insn-count.c")]);
  const { path, report } = await translateFile(guest);
  copyFileSync(path, join(work, report.name));
  const runtime = await buildRuntime("qemu-user");
  const inMemory = await buildHostCalls(guest, MEMORY, "memory");
  const inEight = await buildHostCalls(guest, EIGHT, "eight");
  const emulator = process.argv[2] && existsSync(process.argv[2]) ? process.argv[2] : undefined;
  const variants: [string, string[], Record<string, string>][] = [
    ["continuation-passing (preserve_none)", [runtime, guest, guest], { HCONTAINER_TRANSLATIONS: work }],
    ["host calls, registers in memory", [inMemory, guest], {}],
    ["host calls, eight registers in and out", [inEight, guest], {}],
    ...(emulator
      ? [["qemu-x86_64 user mode", [emulator, guest], {}] as [string, string[], Record<string, string>]]
      : []),
  ];
  for (const [kernel, title] of KERNELS) {
    const { stdout: expected } = await run(guest, [kernel, `${MANY}`]);
    const base = await perRound([native], kernel, expected);
    process.stdout.write(`${title}\n  ${"gcc -O2 for arm64".padEnd(42)}${Math.round(base)}\n`);
    for (const [name, program, env] of variants) {
      const each = await perRound(program, kernel, expected, env);
      process.stdout.write(`  ${name.padEnd(42)}${`${Math.round(each)}`.padEnd(10)}${(each / base).toFixed(2)}\n`);
    }
  }
}

try {
  await main();
} finally {
  rmSync(work, { recursive: true, force: true });
}
