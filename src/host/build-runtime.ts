// Builds the runtime that lives in translated processes: the C of runtime/, the interpreter and the helpers, linked at
// one of its two bases. Everything is cached by content.

import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HC_BASE, HC_BASE_QEMU_USER, printHeader, printSyscalls } from "../abi/index.ts";
import { buildInterpreter } from "./build-interpreter.ts";
import { cached, sha256 } from "./cache.ts";
import { cachedFiles, compileC, inParallel, llvmVersion } from "./llvm-tools.ts";
import { runChecked } from "./process.ts";

/** Where the runtime is to run: in processes of an arm64 kernel, or of qemu user mode, which has 47 bits for all. */
export type RuntimePlace = "node" | "qemu-user";

const RUNTIME = resolve(import.meta.dirname, "../../runtime");
/** Compiled with the interpreter, which runs at no time that x18 is read. */
const INTERPRETER_FILES = new Set(["decode.c", "interp.c", "int128.c"]);
/** x18 tells translated code of signals (runtime/enter.S); the dispatcher's C keeps it. */
const COMMON = ["-ffixed-x18", "-fno-pic", "-mno-outline-atomics", "-fno-builtin", "-fno-asynchronous-unwind-tables"];
/** What may use vector registers: helpers, and what runs in the dispatcher only. A signal may come anywhere else. */
const WITH_VECTORS = /^(?:helpers.*|code-key)\.c$/;
const GENERAL = [...COMMON, "-mgeneral-regs-only"];

/** Object files of runtime/ itself. */
async function compileRuntime(): Promise<string[]> {
  const includeDir = await cachedFiles({ "abi.h": printHeader(), "syscalls.h": printSyscalls() });
  const names = (await readdir(RUNTIME)).sort();
  const headers = [
    ...names.filter((name) => name.endsWith(".h")).map((name) => join(RUNTIME, name)),
    join(includeDir, "abi.h"),
    join(includeDir, "syscalls.h"),
  ];
  const sources = names.filter((name) => /\.[cS]$/.test(name) && !INTERPRETER_FILES.has(name));
  return inParallel(
    sources.map((name) => () => {
      const options = name.endsWith(".S") ? [] : WITH_VECTORS.test(name) ? COMMON : GENERAL;
      return compileC("aarch64", join(RUNTIME, name), [includeDir, RUNTIME], headers, options);
    }),
  );
}

/** The path of the runtime's ELF file, built if it is not in the cache. */
export async function buildRuntime(place: RuntimePlace): Promise<string> {
  const own = await compileRuntime();
  const { objects } = await buildInterpreter("aarch64");
  const script = join(RUNTIME, "runtime.ld");
  const base = place === "node" ? HC_BASE : HC_BASE_QEMU_USER;
  const inputs = [...own, ...objects];
  const key = ["runtime", await llvmVersion(), base, sha256(await readFile(script)), ...inputs].join("\n");
  return cached(key, "", async (path) => {
    const options = ["-static", "-nostdlib", "--no-undefined", "-z", "max-page-size=4096", `--defsym=hc_base=${base}`];
    await runChecked("ld.lld-19", [...options, "-T", script, "-o", path, ...inputs]);
    await runChecked("chmod", ["755", path]);
  });
}
