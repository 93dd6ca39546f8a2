// Holds translated code against the CPU: makes a program whose functions each hold one instruction (translated.c), runs it natively
// and, translated, in the runtime under qemu-user, and compares what both print.
//
//     node test/cpu/translated.ts [--mnemonic Add,Adc] [--seed N] [--count N] [--encodings N] [--case N] [--against interpreter]
//
// Against the interpreter, the other run is the same without a translation: for what the CPU at hand lacks.

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Decoder, DecoderOptions, Register, RegisterExt } from "iced-x86";
import { buildRuntime, run, runChecked, type TranslationReport, translateFile } from "../../src/host/index.ts";
import { TABLE } from "../../src/sem/index.ts";
import { enumerateForms, type Form } from "../../src/x86/index.ts";
import { type Case, encode, Random } from "./encode.ts";
import { isComparable, isHeldAgainst } from "./not-comparable.ts";
import { factsOf, hasFeature } from "./run.ts";

const here = import.meta.dirname;
const QEMU = "qemu-aarch64";

/** The cases run on the program's own stack, with its own x87 state, and print what must be foreseeable. */
const LEFT_OUT =
  /^(Push|Pop|Enter|Leave|Call|Ret|Iret|Jmp|Cpuid|Rdtsc|Rdrand|Rdseed|Rdpid|Xgetbv|Lsl$|F|X(save|rstor)|Ldmxcsr|Vldmxcsr|Stmxcsr|Vstmxcsr|Rdgs|Wrgs|Emms|Wait|Retf|Popf|Clzero)/;
const BRANCH = /^(J[a-z]+|Loop[a-z]*)$/;

export interface Options {
  readonly mnemonics?: readonly string[];
  readonly seed: number;
  readonly count: number;
  readonly encodings: number;
  readonly against?: "cpu" | "interpreter";
}

interface TestCase {
  readonly name: string;
  /** Assembly text of the instruction. */
  readonly text: string;
  readonly made: Case | null;
  readonly undefinedFlags: number;
}

/** From the order cf pf af zf sf of to places in the flags word. */
function flagsWord(flags: number): number {
  return [0, 2, 4, 6, 7, 11].reduce((word, place, i) => word | (((flags >> i) & 1) << place), 0);
}

/** The stack is the program's own, and a division by its dividend always overflows. */
function usesReservedRegister(bytes: readonly number[], isDivision: boolean): boolean {
  const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
  const instruction = decoder.decode();
  const registers = [instruction.memoryBase, instruction.memoryIndex];
  for (let i = 0; i < instruction.opCount; i++) registers.push(instruction.opRegister(i));
  instruction.free();
  decoder.free();
  const reserved = isDivision ? [Register.RSP, Register.RAX, Register.RDX] : [Register.RSP];
  return registers.some((register) => reserved.includes(RegisterExt.fullRegister(register)));
}

/** One case of a form, or null if this one does not suit. */
function caseOf(random: Random, form: Form, wantsMemory: boolean): TestCase | null {
  if (BRANCH.test(form.mnemonic)) {
    const text = `${form.mnemonic.toLowerCase()} 1f\n lea 1(%rax), %rax\n1:`;
    return { name: form.mnemonic, text, made: null, undefinedFlags: 0 };
  }
  const made = encode(random, form, wantsMemory);
  const facts = factsOf(made.bytes);
  if (!facts || facts.missing.length > 0 || made.bytes.includes(0x65)) return null;
  if (!isHeldAgainst(form.code, made.bytes, wantsMemory)) return null;
  if (usesReservedRegister(made.bytes, /^I?div$/i.test(form.mnemonic))) return null;
  if (made.aim && made.aim.patchOffset >= 0) return null;
  const text = `.byte ${made.bytes.join(",")}`;
  return { name: form.code, text, made, undefinedFlags: flagsWord(facts.undefinedFlags) };
}

function makeCases(options: Options): TestCase[] {
  const random = new Random(options.seed);
  const wanted = options.mnemonics && new Set(options.mnemonics.map((name) => name.toLowerCase()));
  const cases: TestCase[] = [];
  for (const form of enumerateForms()) {
    const row = TABLE.get(form.mnemonic);
    if (!row || row.support === "refused" || !isComparable(form)) continue;
    if (wanted && !wanted.has(form.mnemonic.toLowerCase())) continue;
    if (LEFT_OUT.test(form.mnemonic) || form.operands.some(({ kind }) => kind === "mm" || kind === "st")) continue;
    const kinds = [form.takesRegister || !form.hasModrm ? [false] : [], form.takesMemory ? [true] : []].flat();
    for (const wantsMemory of kinds) {
      for (let i = 0; i < options.encodings; i++) {
        const made = caseOf(random, form, wantsMemory);
        if (made) cases.push(made);
      }
    }
  }
  return cases;
}

/** Source of the cases: translated.S with a function a case behind it, and the table as C. */
function writeCases(directory: string, cases: readonly TestCase[]): void {
  const functions = cases.map(
    ({ text }, i) =>
      `FUNCTION(case_${i})\n call load_state\n popfq\n ${text}\n pushfq\n jmp store_state\nEND(case_${i})\n`,
  );
  writeFileSync(join(directory, "cases.S"), `#include "${join(here, "translated.S")}"\n .text\n${functions.join("")}`);
  const rows = cases.map(({ name, made, undefinedFlags }, i) => {
    const aim = made?.aim ?? {
      base: -1,
      index: -1,
      scale: 1,
      displacement: 0,
      vsibWidth: 0,
      vsibLane: 0,
      address32: false,
    };
    const numbers = [aim.base, aim.index, aim.scale, aim.displacement, aim.vsibWidth, aim.vsibLane];
    return `{case_${i}, ${numbers.join(", ")}, ${aim.address32 ? 1 : 0}, ${made?.memoryBytes ?? 0}, ${undefinedFlags}, "${name}"},`;
  });
  const declarations = cases.map((_, i) => `void case_${i}(void);`).join("\n");
  writeFileSync(
    join(directory, "cases.h"),
    `${declarations}\nstatic const struct test_case cases[] = {\n${rows.join("\n")}\n};\nstatic const int case_count = ${cases.length};\n`,
  );
}

export interface Comparison {
  readonly caseCount: number;
  /** Cases that ended in a signal natively. */
  readonly faulted: readonly string[];
  /** A line a case that differs: its name, number, bytes, and what differs. */
  readonly differences: readonly string[];
  readonly report: TranslationReport;
  /** With a case chosen: both outputs. */
  readonly outputs: readonly [string, string];
}

/** Names of the groups in which two lines of output differ. */
function differingGroups(native: string, translated: string): string {
  const [a, b] = [native.split(" "), translated.split(" ")];
  return a.flatMap((word, i) => (word !== b[i] ? [a[i - 1] ?? ""] : [])).join(" ");
}

export async function compareTranslated(options: Options, chosen?: number): Promise<Comparison> {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-translated-"));
  try {
    const cases = makeCases(options);
    writeCases(directory, cases);
    const program = join(directory, "program");
    const flags = [
      "-static",
      "-nostdlib",
      "-ffreestanding",
      "-fno-stack-protector",
      "-no-pie",
      "-O1",
      "-Wall",
      "-Wextra",
    ];
    const sources = [join(here, "translated.c"), join(directory, "cases.S")];
    if (hasFeature("avx512bw")) flags.push("-DAVX512");
    await runChecked("gcc", [...flags, `-I${directory}`, ...sources, "-o", program]);
    const { path, report } = await translateFile(program);
    mkdirSync(join(directory, "translations"));
    copyFileSync(path, join(directory, "translations", report.name));
    const runtime = await buildRuntime("qemu-user");
    const states = [`${options.seed}`, `${options.count}`];
    const words = [...states, chosen === undefined ? "all" : `${chosen}`];
    const interpret = ["HCONTAINER_TRANSLATIONS=/nonexistent", QEMU, runtime, program, program, ...words];
    const native = options.against === "interpreter" ? await run("env", interpret) : await run(program, words);
    if (native.status !== 0) throw new Error(`native run ended with ${native.status}: ${native.stderr}`);
    const lines = native.stdout.split("\n");
    const faulted = chosen === undefined ? cases.flatMap((_, i) => (lines[i]!.endsWith(" signals 0") ? [] : [i])) : [];
    const directoryArgument = `HCONTAINER_TRANSLATIONS=${join(directory, "translations")}`;
    const which = chosen === undefined ? ["all", ...faulted.map(String)] : [`${chosen}`];
    const translated = await run("env", [directoryArgument, QEMU, runtime, program, program, ...states, ...which]);
    const got = translated.stdout.split("\n");
    const numbers = cases.map((_, i) => i).filter((i) => !faulted.includes(i));
    const differences = numbers.flatMap((number, i) => {
      const { name, text } = cases[number]!;
      if (lines[number] === got[i]) return [];
      return [`${name} case ${number} ${text}: ${got[i] ? differingGroups(lines[number]!, got[i]) : "missing"}`];
    });
    if (translated.status !== 0)
      differences.push(`the translated run ended with ${translated.status}: ${translated.stderr}`);
    return {
      caseCount: numbers.length,
      faulted: faulted.map((i) => cases[i]!.name),
      differences,
      report,
      outputs: [native.stdout, translated.stdout],
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      mnemonic: { type: "string" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      count: { type: "string", default: "20" },
      encodings: { type: "string", default: "1" },
      case: { type: "string" },
      against: { type: "string", default: "cpu" },
    },
  });
  const chosen = values.case === undefined ? undefined : Number(values.case);
  const options = {
    ...(values.mnemonic === undefined ? {} : { mnemonics: values.mnemonic.split(",") }),
    seed: Number(values.seed),
    count: Number(values.count),
    encodings: Number(values.encodings),
    against: values.against === "interpreter" ? "interpreter" : "cpu",
  } as const;
  const { caseCount, faulted, differences, report, outputs } = await compareTranslated(options, chosen);
  if (chosen !== undefined) {
    const [want, got] = outputs.map((text) => text.split("\n"));
    want!.forEach((line, i) => {
      process.stdout.write(line === got![i] ? `  ${line}\n` : `- ${line}\n+ ${got![i]}\n`);
    });
  } else {
    for (const line of differences) process.stdout.write(`${line}\n`);
    const left = report.unsupported.map(({ mnemonic, count }) => `${mnemonic} ${count}`).join(", ");
    process.stdout.write(`left to the interpreter: ${left}\nfaulted natively, not compared: ${faulted.join(" ")}\n`);
    process.stdout.write(
      `${caseCount} cases, ${differences.length} differ, ${options.count} states each, seed ${options.seed}; ` +
        `${report.instructions} instructions translated in ${JSON.stringify(report.milliseconds)} ms\n`,
    );
    process.exitCode = differences.length > 0 ? 1 : 0;
  }
}
