// Runs rows of the corpus, natively and translated, each in a fresh layer over the same root directory, in namespaces of
// its own; and holds the two against each other: output, exit status, and every file that was written.

import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyName, NODE_MOUNT, VARIANTS, type Variant } from "../../src/abi/index.ts";
import { HostError } from "../../src/base/index.ts";
import { fileCodeKey, readElf } from "../../src/elf/index.ts";
import {
  addEntries,
  executedEntries,
  type FoundProgram,
  linkedFiles,
  locateProgram,
  qemuCommand,
  qemuNodeDirectory,
  rootCommand,
  translateFiles,
  withoutFiles,
} from "../../src/exec/index.ts";
import { type CommandLine, findProgram, isHomeProgram, programRoot, resolveInside, run } from "../../src/host/index.ts";
import { type CorpusProgram, ROOTS } from "./programs.ts";

/** Debian release of the corpus. */
export const RELEASE = "bookworm";
const SECONDS = 120;
const ENVIRONMENT = {
  PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/games:/usr/lib/postgresql/15/bin",
  HOME: "/root",
  LC_ALL: "C.UTF-8",
  TZ: "UTC",
  PYTHONHASHSEED: "0",
};

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  /** What was written: path → kind, mode and digest. */
  readonly files: Readonly<Record<string, string>>;
}

export interface TranslatedOutcome extends Outcome {
  /** Paths in the root of what was mapped as code, and those of them that were not offered a translation. */
  readonly modules: readonly string[];
  readonly unknown: readonly string[];
  /** Variants of code that its processes asked for, the plain one included. */
  readonly variants: readonly Variant[];
  /** Where the interpreter has begun, by code key; with `observeSeconds` only. */
  readonly executed: ExecutedCode;
  /** Whether its time was over before it had ended; then the rest says what it did until then. */
  readonly isCut: boolean;
  readonly milliseconds: number;
}

/** Addresses in files, by the name of their code key. */
export type ExecutedCode = ReadonlyMap<string, ReadonlySet<number>>;

/** The root directory of a row. */
export async function rootOf(program: CorpusProgram): Promise<string> {
  return programRoot({ architecture: "amd64", release: RELEASE, packages: ROOTS[program.root] });
}

function describeTree(directory: string, path = "", into: Record<string, string> = {}): Record<string, string> {
  for (const name of readdirSync(join(directory, path)).sort()) {
    const here = `${path}/${name}`;
    // Mount points of the run itself.
    if ([NODE_MOUNT, "/proc", "/sys", "/dev"].includes(here)) continue;
    const stat = lstatSync(join(directory, here));
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isDirectory()) {
      into[here] = `directory ${mode}`;
      describeTree(directory, here, into);
    } else if (stat.isSymbolicLink()) into[here] = `link ${readlinkSync(join(directory, here))}`;
    else if (stat.isFile()) {
      const digest = createHash("sha256")
        .update(readFileSync(join(directory, here)))
        .digest("hex");
      into[here] = `file ${mode} ${stat.size} ${digest.slice(0, 16)}`;
    } else into[here] = `special ${stat.mode.toString(8)}`;
  }
  return into;
}

/** What the kernel, qemu and the clock put into output, which is not the program's. */
function normalise(text: string): string {
  return text.replace(/^qemu: uncaught target signal .*\n/gm, "");
}

async function runIn(
  program: CorpusProgram,
  makeLine: (layer: string, words: string[]) => CommandLine,
): Promise<Outcome> {
  const layer = mkdtempSync(join(tmpdir(), "hcontainer-corpus-"));
  try {
    const work = join(layer, "upper/work");
    mkdirSync(work, { recursive: true });
    mkdirSync(join(layer, "upper/tmp"));
    chmodSync(join(layer, "upper/tmp"), 0o1777);
    for (const [name, content] of Object.entries(program.files ?? {})) writeFileSync(join(work, name), content);
    const line = makeLine(layer, ["/bin/sh", "-e", "-c", program.script]);
    // An environment of its own: not what this machine happens to have.
    const env = Object.entries({ ...ENVIRONMENT, ...line.env }).map(([name, value]) => `${name}=${value}`);
    const seconds = program.seconds ?? SECONDS;
    const { stdout, stderr, status } = await run("env", ["-i", ...env, line.command, ...line.args], {
      timeoutMs: seconds * 1000,
    });
    return { stdout: normalise(stdout), stderr: normalise(stderr), status, files: describeTree(join(layer, "upper")) };
  } finally {
    rmSync(layer, { recursive: true, force: true });
  }
}

/** The oracle: this machine's own processor and kernel. */
export async function runNatively(program: CorpusProgram): Promise<Outcome> {
  const root = await rootOf(program);
  return runIn(program, (layer, words) => rootCommand({ root, layer, cwd: "/work", isIsolated: true }, words));
}

export interface TranslatedOptions {
  /** Files in the root to translate besides the programs that the row names. */
  readonly modules: readonly string[];
  readonly variants?: readonly Variant[];
  readonly interpret?: boolean;
  /** Translates only this of each file, which an earlier run has executed. */
  readonly only?: ExecutedCode;
  /** Notes what the interpreter does, for so many seconds at the most. */
  readonly observeSeconds?: number;
  /** Leaves out files whose path contains one of these. */
  readonly without?: readonly string[];
}

/** Files that start with the programs that a row's script names: every word of it that is one in the root. */
function namedFiles(root: string, program: CorpusProgram): string[] {
  const text = [program.script, ...Object.values(program.files ?? {})].join("\n");
  const words = new Set(text.match(/[\w.+-]+/g) ?? []);
  const programs = [...words].flatMap((word) => {
    const path = /[a-z]/.test(word) ? findProgram(root, word, { path: ENVIRONMENT.PATH }) : undefined;
    return path !== undefined && isHomeProgram(resolveInside(root, path)!) ? [path] : [];
  });
  return programs.flatMap((path) => linkedFiles(root, path));
}

function executedIn(file: string, only: ExecutedCode): ReadonlySet<number> {
  return only.get(keyName(fileCodeKey(readElf(readFileSync(file), file)))) ?? new Set();
}

export async function runTranslated(program: CorpusProgram, options: TranslatedOptions): Promise<TranslatedOutcome> {
  const root = await rootOf(program);
  const found: FoundProgram = locateProgram(root, ["/bin/sh"], "/");
  const known = [...linkedFiles(root, found.program), ...namedFiles(root, program), ...options.modules];
  const wanted = options.interpret ? [] : withoutFiles([...new Set(known)], options.without ?? []);
  const { only, variants: wantedVariants } = options;
  const partOf = only && ((file: string) => ({ executed: executedIn(file, only), roots: [] }));
  const translations = await translateFiles(root, wanted, { variants: wantedVariants, ...(partOf && { partOf }) });
  const node = await qemuNodeDirectory(translations);
  const env: Record<string, string> = options.observeSeconds !== undefined ? { HCONTAINER_LOG_EXECUTED: "1" } : {};
  const scratch = mkdtempSync(join(tmpdir(), "hcontainer-corpus-log-"));
  try {
    const log = join(scratch, "log");
    writeFileSync(log, "", { mode: 0o666 });
    chmodSync(log, 0o666);
    const start = Date.now();
    const limited = { ...program, seconds: options.observeSeconds ?? program.seconds ?? SECONDS };
    const run = runIn(limited, (layer, words) =>
      qemuCommand({ ...found, args: words }, node, log, { root, layer, cwd: "/work", isIsolated: true }, env),
    );
    const outcome = await run.catch((error: unknown): Outcome => {
      if (options.observeSeconds === undefined || !(error instanceof HostError && error.code === "timeout"))
        throw error;
      return { stdout: "", stderr: "", status: -1, files: {} };
    });
    const text = readFileSync(log, "utf8");
    const lines = new Set(text.split("\n"));
    const modules = [...lines].filter((line) => line.startsWith("/"));
    const variants = VARIANTS.filter((variant) => variant === "plain" || lines.has(`variant ${variant}`));
    const offered = new Set(known.map((path) => resolveInside(root, path)));
    const unknown = modules.filter((path) => !offered.has(resolveInside(root, path)));
    return {
      ...outcome,
      modules,
      unknown,
      variants,
      executed: executedEntries(text),
      isCut: outcome.status === -1,
      milliseconds: Date.now() - start,
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const ROUNDS = 9;
/** So many entries more are worth another round. */
const NEW_ENTRIES = 50;
/** Seconds of the first round; each that is cut short gives the next one twice as many, and the last one some more. */
const FIRST_SECONDS = 20;
const LAST_TIMES = 10;

/**
 * Runs a row interpreted, then with what was executed translated, until little else is interpreted. Large programs have most of
 * their code in it that their row never reaches, and translating that takes hours; so does interpreting all that they do, so runs
 * that take long are cut off and begun again with what they have executed until then.
 */
export async function runExecuted(
  program: CorpusProgram,
  without: readonly string[] = [],
): Promise<{ readonly interpreted: TranslatedOutcome | undefined; readonly translated: TranslatedOutcome }> {
  const only = new Map<string, Set<number>>();
  const modules = new Set<string>();
  const variants = new Set<Variant>(["plain"]);
  let interpreted: TranslatedOutcome | undefined;
  let seconds = FIRST_SECONDS;
  for (let round = 1; ; round++) {
    const outcome = await runTranslated(program, {
      ...{ modules: [...modules], variants: [...variants], only, without },
      interpret: round === 1,
      observeSeconds: round === ROUNDS ? seconds * LAST_TIMES : seconds,
    });
    if (round === 1 && !outcome.isCut) interpreted = outcome;
    const newEntries = addEntries(only, outcome.executed);
    const variantsBefore = variants.size;
    for (const path of outcome.modules) modules.add(path);
    for (const variant of outcome.variants) variants.add(variant);
    if (outcome.isCut) seconds *= 2;
    const isSettled = !outcome.isCut && newEntries < NEW_ENTRIES && variants.size === variantsBefore;
    if (round === ROUNDS || (round > 1 && isSettled)) return { interpreted, translated: outcome };
  }
}

/** What differs between two outcomes, a line each; empty when they are alike. */
export function differences(native: Outcome, other: Outcome): string[] {
  const found: string[] = [];
  if (native.status !== other.status) found.push(`status ${native.status}, translated ${other.status}`);
  for (const stream of ["stdout", "stderr"] as const) {
    if (native[stream] === other[stream]) continue;
    const [a, b] = [native[stream].split("\n"), other[stream].split("\n")];
    const at = a.findIndex((line, i) => line !== b[i]);
    const line = at < 0 ? a.length : at;
    found.push(
      `${stream} line ${line + 1}: ${JSON.stringify(a[line] ?? "(end)")}, translated ${JSON.stringify(b[line] ?? "(end)")}`,
    );
  }
  for (const path of new Set([...Object.keys(native.files), ...Object.keys(other.files)])) {
    if (native.files[path] !== other.files[path])
      found.push(`${path}: ${native.files[path] ?? "missing"}, translated ${other.files[path] ?? "missing"}`);
  }
  return found;
}
