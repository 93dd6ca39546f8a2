// `hcontainer bench code`: how good the translated code is, on programs as Debian ships them, against their arm64 builds.

import { access, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RUNTIME_FILE, type Variant } from "../abi/index.ts";
import { HostError } from "../base/index.ts";
import {
  executedEntries,
  filesOf,
  qemuNodeDirectory,
  rememberFiles,
  seenFiles,
  seenVariants,
  TRANSLATIONS,
  translateFiles,
} from "../exec/index.ts";
import { packageVersions, programRoot, resolveInside } from "../host/index.ts";
import { parseVerb, UsageError } from "./arguments.ts";
import { HotCode } from "./bench-hot.ts";
import { benchInputs } from "./bench-inputs.ts";
import { emulatorWords, expectedOutput, listBlocks, type Measured, measure, type Way } from "./bench-measure.ts";
import { describeProfile } from "./bench-profile.ts";
import { WORKLOADS, type Workload } from "./bench-workloads.ts";
import { exitCode } from "./exit-codes.ts";
import { Progress, printJson, table } from "./output.ts";

export const help = `Measures translated code side by side with the programs' own arm64 builds and with qemu-x86_64 on arm64.

usage: hcontainer bench code [--only NAME]... [--hot] [--time] [--ordered] [--without-qemu] [--profile N] [--json]

  --only NAME      only this workload; may be repeated
  --hot            translate only the code that the workload executes: the same code comes out of it in a tenth of the time
  --time           measure processor time too (under emulation it is the emulator's: only ratios mean something)
  --ordered        measure the code for programs with threads, which keeps x86-64's order of memory accesses, with all
                   programs; without it each has the variant that it asks for
  --without-qemu   leave out qemu-x86_64, which takes most of the time
  --profile N      print where the executed instructions of the translated programs are: files, and the N hottest blocks
  --json           print data

Programs are Debian trixie's packages of the same versions for both architectures, on inputs that are the same everywhere.
All run under qemu user mode for arm64 with a plugin that counts the instructions executed, start and dynamic linking
included. The exit code is not 0 if a program printed something else than its amd64 build does on this machine; where the
arm64 build differs from that (compilers contract floating-point operations there), a note says so.

workloads: ${WORKLOADS.map(({ name }) => name).join(", ")}

examples:
  hcontainer bench code
  hcontainer bench code --only gzip --only lua --without-qemu
`;

const RELEASE = "trixie";
const EMULATOR = "/usr/bin/qemu-x86_64";
/** As many entries that a run with a part of the code translated has interpreted leave it nearly as it would be. */
const FEW_ENTRIES = 20;

interface Row {
  readonly name: string;
  readonly version: string;
  readonly native: Measured;
  readonly ours: Measured;
  readonly qemu: Measured | null;
}

interface Roots {
  readonly amd64: string;
  readonly arm64: string;
  readonly emulator: string;
}

async function makeRoots(): Promise<Roots> {
  const packages = [...new Set(WORKLOADS.flatMap((workload) => workload.packages))];
  const amd64 = await programRoot({ architecture: "amd64", release: RELEASE, packages });
  const arm64 = await programRoot({ architecture: "arm64", release: RELEASE, packages });
  const emulator = await programRoot({ architecture: "arm64", release: RELEASE, packages: ["qemu-user"] });
  return { amd64, arm64, emulator };
}

/** The ways in which a workload's program can be run. */
async function nativeWay(root: string): Promise<Way> {
  return { root, words: ({ program }) => emulatorWords(program, insideOf(root, program)), env: {} };
}

function insideOf(root: string, path: string): string {
  const file = resolveInside(root, path);
  if (file === undefined) throw new HostError("bench-missing", `there is no ${path} in ${root}`);
  return file;
}

/** Our way: what the program maps is translated first, what it turns out to load by name as well. */
async function translatedWay(
  workload: Workload,
  root: string,
  { ordered: isOrdered, hot: isHot }: { readonly ordered: boolean; readonly hot: boolean },
  inputs: string,
): Promise<Way> {
  const program = insideOf(root, workload.program);
  const hot = isHot
    ? await HotCode.observe(workload, await realpath(root), await realpath(program), inputs)
    : undefined;
  const partOf = hot && ((file: string) => hot.partOf(file));
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-bench-"));
  try {
    for (;;) {
      const seen = await seenFiles(program);
      const inRoot = seen.map((path) => (path.startsWith(`${root}/`) ? path.slice(root.length) : path));
      const files = filesOf(root, workload.program, [...new Set(inRoot)]);
      const variants: readonly Variant[] = isOrdered ? ["ordered"] : await seenVariants(program);
      const translations = await translateFiles(root, files, { variants, ...(partOf && { partOf }) });
      const node = await qemuNodeDirectory(translations);
      const log = join(scratch, "log");
      await writeFile(log, "");
      const env = { HCONTAINER_QEMU_USER: "/usr/bin/qemu-aarch64", HCONTAINER_TRANSLATIONS: join(node, TRANSLATIONS) };
      const words = (): string[] => [join(node, RUNTIME_FILE), program, workload.program];
      const logging = { HCONTAINER_MODULE_LOG: log, ...(hot && { HCONTAINER_LOG_EXECUTED: "1" }) };
      await measure(workload, { root, words, env: { ...env, ...logging } }, inputs, false);
      const logged = await readFile(log, "utf8");
      // What a part lacks is no news about the file.
      if (hot) await writeFile(log, logged.replace(/^missed .*\n/gm, ""));
      await rememberFiles(program, log);
      // What some path of the program's start executes once is not worth another translation.
      if (hot && hot.addInterpreted(executedEntries(logged)) > FEW_ENTRIES) continue;
      const isComplete = isOrdered || (await seenVariants(program)).length === variants.length;
      if (isComplete && (await seenFiles(program)).length === seen.length) return { root, words, env };
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function emulatedWay({ amd64, emulator }: Roots): Promise<Way> {
  const binary = insideOf(emulator, EMULATOR);
  await access(binary);
  return {
    root: emulator,
    words: ({ program }) => [binary, "-L", amd64, ...emulatorWords(program, insideOf(amd64, program))],
    env: {},
  };
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

function printRows(rows: readonly Row[], isTimed: boolean): void {
  const million = (measured: Measured | null): string => (measured ? (measured.instructions / 1e6).toFixed(1) : "");
  const ratio = (row: Row, of: keyof Measured & ("instructions" | "seconds"), what: "ours" | "qemu"): number =>
    (row[what]?.[of] ?? Number.NaN) / row.native[of];
  const text = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : "");
  const columns = (row: Row): number[] => [
    ratio(row, "instructions", "ours"),
    ratio(row, "instructions", "qemu"),
    ...(isTimed ? [ratio(row, "seconds", "ours"), ratio(row, "seconds", "qemu")] : []),
  ];
  const heading = ["program", "version", "native, million", "ours", "qemu-x86_64", "ours : native", "qemu : native"];
  if (isTimed) heading.push("time, ours", "time, qemu");
  const lines = rows.map((row) => [
    row.name,
    row.version,
    million(row.native),
    million(row.ours),
    million(row.qemu),
    ...columns(row).map(text),
  ]);
  const all = rows.map(columns);
  const means = all[0]!.map((_, i) => geometricMean(all.map((values) => values[i]!)));
  lines.push(["geometric mean", "", "", "", "", ...means.map(text)]);
  process.stdout.write(`${table([heading, ...lines])}\n`);
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(
    args,
    {
      only: { type: "string", multiple: true, default: [] },
      hot: { type: "boolean", default: false },
      time: { type: "boolean", default: false },
      ordered: { type: "boolean", default: false },
      "without-qemu": { type: "boolean", default: false },
      profile: { type: "string" },
      json: { type: "boolean", default: false },
    },
    ["WHAT"],
  );
  if (operands[0] !== "code") throw new UsageError(`bench knows 'code' only, not '${operands[0]}'`);
  for (const name of values.only)
    if (!WORKLOADS.some((workload) => workload.name === name)) throw new UsageError(`there is no workload '${name}'`);
  const profileRows = Number(values.profile ?? 0);
  if (!Number.isInteger(profileRows) || profileRows < 0) throw new UsageError("--profile takes a number of blocks");
  const progress = new Progress(values.json);
  progress.step("unpack packages");
  const roots = await makeRoots();
  const versions = [await packageVersions(roots.amd64), await packageVersions(roots.arm64)] as const;
  const inputs = await benchInputs();
  const rows: Row[] = [];
  const wrong: string[] = [];
  for (const workload of WORKLOADS) {
    if (values.only.length > 0 && !values.only.includes(workload.name)) continue;
    const [version, other] = versions.map((map) => map.get(workload.packages[0]!) ?? "");
    if (version !== other) progress.note(`${workload.name}: ${version} for amd64, ${other} for arm64`);
    progress.step(`${workload.name}: translate`);
    const ourWay = await translatedWay(workload, roots.amd64, values, inputs);
    progress.step(`${workload.name}: measure`);
    const native = await measure(workload, await nativeWay(roots.arm64), inputs, values.time);
    const ours = await measure(workload, ourWay, inputs, values.time);
    const qemu = values["without-qemu"] ? null : await measure(workload, await emulatedWay(roots), inputs, values.time);
    const expected = await expectedOutput(workload, roots.amd64, insideOf(roots.amd64, workload.program), inputs);
    for (const [what, measured] of [
      ["translated", ours],
      ["qemu-x86_64's", qemu],
    ] as const)
      if (measured && measured.output !== expected) wrong.push(`${workload.name}: ${what} output differs`);
    if (values.profile !== undefined)
      process.stdout.write(describeProfile(await listBlocks(workload, ourWay, inputs), profileRows));
    if (native.output !== expected) progress.note(`${workload.name}: the arm64 build's output differs`);
    rows.push({ name: workload.name, version: version ?? "", native, ours, qemu });
    progress.done((ours.instructions / native.instructions).toFixed(2));
  }
  if (values.json) printJson(rows);
  else printRows(rows, values.time);
  for (const line of wrong) process.stderr.write(`${line}\n`);
  return wrong.length > 0 ? exitCode("failed") : exitCode("ok");
}
