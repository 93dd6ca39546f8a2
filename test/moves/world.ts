// A tree of processes that moves between this machine and the arm64 node by plain criu, without an engine: with process,
// mount, IPC and UTS namespaces of its own and an overlay as its root file system, as an engine would give it. The upper
// directory of the overlay goes with it. Its network namespace stays where it is, as an engine's does; both have one of
// the same addresses.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import {
  HC_BASE,
  NODE_MOUNT,
  offsetOf,
  PARK_STOPPED,
  PROC_AREA_OFFSET,
  PROC_MAGIC,
  ProcState,
  QUIESCE_SIGNAL,
  RUNTIME_FILE,
} from "../../src/abi/index.ts";
import {
  buildRuntime,
  cached,
  criuWords,
  DirectoryImages,
  drainConnections,
  holdConnections,
  lastLines,
  localShell,
  type NodeShell,
  run,
  runChecked,
  runPipeline,
  translateFile,
  writeChanged,
} from "../../src/host/index.ts";
import { toForeign, toHome } from "../../src/recode/index.ts";
import { until } from "../recode/dumps.ts";

const PROGRAMS = join(import.meta.dirname, "../programs/moves");
/** Nothing is wrong with a slow machine: these only end what hangs. */
const CRIU_MS = 900_000;
const QUIESCE_MS = 300_000;
/** As an engine's OCI runtime calls criu. */
const CRIU_OPTIONS = [
  "--tcp-established",
  "--file-locks",
  "--ext-unix-sk",
  "--link-remap",
  "--manage-cgroups=ignore",
  "-v4",
];
/** The network namespace is named from outside, as an engine names it. */
const NETWORK_FD = 9;
const NETWORK_RESTORE = ["--inherit-fd", `fd[${NETWORK_FD}]:network`];
const NODE_MOUNT_OPTION = ["--external", `mnt[${NODE_MOUNT}]:${NODE_MOUNT}`];

/** Makes the mounts of a container in `$1`, which becomes the root, and starts /init there. */
const ENTER = `set -e; cd "$1"; mount --make-rprivate /
mount -t proc proc proc; mount -t tmpfs -o mode=755 tmpfs dev; mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir dev/pts dev/shm dev/mqueue
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts; ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm; mount -t mqueue mqueue dev/mqueue
hostname moves; ip link set lo up 2>/dev/null || :
pivot_root . .old
exec /bin/busybox sh -c 'cd /; umount -l /.old; exec /init' </dev/null >/dev/null 2>&1`;

const HERE = localShell("this machine");

export interface Parked {
  readonly name: string;
  readonly threads: number;
  readonly wallMicroseconds: number;
  readonly cpuMicroseconds: readonly number[];
}

/** The tool that parks a tree on the node, built for it. */
function quiesceTool(): Promise<string> {
  const source = join(PROGRAMS, "quiesce.c");
  const define = (name: string, value: bigint | number): string =>
    `-D${name}=${value}${typeof value === "bigint" ? "ull" : ""}`;
  const words = [
    ...["-O2", "-static", "-Wall"],
    define("STATE_ADDRESS", HC_BASE + PROC_AREA_OFFSET),
    define("PROC_MAGIC", PROC_MAGIC),
    define("QUIESCE_SIGNAL", QUIESCE_SIGNAL),
    `-DRUNTIME="${NODE_MOUNT}/${RUNTIME_FILE}"`,
    `-DPARK_STOPPED="${PARK_STOPPED}"`,
    ...["quiesce", "threads", "parked"].map((name) =>
      define(`${name.toUpperCase()}_OFFSET`, offsetOf(ProcState, name)),
    ),
    source,
  ];
  return cached(["quiesce tool", ...words, readFileSync(source, "utf8")].join("\n"), "", async (output) => {
    await runChecked("aarch64-linux-gnu-gcc", [...words, "-o", output]);
  });
}

export class World {
  /** `base`/lower is the root file system that does not change; the same on both machines. */
  readonly base: string;
  readonly node: NodeShell;
  readonly parked: Parked[] = [];
  place: "home" | "foreign" | "nowhere" = "nowhere";
  private readonly name: string;
  private readonly translated = new Set<string>();
  private pid = 0;
  private moves = 0;

  private constructor(base: string, node: NodeShell) {
    this.base = base;
    this.node = node;
    this.name = basename(base);
  }

  path(name: string): string {
    return join(this.base, name);
  }

  /** A world whose root is what `fill` puts into a directory. */
  static async open(node: NodeShell, fill: (root: string) => Promise<void>): Promise<World> {
    const world = new World(mkdtempSync(join(tmpdir(), "hc-moves-")), node);
    const { base } = world;
    for (const name of ["lower", "upper", "work", "root"]) mkdirSync(join(base, name), { mode: 0o755 });
    for (const name of ["proc", "dev", "tmp", "w", "etc", ".old", NODE_MOUNT]) mkdirSync(join(base, "lower", name));
    await fill(join(base, "lower"));
    await runChecked("ip", ["netns", "add", world.name]);
    await runChecked("ip", ["-n", world.name, "link", "set", "lo", "up"]);
    const make = `set -e; mkdir -p ${base}/root ${NODE_MOUNT}/translations; ip netns add ${world.name}; ip -n ${world.name} link set lo up`;
    await node.runChecked("sh", ["-c", make]);
    await node.putFile(await buildRuntime("node"), `${NODE_MOUNT}/${RUNTIME_FILE}`);
    await node.putFile(await quiesceTool(), `${base}/quiesce`);
    await node.putTree(join(base, "lower"), `${base}/lower`);
    return world;
  }

  /** Puts the translation of a file of the root onto the node. */
  async translate(path: string): Promise<void> {
    const file = await translateFile(join(this.base, "lower", path));
    const name = file.report.name;
    if (this.translated.has(name)) return;
    this.translated.add(name);
    await this.node.putFile(file.path, `${NODE_MOUNT}/translations/${name}`);
  }

  private mountScript(): string {
    const { base } = this;
    const options = `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work`;
    return `umount -l ${base}/root 2>/dev/null; mkdir -p ${base}/work ${base}/root; mount -t overlay -o ${options} overlay ${base}/root`;
  }

  /** Starts the jobs (name and words each) at home. */
  async start(jobs: readonly (readonly [name: string, ...words: string[]])[]): Promise<void> {
    writeFileSync(join(this.base, "lower/etc/jobs"), jobs.map((words) => `${words.join("\t")}\n`).join(""));
    await this.node.putFile(join(this.base, "lower/etc/jobs"), `${this.base}/lower/etc/jobs`);
    await runChecked("sh", ["-c", this.mountScript()]);
    const namespaces = ["--mount", "--pid", "--ipc", "--uts", "--fork"];
    const words = [
      `--net=/run/netns/${this.name}`,
      "unshare",
      ...namespaces,
      "sh",
      "-c",
      ENTER,
      "sh",
      join(this.base, "root"),
    ];
    const child = spawn("nsenter", words, { stdio: "ignore", detached: true });
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    await until(() => existsSync(children) && readFileSync(children, "utf8").trim() !== "", "the first process");
    this.pid = Number(readFileSync(children, "utf8").trim());
    await until(() => readFileSync(`/proc/${this.pid}/comm`, "utf8").trim() === "init", "/init");
    this.place = "home";
    child.unref();
  }

  /** A file of the tree's root, wherever it is; empty when it is missing. */
  async text(path: string): Promise<string> {
    if (this.place === "foreign") return (await this.node.run("cat", [`/proc/${this.pid}/root${path}`])).stdout;
    const here = this.place === "home" ? `/proc/${this.pid}/root${path}` : join(this.base, "upper", path);
    return existsSync(here) ? readFileSync(here, "utf8") : "";
  }

  async write(path: string, text: string): Promise<void> {
    if (this.place === "foreign") await this.node.writeFile(`/proc/${this.pid}/root${path}`, text);
    else writeFileSync(`/proc/${this.pid}/root${path}`, text);
  }

  /** Dumps at home; gives the directory of the images. The tree ends. */
  async dumpHome(): Promise<string> {
    const images = this.path(`${++this.moves}-home`);
    mkdirSync(images);
    await holdConnections(HERE, this.pid);
    await drainConnections(HERE, this.pid);
    const words = [
      ...(await criuWords()),
      "dump",
      "--tree",
      String(this.pid),
      "--images-dir",
      images,
      "-o",
      "dump.log",
    ];
    const network = this.networkOption(statSync(`/run/netns/${this.name}`).ino);
    await this.criuHere([...words, ...CRIU_OPTIONS, ...network], images, "dump.log").finally(() => this.admit("here"));
    this.place = "nowhere";
    return images;
  }

  private networkOption(inode: number | string): string[] {
    return ["--external", `net[${inode}]:network`];
  }

  /** Lets connections in again: the rules lie in the network namespace, which outlives the processes. */
  private async admit(where: "here" | "there"): Promise<void> {
    const words = [`--net=/run/netns/${this.name}`, "nft", "flush", "ruleset"];
    await (where === "here" ? HERE : this.node).run("nsenter", words);
  }

  private async criuHere(words: readonly string[], images: string, log: string): Promise<void> {
    const open = `exec "$@" ${NETWORK_FD}</run/netns/${this.name}`;
    const result = await run("sh", ["-c", open, "sh", ...words], { timeoutMs: CRIU_MS });
    if (result.status === 0) return;
    const text = existsSync(join(images, log)) ? readFileSync(join(images, log), "utf8") : result.stderr;
    throw new Error(`criu ended with ${result.status}: ${images}/${log}\n${errorsOf(text)}`);
  }

  /** Restores a home set here. */
  async restoreHome(images: string): Promise<void> {
    await runChecked("sh", ["-c", this.mountScript()]);
    const file = join(images, "restored.pid");
    const words = [
      ...(await criuWords()),
      "restore",
      "--images-dir",
      images,
      "--root",
      this.path("root"),
      "-o",
      "restore.log",
    ];
    await this.criuHere(
      [...words, "--restore-detached", "--pidfile", file, ...CRIU_OPTIONS, ...NETWORK_RESTORE],
      images,
      "restore.log",
    );
    this.pid = Number(readFileSync(file, "utf8"));
    this.place = "home";
  }

  /** Recodes a home set; gives the directory of the foreign one. */
  async recodeToForeign(images: string): Promise<string> {
    const foreign = images.replace(/-home$/, "-foreign");
    const source = new DirectoryImages(images);
    try {
      const runtime = readFileSync(await buildRuntime("node"));
      const root = this.path("root");
      const readFile = (path: string): Uint8Array | null => {
        try {
          return readFileSync(join(root, path));
        } catch {
          return null;
        }
      };
      const { changes } = toForeign(source, { runtime, readFile });
      writeChanged(source, changes, foreign);
    } finally {
      source.close();
    }
    return foreign;
  }

  /** Restores a foreign set on the node. */
  async restoreForeign(images: string): Promise<void> {
    const { base } = this;
    await runChecked("umount", ["-l", this.path("root")]);
    await this.node.runChecked("rm", ["-rf", `${base}/upper`, `${base}/images`]);
    const here = ["-C", base, "--numeric-owner", "--sparse", "--xattrs", "--xattrs-include=*", "-cf", "-"];
    const there = ["-C", base, "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "-xf", "-"];
    await runPipeline([
      { command: "tar", args: [...here, "--transform", `s,^${basename(images)},images,`, basename(images), "upper"] },
      this.node.commandLine("tar", there),
    ]);
    const words = ["restore", "--images-dir", `${base}/images`, "--root", `${base}/root`, "-o", "restore.log"];
    const criu = ["criu", ...words, "--restore-detached", "--pidfile", `${base}/images/restored.pid`, ...CRIU_OPTIONS];
    const script = `${this.mountScript()}; ${[...criu, ...NODE_MOUNT_OPTION, ...NETWORK_RESTORE].join(" ")} && cat ${base}/images/restored.pid`;
    this.pid = Number(await this.criuThere(script, "restore.log"));
    this.place = "foreign";
  }

  private async criuThere(script: string, log: string): Promise<string> {
    const open = `exec ${NETWORK_FD}</run/netns/${this.name}; ${script}`;
    const result = await this.node.run("sh", ["-c", open], { timeoutMs: CRIU_MS });
    if (result.status === 0) return result.stdout;
    const text = (await this.node.run("cat", [`${this.base}/images/${log}`])).stdout;
    writeFileSync(this.path(`foreign-${log}`), text);
    throw new Error(
      `on the node: ${result.status} ${result.stdout}${result.stderr}\n${this.path(`foreign-${log}`)}\n${errorsOf(text)}`,
    );
  }

  /** Parks the tree on the node. */
  async quiesce(): Promise<void> {
    const result = await this.node.run(`${this.base}/quiesce`, [String(this.pid), String(QUIESCE_MS)], {
      timeoutMs: QUIESCE_MS * 2,
    });
    if (result.status !== 0) throw new Error(`quiescing: ${result.stdout}${result.stderr}`);
    for (const line of result.stdout.trimEnd().split("\n")) {
      const [, name, threads, wall, ...cpu] = line.split(" ");
      if (name !== undefined)
        this.parked.push({
          name,
          threads: Number(threads),
          wallMicroseconds: Number(wall),
          cpuMicroseconds: cpu.map(Number).filter((t) => t >= 0),
        });
    }
  }

  /** Parks and dumps on the node; gives the directory of the foreign images here. */
  async dumpForeign(): Promise<string> {
    const { base } = this;
    await holdConnections(this.node, this.pid);
    await this.quiesce();
    await drainConnections(this.node, this.pid);
    const words = ["criu", "dump", "--tree", String(this.pid), "--images-dir", `${base}/images`, "-o", "dump.log"];
    const script = `rm -rf ${base}/images; mkdir ${base}/images; ${[...words, ...CRIU_OPTIONS, ...NODE_MOUNT_OPTION, ...this.networkOption(`$(stat -Lc %i /run/netns/${this.name})`)].join(" ")} && umount -l ${base}/root`;
    await this.criuThere(script, "dump.log").finally(() => this.admit("there"));
    this.place = "nowhere";
    const images = this.path(`${++this.moves}-foreign`);
    mkdirSync(images);
    rmSync(this.path("upper"), { recursive: true });
    const there = [
      "-C",
      base,
      "--numeric-owner",
      "--sparse",
      "--xattrs",
      "--xattrs-include=*",
      "-cf",
      "-",
      "images",
      "upper",
    ];
    const here = ["-C", base, "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "-xf", "-"];
    await runPipeline([
      this.node.commandLine("tar", there),
      { command: "tar", args: [...here, "--transform", `s,^images,${basename(images)},`] },
    ]);
    return images;
  }

  /** The home form of a foreign set. */
  recodeToHome(images: string): string {
    const home = images.replace(/-foreign$/, "-home");
    const source = new DirectoryImages(images);
    try {
      writeChanged(source, toHome(source, { base: HC_BASE }), home);
    } finally {
      source.close();
    }
    return home;
  }

  async toForeign(): Promise<void> {
    const images = await this.dumpHome();
    const foreign = await this.recodeToForeign(images);
    await this.restoreForeign(foreign);
    this.forget(images, foreign);
  }

  async toHome(): Promise<void> {
    const images = await this.dumpForeign();
    const home = this.recodeToHome(images);
    await this.restoreHome(home);
    this.forget(images, home);
  }

  /** Home to home by criu alone: what it cannot do there, nobody can. */
  async throughCriu(): Promise<void> {
    const images = await this.dumpHome();
    await this.restoreHome(images);
    this.forget(images);
  }

  private forget(...directories: string[]): void {
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  }

  /** Ends everything; `keep` leaves the directories for who looks into a failure. */
  async close(keep = false): Promise<void> {
    if (this.place === "home") process.kill(this.pid, "SIGKILL");
    if (this.place === "foreign") await this.node.run("kill", ["-KILL", String(this.pid)]);
    this.place = "nowhere";
    await new Promise((done) => setTimeout(done, 200));
    await run("umount", ["-l", this.path("root")]);
    await run("ip", ["netns", "delete", this.name]);
    const script = `umount -l ${this.base}/root 2>/dev/null; ip netns delete ${this.name}; ${keep ? ":" : `rm -rf ${this.base}`}`;
    await this.node.run("sh", ["-c", script]);
    if (!keep) rmSync(this.base, { recursive: true, force: true });
  }
}

/** What a log says of errors, with its last lines. */
function errorsOf(log: string): string {
  const lines = log.split("\n").filter((line) => /Error|Warn/.test(line));
  return `${lines.slice(-20).join("\n")}\n...\n${lastLines(log, 5)}`;
}
