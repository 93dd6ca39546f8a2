// Root directories made of Debian's packages, unpacked without running any of their code: so they can be of any
// architecture, and nothing in them depends on what this machine has installed. mmdebstrap resolves the dependencies and
// unpacks. What the packages' maintainer scripts would have done and programs need is done here: a merged /usr, users and
// groups, alternatives, the loader's cache.

import { copyFile, lstat, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cached, exists } from "./cache.ts";
import { runChecked } from "./process.ts";

/** Architectures by Debian's names. */
export type Architecture = "amd64" | "arm64";

export const MIRROR = "http://deb.debian.org/debian";
const DOWNLOAD_TIMEOUT_MS = 1_800_000;
/** Directories that no program needs to run. */
const SUPERFLUOUS = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"];
/** What every root has: users, the loader's configuration, and a shell. */
const BASE = ["base-files", "base-passwd", "libc-bin", "dash", "coreutils"];
/** Part of the keys of cached roots: changes when the same packages are unpacked in another way. */
const FORMAT = 1;
/** Where a root keeps what was unpacked: names of package files, and their scripts that would have configured them. */
const RECORD = "var/lib/unpacked";
const RECORD_HOOK = `
mkdir -p "$1/${RECORD}"
cd "$1/var/cache/apt/archives"
for file in *.deb; do
  echo "$file" >>"$1/${RECORD}/packages"
  dpkg-deb --info "$file" postinst 2>/dev/null >>"$1/${RECORD}/scripts" || true
done
`;

/** Unpacks packages and what they depend on. */
export async function unpackPackages(
  architecture: Architecture,
  release: string,
  packages: readonly string[],
  directory: string,
): Promise<void> {
  const args = [
    ...["--mode=root", "--variant=extract", `--architectures=${architecture}`, `--include=${packages.join(",")}`],
    // A testing release's index is only valid for a week, and a mirror may lag behind that.
    ...['--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"'],
    ...[`--extract-hook=${RECORD_HOOK}`, release, directory, MIRROR],
  ];
  await runChecked("mmdebstrap", args, { timeoutMs: DOWNLOAD_TIMEOUT_MS });
}

export interface ProgramRoot {
  readonly architecture: Architecture;
  /** Debian's release, by its code name. */
  readonly release: string;
  readonly packages: readonly string[];
}

/**
 * The root directory, in the cache, with these packages and all that they depend on. It must not be written to; give
 * programs a layer of their own over it.
 */
export async function programRoot(root: ProgramRoot): Promise<string> {
  const packages = [...new Set([...BASE, ...root.packages])].sort();
  const key = ["program root", FORMAT, root.architecture, root.release, ...packages].join("\n");
  return cached(key, `-${root.release}-${root.architecture}`, async (directory) => {
    await unpackPackages(root.architecture, root.release, packages, directory);
    await configure(directory);
  });
}

/** Versions of the packages in a root, by name. */
export async function packageVersions(root: string): Promise<Map<string, string>> {
  const names = (await readFile(join(root, RECORD, "packages"), "utf8")).trim().split("\n");
  return new Map(names.map((name) => name.split("_") as [string, string]).map(([n, v]) => [n, decodeURIComponent(v)]));
}

/** Links that the packages' scripts would have made by update-alternatives: path in the root → target. */
export function alternatives(scripts: string): Map<string, string> {
  const best = new Map<string, { readonly target: string; readonly priority: number }>();
  const offer = (path: string, target: string, priority: number): void => {
    // What a script computes is not known here.
    if (/[$"'`]/.test(path + target) || !path.startsWith("/")) return;
    if (priority > (best.get(path)?.priority ?? -1)) best.set(path, { target, priority });
  };
  const lines = scripts.replace(/\\\n/g, " ").split("\n");
  for (const line of lines) {
    const [, path, target, priority, rest] =
      /--install\s+(\S+)\s+\S+\s+(\S+)\s+(\d+)(.*)/.exec(line.replace(/["']/g, "")) ?? [];
    if (path === undefined) continue;
    offer(path, target!, Number(priority));
    for (const [, slave, slaveTarget] of rest!.matchAll(/--slave\s+(\S+)\s+\S+\s+(\S+)/g))
      offer(slave!, slaveTarget!, Number(priority));
  }
  return new Map([...best].map(([path, { target }]) => [path, target]));
}

/** Makes /bin and its like links into /usr, as every installed Debian has them. */
async function mergeUsr(root: string): Promise<void> {
  for (const name of ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]) {
    const stat = await lstat(join(root, name)).catch(() => undefined);
    if (stat?.isDirectory()) {
      await mkdir(join(root, "usr", name), { recursive: true });
      await runChecked("cp", ["-a", "-l", "-T", join(root, name), join(root, "usr", name)]);
      await rm(join(root, name), { recursive: true });
    } else if (stat !== undefined) continue;
    if (await exists(join(root, "usr", name))) await symlink(`usr/${name}`, join(root, name));
  }
}

async function configure(root: string): Promise<void> {
  await mergeUsr(root);
  for (const path of SUPERFLUOUS) await rm(join(root, path), { recursive: true, force: true });
  for (const file of ["passwd", "group"])
    await copyFile(join(root, `usr/share/base-passwd/${file}.master`), join(root, "etc", file));
  await writeFile(join(root, "etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n");
  await writeFile(join(root, "etc/hosts"), "127.0.0.1 localhost\n");
  const scripts = await readFile(join(root, RECORD, "scripts"), "utf8");
  for (const [path, target] of [["/bin/sh", "dash"], ...alternatives(scripts)] as [string, string][]) {
    const there = join(root, path);
    if (await lstat(there).catch(() => undefined)) continue;
    await mkdir(dirname(there), { recursive: true });
    await symlink(target, there);
  }
  // The cache of libraries names files only, so this machine's own ldconfig can write it for any architecture.
  await runChecked("ldconfig", ["-r", root]);
}
