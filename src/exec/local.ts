// Starts an x86-64 program translated on this machine, under qemu user mode: the same runtime and translations that a foreign
// node has, without its kernel.

import { join } from "node:path";
import { NODE_MOUNT, RUNTIME_FILE } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { type CommandLine, findProgram, isHomeProgram, resolveInside, scriptInterpreter } from "../host/index.ts";
import { linkedFiles } from "./libraries.ts";
import { LOG_FILE, type OfferedTranslation, QEMU_FILE, TRANSLATIONS } from "./node-directory.ts";
import { type RootOptions, rootCommand } from "./root.ts";

/** A program as a user names it, found. */
export interface FoundProgram {
  /** Path inside the root of the x86-64 ELF file: the program's or its script's interpreter's. */
  readonly program: string;
  /** The same as a file of this machine. */
  readonly file: string;
  /** The arguments that it starts with, the name by which it was called first. */
  readonly args: readonly string[];
}

/** Finds what `words` start in `root`. */
export function locateProgram(root: string, words: readonly string[], cwd: string, path?: string): FoundProgram {
  const name = words[0]!;
  const program = findProgram(root, name, { cwd, path });
  const refuse = (code: string, why: string, place: string): never => {
    throw new InputError(code, why, place, "exec wants an x86-64 ELF file, or a script for one");
  };
  if (program === undefined) return refuse("program-missing", "there is no such program", name);
  const file = resolveInside(root, program)!;
  if (isHomeProgram(file)) return { program, file, args: words };
  const script = scriptInterpreter(file);
  if (script === undefined) return refuse("program-foreign", "this is no x86-64 program", program);
  const interpreter = resolveInside(root, script[0]!);
  if (interpreter === undefined || !isHomeProgram(interpreter))
    return refuse("program-foreign", `the script's interpreter ${script[0]} is no x86-64 program`, program);
  return { program: script[0]!, file: interpreter, args: [...script, program, ...words.slice(1)] };
}

/** Files to translate before a program starts: what its start maps, and what earlier runs have mapped. */
export function filesOf(root: string, program: string, seen: readonly string[], libraryPath?: string): string[] {
  const linked = linkedFiles(root, program, libraryPath);
  // The same file by another path (a link, a library's version) is one translation all the same.
  return [...linked, ...seen.filter((path) => !linked.includes(path))];
}

/** Leaves out translations of files whose path contains one of `parts`. */
export function withoutFiles(paths: readonly string[], parts: readonly string[]): string[] {
  return paths.filter((path) => !parts.some((part) => path.includes(part)));
}

export type { OfferedTranslation };

/** The command line that runs a found program under qemu user mode, in a root directory or in this machine's own. */
export function qemuCommand(
  found: FoundProgram,
  node: string,
  log: string | undefined,
  options:
    | (Omit<RootOptions, "node" | "log"> & { readonly root: string })
    | { readonly root?: undefined; readonly cwd?: string },
  env: Readonly<Record<string, string>> = {},
): CommandLine {
  const there = options.root === undefined ? node : NODE_MOUNT;
  const variables = {
    ...env,
    HCONTAINER_QEMU_USER: join(there, QEMU_FILE),
    HCONTAINER_TRANSLATIONS: join(there, TRANSLATIONS),
    ...(log === undefined ? {} : { HCONTAINER_MODULE_LOG: options.root === undefined ? log : join(there, LOG_FILE) }),
  };
  const words = [join(there, QEMU_FILE), join(there, RUNTIME_FILE), found.program, ...found.args];
  if (options.root === undefined) return { command: words[0]!, args: words.slice(1), env: variables, cwd: options.cwd };
  return rootCommand({ ...options, node, log }, words, variables);
}
