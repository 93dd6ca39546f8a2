// The nodes that a user has named: a JSON file of theirs, changed by `hcontainer nodes add` and `remove`. It holds no
// secret: keys stay in the files that it names.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { InputError } from "../base/index.ts";
import { localShell, type NodeShell, remoteShell } from "../host/index.ts";

/** A node of the file: this machine, or one behind ssh. */
export type NodeEntry =
  | { readonly local: true }
  | {
      readonly host: string;
      readonly port?: number;
      readonly user?: string;
      readonly identity: string;
      readonly knownHosts: string;
      readonly proxyCommand?: string;
    };

/** The file: HCONTAINER_NODES, or one in the user's configuration directory. */
export function nodeFilePath(): string {
  const { HCONTAINER_NODES: own, XDG_CONFIG_HOME: configuration } = process.env;
  return resolve(own || join(configuration || join(homedir(), ".config"), "hcontainer/nodes.json"));
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/i;

function parseEntry(name: string, value: unknown, place: string): NodeEntry {
  const refuse = (message: string): never => {
    throw new InputError("node-file", `node '${name}' ${message}`, place, "see 'hcontainer nodes --help'");
  };
  if (!NAME.test(name)) refuse("has a name that is none: letters, digits, '.', '_' and '-'");
  if (typeof value !== "object" || value === null) return refuse("is no object");
  const entry = value as { [key: string]: unknown };
  if (entry["local"] === true) return { local: true };
  const text = (key: string): string => {
    const found = entry[key];
    // A host that begins with a dash would be an option to ssh.
    if (typeof found !== "string" || found === "" || found.startsWith("-")) return refuse(`has no proper '${key}'`);
    return found;
  };
  const port = entry["port"];
  if (port !== undefined && !(Number.isInteger(port) && Number(port) > 0 && Number(port) < 65536))
    refuse("has a port that is none");
  return {
    host: text("host"),
    identity: text("identity"),
    knownHosts: text("knownHosts"),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(entry["user"] === undefined ? {} : { user: text("user") }),
    ...(entry["proxyCommand"] === undefined ? {} : { proxyCommand: text("proxyCommand") }),
  };
}

/** Reads the file; one that is not there has no nodes. Throws an InputError when it is damaged. */
export function readNodeFile(path = nodeFilePath()): Map<string, NodeEntry> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map();
    throw error;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InputError("node-file", String(error), path, "correct it, or remove it and add the nodes again");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new InputError("node-file", "it is no JSON object", path, "correct it, or remove it and add the nodes again");
  return new Map(Object.entries(parsed).map(([name, value]) => [name, parseEntry(name, value, path)]));
}

/** Writes the file whole or not at all; throws an InputError for an entry that `readNodeFile` would refuse. */
export function writeNodeFile(nodes: ReadonlyMap<string, NodeEntry>, path = nodeFilePath()): void {
  for (const [name, entry] of nodes) parseEntry(name, entry, path);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(nodes), null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Opens a node's shell. */
export async function shellOfEntry(name: string, entry: NodeEntry): Promise<NodeShell> {
  if ("local" in entry) return localShell(name);
  const { identity, knownHosts, ...rest } = entry;
  return remoteShell(name, { ...rest, identityPath: identity, knownHostsPath: knownHosts });
}
