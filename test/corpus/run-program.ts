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
import { NODE_MOUNT, VARIANTS, type Variant } from "../../src/abi/index.ts";
import {
  beginMeanwhile,
  type FoundProgram,
  linkedFiles,
  locateProgram,
  offerKnown,
  qemuCommand,
  qemuNodeDirectory,
  rootCommand,
  translateExecuted,
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
  readonly milliseconds: number;
}

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

/** Paths in the root that a row is known to map before it has run. */
function knownFiles(
  root: string,
  program: CorpusProgram,
  modules: readonly string[],
  without: readonly string[],
): string[] {
  const linked = linkedFiles(root, locateProgram(root, ["/bin/sh"], "/").program);
  return withoutFiles([...new Set([...linked, ...namedFiles(root, program), ...modules])], without);
}

/** Runs a row in a directory of translations; `log` is its runtime's. */
async function runWith(
  program: CorpusProgram,
  offered: readonly string[],
  node: string,
  log: string,
  env: Readonly<Record<string, string>> = {},
): Promise<TranslatedOutcome> {
  const root = await rootOf(program);
  const found: FoundProgram = locateProgram(root, ["/bin/sh"], "/");
  const start = Date.now();
  const outcome = await runIn(program, (layer, words) =>
    qemuCommand({ ...found, args: words }, node, log, { root, layer, cwd: "/work", isIsolated: true }, env),
  );
  const milliseconds = Date.now() - start;
  const lines = new Set(readFileSync(log, "utf8").split("\n"));
  const modules = [...lines].filter((line) => line.startsWith("/"));
  const variants = VARIANTS.filter((variant) => variant === "plain" || lines.has(`variant ${variant}`));
  const files = new Set(offered.map((path) => resolveInside(root, path)));
  const unknown = modules.filter((path) => !files.has(resolveInside(root, path)));
  return { ...outcome, modules, unknown, variants, milliseconds };
}

/** Gives `work` a directory with an empty file `log` that every user may write to. */
async function withLog<T>(work: (directory: string, log: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), "hcontainer-corpus-log-"));
  try {
    const log = join(scratch, "log");
    writeFileSync(log, "");
    chmodSync(log, 0o666);
    chmodSync(scratch, 0o755);
    return await work(scratch, log);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export async function runTranslated(program: CorpusProgram, options: TranslatedOptions): Promise<TranslatedOutcome> {
  const root = await rootOf(program);
  const { variants, without = [] } = options;
  const known = knownFiles(root, program, options.modules, without);
  const translations = await translateFiles(root, options.interpret ? [] : known, { variants });
  const node = await qemuNodeDirectory(translations);
  return withLog((_, log) => runWith(program, known, node, log));
}

/** Everything is worth a translation here, not only what is executed often. */
const LOG_ALL = { HCONTAINER_LOG_EXECUTED: "1" };

/**
 * Runs a row with its code translated while it runs, and again with what that has executed. Large programs have most of
 * their code in it that their row never reaches, and translating that takes hours.
 */
export async function runExecuted(
  program: CorpusProgram,
  without: readonly string[] = [],
): Promise<TranslatedOutcome[]> {
  const root = await rootOf(program);
  const outcomes: TranslatedOutcome[] = [];
  while (outcomes.length < 2) {
    const { modules = [], variants = ["plain" as const] } = outcomes.at(-1) ?? {};
    const files = knownFiles(root, program, modules, without);
    if (outcomes.length > 0) await translateExecuted(root, files, variants);
    const known = await offerKnown(root, files, variants);
    const outcome = await withLog(async (directory, log) => {
      const node = join(directory, "node");
      const job = { root, log, directory: node, files, without, known, isVerbose: false };
      const beside = await beginMeanwhile(job);
      try {
        return await runWith(program, files, node, log, { ...beside.env, ...LOG_ALL });
      } finally {
        await beside.end();
      }
    });
    outcomes.push(outcome);
  }
  return outcomes;
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
