// Starts an x86-64 program on a foreign node, in a copy of a root directory of this machine. The copy stays there for the
// next run; what the program writes goes to a layer over it and is gone afterwards.

import { join } from "node:path";
import { NODE_MOUNT, RUNTIME_FILE } from "../abi/index.ts";
import { type CommandLine, type NodeShell, run, runChecked, sha256, sha256OfFile } from "../host/index.ts";
import type { FoundProgram } from "./local.ts";
import type { OfferedTranslation } from "./node-directory.ts";
import { rootCommand } from "./root.ts";

const ROOTS = "/var/lib/hcontainer/roots";
const LAYERS = "/var/lib/hcontainer/layers";

/** What tells one state of a directory from another without reading its files. */
async function fingerprint(directory: string): Promise<string> {
  const { stdout } = await runChecked("find", [directory, "-printf", "%P %y %s %T@ %m %l\\n"]);
  return sha256(stdout.split("\n").sort().join("\n")).slice(0, 32);
}

/** Copies a root directory to the node, unless it has it; answers where it lies there. */
export async function stageRoot(shell: NodeShell, root: string): Promise<string> {
  const there = join(ROOTS, await fingerprint(root));
  if ((await shell.run("test", ["-d", there])).status === 0) return there;
  const part = `${there}.part`;
  await shell.runChecked("rm", ["-rf", part]);
  await shell.putTree(root, part);
  await shell.runChecked("mv", ["-T", part, there]);
  return there;
}

/** Copies translations to the node's directory of them, those that are not there. */
export async function stageOnNode(
  shell: NodeShell,
  nodeDirectory: string,
  translations: readonly OfferedTranslation[],
): Promise<void> {
  const paths = translations.map(({ name }) => join(nodeDirectory, "translations", name));
  const { stdout } = await shell.run("sha256sum", ["--", ...paths]);
  const present = new Map(stdout.split("\n").map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const [index, { path }] of translations.entries()) {
    if (present.get(paths[index]!) === (await sha256OfFile(path))) continue;
    await shell.putFile(path, paths[index]!);
  }
}

/** A program that is ready to start on a node. */
export interface NodeProgram {
  readonly line: CommandLine;
  /** Removes what the program has written. */
  close(): Promise<void>;
}

/** The command line here that runs a found program on the node. `root` is the staged root directory. */
export async function prepareOnNode(
  shell: NodeShell,
  nodeDirectory: string,
  root: string,
  found: FoundProgram,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly terminal: boolean },
): Promise<NodeProgram> {
  await shell.runChecked("mkdir", ["-p", LAYERS]);
  const layer = (await shell.runChecked("mktemp", ["-d", join(LAYERS, "XXXXXX")])).stdout.trim();
  const words = [join(NODE_MOUNT, RUNTIME_FILE), found.program, ...found.args];
  const { command, args } = rootCommand({ root, layer, node: nodeDirectory, cwd: options.cwd }, words);
  // A shell between turns the end by a signal into a status: ssh would report its own failure.
  const last = ["-c", '"$@"; exit $?', "sh", command, ...args];
  const line = shell.commandLine("sh", last, { env: options.env, terminal: options.terminal });
  return {
    line,
    close: async () => {
      const remove = shell.commandLine("rm", ["-rf", layer]);
      await run(remove.command, remove.args, { env: remove.env });
    },
  };
}
