// What a container's home form needs back and neither its processes nor CRIU can hold here: files beside its bundle,
// which live exactly as long as the container does on this node.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kept } from "./kernel-mounts.ts";

const DIRECTORY = "hcontainer-kept";

/** Writes what is kept for the container of this bundle. */
export function writeKept(bundle: string, kept: Kept): void {
  const directory = join(bundle, DIRECTORY);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [name, bytes] of kept) writeFileSync(join(directory, name), bytes, { mode: 0o600 });
}

/** Reads it back; empty for a container that was created here. */
export function readKept(bundle: string): Kept {
  const directory = join(bundle, DIRECTORY);
  if (!existsSync(directory)) return new Map();
  return new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]));
}
