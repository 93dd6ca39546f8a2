// `hcontainer lab`: a second node of another architecture on this machine.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { attach, down, type LabStatus, labDirectory, purge, status, up } from "../lab/index.ts";
import { numberOption, parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { Progress, printJson, table } from "./output.ts";

export const help = `A second node of another architecture on this machine, for trying and testing migrations.

usage: hcontainer lab up [--cpus N] [--memory MIB] [--json]
       hcontainer lab status [--json]
       hcontainer lab shell NODE [COMMAND [ARGUMENT]...]
       hcontainer lab down [--purge]

Two nodes on this machine: amd64, this machine's own kernel and processors, and arm64, a virtual machine (QEMU without
hardware help, so about 20 times slower). Each runs a Docker engine of its own. Both are on one network segment: a container
that is started with --network hclab keeps its addresses when it moves between them. Everything lives in namespaces of
the lab's own: nothing outside them is changed, and 'down' leaves nothing but the cache of built nodes.

The first 'up' builds the nodes from Debian packages and takes a minute or two; later ones take seconds. Needs root.

  --cpus N       processors of the arm64 node (2)
  --memory MIB   its memory (3072)
  --purge        remove the cache of built nodes too
  --json         print what 'status' prints, as JSON

NODE is amd64, arm64, or client: this machine's programs with the network of a client on the segment.

environment:
  HCONTAINER_LAB_DIRECTORY   where the lab writes (/var/lib/hcontainer/lab)
  HCONTAINER_CACHE           where built nodes are kept (~/.cache/hcontainer)

examples:
  hcontainer lab up
  hcontainer lab shell amd64 docker ps
  hcontainer lab shell arm64
  hcontainer lab shell client curl -s http://10.217.0.100/
`;

function print(found: LabStatus, json: boolean): void {
  if (json) {
    printJson(found);
    return;
  }
  const rows = found.nodes.map((node) => [
    ...[node.name, node.state, node.address ?? "", node.kernel ?? "", node.engine ?? "", node.criu ?? ""],
    node.containers === undefined ? "" : String(node.containers),
  ]);
  const heading = ["NODE", "STATE", "ADDRESS", "KERNEL", "DOCKER", "CRIU", "CONTAINERS"];
  process.stdout.write(`${table([heading, ...rows])}\n`);
}

async function bringUp(args: string[]): Promise<number> {
  const options = { cpus: { type: "string" }, memory: { type: "string" }, json: { type: "boolean" } } as const;
  const { values } = parseVerb(args, options);
  const cpus = numberOption("cpus", values.cpus, 2, 1, 64);
  const memoryMiB = numberOption("memory", values.memory, 3072, 1024, 1 << 20);
  const progress = new Progress();
  progress.step("lab up");
  try {
    await up({ cpus, memoryMiB }, (message) => progress.note(message));
    progress.done();
  } catch (error) {
    progress.failed();
    throw error;
  }
  print(await status(), values.json === true);
  return exitCode("ok");
}

async function showStatus(args: string[]): Promise<number> {
  const { values } = parseVerb(args, { json: { type: "boolean" } });
  const found = await status();
  print(found, values.json === true);
  return exitCode(found.nodes.every((node) => node.state === "ready") ? "ok" : "failed");
}

/** Runs a command on a node with our own terminal and streams; its exit status becomes ours. */
async function openShell(args: string[]): Promise<number> {
  const [name, ...command] = args[0] === "--" ? args.slice(1) : args;
  if (name === undefined) throw new UsageError("NODE is missing");
  if (name !== "amd64" && name !== "arm64" && name !== "client") throw new UsageError(`there is no node '${name}'`);
  const words = command[0] === "--" ? command.slice(1) : command;
  const lab = await attach();
  const node = name === "client" ? lab.client : lab.nodes[name].shell;
  const [program, ...rest] = words.length === 0 ? ["bash", "-l"] : words;
  const line = node.commandLine(program!, rest, { terminal: process.stdin.isTTY === true && process.stdout.isTTY });
  const child = spawn(line.command, line.args, { stdio: "inherit", env: { ...process.env, ...line.env } });
  // The terminal's signals go to the command; what it does about them is what we do.
  const ignore = (): void => undefined;
  process.on("SIGINT", ignore).on("SIGQUIT", ignore);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

async function takeDown(args: string[]): Promise<number> {
  const { values } = parseVerb(args, { purge: { type: "boolean" } });
  const left = await down();
  if (values.purge === true) await purge();
  for (const what of left) process.stderr.write(`still there: ${what}\n`);
  if (left.length === 0) process.stderr.write(`the lab at ${labDirectory()} is down\n`);
  return exitCode(left.length === 0 ? "ok" : "failed");
}

/** Runs `hcontainer lab`. */
export async function run(args: string[]): Promise<number> {
  const [verb, ...rest] = args;
  if (verb === "up") return bringUp(rest);
  if (verb === "status") return showStatus(rest);
  if (verb === "shell") return openShell(rest);
  if (verb === "down") return takeDown(rest);
  throw new UsageError(verb === undefined ? "up, status, shell or down?" : `there is no 'lab ${verb}'`);
}
