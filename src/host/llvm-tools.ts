// The LLVM tools of this machine (Debian's packages llvm-19, clang-19, lld-19). What they make is kept in the cache under
// the content of its sources, the options and the tools' version.

import { readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { cached, cachedUnlocked, sha256 } from "./cache.ts";
import { runChecked } from "./process.ts";

/** A host to generate code for. */
export type CompileTarget = "x86_64" | "aarch64";

/** Options of llc for each target. The runtime has no libc and no compiler library, so nothing may need one. */
const LLC_OPTIONS: Readonly<Record<CompileTarget, readonly string[]>> = {
  x86_64: ["-mcpu=x86-64-v3"],
  aarch64: ["-mattr=+crc,+aes,+sha2"],
};
const CLANG_OPTIONS: Readonly<Record<CompileTarget, readonly string[]>> = {
  x86_64: ["--target=x86_64-linux-gnu", "-march=x86-64-v3"],
  aarch64: ["--target=aarch64-linux-gnu"],
};
const FREESTANDING = ["-std=c11", "-ffreestanding", "-fno-stack-protector", "-fPIC", "-Wall", "-Wextra", "-Werror"];

/** The tools end soon: memory that they free is not worth giving back to the kernel (saves 5 to 10 % of their time). */
const TOOL_MEMORY = { MALLOC_TOP_PAD_: `${64 << 20}`, MALLOC_TRIM_THRESHOLD_: `${2 ** 31 - 1}` };

let version: Promise<string> | undefined;

/** The version of the LLVM tools, as they print it. */
export function llvmVersion(): Promise<string> {
  version ??= runChecked("llc-19", ["--version"]).then(
    ({ stdout }) => /LLVM version (\S+)/.exec(stdout)?.[1] ?? stdout,
  );
  return version;
}

export interface ModuleOptions {
  /** Passes for opt. */
  readonly passes: string;
  /** Optimisation level of the code generator. */
  readonly level: "-O0" | "-O1" | "-O2" | "-O3";
  /** More options of llc. */
  readonly llc?: readonly string[];
}

/** Compiles a module of IR text to an object file in the cache. */
export async function compileModule(
  target: CompileTarget,
  ir: string | Uint8Array,
  options: ModuleOptions,
): Promise<string> {
  const llc = [...LLC_OPTIONS[target], options.level, "--relocation-model=pic", ...(options.llc ?? [])];
  const key = ["module", await llvmVersion(), options.passes, ...llc, sha256(ir)].join("\n");
  return cachedUnlocked(key, ".o", async (path) => {
    const bitcode = `${path}.bc`;
    try {
      await runChecked("opt-19", [`-passes=${options.passes}`, "-", "-o", bitcode], { input: ir, env: TOOL_MEMORY });
      await runChecked("llc-19", [...llc, "-filetype=obj", bitcode, "-o", path], { env: TOOL_MEMORY });
    } finally {
      await rm(bitcode, { force: true });
    }
  });
}

/** Compiles a freestanding C file to an object file in the cache; `headers` are what its content depends on. */
export async function compileC(
  target: CompileTarget,
  source: string,
  includeDirs: readonly string[],
  headers: readonly string[],
  more: readonly string[] = [],
): Promise<string> {
  const options = [...CLANG_OPTIONS[target], ...FREESTANDING, "-O2", ...more];
  const contents = await Promise.all([source, ...headers].map((file) => readFile(file)));
  const key = ["c", await llvmVersion(), ...options, ...contents.map((content) => sha256(content))].join("\n");
  const includes = includeDirs.map((directory) => `-I${directory}`);
  return cached(key, ".o", async (path) => {
    await runChecked("clang-19", [...options, ...includes, "-c", source, "-o", path]);
  });
}

/** Runs jobs, as many at a time as the machine has processors; results are in the jobs' order. */
export async function inParallel<T>(jobs: readonly (() => Promise<T>)[], limit = availableParallelism()): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await jobs[index]!();
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, jobs.length) }, work));
  return results;
}

/** Writes files into a directory of the cache that is named by their content, and gives its path. */
export async function cachedFiles(files: Readonly<Record<string, string>>): Promise<string> {
  const key = ["files", ...Object.entries(files).flatMap(([name, text]) => [name, sha256(text)])].join("\n");
  return cached(key, "", async (path) => {
    await runChecked("mkdir", ["-p", path]);
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  });
}
