// Builds the harness and holds the interpreter against the CPU: see README.md.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CpuidFeature, Decoder, DecoderOptions, RflagsBits } from "iced-x86";
import { type RunResult, run } from "../../src/host/index.ts";
import { TABLE } from "../../src/sem/index.ts";
import { enumerateForms, type Form } from "../../src/x86/index.ts";
import { type Case, encode, Random } from "./encode.ts";
import { linkWithInterpreter } from "./link.ts";
import { isComparable, isHeldAgainst } from "./not-comparable.ts";

const here = import.meta.dirname;

export interface Options {
  readonly mnemonics?: readonly string[];
  readonly seed: number;
  readonly count: number;
  readonly encodings: number;
  readonly target: "x86_64" | "aarch64";
  /** Only forms with memory (and masks of few lanes), at the ends of mapped memory: what may fault. */
  readonly edges?: boolean;
}

const FLAG_BITS = [RflagsBits.CF, RflagsBits.PF, RflagsBits.AF, RflagsBits.ZF, RflagsBits.SF, RflagsBits.OF];

/** Features that not all processors have and that Linux names as iced-x86 does, up to underscores. */
const OPTIONAL_FEATURE =
  /^(AVX|BMI|GFNI|VAES|VPCLMULQDQ|SERIALIZE|MOVDIR|ENQCMD|WAITPKG|RAO|CMPCC|CET_SS|RDPRU|PKU|SHA512|SM[34]|SSE4A|ADX|CLZERO|MONITORX|RDPID|FSGSBASE)/;
const plainName = (name: string): string => name.toLowerCase().replaceAll("_", "");
const cpuFlags = new Set(
  (/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1] ?? "").trim().split(" ").map(plainName),
);

/** Whether this processor has a feature, by the name that Linux gives it. */
export const hasFeature = (name: string): boolean => cpuFlags.has(plainName(name));

/** Features that the decoded instruction needs and this processor lacks. */
function missingFeatures(features: Int32Array): string[] {
  const names = Array.from(features, (feature) => CpuidFeature[feature]!);
  return names.filter((name) => OPTIONAL_FEATURE.test(name) && !cpuFlags.has(plainName(name)));
}

/** Decodes with iced-x86: the undefined flags, and the code that the bytes mean; null if they mean nothing. */
export function factsOf(bytes: readonly number[]): { code: number; undefinedFlags: number; missing: string[] } | null {
  const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
  const instruction = decoder.decode();
  const undefinedBits = instruction.rflagsUndefined;
  const code = instruction.length === bytes.length ? instruction.code : 0;
  const missing = missingFeatures(instruction.cpuidFeatures());
  instruction.free();
  decoder.free();
  if (code === 0) return null;
  const undefinedFlags = FLAG_BITS.reduce((mask, bit, i) => mask | (undefinedBits & bit ? 1 << i : 0), 0);
  return { code, undefinedFlags, missing };
}

/** Arithmetic that must not set exception flags which the CPU does not set: of lanes under a mask, or suppressed ones. */
const ADDS_NO_EXCEPTIONS =
  /^(?:E?VEX_)?V?(?:(?:add|sub|mul|div|sqrt|min|max|hadd|hsub|getexp|getmant|range)[ps][sd])_/i;

/** A case as the harness reads it; null if the bytes mean nothing or this processor lacks features, which go to `lacks`. */
function caseLine(made: Case, lacks: Set<string>): string | null {
  const facts = factsOf(made.bytes);
  if (!facts) return null;
  for (const name of facts.missing) lacks.add(name);
  if (facts.missing.length > 0) return null;
  const aim = made.aim ?? {
    base: -1,
    index: -1,
    scale: 1,
    displacement: 0,
    vsibWidth: 0,
    vsibLane: 0,
    address32: false,
    patchOffset: -1,
  };
  const hex = made.bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const isAbsolute = aim.patchOffset >= 0 && /moffs/i.test(made.code);
  const fields = [
    hex,
    aim.base,
    aim.index,
    aim.scale,
    aim.displacement,
    aim.vsibWidth,
    aim.vsibLane,
    aim.address32 ? 1 : 0,
  ];
  fields.push(
    aim.patchOffset,
    isAbsolute ? 1 : 0,
    made.memoryBytes,
    facts.undefinedFlags,
    ADDS_NO_EXCEPTIONS.test(made.code) ? 2 : 0,
  );
  fields.push(made.code);
  return fields.join(" ");
}

/** Lines for `encodings` random encodings of every form of the wanted mnemonics that has a row. */
export function makeCases(options: Options, lacks: Set<string>): string[] {
  const random = new Random(options.seed);
  const wanted = options.mnemonics && new Set(options.mnemonics.map((name) => name.toLowerCase()));
  const lines: string[] = [];
  const add = (form: Form, wantsMemory: boolean, encodings: number): void => {
    for (let i = 0; i < encodings; i++) {
      const made = encode(random, form, wantsMemory);
      const line = isHeldAgainst(form.code, made.bytes, wantsMemory) ? caseLine(made, lacks) : null;
      if (line) lines.push(line);
    }
  };
  for (const form of enumerateForms()) {
    const row = TABLE.get(form.mnemonic);
    if (!row || row.support === "refused" || !isComparable(form)) continue;
    if (wanted && !wanted.has(form.mnemonic.toLowerCase())) continue;
    if (options.edges) {
      if (form.takesMemory) add(form, true, options.encodings);
      continue;
    }
    if (form.takesRegister || !form.hasModrm) add(form, false, options.encodings);
    if (form.takesMemory) add(form, true, options.encodings);
  }
  return lines;
}

async function buildHarness(target: Options["target"], directory: string): Promise<string> {
  const output = join(directory, `harness-${target}`);
  await linkWithInterpreter(target, "harness.c", output);
  return output;
}

/** Cases that failed once (cases.txt), as far as this processor has them. */
function keptCases(lacks: Set<string>): string[] {
  const path = join(here, "cases.txt");
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  return lines.filter((line) => {
    const hex = /^[0-9a-f]+/.exec(line)?.[0];
    const bytes = hex && Array.from(Buffer.from(hex, "hex"));
    const facts = bytes && factsOf(bytes);
    if (!facts || !isHeldAgainst(line.slice(line.lastIndexOf(" ") + 1), bytes, true)) return false;
    for (const name of facts.missing) lacks.add(name);
    return facts.missing.length === 0;
  });
}

/** The lines of the cases that a report names, to be kept in cases.txt. */
function failedCases(report: string, lines: readonly string[]): string {
  const numbers = new Set(Array.from(report.matchAll(/ case (\d+) round /g), (match) => Number(match[1])));
  return [...numbers].map((number) => `for cases.txt: ${lines[number]}\n`).join("");
}

/** The harness ends with 0 or 1; anything else is its own failure. */
function verdict(
  result: RunResult,
  lines: readonly string[],
  lacks: ReadonlySet<string>,
): { agreed: boolean; report: string } {
  const end = result.status > 1 ? `the harness ended with status ${result.status}\n` : "";
  const untested = lacks.size > 0 ? `not tested, as this processor lacks them: ${[...lacks].sort().join(" ")}\n` : "";
  return {
    agreed: result.status === 0,
    report: result.stdout + result.stderr + failedCases(result.stdout, lines) + untested + end,
  };
}

/** What of a report goes into a test's message: all, unless so much is wrong that nobody would read it. */
export function excerpt(report: string): string {
  const lines = report.split("\n");
  const [first, last] = [200, 10];
  if (lines.length <= first + last) return report;
  return [...lines.slice(0, first), `... ${lines.length - first - last} lines more ...`, ...lines.slice(-last)].join(
    "\n",
  );
}

/** Runs the comparison; gives the harness's report and whether all agreed. */
export async function compareWithCpu(options: Options): Promise<{ agreed: boolean; report: string }> {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-cpu-"));
  try {
    const cases = join(directory, "cases");
    const lacks = new Set<string>();
    const kept = options.mnemonics || options.edges ? [] : keptCases(lacks);
    const lines = [...kept, ...makeCases(options, lacks)];
    writeFileSync(cases, `${lines.join("\n")}\n`);
    const native = await buildHarness("x86_64", directory);
    const args = [cases, String(options.seed), String(options.count), options.edges ? "--edges" : "--anywhere"];
    if (options.target === "x86_64") {
      return verdict(await run(native, args), lines, lacks);
    }
    const foreign = await buildHarness("aarch64", directory);
    const script = `"$1" "$3" "$4" "$5" "$6" --record | qemu-aarch64 "$2" "$3" "$4" "$5" "$6" --replay`;
    return verdict(await run("sh", ["-c", script, "sh", native, foreign, ...args]), lines, lacks);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      mnemonic: { type: "string" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      count: { type: "string", default: "200" },
      encodings: { type: "string", default: "3" },
      target: { type: "string", default: "x86_64" },
      edges: { type: "boolean", default: false },
    },
  });
  const { agreed, report } = await compareWithCpu({
    ...(values.mnemonic === undefined ? {} : { mnemonics: values.mnemonic.split(",") }),
    seed: Number(values.seed),
    count: Number(values.count),
    encodings: Number(values.encodings),
    target: values.target === "aarch64" ? "aarch64" : "x86_64",
    edges: values.edges,
  });
  process.stdout.write(report);
  process.exitCode = agreed ? 0 : 1;
}
