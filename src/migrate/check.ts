// What would block a migration, found before anything is touched. Each check looks at what the engines say and names
// the problem with a stable code.

import { FOREIGN_RUNTIME, jsonAt, listAt, OCI_RUNTIME, objectAt, textAt } from "../host/index.ts";
import type { Container } from "./container.ts";
import { hasForeignRuntime, type MigrationNode } from "./node.ts";
import type { Problem } from "./problem.ts";
import { volumeProblems } from "./volumes.ts";

type Finding = Omit<Problem, "place">;

const finding = (code: string, message: string, advice: string): Finding => ({ code, message, advice });

function stateProblems(container: Container): Finding[] {
  const { inspect } = container;
  const found: Finding[] = [];
  const status = textAt(inspect, "State", "Status");
  if (!container.running)
    found.push(
      finding("container-not-running", `the container is ${status}`, "only running containers move; start it"),
    );
  const sessions = listAt(inspect, "ExecIDs").length;
  if (sessions > 0)
    found.push(
      finding("exec-session", `${sessions} 'docker exec' sessions are open in it`, "end them, then try again"),
    );
  return found;
}

function configurationProblems(container: Container): Finding[] {
  const { inspect } = container;
  const found: Finding[] = [];
  const host = (key: string): string => textAt(inspect, "HostConfig", key);
  if (jsonAt(inspect, "Config", "Tty") === true)
    found.push(finding("terminal", "it has a terminal (-t)", "run it without -t"));
  if (jsonAt(inspect, "Config", "OpenStdin") === true)
    found.push(finding("open-stdin", "its standard input is kept open (-i)", "run it without -i"));
  if (jsonAt(inspect, "HostConfig", "AutoRemove") === true)
    found.push(
      finding("auto-remove", "it removes itself when it stops (--rm), which a freeze does", "run it without --rm"),
    );
  if (jsonAt(inspect, "HostConfig", "Privileged") === true)
    found.push(finding("privileged", "it is privileged", "give it the capabilities that it needs instead"));
  if (listAt(inspect, "HostConfig", "Devices").length > 0)
    found.push(finding("devices", "it uses devices of its node", "devices do not move; run it without"));
  for (const [key, name] of [
    ["PidMode", "pid"],
    ["IpcMode", "ipc"],
    ["UTSMode", "uts"],
    ["UsernsMode", "user"],
  ] as const) {
    const mode = host(key);
    if (mode === "host" || mode.startsWith("container:"))
      found.push(
        finding("shared-namespace", `it shares a ${name} namespace (${mode})`, `run it with its own ${name} namespace`),
      );
  }
  for (const mount of listAt(inspect, "Mounts")) {
    const type = textAt(mount, "Type");
    if (type === "tmpfs" || type === "volume") continue;
    const destination = textAt(mount, "Destination");
    found.push(
      finding(
        "mount-unsupported",
        `${destination} is a ${type} mount`,
        "directories of the node do not move; keep the data in a volume or in the container",
      ),
    );
  }
  if (textAt(inspect, "GraphDriver", "Name") !== "overlay2")
    found.push(
      finding(
        "storage-driver",
        `its files are kept by '${textAt(inspect, "GraphDriver", "Name")}'`,
        "use the overlay2 driver",
      ),
    );
  return found;
}

function networkProblems(container: Container): Finding[] {
  const found: Finding[] = [];
  const mode = textAt(container.inspect, "HostConfig", "NetworkMode");
  if (mode === "none") return found;
  if (mode === "host" || mode.startsWith("container:"))
    return [finding("network-shared", `it uses the network of another (${mode})`, "give it a network of its own")];
  for (const name of Object.keys(objectAt(container.inspect, "NetworkSettings", "Networks"))) {
    if (name !== "bridge") continue;
    found.push(
      finding(
        "network-default-bridge",
        "on the default bridge an engine chooses the address, which must stay the same",
        "run it on a network that both nodes have (docker network create)",
      ),
    );
  }
  return found;
}

/** Prints a line for each thread of the processes $@, with its numbers in the pid namespaces from the node's to its own. */
const THREAD_NUMBERS = 'for p; do grep -h ^NSpid: "/proc/$p/task/"*/status 2>/dev/null; done; true';

/**
 * A process keeps its number. Since Linux 6.14 each pid namespace has a pid_max of its own, so a container may hold
 * numbers that the target's kernel does not give out.
 */
async function pidProblems(container: Container, source: MigrationNode, target: MigrationNode): Promise<Finding[]> {
  const path = `/containers/${encodeURIComponent(container.name)}/top?ps_args=-eo%20pid`;
  const { body } = await source.docker.request("GET", path);
  const pids = listAt(body, "Processes").flatMap((row) => (Array.isArray(row) ? row.map(String) : []));
  if (pids.length === 0) return [];
  const [numbers, limit] = await Promise.all([
    source.shell.runChecked("sh", ["-c", THREAD_NUMBERS, "sh", ...pids]),
    target.shell.readFile("/proc/sys/kernel/pid_max"),
  ]);
  const largest = Math.max(
    0,
    ...numbers.stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split("\t").at(-1)) || 0),
  );
  const pidMax = Number(new TextDecoder().decode(limit));
  if (largest < pidMax) return [];
  return [
    finding(
      "pid-limit",
      `a process in it has the number ${largest}, and ${target.name} gives out none from ${pidMax} on`,
      `on ${target.name}: sysctl kernel.pid_max=4194304`,
    ),
  ];
}

async function targetProblems(container: Container, source: MigrationNode, target: MigrationNode): Promise<Finding[]> {
  const found: Finding[] = [];
  if (textAt(target.info, "Driver") !== "overlay2")
    found.push(
      finding("storage-driver", `${target.name} keeps files by '${textAt(target.info, "Driver")}'`, "use overlay2"),
    );
  if (jsonAt(target.info, "ExperimentalBuild") !== true)
    found.push(
      finding(
        "engine-experimental",
        `the engine of ${target.name} cannot checkpoint`,
        "start dockerd with --experimental",
      ),
    );
  const [ours, theirs] = [textAt(source.info, "CgroupVersion"), textAt(target.info, "CgroupVersion")];
  if (ours !== theirs && source.architecture === target.architecture)
    found.push(
      finding(
        "cgroup-version",
        `${source.name} has control groups of version ${ours}, ${target.name} of version ${theirs}`,
        "a container's mounts differ between the two; run both nodes with the same",
      ),
    );
  if (container.home !== target.architecture && !hasForeignRuntime(target))
    found.push(
      finding(
        "foreign-runtime-missing",
        `the engine of ${target.name} has no OCI runtime '${FOREIGN_RUNTIME}'`,
        `start dockerd with --add-runtime ${FOREIGN_RUNTIME}=${OCI_RUNTIME}`,
      ),
    );
  if (container.home === "arm64" && target.architecture === "amd64")
    found.push(finding("home-unsupported", "programs of arm64 cannot run on amd64 yet", "move it to an arm64 node"));
  for (const [name, settings] of Object.entries(objectAt(container.inspect, "NetworkSettings", "Networks"))) {
    if (["bridge", "none", "host"].includes(name)) continue;
    const { status, body } = await target.docker.request("GET", `/networks/${encodeURIComponent(name)}`);
    if (status === 404)
      found.push(
        finding("network-missing", `${target.name} has no network '${name}'`, "create it there with the same subnet"),
      );
    const address = textAt(settings, "IPAddress");
    for (const user of Object.values(objectAt(body, "Containers")))
      if (address !== "" && textAt(user, "IPv4Address").split("/")[0] === address)
        found.push(
          finding(
            "address-taken",
            `${textAt(user, "Name")} on ${target.name} has the address ${address}`,
            "stop it, or give one of the two another address",
          ),
        );
  }
  const { status, body } = await target.docker.request("GET", `/containers/${encodeURIComponent(container.name)}/json`);
  if (status === 200)
    found.push(
      finding(
        "name-taken",
        `${target.name} has a container '${container.name}' already (${textAt(body, "Id").slice(0, 12)})`,
        "remove or rename that one",
      ),
    );
  if (container.running) found.push(...(await pidProblems(container, source, target)));
  return found;
}

/** Everything that stands in the way of moving `container` from `source` to `target` (or anywhere, without a target). */
export async function findProblems(
  container: Container,
  source: MigrationNode,
  target: MigrationNode | undefined,
): Promise<Problem[]> {
  const found = [...stateProblems(container), ...configurationProblems(container), ...networkProblems(container)];
  found.push(...(await volumeProblems(container, source, target)));
  if (jsonAt(source.info, "ExperimentalBuild") !== true)
    found.push(
      finding(
        "engine-experimental",
        `the engine of ${source.name} cannot checkpoint`,
        "start dockerd with --experimental",
      ),
    );
  if (target !== undefined) {
    if (target.name === source.name)
      found.push(finding("same-node", `the container is on ${source.name} already`, "name another node"));
    else found.push(...(await targetProblems(container, source, target)));
  }
  return found.map((f) => ({ ...f, place: `container ${container.name} on ${source.name}` }));
}
