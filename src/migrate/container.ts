// A container as the engine's `inspect` describes it, and the configuration with which its twin is created on the other
// node. Inspect's Config and HostConfig are what `create` takes; what has to differ there is changed here, by name.

import { type Architecture, FOREIGN_RUNTIME, type Json, jsonAt, listAt, objectAt, textAt } from "../host/index.ts";
import type { MigrationNode } from "./node.ts";

export interface Container {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  readonly initPid: number;
  /** The image's architecture: the container's home. */
  readonly home: Architecture;
  readonly imageId: string;
  /** The name that the container was created from, if it still means the same image; else its id. */
  readonly imageReference: string;
  /** Overlay's upper directory: what the container changed in its image's files. */
  readonly upperDirectory: string;
  readonly inspect: Json;
}

/** Reads a container and its image. */
export async function inspectContainer(node: MigrationNode, name: string): Promise<Container> {
  const inspect = await node.docker.call("GET", `/containers/${encodeURIComponent(name)}/json`);
  const imageId = textAt(inspect, "Image");
  const image = await node.docker.call("GET", `/images/${encodeURIComponent(imageId)}/json`);
  const tagged = textAt(inspect, "Config", "Image");
  const sameTag = listAt(image, "RepoTags").some((tag) => tag === tagged || tag === `${tagged}:latest`);
  const pid = jsonAt(inspect, "State", "Pid");
  return {
    id: textAt(inspect, "Id"),
    name: textAt(inspect, "Name").replace(/^\//, ""),
    running: textAt(inspect, "State", "Status") === "running",
    initPid: typeof pid === "number" ? pid : 0,
    home: textAt(image, "Architecture") === "arm64" ? "arm64" : "amd64",
    imageId,
    imageReference: sameTag ? tagged : imageId,
    upperDirectory: textAt(inspect, "GraphDriver", "Data", "UpperDir"),
    inspect,
  };
}

/** Where the engine of `node` keeps a container's checkpoint. */
export function checkpointDirectory(node: MigrationNode, containerId: string, checkpoint: string): string {
  return `${node.dockerRoot}/containers/${containerId}/checkpoints/${checkpoint}`;
}

/** Where the engine keeps the container's log (json-file driver). */
export function logFile(node: MigrationNode, containerId: string): string {
  return `${node.dockerRoot}/containers/${containerId}/${containerId}-json.log`;
}

/** One network of a container as `create` takes it: with the address that it has now. */
function endpoint(settings: Json, shortId: string): Json {
  const address = textAt(settings, "IPAddress");
  const address6 = textAt(settings, "GlobalIPv6Address");
  const aliases = listAt(settings, "Aliases").filter((alias) => alias !== shortId);
  return {
    IPAMConfig: { ...(address && { IPv4Address: address }), ...(address6 && { IPv6Address: address6 }) },
    MacAddress: textAt(settings, "MacAddress"),
    Aliases: aliases,
    DriverOpts: jsonAt(settings, "DriverOpts") ?? null,
  };
}

/** The request that creates the container's twin on `target`. */
export function twinRequest(container: Container, target: MigrationNode): Json {
  const { inspect } = container;
  const config = objectAt(inspect, "Config");
  const hostConfig = objectAt(inspect, "HostConfig");
  const shortId = container.id.slice(0, 12);
  const networks = objectAt(inspect, "NetworkSettings", "Networks");
  const endpoints = Object.entries(networks).map(([name, settings]) => [name, endpoint(settings, shortId)] as const);
  const foreign = container.home !== target.architecture;
  const oldRuntime = textAt(inspect, "HostConfig", "Runtime");
  const runtime = foreign ? FOREIGN_RUNTIME : oldRuntime === FOREIGN_RUNTIME ? "" : oldRuntime;
  // The address sits in the network's settings; the deprecated field beside the configuration must not contradict it.
  const { MacAddress: _, ...ownConfig } = config;
  const { Runtime: __, ContainerIDFile: ___, ...ownHostConfig } = hostConfig;
  return {
    ...ownConfig,
    Image: container.imageReference,
    HostConfig: { ...ownHostConfig, ...(runtime && { Runtime: runtime }) },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
  };
}
