// Which files a program's start maps as code: the program, its dynamic linker, and the libraries that it names, found in a
// root directory as glibc and musl find them there. What is loaded by name later (dlopen) is not seen here; see seen.ts.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Needs, readElf, readNeeds } from "../elf/index.ts";
import { resolveInside } from "../host/index.ts";

const DEFAULT_DIRECTORIES = [
  ...["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"],
  ...["/lib", "/usr/local/lib", "/usr/lib"],
];
const FILES_LIMIT = 2000;
const INCLUDE_DEPTH = 4;

/** Directories of ld.so.conf, with the files that it includes. */
function configured(root: string, path: string, depth = 0): string[] {
  if (depth > INCLUDE_DEPTH) return [];
  let text: string;
  try {
    text = readFileSync(join(root, path), "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const words = line.replace(/#.*/, "").trim();
    if (words.startsWith("/")) return [words];
    const pattern = /^include\s+(\S+)$/.exec(words)?.[1];
    if (pattern === undefined) return [];
    const full = pattern.startsWith("/") ? pattern : join(dirname(path), pattern);
    return expand(root, full).flatMap((file) => configured(root, file, depth + 1));
  });
}

/** Files that a pattern with `*` in its last part names. */
function expand(root: string, pattern: string): string[] {
  const directory = dirname(pattern);
  const [before, after] = pattern.slice(directory.length + 1).split("*");
  if (after === undefined) return [pattern];
  try {
    return readdirSync(join(root, directory))
      .filter((name) => name.startsWith(before!) && name.endsWith(after))
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function needsOf(root: string, path: string): Needs | undefined {
  const file = resolveInside(root, path);
  if (file === undefined) return undefined;
  try {
    return readNeeds(readElf(readFileSync(file), file));
  } catch {
    // No x86-64 ELF file, or a damaged one: the dynamic linker says what is wrong with it.
    return undefined;
  }
}

/**
 * Paths inside `root` of the files that starting the program `path` maps as code; the program is the first. `libraryPath`
 * is LD_LIBRARY_PATH.
 */
export function linkedFiles(root: string, path: string, libraryPath = ""): string[] {
  const found: string[] = [];
  const system = [
    ...libraryPath.split(":").filter(Boolean),
    ...configured(root, "/etc/ld.so.conf"),
    ...DEFAULT_DIRECTORIES,
  ];
  const named = new Set<string>();
  const visit = (file: string, inherited: readonly string[]): void => {
    if (found.includes(file) || found.length >= FILES_LIMIT) return;
    const needs = needsOf(root, file);
    if (needs === undefined) return;
    found.push(file);
    if (needs.interpreter !== undefined) visit(needs.interpreter, []);
    const own = needs.searchPath.map((directory) => directory.replace(/\$\{?ORIGIN\}?/g, dirname(file)));
    const search = [...own, ...inherited];
    for (const name of needs.libraries) {
      if (named.has(name)) continue;
      const there = name.includes("/") ? [name] : [...search, ...system].map((directory) => join(directory, name));
      const library = there.find((candidate) => needsOf(root, candidate) !== undefined);
      if (library === undefined) continue;
      named.add(name);
      visit(library, search);
    }
  };
  visit(path, []);
  return found;
}
