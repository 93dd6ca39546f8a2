// Translates an ELF file: finds and lifts its code (src/lift), runs the LLVM tools over the shards, links them and
// writes the translation file. Objects are cached by the content of their IR, whole translations by the file's digest
// and that of the translator's own sources.

import { readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { ABI_VERSION, keyName, TRANSLATION_SUFFIX, translationName, type Variant } from "../abi/index.ts";
import { HostError, InputError } from "../base/index.ts";
import { type ElfFile, executableSegments, fileCodeKey, readElf } from "../elf/index.ts";
import {
  type CodePart,
  discover,
  finishTranslation,
  type LiftedFile,
  liftFile,
  linkerScript,
  MARK,
  onlyPart,
  type Piece,
  writeShards,
} from "../lift/index.ts";
import { cached, findCached, sha256 } from "./cache.ts";
import { readEntries } from "./entry-hints.ts";
import { compileModule, inParallel, llvmVersion, type ModuleOptions } from "./llvm-tools.ts";
import { runChecked } from "./process.ts";

/**
 * Passes that pay on lifted code. Measured on the kernels of bench/register-convention: more scalar passes gain nothing,
 * loop rotation loses, and inlining pieces gains 4 % of instructions for 40 % more code.
 */
const PASSES = "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";
const LLC_OPTIONS = [
  "-mtriple=aarch64-linux-gnu",
  "-mattr=+v8.1a,+lse,+rcpc,+aes,+sha2",
  // Half of llc's time goes into what it does once a function, and pieces are small. Left out is what changes nothing in
  // them: the schedulers (a third of the time; counts of executed instructions stay within 3 % either way, and large cores
  // schedule by themselves), the verifiers, and passes for things that lifted code does not have.
  "-disable-verify",
  "-enable-misched=0",
  "-enable-post-misched=0",
  "-enable-shrink-wrap=0",
  "-disable-cfi-fixup",
  "-disable-interleaved-load-combine",
  "-disable-expand-reductions",
  "-disable-partial-libcall-inlining",
  "-disable-mergeicmps",
  "-disable-postra-machine-sink",
  "-aarch64-enable-collect-loh=0",
  "-aarch64-enable-falkor-hwpf-fix=0",
  "-aarch64-enable-global-merge=0",
  "-aarch64-enable-loop-data-prefetch=0",
  "-aarch64-enable-stp-suppress=0",
];
/** Addresses in a file of fixed place are two instructions; hoisting a common part of them makes it three. */
const FIXED_PLACE_OPTIONS = ["--disable-constant-hoisting"];
/** How translated code is compiled. */
export const GUEST_CODE: ModuleOptions = { passes: PASSES, level: "-O2", llc: LLC_OPTIONS };
/** Directories under src/ whose content decides what comes out. */
const TRANSLATOR_MODULES = ["abi", "elf", "x86", "llvm", "sem", "lift"];

/** What a translation covers and what it took. */
export interface TranslationReport {
  readonly file: string;
  readonly variant: Variant;
  readonly sha256: string;
  /** Name of the translation file that nodes look for. */
  readonly name: string;
  readonly codeBytes: number;
  /** Bytes of executable segments in which instructions were found. */
  readonly coveredBytes: number;
  readonly instructions: number;
  readonly interpretedInstructions: number;
  /** Instructions of pieces that LLVM does not compile, which is a defect, its or ours; they are interpreted as well. */
  readonly refusedInstructions: number;
  readonly unsupported: readonly { readonly mnemonic: string; readonly count: number; readonly reason: string }[];
  readonly functions: number;
  readonly entries: number;
  /** Entries that runs asked for or the user named, as far as code is there. */
  readonly hintedEntries: number;
  readonly jumpTables: number;
  readonly unresolvedJumps: number;
  readonly outputBytes: number;
  readonly milliseconds: Readonly<Record<"discover" | "analyse" | "compile" | "link", number>>;
  /** CPU time of the LLVM tools and of ourselves, which unlike the above does not depend on what else the machine does. */
  readonly cpuMilliseconds: Readonly<Record<"tools" | "own", number>>;
  /** The largest resident size that this process ever had. */
  readonly peakBytes: number;
}

export interface Translation {
  /** The translation file, in the cache. */
  readonly path: string;
  readonly report: TranslationReport;
}

let translatorDigest: string | undefined;

/** Digest of everything but the tools that decides what a translation looks like. */
function translatorVersion(): string {
  if (translatorDigest !== undefined) return translatorDigest;
  const contents: string[] = [`${ABI_VERSION}`, JSON.stringify(GUEST_CODE), ...FIXED_PLACE_OPTIONS];
  for (const module of TRANSLATOR_MODULES) {
    const directory = join(import.meta.dirname, "..", module);
    for (const file of readdirSync(directory)
      .filter((name) => name.endsWith(".ts"))
      .sort()) {
      contents.push(file, readFileSync(join(directory, file), "latin1"));
    }
  }
  translatorDigest = sha256(contents.join("\n"));
  return translatorDigest;
}

export interface TranslateOptions {
  readonly variant?: Variant;
  /** Addresses that are entries, beside what discovery finds and what is remembered (entry-hints.ts). */
  readonly entries?: readonly number[];
  /** Only this part of the code: the rest is interpreted. */
  readonly part?: CodePart | undefined;
  /** Keeps what was made of files, for whoever translates ever larger parts of them: then only what is new is compiled. */
  readonly growths?: Map<string, Growth> | undefined;
  onProgress?(done: number): void;
}

async function cacheKey(digest: string, variant: Variant, hints: readonly number[]): Promise<string> {
  return ["translation", variant, digest, hints.join(), await llvmVersion(), translatorVersion()].join("\n");
}

/** The key of a translation of a part only. */
function partKey(whole: string, part: CodePart | undefined): string {
  if (!part) return whole;
  return [whole, "part", [...part.executed].join(), part.roots.join()].join("\n");
}

/** The entries that are remembered for a file, and more. */
async function entryHints(bytes: Uint8Array, path: string, more: readonly number[] = []): Promise<number[]> {
  const remembered = await readEntries(keyName(fileCodeKey(readElf(bytes, path))));
  return [...new Set([...remembered, ...more])].sort((a, b) => a - b);
}

/** The translation of the file at `path` or a part of it, if the cache has it with all entries that are remembered now. */
export async function findTranslation(
  path: string,
  { variant = "plain", part }: Pick<TranslateOptions, "variant" | "part"> = {},
): Promise<Translation | undefined> {
  const bytes = await readFile(path);
  const whole = await cacheKey(sha256(bytes), variant, await entryHints(bytes, path));
  const file = await findCached(partKey(whole, part), TRANSLATION_SUFFIX);
  return file === undefined ? undefined : describeTranslation(file, path);
}

async function describeTranslation(file: string, path: string): Promise<Translation> {
  const report = JSON.parse(await readFile(`${file}.json`, "utf8")) as TranslationReport;
  return { path: file, report: { ...report, file: path } };
}

/** Translates the file at `path` for arm64, unless the cache has the translation. */
export async function translateFile(path: string, options: TranslateOptions = {}): Promise<Translation> {
  const { variant = "plain", onProgress = () => {} } = options;
  const bytes = await readFile(path);
  const digest = sha256(bytes);
  const hints = await entryHints(bytes, path, options.entries);
  const whole = await cacheKey(digest, variant, hints);
  const { part, growths } = options;
  const file = await cached(partKey(whole, part), TRANSLATION_SUFFIX, async (output) => {
    const growth = growths?.get(whole) ?? beginGrowth(analyse(bytes, path, digest, variant, hints));
    growths?.set(whole, growth);
    const { report, translation } = await translate(growth, part, onProgress);
    await writeFile(`${output}.json`, JSON.stringify(report, null, 2));
    await writeFile(output, translation);
    // The report lies beside its translation, under the name that the cache gives it.
    const final = output.replace(/\.part$/, "");
    await copyFile(`${output}.json`, `${final}.json`);
    await rm(`${output}.json`);
  });
  return describeTranslation(file, path);
}

/** What there is to know of a file before its code is written. */
interface Analysis {
  readonly path: string;
  readonly digest: string;
  readonly variant: Variant;
  readonly hints: readonly number[];
  readonly elf: ElfFile;
  readonly lifted: LiftedFile;
  readonly milliseconds: Readonly<Record<"discover" | "analyse", number>>;
  readonly cpuMilliseconds: TranslationReport["cpuMilliseconds"];
}

function analyse(
  bytes: Uint8Array,
  path: string,
  digest: string,
  variant: Variant,
  hints: readonly number[],
): Analysis {
  const clock = makeClock();
  const cpuClock = makeCpuClock();
  const elf = readElf(bytes, path);
  const { map, isConstant } = discover(elf, hints);
  const discoverMs = clock();
  const lifted = liftFile(map, variant, isConstant);
  const milliseconds = { discover: discoverMs, analyse: clock() };
  return { path, digest, variant, hints, elf, lifted, milliseconds, cpuMilliseconds: cpuClock() };
}

/** What has been compiled of a file so far. Its calls to code that was none of it then go through the dispatcher. */
export interface Growth {
  readonly analysis: Analysis;
  readonly pieces: Set<Piece>;
  readonly pages: Set<number>;
  readonly objects: string[];
  /** What LLVM does not compile. */
  readonly refused: Set<Piece>;
}

function beginGrowth(analysis: Analysis): Growth {
  return { analysis, pieces: new Set(), pages: new Set(), objects: [], refused: new Set() };
}

/** Compiles what of `lifted` is not compiled yet, without the shards that LLVM refuses. Throws if it refuses everything. */
async function grow(growth: Growth, lifted: LiftedFile, onProgress: (done: number) => void): Promise<void> {
  const { pieces, pages, objects, refused, analysis } = growth;
  for (;;) {
    const fresh = lifted.pieces.filter((piece) => !pieces.has(piece) && !refused.has(piece));
    // Nothing jumps to what is not there.
    for (const { head } of refused) head.isHead = false;
    if (fresh.length === 0 && pieces.size === 0)
      throw new InputError("translation-refused", "LLVM refuses all that is wanted of it", analysis.path);
    const compiled = await compileShards({ ...lifted, pieces: fresh }, onProgress);
    for (const piece of compiled.refused) refused.add(piece);
    if (compiled.refused.length === fresh.length && compiled.why) throw refusal(analysis.path, compiled.why);
    // What remains may have jumped to what was refused: it is written anew, and found in the cache where it did not.
    if (compiled.refused.length > 0) continue;
    objects.push(...compiled.objects);
    for (const piece of fresh) pieces.add(piece);
    for (const page of lifted.context.pages) pages.add(page);
    return;
  }
}

async function translate(
  growth: Growth,
  part: CodePart | undefined,
  onProgress: (done: number) => void,
): Promise<{ report: TranslationReport; translation: Uint8Array }> {
  const { analysis, pieces, objects, pages } = growth;
  const { path, digest, variant, hints, elf } = analysis;
  const { map } = analysis.lifted.context;
  const lifted = part ? onlyPart(analysis.lifted, part) : analysis.lifted;
  const clock = makeClock();
  const cpuClock = makeCpuClock();
  if (lifted.pieces.length === 0)
    throw new InputError("elf-no-code", "nothing in it can be translated", path, "its code, if any, is interpreted");
  await grow(growth, lifted, onProgress);
  const compileMs = clock();
  const segments = executableSegments(elf);
  const codeKey = fileCodeKey(elf);
  const entries = Array.from(pieces, (piece) => piece.head.start);
  const linked = await link(objects, entries.length, pages).catch((error: unknown) => {
    throw isRefusal(error) ? refusal(path, error) : error;
  });
  const translation = finishTranslation(linked, {
    variant,
    codeKey,
    sha256: Buffer.from(digest, "hex"),
    guestLow: map.low,
    guestHigh: Math.max(...segments.map((s) => s.vaddr + s.bytes.length)),
    entries,
  });
  const coverage = measure(lifted);
  const report: TranslationReport = {
    file: path,
    variant,
    sha256: digest,
    name: translationName(keyName(codeKey), variant),
    codeBytes: segments.reduce((sum, s) => sum + s.bytes.length, 0),
    ...coverage,
    instructions: lifted.instructions,
    interpretedInstructions: lifted.interpretedInstructions,
    refusedInstructions: [...growth.refused].flatMap(({ blocks }) => blocks).reduce((n, { pcs }) => n + pcs.length, 0),
    unsupported: summarise(lifted),
    entries: entries.length,
    hintedEntries: hints.filter((pc) => (map.marksAt(pc) & MARK.entry) !== 0).length,
    outputBytes: translation.length,
    milliseconds: { ...analysis.milliseconds, compile: compileMs, link: clock() },
    cpuMilliseconds: sumOf(analysis.cpuMilliseconds, cpuClock()),
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
  return { report, translation };
}

/** Milliseconds since it was asked last. */
function makeClock(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const passed = Math.round(now - last);
    last = now;
    return passed;
  };
}

/** Kernel ticks are hundredths of a second in what /proc prints, on every Linux. */
const TICK_MS = 10;

/** Gives the CPU time since it was made, of ourselves and of the children that have ended. */
function makeCpuClock(): () => TranslationReport["cpuMilliseconds"] {
  const childrenMs = (): number => {
    // Counted from behind the name, which may hold anything: cutime and cstime are fields 16 and 17 of the line.
    const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)!.split(" ");
    return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
  };
  const own = process.cpuUsage();
  const before = childrenMs();
  return () => {
    const { user, system } = process.cpuUsage(own);
    return { tools: childrenMs() - before, own: Math.round((user + system) / 1000) };
  };
}

/**
 * What LLVM cannot compile or link is not translated, for the interpreter knows it too; that the machine cannot run LLVM (no
 * tool, no memory) is another matter.
 */
function isRefusal(error: unknown): error is HostError {
  return error instanceof HostError && error.code === "command-failed";
}

function refusal(path: string, error: HostError): InputError {
  const advice = `its code is interpreted; this is a defect of the translator, please report it with: ${error.log}`;
  return new InputError("translation-refused", `LLVM refuses its translation: ${error.message}`, path, advice);
}

function sumOf(
  a: TranslationReport["cpuMilliseconds"],
  b: TranslationReport["cpuMilliseconds"],
): TranslationReport["cpuMilliseconds"] {
  return { tools: a.tools + b.tools, own: a.own + b.own };
}

interface CompiledShards {
  readonly objects: readonly string[];
  readonly refused: readonly Piece[];
  /** Why the last of them were. */
  readonly why: HostError | undefined;
}

async function compileShards(lifted: LiftedFile, onProgress: (done: number) => void): Promise<CompiledShards> {
  const shards = writeShards(lifted);
  const total = lifted.instructions;
  const place = lifted.context.map.isRelocatable ? [] : FIXED_PLACE_OPTIONS;
  const options: ModuleOptions = { ...GUEST_CODE, llc: [...LLC_OPTIONS, ...place] };
  const refused: Piece[] = [];
  let why: HostError | undefined;
  let done = 0;
  // Shards are written when a processor is free for them: their text is a hundred times the guest's code.
  const worker = async (): Promise<[number, string][]> => {
    const objects: [number, string][] = [];
    for (let next = shards.next(); !next.done; next = shards.next()) {
      const { index, ir, instructions, pieces } = next.value;
      try {
        objects.push([index, await compileModule("aarch64", ir, options)]);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        why = error;
        refused.push(...pieces);
      }
      done += instructions;
      onProgress(Math.min(1, done / total));
    }
    return objects;
  };
  const lists = await inParallel(Array.from({ length: availableParallelism() }, () => worker));
  const objects = lists
    .flat()
    .sort(([a], [b]) => a - b)
    .map(([, object]) => object);
  return { objects, refused, why };
}

async function link(objects: readonly string[], entries: number, pages: ReadonlySet<number>): Promise<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), "hcontainer-link-"));
  try {
    const [script, list, output] = ["link.ld", "objects", "linked"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(script, linkerScript(entries, pages));
    await writeFile(list, objects.join("\n"));
    await runChecked("ld.lld-19", [
      "-m",
      "aarch64elf",
      "--script",
      script,
      "--no-gc-sections",
      "-o",
      output,
      `@${list}`,
    ]);
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function measure(
  lifted: LiftedFile,
): Pick<TranslationReport, "coveredBytes" | "functions" | "jumpTables" | "unresolvedJumps"> {
  const { map, graph } = lifted.context;
  let coveredBytes = 0;
  for (const segment of map.segments) {
    for (let offset = 0, end = 0; offset < segment.bytes.length; offset++) {
      const length = segment.lengths[offset]!;
      if (length > 0) end = Math.max(end, offset + length);
      if (offset < end) coveredBytes++;
    }
  }
  const blocks = [...graph.blocks.values()];
  return {
    coveredBytes,
    functions: blocks.filter((block) => lifted.isFunction(block)).length,
    jumpTables: map.tables.size,
    unresolvedJumps: blocks.filter((block) => lifted.isUnresolvedJump(block)).length,
  };
}

function summarise(lifted: LiftedFile): TranslationReport["unsupported"] {
  const byMnemonic = new Map<string, { mnemonic: string; count: number; reason: string }>();
  for (const { mnemonic, count, reason } of lifted.unsupported) {
    const found = byMnemonic.get(mnemonic);
    if (found) found.count += count;
    else byMnemonic.set(mnemonic, { mnemonic, count, reason });
  }
  return [...byMnemonic.values()].sort((a, b) => b.count - a.count);
}
