// The bundle of a container (OCI runtime specification, config.json): our mount in it, and programs started through the
// runtime. Only what is named here is read; everything else is written back as it was.

import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { NODE_MOUNT, RUNTIME_FILE } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { findProgram, isHomeProgram, resolveInside, scriptInterpreter } from "../host/index.ts";

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

/**
 * Makes a process start through the runtime if its program is an x86-64 ELF file, or a script whose interpreter is one;
 * answers whether it is.
 */
export function startThroughRuntime(root: string, spec: ProcessSpec): boolean {
  const name = spec.args?.[0];
  if (name === undefined || spec.args === undefined) return false;
  const path = spec.env?.find((entry) => entry.startsWith("PATH="))?.slice(5);
  const program = findProgram(root, name, { cwd: spec.cwd, path });
  if (program === undefined) return false;
  const file = resolveInside(root, program)!;
  if (isHomeProgram(file)) {
    spec.args = [`${NODE_MOUNT}/${RUNTIME_FILE}`, program, ...spec.args];
    return true;
  }
  const script = scriptInterpreter(file);
  if (script === undefined) return false;
  const interpreter = resolveInside(root, script[0]!);
  if (interpreter === undefined || !isHomeProgram(interpreter)) return false;
  spec.args = [`${NODE_MOUNT}/${RUNTIME_FILE}`, script[0]!, ...script, program, ...spec.args.slice(1)];
  return true;
}

/** The root file system of a bundle. */
export function rootOf(bundle: string, specification: Specification): string {
  return resolve(bundle, specification.root?.path ?? "rootfs");
}
