// Programs inside a root directory, found as a process there would find them: by PATH, through links, by the first line of
// a script. Synchronous, as what asks is about to start one.

import { closeSync, lstatSync, openSync, readFileSync, readlinkSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

const SYMLINK_LIMIT = 40;
const MACHINE_X86_64 = 62;
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/** The path of a program inside `root`, links resolved as a process in the container would; undefined if it is missing. */
export function resolveInside(root: string, path: string): string | undefined {
  let rest = path.split("/").filter((part) => part !== "" && part !== ".");
  let done: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [part, ...others] = rest as [string, ...string[]];
    rest = others;
    if (part === "..") {
      done = done.slice(0, -1);
      continue;
    }
    const here = join(root, ...done, part);
    let link: string | undefined;
    try {
      link = lstatSync(here).isSymbolicLink() ? readlinkSync(here) : undefined;
    } catch {
      return undefined;
    }
    if (link === undefined) done.push(part);
    else {
      if (++links > SYMLINK_LIMIT) return undefined;
      if (link.startsWith("/")) done = [];
      rest = [...link.split("/").filter((p) => p !== "" && p !== "."), ...rest];
    }
  }
  return join(root, ...done);
}

/** True for an ELF file of x86-64. */
export function isHomeProgram(file: string): boolean {
  const header = Buffer.alloc(20);
  try {
    if (!statSync(file).isFile()) return false;
    const fd = openSync(file, "r");
    try {
      if (readSync(fd, header, 0, header.length, 0) < header.length) return false;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  return header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2 && header.readUInt16LE(18) === MACHINE_X86_64;
}

/** Where a program lies inside `root`: as named, or found in `path`; undefined if it is missing. */
export function findProgram(
  root: string,
  name: string,
  { cwd = "/", path = DEFAULT_PATH }: { readonly cwd?: string | undefined; readonly path?: string | undefined } = {},
): string | undefined {
  if (name === "") return undefined;
  if (name.includes("/")) {
    const there = name.startsWith("/") ? name : join(cwd, name);
    return resolveInside(root, there) === undefined ? undefined : there;
  }
  for (const directory of path.split(":")) {
    const candidate = join("/", directory, name);
    if (resolveInside(root, candidate) !== undefined) return candidate;
  }
  return undefined;
}

/** The words after `#!` as the kernel splits them: a path and at most one argument. */
export function scriptInterpreter(file: string): string[] | undefined {
  let head: string;
  try {
    head = readFileSync(file).subarray(0, 256).toString("latin1");
  } catch {
    return undefined;
  }
  const [, path, argument] = /^#![ \t]*([^ \t\n]+)[ \t]*([^\n]*?)[ \t]*(?:\n|$)/.exec(head) ?? [];
  if (path === undefined) return undefined;
  return argument ? [path, argument] : [path];
}
