// The arm64 node's disk, kernel and initramfs: its root as an ext4 file system in a raw image, the few kernel modules
// that it needs unpacked and indexed here (depmod takes 42 s under emulation), Node.js from npm, and the keys that open
// it. Built once and kept in the cache.

import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { cached, NODE_PACKAGE, nodeArchive, runChecked } from "../host/index.ts";
import { MANAGEMENT } from "./network.ts";
import { BOOT_MODULES, NODE_MODULES } from "./recipe.ts";
import { buildRoot, engineSettings, type Progress, scriptsContent } from "./roots.ts";

/** Room on the node's disk; the image is sparse. */
const DISK_SIZE = "8G";

/** The files of a built arm64 node. */
export interface NodeDisk {
  readonly disk: string;
  readonly kernel: string;
  readonly initramfs: string;
  /** The private key that opens the node as root. */
  readonly identity: string;
  readonly knownHosts: string;
}

export function filesOf(directory: string): NodeDisk {
  return {
    disk: join(directory, "disk.raw"),
    kernel: join(directory, "kernel"),
    initramfs: join(directory, "initramfs"),
    identity: join(directory, "identity"),
    knownHosts: join(directory, "known-hosts"),
  };
}

/** What modules.dep says: a module's path and those of the modules that it needs, nearest first. */
function parseDependencies(text: string): Map<string, string[]> {
  const dependencies = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [path, needs] = line.split(": ");
    const own = path?.replace(/:$/, "");
    if (own) dependencies.set(own, needs === undefined ? [] : needs.trim().split(" "));
  }
  return dependencies;
}

const nameOf = (path: string): string =>
  basename(path)
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");

/** The paths of `modules` and of all that they need, in an order in which they can be loaded. */
function closure(modules: readonly string[], dependencies: Map<string, string[]>): string[] {
  const byName = new Map([...dependencies.keys()].map((path) => [nameOf(path), path]));
  const order = new Set<string>();
  const add = (path: string): void => {
    for (const need of (dependencies.get(path) ?? []).toReversed()) add(need);
    order.add(path);
  };
  // A name that is not there is built into the kernel, or its kernel is without it: the node's own check says which.
  for (const name of modules) if (byName.has(name)) add(byName.get(name)!);
  return [...order];
}

/** Leaves the modules that the node needs, uncompressed, and indexes them. Returns those for the initramfs, in order. */
async function pruneModules(root: string): Promise<{ directory: string; boot: string[] }> {
  const version = (await readdir(join(root, "usr/lib/modules")))[0]!;
  const directory = join(root, "usr/lib/modules", version);
  const depmod = (): Promise<unknown> => runChecked("depmod", ["-b", root, version]);
  await depmod();
  const dependencies = parseDependencies(await readFile(join(directory, "modules.dep"), "utf8"));
  const boot = closure(BOOT_MODULES, dependencies);
  const keep = new Set([...boot, ...closure(NODE_MODULES, dependencies)]);
  const place = join(root, "modules.kept");
  for (const path of keep) {
    await mkdir(join(place, dirname(path)), { recursive: true });
    await rename(join(directory, path), join(place, path));
  }
  await rm(join(directory, "kernel"), { recursive: true });
  await rename(join(place, "kernel"), join(directory, "kernel"));
  await rm(place, { recursive: true });
  const packed = [...keep].filter((path) => path.endsWith(".xz")).map((path) => join(directory, path));
  if (packed.length > 0) await runChecked("xz", ["-d", ...packed]);
  await depmod();
  const bare = (path: string): string => path.replace(/\.xz$/, "");
  await writeFile(join(root, "etc/hcontainer-modules"), `${[...keep].map((path) => nameOf(path)).join("\n")}\n`);
  return { directory, boot: boot.map(bare) };
}

/** A small initramfs: busybox, the modules on the way to the root, and the script that loads them. */
async function makeInitramfs(root: string, directory: string, boot: string[], target: string): Promise<void> {
  const tree = `${target}.tree`;
  for (const name of ["bin", "dev", "root", "modules"]) await mkdir(join(tree, name), { recursive: true });
  await copyFile(join(root, "usr/bin/busybox"), join(tree, "bin/busybox"));
  await runChecked("install", ["-m", "755", join(import.meta.dirname, "nodes/initramfs.sh"), join(tree, "init")]);
  for (const path of boot) await copyFile(join(directory, path), join(tree, "modules", basename(path)));
  await writeFile(join(tree, "modules/order"), boot.map((path) => `${basename(path)}\n`).join(""));
  await runChecked("sh", ["-c", 'cd "$1" && find . | cpio --quiet -o -H newc >"$2"', "sh", tree, target]);
  await rm(tree, { recursive: true });
}

async function addNode(root: string): Promise<void> {
  const archive = await nodeArchive();
  await mkdir(join(root, "usr/local/bin"), { recursive: true });
  await runChecked("tar", ["-C", join(root, "usr/local"), "-xzf", archive, "--strip-components=1", "package/bin/node"]);
}

/** sshd for root by key only, with a host key that the lab knows beforehand. */
async function addKeys(root: string, files: NodeDisk): Promise<void> {
  const generate = (path: string): Promise<unknown> =>
    runChecked("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "hcontainer-lab", "-f", path]);
  await generate(files.identity);
  await mkdir(join(root, "root/.ssh"), { recursive: true, mode: 0o700 });
  await copyFile(`${files.identity}.pub`, join(root, "root/.ssh/authorized_keys"));
  const hostKey = join(root, "etc/ssh/ssh_host_ed25519_key");
  await generate(hostKey);
  const [kind, key] = (await readFile(`${hostKey}.pub`, "utf8")).split(" ");
  await writeFile(files.knownHosts, `${MANAGEMENT.arm64} ${kind} ${key}\n`);
  const settings = [
    ...[
      "HostKey /etc/ssh/ssh_host_ed25519_key",
      `ListenAddress ${MANAGEMENT.arm64}`,
      "PermitRootLogin prohibit-password",
    ],
    ...["PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no", "UseDNS no", "MaxSessions 100"],
    ...["Subsystem sftp /usr/lib/openssh/sftp-server", "SetEnv PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
  ];
  await writeFile(join(root, "etc/ssh/sshd_config"), settings.map((line) => `${line}\n`).join(""));
}

async function buildDisk(directory: string, progress: Progress): Promise<void> {
  const files = filesOf(directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const root = join(directory, "root");
  await buildRoot("arm64", root, progress);
  const version = (await readdir(join(root, "usr/lib/modules")))[0]!;
  await rename(join(root, `boot/vmlinuz-${version}`), files.kernel);
  await rm(join(root, "boot"), { recursive: true });
  progress("arm64: adding kernel modules, Node.js and keys");
  const modules = await pruneModules(root);
  await makeInitramfs(root, modules.directory, modules.boot, files.initramfs);
  await addNode(root);
  await addKeys(root, files);
  await writeFile(join(root, "etc/docker/daemon.json"), engineSettings("arm64", "/hcontainer"));
  await mkdir(join(root, NODE_PACKAGE), { recursive: true });
  progress("arm64: making the disk");
  await runChecked("truncate", ["-s", DISK_SIZE, files.disk]);
  // The overlay that is written to lives as long as a run: a journal would protect nothing.
  const features = ["-O", "^has_journal,^metadata_csum", "-E", "lazy_itable_init=1,root_owner=0:0", "-m", "0"];
  await runChecked("mkfs.ext4", ["-q", "-F", ...features, "-d", root, files.disk]);
  await rm(root, { recursive: true });
}

/** The arm64 node's disk, kernel, initramfs and keys. */
export async function arm64Disk(progress: Progress): Promise<NodeDisk> {
  const directory = await cached(`disk arm64 ${await scriptsContent()}`, "-node-arm64", (path) =>
    buildDisk(path, progress),
  );
  return filesOf(directory);
}
