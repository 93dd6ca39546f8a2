// Makes a machine a node: looks at what its kernel, processor, engine and criu can do, brings what of ours it needs, and
// sets what the engine and criu have to be told. The engine is not restarted: its containers would end with it.

import { HostError } from "../base/index.ts";
import {
  CRIU_SETTINGS,
  FOREIGN_RUNTIME,
  NODE_PACKAGE,
  NODE_VERSION,
  nodeArchive,
  OCI_RUNTIME,
  runPipeline,
} from "../host/index.ts";
import { installNode } from "./install.ts";
import type { MigrationNode } from "./node.ts";
import type { Problem } from "./problem.ts";

const ENGINE_SETTINGS = "/etc/docker/daemon.json";
const CRIU_FILE = "/etc/criu/runc.conf";
/** What translated code uses, by the names of /proc/cpuinfo. */
const CPU_FEATURES = ["atomics", "lrcpc", "crc32", "aes", "pmull", "sha1", "sha2"];
const CRIU_LEAST = [4, 1, 1];

export interface Preparation {
  /** What was changed there, for people. */
  readonly changed: readonly string[];
  /** What somebody has to do yet. */
  readonly wanted: readonly string[];
  /** What the node cannot do. */
  readonly problems: readonly Problem[];
}

function isOlder(version: readonly number[], than: readonly number[]): boolean {
  for (let i = 0; i < than.length; i++) if ((version[i] ?? 0) !== than[i]) return (version[i] ?? 0) < than[i]!;
  return false;
}

/** What the machine lacks that nobody can bring it. */
async function findLacks(node: MigrationNode): Promise<Problem[]> {
  const { shell } = node;
  const found: Problem[] = [];
  const lack = (code: string, message: string, advice: string): void => {
    found.push({ code, message, advice, place: node.name });
  };
  const criu = await shell.run("criu", ["--version"]);
  const version = /(\d+)\.(\d+)(?:\.(\d+))?/
    .exec(criu.stdout)
    ?.slice(1)
    .map((part) => Number(part ?? 0));
  if (criu.status !== 0 || version === undefined)
    lack("criu-missing", "there is no criu", `install criu ${CRIU_LEAST.join(".")} or newer (Debian trixie has it)`);
  else if (isOlder(version, CRIU_LEAST))
    lack("criu-old", `criu is ${version.join(".")}`, `install ${CRIU_LEAST.join(".")} or newer`);
  const pages = await shell.run("getconf", ["PAGESIZE"]);
  if (pages.stdout.trim() !== "4096")
    lack("page-size", `its pages have ${pages.stdout.trim()} bytes`, "boot a kernel with pages of 4 KiB");
  if (node.architecture === "arm64") {
    const { stdout } = await shell.run("grep", ["-m", "1", "^Features", "/proc/cpuinfo"]);
    const features = new Set(stdout.trim().split(/\s+/));
    const missing = CPU_FEATURES.filter((feature) => !features.has(feature));
    if (missing.length > 0)
      lack("cpu-old", `its processor lacks ${missing.join(", ")}`, "use one like Neoverse N1 or newer");
  }
  return found;
}

/** The engine's settings with ours in them; undefined when they have them already. */
function mergeSettings(text: string, place: string, isForeign: boolean): string | undefined {
  let settings: { [key: string]: unknown };
  try {
    const parsed: unknown = text.trim() === "" ? {} : JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error("no object");
    settings = parsed as { [key: string]: unknown };
  } catch (error) {
    throw new HostError("engine-settings", `${ENGINE_SETTINGS} on ${place} is no JSON object`, String(error), error);
  }
  const runtimes = (settings["runtimes"] ?? {}) as { [key: string]: { path?: string } };
  const hasRuntime = !isForeign || runtimes[FOREIGN_RUNTIME]?.path === OCI_RUNTIME;
  if (settings["experimental"] === true && hasRuntime) return undefined;
  settings["experimental"] = true;
  if (isForeign) settings["runtimes"] = { ...runtimes, [FOREIGN_RUNTIME]: { path: OCI_RUNTIME } };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

async function setEngine(node: MigrationNode, isForeign: boolean): Promise<boolean> {
  const { shell } = node;
  const now = await shell.run("cat", [ENGINE_SETTINGS]);
  const merged = mergeSettings(now.status === 0 ? now.stdout : "", node.name, isForeign);
  if (merged === undefined) return false;
  if (now.status === 0) await shell.runChecked("cp", ["-p", ENGINE_SETTINGS, `${ENGINE_SETTINGS}.before-hcontainer`]);
  await shell.runChecked("mkdir", ["-p", "/etc/docker"]);
  await shell.writeFile(ENGINE_SETTINGS, merged);
  return true;
}

/** Adds the lines that criu's file lacks; what is there stays. */
async function setCriu(node: MigrationNode): Promise<boolean> {
  const { shell } = node;
  const now = await shell.run("cat", [CRIU_FILE]);
  const text = now.status === 0 ? now.stdout : "";
  const there = new Set(text.split("\n").map((line) => line.trim().split(/\s+/)[0]));
  const missing = CRIU_SETTINGS.trim()
    .split("\n")
    .filter((line) => !there.has(line.split(" ")[0]!));
  if (missing.length === 0) return false;
  await shell.runChecked("mkdir", ["-p", "/etc/criu"]);
  await shell.writeFile(CRIU_FILE, `${text === "" ? "" : `${text.trimEnd()}\n`}${missing.join("\n")}\n`);
  return true;
}

/** Node.js for our OCI runtime, if the node has none that is new enough. */
async function addNodeProgram(node: MigrationNode): Promise<boolean> {
  const { shell } = node;
  for (const program of [`${NODE_PACKAGE}/node_modules/.bin/node`, "/usr/local/bin/node", "node"]) {
    const { status, stdout } = await shell.run(program, ["-p", "process.versions.node"]);
    if (status === 0 && !isOlder(stdout.trim().split(".").map(Number), [24])) return false;
  }
  const unpack = 'mkdir -p "$1" && tar -C "$1" -xzf - --strip-components=2 package/bin/node';
  await runPipeline([
    { command: "cat", args: [await nodeArchive()] },
    shell.commandLine("sh", ["-c", unpack, "sh", `${NODE_PACKAGE}/node_modules/.bin`]),
  ]);
  return true;
}

/**
 * Prepares a node; may be repeated. `isForeign` says that programs of another instruction set are to run there.
 * Throws a HostError when the node does not answer or has settings that cannot be read.
 */
export async function prepareNode(
  node: MigrationNode,
  isForeign: boolean,
  runtimePath: () => Promise<string>,
): Promise<Preparation> {
  const problems = await findLacks(node);
  const changed: string[] = [];
  const wanted: string[] = [];
  if (isForeign) {
    if (await addNodeProgram(node)) changed.push(`Node.js ${NODE_VERSION} is in ${NODE_PACKAGE}`);
    if (await installNode(node.shell, node.nodeDirectory, await runtimePath()))
      changed.push(`the OCI runtime and the runtime of translated processes are in ${NODE_PACKAGE}`);
  }
  if (await setCriu(node)) changed.push(`${CRIU_FILE} says what criu is to do`);
  if (await setEngine(node, isForeign)) {
    changed.push(`${ENGINE_SETTINGS} has checkpoints${isForeign ? ` and the runtime '${FOREIGN_RUNTIME}'` : ""}`);
    wanted.push(`restart the engine of ${node.name} when its containers allow it: systemctl restart docker`);
  }
  return { changed, wanted, problems };
}
