// `hcontainer exec`: starts an x86-64 program translated, under qemu user mode on this machine or on a foreign node.

import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { InputError } from "../base/index.ts";
import {
  beginMeanwhile,
  type FoundProgram,
  filesOf,
  locateProgram,
  type MeanwhileJob,
  type OfferedTranslation,
  offerKnown,
  prepareOnNode,
  qemuCommand,
  qemuNodeDirectory,
  rememberFiles,
  seenFiles,
  seenVariants,
  stageOnNode,
  stageRoot,
  translateExecuted,
  translateFiles,
  withoutFiles,
} from "../exec/index.ts";
import type { CommandLine } from "../host/index.ts";
import { isUsageError, parseVerb, UsageError } from "./arguments.ts";
import { Progress, printError } from "./output.ts";

export const help = `Starts an x86-64 program as translated code.

usage: hcontainer exec [OPTION]... -- PROGRAM [ARGUMENT]...

Translations of the program and its libraries are cached by content and shared by all programs. What earlier runs of the
program have mapped counts as its libraries, in the variants that they needed: for threads and shared memory, and for faults
that the program handles. Code without a translation is interpreted. Without --node the program runs on this machine, under
qemu user mode (Debian's package qemu-user-static).

  --arch arm64       instruction set of the translation (the only one today)
  --rootfs DIR       root directory of the program, with its libraries; this machine's own without it. Needs root
  --node NODE        run on a foreign node ('hcontainer nodes'), in a copy of --rootfs that stays there; what the program
                     writes is gone afterwards
  --workdir DIR      where the program starts, inside the root directory
  --translate WHEN   ahead: all code of the program and its libraries, before it starts
                     executed: what earlier runs have executed of that, before it starts
                     meanwhile: what it executes often, while it runs (not with --node)
                     never: as --interpret
                     Without this option: ahead, unless that is more than 3 MiB of code to wait for
  --interpret        use no translation
  --without PART     leave out files whose path contains PART; may be repeated. For finding a translation at fault
  --translate-only   translate and do not start
  -v, --verbose      say what is translated

Standard streams, environment and signals are the program's. Exit codes: the program's own; 128 + the signal's number when
a signal ended it; 125 when exec itself failed, 126 when the file is no program for it, 127 when there is none.

examples:
  hcontainer exec --arch arm64 -- /bin/ls -l /
  hcontainer exec --rootfs ./debian -- python3 -c 'print(1 / 3)'
  hcontainer exec --node arm64 --rootfs ./debian -- sh -c 'uname -m; sha256sum /bin/sh'
  hcontainer exec --translate meanwhile --rootfs ./debian -- node -e 'console.log(process.arch)'
  hcontainer exec --interpret -- sha256sum /etc/passwd
`;

const WAYS = ["ahead", "executed", "meanwhile", "never"] as const;
type Way = (typeof WAYS)[number];
/** Bytes of code that are translated while the user waits: a minute's work, roughly. */
const AHEAD_BYTES = 3 << 20;

const FAILED = 125;
const NO_PROGRAM = 126;
const NOT_FOUND = 127;
const FORWARDED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/** Gives the program our streams and the signals that come to us; its status becomes ours. */
function runInOurPlace(line: CommandLine): Promise<number> {
  const env = { ...process.env, ...line.env };
  const child: ChildProcess = spawn(line.command, line.args, { stdio: "inherit", env, cwd: line.cwd });
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // A terminal's own signals have reached the program already.
      if (!process.stdin.isTTY || !["SIGINT", "SIGQUIT"].includes(signal)) child.kill(signal);
    });
  }
  return new Promise((done, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

interface Start {
  readonly found: FoundProgram;
  readonly cwd: string;
  /** Undefined for this machine's own. */
  readonly root: string | undefined;
  readonly translations: readonly OfferedTranslation[];
  /** What is told to who translates meanwhile, but for the places; undefined when nobody does. */
  readonly meanwhile: Omit<MeanwhileJob, "log" | "directory"> | undefined;
}

async function startHere({ found, cwd, root, translations, meanwhile }: Start): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), "hcontainer-exec-"));
  try {
    const log = join(scratch, "log");
    // The program may be another user by the time that it maps something.
    await writeFile(log, "");
    await chmod(scratch, 0o755);
    await chmod(log, 0o666);
    const place = root === undefined ? { cwd } : { root, cwd };
    if (meanwhile === undefined) {
      const node = await qemuNodeDirectory(translations);
      const status = await runInOurPlace(qemuCommand(found, node, log, place));
      await rememberFiles(found.file, log);
      return status;
    }
    const directory = join(scratch, "node");
    const beside = await beginMeanwhile({ ...meanwhile, log, directory });
    try {
      return await runInOurPlace(qemuCommand(found, directory, log, place, beside.env));
    } finally {
      await beside.end(found.file);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The environment that a program on another machine gets: ours, but for what is ours alone. */
function environmentThere(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !name.startsWith("HCONTAINER_") && /^\w+$/.test(name)) env[name] = value;
  return env;
}

async function startThere(
  name: string,
  { found, cwd, root, translations }: Start,
  progress: Progress,
): Promise<number> {
  // Loaded when asked for: start-up time counts where programs run here.
  const { NodeList, prepareForeign } = await import("./node-list.ts");
  const nodes = await NodeList.attach();
  try {
    const node = await nodes.node(name);
    if (node.architecture !== "arm64") throw new UsageError(`--node: ${name} is no foreign node`);
    progress.step(`prepare ${name}`);
    await prepareForeign(node.shell);
    await stageOnNode(node.shell, node.nodeDirectory, translations);
    const there = await stageRoot(node.shell, root!);
    progress.done();
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY;
    const options = { cwd, env: environmentThere(), terminal };
    const program = await prepareOnNode(node.shell, node.nodeDirectory, there, found, options);
    try {
      return await runInOurPlace(program.line);
    } finally {
      await program.close();
    }
  } finally {
    await nodes.close();
  }
}

interface WayOptions {
  readonly interpret: boolean;
  readonly translate?: string | undefined;
  readonly node?: string | undefined;
  readonly "translate-only": boolean;
}

/** Whether the program starts on this machine, where others can work for it meanwhile. */
const startsHere = (options: WayOptions): boolean => options.node === undefined && !options["translate-only"];

/** What the user asks for; undefined when the choice is ours. */
function givenWay(options: WayOptions): Way | undefined {
  if (options.interpret) return "never";
  if (options.translate === undefined) return undefined;
  const way = WAYS.find((name) => name === options.translate);
  if (way === undefined) throw new UsageError(`--translate wants one of ${WAYS.join(", ")}`);
  if (way === "meanwhile" && !startsHere(options))
    throw new UsageError("--translate meanwhile goes with a program that starts here");
  return way;
}

async function start(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(
    args,
    {
      arch: { type: "string", default: "arm64" },
      rootfs: { type: "string" },
      node: { type: "string" },
      workdir: { type: "string" },
      interpret: { type: "boolean", default: false },
      translate: { type: "string" },
      without: { type: "string", multiple: true, default: [] },
      "translate-only": { type: "boolean", default: false },
      verbose: { type: "boolean", short: "v", default: false },
    },
    ["PROGRAM", "ARGUMENT..."],
  );
  if (values.arch !== "arm64") throw new UsageError(`--arch wants arm64, not '${values.arch}'`);
  if (values.node !== undefined && values.rootfs === undefined) throw new UsageError("--node wants --rootfs");
  const root = values.rootfs === undefined ? "/" : resolve(values.rootfs);
  if (!(await stat(root).catch(() => undefined))?.isDirectory())
    throw new UsageError(`--rootfs: there is no directory '${root}'`);
  const cwd = values.workdir ?? (values.rootfs === undefined ? process.cwd() : "/");
  const found = locateProgram(root, operands, cwd, process.env["PATH"]);

  const progress = new Progress(!values.verbose && !process.stderr.isTTY);
  const files = filesOf(root, found.program, await seenFiles(found.file), process.env["LD_LIBRARY_PATH"]);
  const wanted = withoutFiles(files, values.without);
  const variants = await seenVariants(found.file);
  const given = givenWay(values);
  if (given === "executed") await translateExecuted(root, wanted, variants);
  // What nobody asks for is not looked for: it takes as long as all the rest of a start.
  const known = given === "never" || given === "ahead" ? undefined : await offerKnown(root, wanted, variants);
  // Nobody waits for hours of translating that he has not asked for.
  const way = given ?? (known!.missingBytes > AHEAD_BYTES && startsHere(values) ? "meanwhile" : "ahead");
  let translations = known?.offered ?? [];
  if (way === "ahead" && !known?.isComplete) {
    translations = await translateFiles(root, wanted, {
      variants,
      onFile: (path) => values.verbose && progress.step(`translate ${path}`),
      onRefused: (path, why) => progress.note(`${path} is interpreted: ${why}`),
    });
  }
  progress.done();
  if (values["translate-only"]) return 0;
  const job = { root, files: wanted, without: values.without, isVerbose: values.verbose };
  const meanwhile = way === "meanwhile" && known ? { ...job, known } : undefined;
  const request = { found, cwd, root: values.rootfs === undefined ? undefined : root, translations, meanwhile };
  return values.node === undefined ? startHere(request) : startThere(values.node, request, progress);
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  try {
    return await start(args);
  } catch (error) {
    if (error instanceof InputError) {
      printError(error);
      return error.code === "program-missing" ? NOT_FOUND : NO_PROGRAM;
    }
    if (isUsageError(error)) throw error;
    printError(error);
    return FAILED;
  }
}
