// The directory trees that move with a container: what it changed in its image's files, and its volumes. Volumes of the
// engine's own driver move when nobody else uses them; the target gets volumes of the same names, or nameless ones.

import { HostError } from "../base/index.ts";
import { type Json, jsonAt, listAt, objectAt, textAt } from "../host/index.ts";
import type { Container } from "./container.ts";
import type { MigrationNode } from "./node.ts";
import type { Problem } from "./problem.ts";

export interface Volume {
  readonly name: string;
  /** Where the container sees it. */
  readonly destination: string;
  /** Its directory on the node. */
  readonly directory: string;
  /** Made for this container alone, without a name of its user's. */
  readonly isAnonymous: boolean;
}

/** A directory on the source and its copy on the target. */
export interface Tree {
  readonly from: string;
  readonly to: string;
  /** Where the container sees it. */
  readonly destination: string;
  /** Names at its top that stay where they are. */
  readonly exclude: readonly string[];
}

/** What runc makes in the root of a container for our mount; it stays where it is. */
const NOT_COPIED = [".hcontainer"];
const ANONYMOUS = /^[0-9a-f]{64}$/;

/** The container's volumes. */
export function volumesOf(container: Container): Volume[] {
  return listAt(container.inspect, "Mounts")
    .filter((mount) => textAt(mount, "Type") === "volume")
    .map((mount) => ({
      name: textAt(mount, "Name"),
      destination: textAt(mount, "Destination"),
      directory: textAt(mount, "Source"),
      isAnonymous: ANONYMOUS.test(textAt(mount, "Name")),
    }));
}

const path = (volume: Volume): string => `/volumes/${encodeURIComponent(volume.name)}`;

/** What keeps the container's volumes from moving (to `target`, if there is one). */
export async function volumeProblems(
  container: Container,
  source: MigrationNode,
  target: MigrationNode | undefined,
): Promise<Omit<Problem, "place">[]> {
  const found: Omit<Problem, "place">[] = [];
  for (const volume of volumesOf(container)) {
    const described = await source.docker.call("GET", path(volume));
    if (textAt(described, "Driver") !== "local" || Object.keys(objectAt(described, "Options")).length > 0)
      found.push({
        code: "volume-driver",
        message: `volume ${volume.name} is kept by '${textAt(described, "Driver")}' with options of its own`,
        advice: "keep the data in a plain volume",
      });
    const filter = encodeURIComponent(JSON.stringify({ volume: [volume.name] }));
    const users = listAt(await source.docker.call("GET", `/containers/json?all=true&filters=${filter}`));
    if (users.length > 1)
      found.push({
        code: "volume-shared",
        message: `volume ${volume.name} is used by ${users.length} containers`,
        advice: "give each container a volume of its own",
      });
    if (target === undefined || target.name === source.name) continue;
    const there = await target.docker.request("GET", path(volume));
    if (there.status !== 404)
      found.push({
        code: "volume-taken",
        message: `${target.name} has a volume ${volume.name} already`,
        advice: "remove or rename that one",
      });
  }
  return found;
}

/** The named volumes that the target has to have before the twin is created. */
export function namedVolumes(container: Container): readonly string[] {
  return volumesOf(container)
    .filter((volume) => !volume.isAnonymous)
    .map((volume) => volume.name);
}

/** Makes the named volumes at the target. */
export async function createVolumes(
  source: MigrationNode,
  target: MigrationNode,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const described = await source.docker.call("GET", `/volumes/${encodeURIComponent(name)}`);
    const labels: Json = jsonAt(described, "Labels") ?? {};
    await target.docker.call("POST", "/volumes/create", { body: { Name: name, Driver: "local", Labels: labels } });
  }
}

/** Removes volumes; those that are not there are no error. Throws what the engine says of one that is used. */
export async function removeVolumes(node: MigrationNode, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await node.docker.call("DELETE", `/volumes/${encodeURIComponent(name)}`);
    } catch (error) {
      if (!(error instanceof HostError && error.code === "not-found")) throw error;
    }
  }
}

/** The trees of the container and of its twin, which have nothing in them that the twin needs. */
export async function treesOf(container: Container, twin: Container, target: MigrationNode): Promise<Tree[]> {
  const trees: Tree[] = [
    { from: container.upperDirectory, to: twin.upperDirectory, destination: "/", exclude: NOT_COPIED },
  ];
  const there = new Map(volumesOf(twin).map((volume) => [volume.destination, volume.directory]));
  for (const volume of volumesOf(container)) {
    const to = there.get(volume.destination);
    if (to === undefined) throw new Error(`the twin has no volume at ${volume.destination}`);
    // The engine fills a new volume with what the image has at its place; the container may have removed some of it.
    await target.shell.runChecked("find", [to, "-mindepth", "1", "-delete"]);
    trees.push({ from: volume.directory, to, destination: volume.destination, exclude: [] });
  }
  return trees;
}
