// One way to work on a node, wherever it is. A node is reached by turning a command for it into a command here: as it
// is, behind a prefix (nsenter), or through ssh. Everything else, files and trees included, is made of that, so code
// that is written against NodeShell works the same on every node.

import { HostError } from "../base/index.ts";
import { type CommandLine, commandFailed, type RunOptions, type RunResult, run, runPipeline } from "./process.ts";

/** Access to one node as root: commands, files and trees. */
export interface NodeShell {
  readonly name: string;
  /** The command here that runs `command` on the node; for pipelines between nodes (`runPipeline`). */
  commandLine(
    command: string,
    args: readonly string[],
    options?: Pick<CommandLine, "env" | "cwd" | "terminal">,
  ): CommandLine;
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Like `run`; a status other than 0 throws a HostError that names the node. */
  runChecked(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  readFile(path: string): Promise<Uint8Array>;
  /** Writes a file whole or not at all, with its parent directories. */
  writeFile(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  /** Copies a file of this machine to the node, whole or not at all. */
  putFile(localPath: string, path: string): Promise<void>;
  getFile(path: string, localPath: string): Promise<void>;
  /** Copies a directory's content with owners, modes, links, times and holes; what is there already and not in the tree stays. */
  putTree(localDirectory: string, directory: string): Promise<void>;
  getTree(directory: string, localDirectory: string): Promise<void>;
  /** Ends what the shell keeps open. */
  close(): Promise<void>;
}

/** How a command for the node becomes a command here. */
export type Wrap = (line: CommandLine) => CommandLine;

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const READ_TREE = ["--numeric-owner", "--sparse", "--xattrs", "--xattrs-include=*", "-c", "-f", "-"];
const WRITE_TREE = ["--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "-x", "-f", "-"];
// Written beside its place and renamed, so that a reader (or a crash) never sees half of it.
const STORE = 'mkdir -p "$(dirname "$1")" && cat >"$1.part" && chmod "$2" "$1.part" && mv -f "$1.part" "$1"';

/** The shell of a node that `wrap` reaches. */
export function shellOf(name: string, wrap: Wrap, close: () => Promise<void> = async () => undefined): NodeShell {
  const here: Wrap = (line) => line;
  const commandLine: NodeShell["commandLine"] = (command, args, options = {}) => wrap({ command, args, ...options });
  const runThere: NodeShell["run"] = (command, args, options = {}) => {
    const line = commandLine(command, args, options);
    return run(line.command, line.args, { ...options, env: line.env, cwd: line.cwd });
  };
  const runThereChecked: NodeShell["runChecked"] = async (command, args, options) => {
    const result = await runThere(command, args, options);
    if (result.status !== 0) throw commandFailed(command, args, result, name);
    return result;
  };
  const store = (path: string, mode: string): CommandLine => commandLine("sh", ["-c", STORE, "sh", path, mode]);
  const copyTree = async (from: Wrap, source: string, to: Wrap, target: string): Promise<void> => {
    const make = to({ command: "mkdir", args: ["-p", target] });
    const made = await run(make.command, make.args, { env: make.env });
    if (made.status !== 0) throw commandFailed(make.command, make.args, made, name);
    await runPipeline([
      from({ command: "tar", args: ["-C", source, ...READ_TREE, "."] }),
      to({ command: "tar", args: ["-C", target, ...WRITE_TREE] }),
    ]);
  };
  return {
    name,
    commandLine,
    run: runThere,
    runChecked: runThereChecked,
    readFile: async (path) => (await runThereChecked("cat", [path])).bytes,
    writeFile: async (path, content, mode = 0o644) => {
      const line = store(path, mode.toString(8));
      const result = await run(line.command, line.args, { input: content, env: line.env });
      if (result.status !== 0) throw new HostError("write-failed", `cannot write ${path} on ${name}`, result.stderr);
    },
    putFile: async (localPath, path) => {
      const mode = (await run("stat", ["-c", "%a", localPath])).stdout.trim();
      if (mode === "") throw new HostError("no-such-file", `cannot read ${localPath}`);
      await runPipeline([{ command: "cat", args: [localPath] }, store(path, mode)]);
    },
    getFile: async (path, localPath) => {
      const mode = (await runThereChecked("stat", ["-c", "%a", path])).stdout.trim();
      await runPipeline([commandLine("cat", [path]), { command: "sh", args: ["-c", STORE, "sh", localPath, mode] }]);
    },
    putTree: (localDirectory, directory) => copyTree(here, localDirectory, wrap, directory),
    getTree: (directory, localDirectory) => copyTree(wrap, directory, here, localDirectory),
    close,
  };
}
