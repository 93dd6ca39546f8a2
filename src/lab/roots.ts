// The root file systems of the nodes, unpacked from Debian packages without running any of their code: configuring arm64
// packages under emulation takes ten minutes. What their maintainer scripts would have done and a node needs is done
// here. Both are built once and kept in the cache.

import { copyFile, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type Architecture,
  CRIU_SETTINGS,
  cached,
  FOREIGN_RUNTIME,
  NODE_VERSION,
  OCI_RUNTIME,
  runChecked,
  unpackPackages,
} from "../host/index.ts";
import { BRIDGE, CLIENT, MACS, MANAGEMENT, NETWORK, SEGMENT, SEGMENT_TAP, SUBNET } from "./network.ts";
import { CRIU_RELEASE, PACKAGES, RELEASE, SUPERFLUOUS, TRIPLETS } from "./recipe.ts";

const SCRIPTS = join(import.meta.dirname, "nodes");

/** Receives what is going on, for a person. */
export type Progress = (message: string) => void;

async function write(root: string, path: string, content: string, mode = 0o644): Promise<void> {
  const full = join(root, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content, { mode });
}

/** criu with libraries of its own, under the name by which engines call it. */
async function addCriu(root: string, architecture: Architecture): Promise<void> {
  const criu = await cached(`criu ${CRIU_RELEASE} ${architecture} 1`, `-criu-${architecture}`, (directory) =>
    unpackPackages(architecture, CRIU_RELEASE, ["criu"], directory),
  );
  const { loader, libraries } = TRIPLETS[architecture];
  const place = "/opt/criu";
  await mkdir(join(root, place, libraries), { recursive: true });
  await mkdir(join(root, place, dirname(loader)), { recursive: true });
  // Plain files and links of the library directory: what is below it (character sets, compel) criu does not load.
  const entries = await readdir(join(criu, libraries), { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(criu, libraries, entry.name));
  await runChecked("cp", ["-a", "-t", join(root, place, libraries), ...names]);
  await runChecked("cp", ["-aL", "-t", join(root, place), join(criu, "usr/sbin/criu")]);
  await runChecked("cp", ["-aL", join(criu, loader), join(root, place, loader)]);
  const script = `#!/bin/sh
exec ${place}/${loader} --library-path ${place}/${libraries} ${place}/criu "$@"
`;
  await write(root, "usr/sbin/criu", script, 0o755);
}

/** What the packages' maintainer scripts would have done, as far as a node needs it. */
async function configure(root: string, architecture: Architecture): Promise<void> {
  for (const path of SUPERFLUOUS) await rm(join(root, path), { recursive: true, force: true });
  for (const file of ["passwd", "group"])
    await copyFile(join(root, `usr/share/base-passwd/${file}.master`), join(root, "etc", file));
  await runChecked("sh", ["-c", 'echo "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin" >>"$1/etc/passwd"', "sh", root]);
  await runChecked("sh", ["-c", 'echo "docker:x:101:" >>"$1/etc/group"', "sh", root]);
  for (const name of ["iptables", "ip6tables"])
    for (const suffix of ["", "-save", "-restore"]) {
      await rm(join(root, `usr/sbin/${name}${suffix}`), { force: true });
      await symlink("xtables-nft-multi", join(root, `usr/sbin/${name}${suffix}`));
    }
  for (const [link, target] of [
    ["var/run", "/run"],
    ["var/lock", "/run/lock"],
    ["etc/mtab", "/proc/self/mounts"],
  ] as const) {
    await rm(join(root, link), { recursive: true, force: true });
    await symlink(target, join(root, link));
  }
  await mkdir(join(root, "var/log"), { recursive: true });
  await write(root, "etc/fstab", "");
  await write(root, "etc/resolv.conf", "");
  await write(root, "etc/hostname", `${architecture}\n`);
  await write(root, "etc/hosts", `127.0.0.1 localhost ${architecture}\n`);
  await write(root, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
}

/** What engine, runtime and criu are to do on the node. */
async function addSettings(root: string, architecture: Architecture): Promise<void> {
  await write(root, "etc/criu/runc.conf", CRIU_SETTINGS);
  await write(root, "etc/criu/crun.conf", CRIU_SETTINGS);
  // A checkpoint is content to containerd while it is made or restored. It must be gone when the next one comes, or
  // restoring it on the node that made it fails ("already exists"), so what is deleted is collected at once.
  const containerd = `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[plugins."io.containerd.gc.v1.scheduler"]
deletion_threshold = 1
schedule_delay = "0s"
startup_delay = "0s"
`;
  await write(root, "etc/containerd/config.toml", containerd);
  const variables = {
    HOSTNAME: architecture,
    NETWORK,
    SUBNET,
    BRIDGE,
    RANGE: SEGMENT[architecture].range,
    GATEWAY: SEGMENT[architecture].gateway,
    MANAGEMENT_ADDRESS: `${MANAGEMENT[architecture]}/${MANAGEMENT.prefix}`,
    MANAGEMENT_TAP: MANAGEMENT.tap,
    MANAGEMENT_MAC: MACS.management,
    SEGMENT_TAP,
    SEGMENT_MAC: MACS.segment,
    CLIENT: CLIENT.name,
    CLIENT_ADDRESS: `${CLIENT.address}/${CLIENT.prefix}`,
    CLIENT_MAC: CLIENT.mac,
    READY: architecture === "amd64" ? "/run/hcontainer-ready" : "/dev/console",
  };
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  await write(root, "etc/hcontainer-lab", lines.join(""));
}

/** The Docker engine's settings on a node. `cgroupParent` is where containers' control groups go. */
export function engineSettings(architecture: Architecture, cgroupParent: string): string {
  const settings = {
    experimental: true,
    bridge: "none",
    "storage-driver": "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "cgroup-parent": cgroupParent,
    "ip-masq": false,
    ...(architecture === "amd64"
      ? {}
      : { runtimes: { [FOREIGN_RUNTIME]: { path: OCI_RUNTIME } }, "default-runtime": FOREIGN_RUNTIME }),
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

async function addServices(root: string, architecture: Architecture): Promise<void> {
  const install = async (script: string, path: string): Promise<void> => {
    await runChecked("install", ["-D", "-m", "755", join(SCRIPTS, script), join(root, path)]);
  };
  await install(`setup-${architecture}.sh`, "sbin/hcontainer-setup");
  await install("ready.sh", "sbin/hcontainer-ready");
  await install("service.sh", "sbin/hcontainer-service");
  const service = (name: string, command: string): string => `::respawn:/sbin/hcontainer-service ${name} ${command}\n`;
  const inittab =
    "::sysinit:/sbin/hcontainer-setup\n" +
    (architecture === "arm64" ? service("sshd", "/usr/sbin/sshd -D -e") : "") +
    service("containerd", "/usr/bin/containerd") +
    service("dockerd", "/usr/sbin/dockerd --containerd /run/containerd/containerd.sock") +
    "::once:/sbin/hcontainer-ready\n";
  await write(root, "etc/inittab", inittab);
}

/** Builds a node's root file system at `directory`. */
export async function buildRoot(architecture: Architecture, directory: string, progress: Progress): Promise<void> {
  progress(`${architecture}: unpacking Debian ${RELEASE}`);
  await unpackPackages(architecture, RELEASE, PACKAGES[architecture], directory);
  await configure(directory, architecture);
  progress(`${architecture}: adding criu`);
  await addCriu(directory, architecture);
  await addSettings(directory, architecture);
  await addServices(directory, architecture);
}

/** The scripts' content, for the keys of what is built with them. */
export async function scriptsContent(): Promise<string> {
  const names = (await readdir(SCRIPTS)).sort();
  const sums = await runChecked("sha256sum", names, { cwd: SCRIPTS });
  const recipe = await runChecked("sha256sum", ["recipe.ts", "network.ts", "roots.ts", "disk.ts"], {
    cwd: import.meta.dirname,
  });
  return [sums.stdout, recipe.stdout, CRIU_SETTINGS, NODE_VERSION].join("\n");
}

/** The amd64 node's root, a directory that is not to be written to. */
export async function amd64Root(progress: Progress): Promise<string> {
  return cached(`root amd64 ${await scriptsContent()}`, "-root-amd64", (directory) =>
    buildRoot("amd64", directory, progress),
  );
}
