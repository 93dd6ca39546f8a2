// `hcontainer nodes`: the nodes that containers can move between, what runs there, and how a machine becomes one.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { buildRuntime, listAt, textAt } from "../host/index.ts";
import { type Preparation, prepareNode } from "../migrate/index.ts";
import { parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { type NodeEntry, nodeFilePath, readNodeFile, writeNodeFile } from "./node-file.ts";
import { NodeList } from "./node-list.ts";
import { printJson, table } from "./output.ts";

export const help = `Lists the nodes that containers can move between and what runs there; names nodes and makes machines ready to be one.

usage: hcontainer nodes [--json]
       hcontainer nodes add NAME --local
       hcontainer nodes add NAME [USER@]HOST[:PORT] [--identity FILE] [--known-hosts FILE] [--proxy-command COMMAND]
       hcontainer nodes prepare NAME [--json]
       hcontainer nodes remove NAME

The nodes are those of the lab, if it runs, and those of the file ${"$HCONTAINER_NODES"} (~/.config/hcontainer/nodes.json).

  add       names a node: this machine (--local), or one behind ssh, as a user who may use Docker and criu (root)
  prepare   looks at the node's processor, kernel and criu, brings it what it needs and sets its engine up for
            checkpoints. On an arm64 node that is our OCI runtime, Node.js and the runtime of translated processes, under
            /opt/hcontainer. The engine is not restarted: what is left to do is printed.
  remove    forgets a node; nothing on it is changed

  --identity FILE           the private key (~/.ssh/id_ed25519)
  --known-hosts FILE        the file that has its host key (~/.ssh/known_hosts); a host that is not in it is refused
  --proxy-command COMMAND   how ssh reaches it, as ssh's option ProxyCommand has it
  --json                    print data

examples:
  hcontainer nodes add here --local && hcontainer nodes prepare here
  hcontainer nodes add edge root@192.0.2.7 && hcontainer nodes prepare edge
  hcontainer nodes --json | jq '.[].containers'
`;

async function list(isJson: boolean): Promise<number> {
  const nodes = await NodeList.attach();
  try {
    const found = [];
    for (const name of nodes.names) {
      const node = await nodes.node(name);
      const running = await node.docker.call("GET", "/containers/json");
      const containers = listAt(running).map((c) => textAt(listAt(c, "Names")[0] ?? "").replace(/^\//, ""));
      const engine = `docker ${textAt(node.info, "ServerVersion")}`;
      const kernel = textAt(node.info, "KernelVersion");
      found.push({ name, architecture: node.architecture, engine, kernel, containers });
    }
    if (isJson) printJson(found);
    else {
      const rows = found.map((n) => [n.name, n.architecture, n.engine, n.kernel, n.containers.join(", ")]);
      process.stdout.write(`${table([["node", "architecture", "engine", "kernel", "containers"], ...rows])}\n`);
    }
    return exitCode("ok");
  } finally {
    await nodes.close();
  }
}

interface AddOptions {
  readonly local?: boolean | undefined;
  readonly identity?: string | undefined;
  readonly "known-hosts"?: string | undefined;
  readonly "proxy-command"?: string | undefined;
}

const DESTINATION = /^(?:(?<user>[^@:\s]+)@)?(?<host>\[[0-9a-f:]+\]|[^@:\s]+)(?::(?<port>\d+))?$/i;

function entryOf(destination: string | undefined, options: AddOptions): NodeEntry {
  if (options.local) {
    if (destination !== undefined) throw new UsageError("--local and a host exclude each other");
    return { local: true };
  }
  if (destination === undefined) throw new UsageError("[USER@]HOST[:PORT] is missing (or --local)");
  const parts = DESTINATION.exec(destination)?.groups;
  if (parts === undefined) throw new UsageError(`'${destination}' is no [USER@]HOST[:PORT]`);
  const ssh = join(homedir(), ".ssh");
  return {
    host: parts["host"]!.replace(/^\[|\]$/g, ""),
    ...(parts["port"] === undefined ? {} : { port: Number(parts["port"]) }),
    ...(parts["user"] === undefined ? {} : { user: parts["user"] }),
    identity: resolve(options.identity ?? join(ssh, "id_ed25519")),
    knownHosts: resolve(options["known-hosts"] ?? join(ssh, "known_hosts")),
    ...(options["proxy-command"] === undefined ? {} : { proxyCommand: options["proxy-command"] }),
  };
}

function add(name: string, entry: NodeEntry): number {
  const nodes = readNodeFile();
  if (nodes.has(name)) throw new UsageError(`there is a node '${name}' already: remove it first`);
  writeNodeFile(nodes.set(name, entry));
  process.stdout.write(`${name} is in ${nodeFilePath()}; next: hcontainer nodes prepare ${name}\n`);
  return exitCode("ok");
}

function remove(name: string): number {
  const nodes = readNodeFile();
  if (!nodes.delete(name)) throw new UsageError(`${nodeFilePath()} has no node '${name}'`);
  writeNodeFile(nodes);
  return exitCode("ok");
}

function printPreparation(name: string, { changed, wanted, problems }: Preparation): void {
  const lines = [
    ...changed.map((text) => `changed: ${text}`),
    ...problems.map((p) => `problem [${p.code}]: ${p.message}; ${p.advice}`),
    ...wanted.map((text) => `to do: ${text}`),
  ];
  if (lines.length === 0) lines.push(`${name} is ready`);
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function prepare(name: string, isJson: boolean): Promise<number> {
  const nodes = await NodeList.attach();
  try {
    const node = await nodes.node(name);
    const done = await prepareNode(node, node.architecture === "arm64", () => buildRuntime("node"));
    if (isJson) printJson(done);
    else printPreparation(name, done);
    return exitCode(done.problems.length > 0 ? "refused" : "ok");
  } finally {
    await nodes.close();
  }
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(
    args,
    {
      json: { type: "boolean" },
      local: { type: "boolean" },
      identity: { type: "string" },
      "known-hosts": { type: "string" },
      "proxy-command": { type: "string" },
    },
    ["ACTION?", "NAME?", "DESTINATION?"],
  );
  const [action, name, destination] = operands;
  if (action === undefined) return list(values.json ?? false);
  if (!["add", "prepare", "remove"].includes(action)) throw new UsageError(`there is no '${action}' of nodes`);
  if (name === undefined) throw new UsageError("NAME is missing");
  if (action === "add") return add(name, entryOf(destination, values));
  if (destination !== undefined) throw new UsageError(`unexpected argument '${destination}'`);
  return action === "remove" ? remove(name) : prepare(name, values.json ?? false);
}
