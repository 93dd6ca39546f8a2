// A node that containers move between: its shell, its engine, and what of ours lies there.

import { HostError } from "../base/index.ts";
import {
  type Architecture,
  Docker,
  FOREIGN_RUNTIME,
  type Json,
  NODE_DIRECTORY,
  type NodeShell,
  objectAt,
  textAt,
} from "../host/index.ts";

export interface MigrationNode {
  readonly name: string;
  readonly architecture: Architecture;
  readonly shell: NodeShell;
  readonly docker: Docker;
  /** The engine's data directory. */
  readonly dockerRoot: string;
  /** The directory that containers see as NODE_MOUNT; on foreign nodes only. */
  readonly nodeDirectory: string;
  /** What `docker info` answers. */
  readonly info: Json;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x86_64: "amd64",
  amd64: "amd64",
  aarch64: "arm64",
  arm64: "arm64",
};

/** Asks the node's engine who it is. */
export async function openNode(shell: NodeShell, nodeDirectory: string = NODE_DIRECTORY): Promise<MigrationNode> {
  const docker = new Docker(shell);
  const info = await docker.call("GET", "/info", { timeoutMs: 60_000 });
  const machine = textAt(info, "Architecture");
  const architecture = ARCHITECTURES[machine];
  if (architecture === undefined)
    throw new HostError("architecture-unknown", `${shell.name} is a machine of an unknown architecture: ${machine}`);
  const dockerRoot = textAt(info, "DockerRootDir");
  return { name: shell.name, architecture, shell, docker, dockerRoot, nodeDirectory, info };
}

/** True when the node's engine has our OCI runtime. */
export function hasForeignRuntime(node: MigrationNode): boolean {
  return FOREIGN_RUNTIME in objectAt(node.info, "Runtimes");
}

/** Ends what the node keeps open. */
export async function closeNode(node: MigrationNode): Promise<void> {
  node.docker.close();
  await node.shell.close();
}
