// The nodes that verbs know by name: those of the lab on this machine, if it runs, and those that the user has named.

import { HostError } from "../base/index.ts";
import { buildRuntime, findTranslation, NODE_DIRECTORY, type NodeShell, translateFile } from "../host/index.ts";
import { attach, type Lab } from "../lab/index.ts";
import { closeNode, installNode, type MigrationNode, openNode, type Translate } from "../migrate/index.ts";
import { UsageError } from "./arguments.ts";
import { nodeFilePath, readNodeFile, shellOfEntry } from "./node-file.ts";

/** The nodes of this machine and of its user, opened when asked for and closed together. */
export class NodeList {
  readonly #lab: Lab | undefined;
  readonly #shells = new Map<string, () => Promise<NodeShell>>();
  readonly #open = new Map<string, MigrationNode>();

  private constructor(lab: Lab | undefined) {
    this.#lab = lab;
    for (const { name, shell } of Object.values(lab?.nodes ?? {})) this.#shells.set(name, async () => shell);
    for (const [name, entry] of readNodeFile()) this.#shells.set(name, () => shellOfEntry(name, entry));
  }

  /** Finds the nodes; throws a HostError when there are none. A node of the file hides one of the lab with its name. */
  static async attach(): Promise<NodeList> {
    const named = readNodeFile().size > 0;
    try {
      return new NodeList(await attach());
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== "lab-not-running") throw error;
      if (named) return new NodeList(undefined);
      throw new HostError(error.code, `${error.message}, and ${nodeFilePath()} names no nodes`, error.log, error);
    }
  }

  /** The lab; throws a HostError when only named nodes are there. */
  get lab(): Lab {
    if (this.#lab === undefined) throw new HostError("lab-not-running", "no lab runs: 'hcontainer lab up'");
    return this.#lab;
  }

  get names(): readonly string[] {
    return [...this.#shells.keys()];
  }

  /** The node of that name. */
  async node(name: string): Promise<MigrationNode> {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const shell = this.#shells.get(name);
    if (shell === undefined) throw new UsageError(`there is no node '${name}' (nodes: ${this.names.join(", ")})`);
    const opened = await openNode(await shell());
    this.#open.set(name, opened);
    return opened;
  }

  /** The node on which a container of that name runs; `from` names it when several have one. */
  async find(container: string, from: string | undefined): Promise<MigrationNode> {
    if (from !== undefined) return this.node(from);
    const holders: MigrationNode[] = [];
    for (const name of this.names) {
      const node = await this.node(name);
      const { status } = await node.docker.request("GET", `/containers/${encodeURIComponent(container)}/json`);
      if (status === 200) holders.push(node);
    }
    if (holders.length === 1) return holders[0]!;
    if (holders.length === 0) throw new UsageError(`no node has a container '${container}'`);
    const names = holders.map((node) => node.name).join(", ");
    throw new UsageError(`several nodes have a container '${container}' (${names}): say which with --from`);
  }

  async close(): Promise<void> {
    for (const node of this.#open.values()) await closeNode(node);
    await this.#lab?.nodes.arm64.shell.close();
  }
}

/** Makes a node able to run containers of another architecture; does nothing when it is up to date. */
export async function prepareForeign(shell: NodeShell): Promise<boolean> {
  return installNode(shell, NODE_DIRECTORY, await buildRuntime("node"));
}

/** Translations as the migration wants them: made, unless they are at hand. */
export const translate: Translate = async (path, variant) => {
  const { path: translation, report } = await translateFile(path, { variant });
  return { path: translation, name: report.name };
};

/** Translations that are at hand; the others are made later. */
export const translateLater: Translate = async (path, variant) => {
  const found = await findTranslation(path, { variant });
  return found && { path: found.path, name: found.report.name };
};
