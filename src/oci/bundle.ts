// The bundle of a container (OCI runtime specification, config.json): our mount in it, and programs started through the
// runtime. Only what is named here is read; everything else is written back as it was.

import {
  closeSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { NODE_MOUNT, RUNTIME_FILE } from "../abi/index.ts";
import { InputError } from "../base/index.ts";

interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

interface ProcessSpec {
  args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
}

interface Specification {
  mounts?: readonly Mount[];
  process?: ProcessSpec;
  readonly root?: { readonly path?: string };
}

const SYMLINK_LIMIT = 40;
const MACHINE_X86_64 = 62;

/** Reads config.json of a bundle. */
export function readBundle(bundle: string): Specification {
  const path = join(bundle, "config.json");
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Specification;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InputError("bundle-unreadable", `the bundle's configuration cannot be read: ${why}`, path);
  }
}

/** Writes config.json of a bundle, whole or not at all. */
export function writeBundle(bundle: string, specification: Specification): void {
  const path = join(bundle, "config.json");
  writeFileSync(`${path}.part`, JSON.stringify(specification), { mode: statSync(path).mode & 0o777 });
  renameSync(`${path}.part`, path);
}

/** True when the container has our mount, which is what makes it one that runs translated code. */
export function hasNodeMount(specification: Specification): boolean {
  return (specification.mounts ?? []).some((mount) => mount.destination === NODE_MOUNT);
}

/** Adds the read-only mount of the node's directory of runtime and translations. */
export function addNodeMount(specification: Specification, nodeDirectory: string): void {
  if (hasNodeMount(specification)) return;
  const mount = {
    destination: NODE_MOUNT,
    type: "bind",
    source: nodeDirectory,
    options: ["bind", "ro", "nosuid", "nodev"],
  };
  specification.mounts = [...(specification.mounts ?? []), mount];
}

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
function isForeignProgram(file: string): boolean {
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

/** Where the program of `spec` lies inside the container: as given, or found in the PATH of its environment. */
function findProgram(root: string, spec: ProcessSpec): string | undefined {
  const name = spec.args?.[0];
  if (name === undefined || name === "") return undefined;
  if (name.includes("/")) {
    const path = name.startsWith("/") ? name : join(spec.cwd ?? "/", name);
    return resolveInside(root, path) === undefined ? undefined : path;
  }
  const path = spec.env?.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? "/usr/local/bin:/usr/bin:/bin";
  for (const directory of path.split(":")) {
    const candidate = join("/", directory, name);
    if (resolveInside(root, candidate) !== undefined) return candidate;
  }
  return undefined;
}

/**
 * Makes a process start through the runtime if its program is an x86-64 ELF file, or a script whose interpreter is one;
 * answers whether it is.
 */
export function startThroughRuntime(root: string, spec: ProcessSpec): boolean {
  const program = findProgram(root, spec);
  if (program === undefined || spec.args === undefined) return false;
  const file = resolveInside(root, program)!;
  if (isForeignProgram(file)) {
    spec.args = [`${NODE_MOUNT}/${RUNTIME_FILE}`, program, ...spec.args];
    return true;
  }
  const script = scriptInterpreter(file);
  if (script === undefined) return false;
  const interpreter = resolveInside(root, script[0]!);
  if (interpreter === undefined || !isForeignProgram(interpreter)) return false;
  spec.args = [`${NODE_MOUNT}/${RUNTIME_FILE}`, script[0]!, ...script, program, ...spec.args.slice(1)];
  return true;
}

/** The words after `#!` as the kernel splits them: a path and at most one argument. */
function scriptInterpreter(file: string): string[] | undefined {
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

/** The root file system of a bundle. */
export function rootOf(bundle: string, specification: Specification): string {
  return resolve(bundle, specification.root?.path ?? "rootfs");
}
