// Bringing an unfinished migration to an end. The same code serves a failure that is caught and a migration whose process
// died (from its journal), so every action asks first what is there and may be repeated.

import { HostError } from "../base/index.ts";
import { admitConnections, type Json, jsonAt, objectAt, shieldAddresses, textAt } from "../host/index.ts";
import { CLEAN_TIMEOUT_MS, stateOf, withCriuLog } from "./engine.ts";
import { outcomeOfFreeze } from "./freeze.ts";
import type { MigrationNode } from "./node.ts";
import { removeVolumes } from "./volumes.ts";

/** What has to be known to end a migration; it is in the journal. */
export interface Attempt {
  readonly containerId: string;
  readonly checkpoint: string;
  /** Id of the container made at the target; empty before. */
  readonly twinId: string;
  /** Restart policy of the container before the migration switched it off. */
  readonly restartPolicy: Json;
  /** The container's networks as they were. */
  readonly networks: Json;
  /** Names of the volumes that were made at the target. */
  readonly volumes: readonly string[];
  /** True once the source was asked to freeze the container. */
  readonly isFreezeTried: boolean;
  /** True once the target was asked to start the twin. */
  readonly isStartTried: boolean;
}

/** Long, as an engine that is no longer listened to goes on restoring: two of the same container would run. */
const RESTORE_TIMEOUT_MS = 900_000;

/** True when the container made at the target runs. */
export async function isTwinRunning(target: MigrationNode, twinId: string): Promise<boolean> {
  return twinId !== "" && (await stateOf(target, twinId)).isRunning;
}

/** Removes a container with its files and checkpoints; a container that is not there is no error. */
export async function removeContainer(node: MigrationNode, id: string): Promise<void> {
  const { status, body } = await node.docker.request("DELETE", `/containers/${id}?force=true&v=true`, {
    timeoutMs: CLEAN_TIMEOUT_MS,
  });
  if (status >= 400 && status !== 404)
    throw new HostError("engine-refused", `${node.name} does not remove container ${id}: ${textAt(body, "message")}`);
}

/** Sets a container's restart policy. */
export async function setRestartPolicy(node: MigrationNode, id: string, policy: Json): Promise<void> {
  await node.docker.call("POST", `/containers/${id}/update`, { body: { RestartPolicy: policy } });
}

/** Gives a stopped container the addresses that it had: the engine would choose again where none was asked for. */
async function pinAddresses(node: MigrationNode, id: string, networks: Json): Promise<void> {
  for (const [name, settings] of Object.entries(objectAt(networks))) {
    const address = textAt(settings, "IPAddress");
    if (address === "" || textAt(settings, "IPAMConfig", "IPv4Address") === address) continue;
    const path = `/networks/${encodeURIComponent(name)}`;
    await node.docker.request("POST", `${path}/disconnect`, { body: { Container: id, Force: true } });
    const aliases = jsonAt(settings, "Aliases") ?? null;
    await node.docker.call("POST", `${path}/connect`, {
      body: {
        Container: id,
        EndpointConfig: {
          IPAMConfig: { IPv4Address: address },
          MacAddress: textAt(settings, "MacAddress"),
          Aliases: aliases,
        },
      },
    });
  }
}

/** Every address that the container has on `networks`, as inspect describes them. */
function addressesOn(networks: Json): string[] {
  return Object.values(objectAt(networks))
    .flatMap((settings) => [textAt(settings, "IPAddress"), textAt(settings, "GlobalIPv6Address")])
    .filter((address) => address !== "");
}

/** Starts a container from its checkpoint, with the addresses that it has on `networks`. */
export async function startFromCheckpoint(
  node: MigrationNode,
  id: string,
  checkpoint: string,
  networks: Json,
): Promise<void> {
  const path = `/containers/${id}/start?checkpoint=${encodeURIComponent(checkpoint)}`;
  const unshield = await shieldAddresses(node.shell, id.slice(0, 12), addressesOn(networks));
  try {
    await node.docker.call("POST", path, { timeoutMs: RESTORE_TIMEOUT_MS });
  } catch (error) {
    throw await withCriuLog(node, error);
  } finally {
    await unshield();
  }
}

/** Makes sure that the container runs at the source, from its checkpoint if it was frozen. */
export async function resumeSource(source: MigrationNode, attempt: Attempt): Promise<void> {
  const { containerId, checkpoint } = attempt;
  if (attempt.isFreezeTried) await outcomeOfFreeze(source, containerId, checkpoint);
  const state = await stateOf(source, containerId);
  if (state.isRunning) {
    await admitConnections(source.shell, state.pid);
    if (state.isPaused) await source.docker.call("POST", `/containers/${containerId}/unpause`);
  } else {
    if (!attempt.isFreezeTried)
      throw new HostError(
        "source-stopped",
        `container ${containerId.slice(0, 12)} has ended on ${source.name} by itself`,
      );
    await pinAddresses(source, containerId, attempt.networks);
    await startFromCheckpoint(source, containerId, checkpoint, attempt.networks);
  }
  await setRestartPolicy(source, containerId, attempt.restartPolicy);
  await source.docker.request("DELETE", `/containers/${containerId}/checkpoints/${encodeURIComponent(checkpoint)}`);
}

export interface RollbackResult {
  /** What could not be cleaned at the target. */
  readonly leftovers: readonly string[];
}

/** Ends a failed migration: the source runs again, the target is clean. Throws only if the source cannot be resumed. */
export async function rollBack(
  source: MigrationNode,
  target: MigrationNode,
  attempt: Attempt,
): Promise<RollbackResult> {
  const leftovers: string[] = [];
  const clean = async (): Promise<void> => {
    try {
      if (attempt.twinId !== "") await removeContainer(target, attempt.twinId);
      await removeVolumes(target, attempt.volumes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      leftovers.push(`container ${attempt.twinId.slice(0, 12)} on ${target.name}: ${why}`);
    }
  };
  // Two of the same must never run: a twin that may have been started goes first. Otherwise the source need not wait.
  if (attempt.isStartTried) await clean();
  await resumeSource(source, attempt);
  if (!attempt.isStartTried) await clean();
  return { leftovers };
}
