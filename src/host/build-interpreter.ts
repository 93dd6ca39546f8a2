// Builds the interpreter: the generated functions through LLVM, the decoder and its tables through clang. Objects are
// cached by content, and the whole by the content of our own source files, so that a second build costs a look at those.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { printHeader } from "../abi/index.ts";
import { cached, exists, sha256 } from "./cache.ts";
import { type CompileTarget, cachedFiles, compileC, compileModule, inParallel, llvmVersion } from "./llvm-tools.ts";

/** What the build made. */
export interface InterpreterBuild {
  /** Object files to link; runtime/helpers.c and what it needs are not among them. */
  readonly objects: readonly string[];
  /** Directory with abi.h, interp-tables.h, and the names of hc_ops' entries, a line each, in interp-functions.txt. */
  readonly includeDir: string;
  /** iced-x86 codes that the interpreter executes. */
  readonly codes: readonly string[];
  /** Codes of known mnemonics that it does not, with the reason. */
  readonly omissions: readonly { readonly code: string; readonly reason: string }[];
}

const ROOT = resolve(import.meta.dirname, "../..");
const SHARDS = 16;
/** Modules of src/ that the generated text depends on. */
const SOURCES = ["abi", "base", "interp", "llvm", "sem", "x86"];
const C_FILES = ["decode.c", "interp.c", "int128.c"];
const HEADERS = ["decode.h", "interp.h"];
const PASSES = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,early-cse,dce)";

async function sourceDigest(): Promise<string> {
  const files: string[] = [];
  for (const module of SOURCES) {
    const directory = join(ROOT, "src", module);
    for (const name of await readdir(directory)) if (name.endsWith(".ts")) files.push(join(directory, name));
  }
  for (const name of [...C_FILES, ...HEADERS]) files.push(join(ROOT, "runtime", name));
  files.push(join(import.meta.dirname, "build-interpreter.ts"), join(import.meta.dirname, "llvm-tools.ts"));
  const digests = await Promise.all(files.sort().map(async (file) => `${file} ${sha256(await readFile(file))}`));
  return sha256(digests.join("\n"));
}

async function build(target: CompileTarget): Promise<InterpreterBuild> {
  // Imported here, since iced-x86 takes its time to start.
  const { generateInterpreter } = await import("../interp/index.ts");
  const generated = generateInterpreter(target, SHARDS);
  const includeDir = await cachedFiles({
    "abi.h": printHeader(),
    "interp-tables.h": generated.header,
    "interp-functions.txt": generated.functions.map((name) => `${name ?? ""}\n`).join(""),
  });
  const tablesDir = await cachedFiles({ "interp-tables.c": generated.tables });
  const runtime = join(ROOT, "runtime");
  const headers = [
    ...HEADERS.map((name) => join(runtime, name)),
    join(includeDir, "abi.h"),
    join(includeDir, "interp-tables.h"),
  ];
  const sources = [...C_FILES.map((name) => join(runtime, name)), join(tablesDir, "interp-tables.c")];
  const objects = await inParallel([
    ...generated.modules.map((ir) => () => compileModule(target, ir, { passes: PASSES, level: "-O1" })),
    ...sources.map((source) => () => compileC(target, source, [includeDir, runtime], headers)),
  ]);
  return { objects, includeDir, codes: generated.codes, omissions: generated.omissions };
}

/** Builds the interpreter for a host, or finds it built. */
export async function buildInterpreter(target: CompileTarget): Promise<InterpreterBuild> {
  const key = ["interpreter", target, await llvmVersion(), await sourceDigest()].join("\n");
  const path = await cached(key, ".json", async (part) => writeFile(part, JSON.stringify(await build(target))));
  const found = JSON.parse(await readFile(path, "utf8")) as InterpreterBuild;
  const present = await Promise.all([...found.objects, found.includeDir].map(exists));
  // The objects are entries of their own, which may have been pruned.
  return present.every(Boolean) ? found : build(target);
}
