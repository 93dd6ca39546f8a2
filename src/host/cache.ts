// A cache of built things, keyed by the content that they were made from. An entry appears whole or not at all (built
// beside its place, then renamed); one process builds an entry while the others wait for it. Locks are held by the
// kernel for a child process whose input ends when we do, so a lock never outlives its owner.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { HostError } from "../base/index.ts";

/** Where built things are kept: HCONTAINER_CACHE, or ~/.cache/hcontainer. */
export function cacheDirectory(): string {
  const { HCONTAINER_CACHE: own, XDG_CACHE_HOME: shared } = process.env;
  return own || join(shared || join(homedir(), ".cache"), "hcontainer");
}

/** Where Node keeps what it compiles of our own modules. */
export function codeCacheDirectory(): string {
  return join(cacheDirectory(), "modules");
}

/** The sha256 of bytes or of a string's UTF-8, in hexadecimal. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The sha256 of a file, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Whether a path exists (a dangling link does not). */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Runs `action` while this process holds the lock of `path`; others that want it wait, also those of other processes. */
export async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const holder = spawn("flock", [path, "sh", "-c", "echo locked; exec cat >/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    holder.on("error", (cause) => reject(new HostError("lock-failed", `cannot start flock for ${path}`, "", cause)));
    holder.on("exit", (status) => reject(new HostError("lock-failed", `flock ${path} ended with status ${status}`)));
    holder.stdout.once("data", () => resolve());
  });
  const released = new Promise((resolve) => holder.on("close", resolve));
  try {
    return await action();
  } finally {
    holder.stdin.end();
    await released;
  }
}

/** The path of the cache entry for `key`, if it is there. */
export async function findCached(key: string, suffix: string): Promise<string | undefined> {
  const path = entryPath(key, suffix);
  return (await isUsed(path)) ? path : undefined;
}

/**
 * The path of the cache entry for `key` (any string that names the content), built first if it is not there. `build`
 * makes a file or a directory at the path it is given; `suffix` ends the entry's name.
 */
export async function cached(
  key: string,
  suffix: string,
  build: (temporaryPath: string) => Promise<void>,
): Promise<string> {
  const path = entryPath(key, suffix);
  if (await isUsed(path)) return path;
  return withLock(`${path}.lock`, async () => {
    if (await exists(path)) return path;
    const part = `${path}.part`;
    await rm(part, { recursive: true, force: true });
    await build(part);
    await rename(part, path);
    return path;
  });
}

let parts = 0;

/**
 * Like `cached` for one of many small files: there is no lock, so whoever wants it at the same time builds it as well
 * and the last one stays.
 */
export async function cachedUnlocked(
  key: string,
  suffix: string,
  build: (temporaryPath: string) => Promise<void>,
): Promise<string> {
  const path = entryPath(key, suffix);
  if (await isUsed(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}-${parts++}.part`;
  try {
    await build(part);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
  return path;
}

function entryPath(key: string, suffix: string): string {
  return join(cacheDirectory(), `${sha256(key)}${suffix}`);
}

/** Whether the entry is there; notes the time of its use for whoever wants to prune (a read-only cache is as good). */
async function isUsed(path: string): Promise<boolean> {
  if (!(await exists(path))) return false;
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
  return true;
}
