// The nodes that verbs know by name: today those of the lab on this machine.

import { buildRuntime, findTranslation, type NodeShell, translateFile } from "../host/index.ts";
import { attach, type Lab } from "../lab/index.ts";
import { closeNode, installNode, type MigrationNode, openNode, type Translate } from "../migrate/index.ts";
import { UsageError } from "./arguments.ts";

/** Where our package lies on a foreign node, and the directory that its containers see as the node's mount. */
export const NODE_DIRECTORY = "/opt/hcontainer/node";

/** The nodes of this machine, opened when asked for and closed together. */
export class NodeList {
  readonly #lab: Lab;
  readonly #open = new Map<string, MigrationNode>();

  private constructor(lab: Lab) {
    this.#lab = lab;
  }

  static async attach(): Promise<NodeList> {
    return new NodeList(await attach());
  }

  get lab(): Lab {
    return this.#lab;
  }

  get names(): readonly string[] {
    return Object.keys(this.#lab.nodes);
  }

  /** The node of that name. */
  async node(name: string): Promise<MigrationNode> {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const found = Object.values(this.#lab.nodes).find((node) => node.name === name);
    if (found === undefined) throw new UsageError(`there is no node '${name}' (nodes: ${this.names.join(", ")})`);
    const opened = await openNode(found.shell, NODE_DIRECTORY);
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
    await this.#lab.nodes.arm64.shell.close();
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
  const found = await findTranslation(path, variant);
  return found && { path: found.path, name: found.report.name };
};
