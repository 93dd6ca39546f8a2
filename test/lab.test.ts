// tier: lab
// The lab against this machine: its engines' own checkpoint and restore with an open connection, addresses that move
// from node to node, a start after a crash, and what is left when it is down. Needs root and the packages that
// `hcontainer lab up` names; slow, as one node is emulated.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runChecked, shieldAddresses } from "../src/host/index.ts";
import { attach, down, type Lab, type LabNode, status, up } from "../src/lab/index.ts";

const directory = `/var/lib/hcontainer/lab-test-${process.pid}`;
const MAC = "02:42:0a:d9:00:64";
const ADDRESS = "10.217.0.100";

/** What of this machine a lab could have changed and must not. */
async function surroundings(): Promise<Record<string, string>> {
  const say = async (command: string, ...args: string[]): Promise<string> => (await runChecked(command, args)).stdout;
  return {
    mounts: readFileSync("/proc/self/mounts", "utf8"),
    links: await say("ip", "-o", "link", "show"),
    addresses: await say("ip", "-o", "-4", "addr"),
    routes: await say("ip", "route"),
    namespaces: await say("ip", "netns"),
    criu: String(existsSync("/etc/criu")),
    forwarding: readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
  };
}

/** The control groups of a name, of any hierarchy. */
function controlGroups(name: string): string[] {
  const places = ["/sys/fs/cgroup", ...readdirSync("/sys/fs/cgroup").map((hierarchy) => `/sys/fs/cgroup/${hierarchy}`)];
  return places.map((place) => `${place}/${name}`).filter((path) => existsSync(path));
}

function markedProcesses(): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return readFileSync(`/proc/${name}/environ`, "utf8").includes(`HCONTAINER_LAB=${directory}`)
        ? [Number(name)]
        : [];
    } catch {
      return [];
    }
  });
}

// Runs in the client's network namespace: one connection, a numbered message at a time, each answer compared. Asked by a
// byte of input, it says when a message that it sends from then on is answered. Ends when its input does, and says how
// many it exchanged and the longest wait.
const CLIENT = `
import { connect } from "node:net";
const socket = connect(Number(process.argv[2]), process.argv[1]);
socket.setNoDelay();
let count = 0, longestMs = 0, sentAt = 0, heard = "", stopping = false, asked = 0;
const fail = (why) => { console.log(JSON.stringify({ count, longestMs, error: String(why) })); process.exit(1); };
const message = () => "message " + String(count).padStart(10, "0");
const send = () => { sentAt = performance.now(); socket.write(message()); };
socket.on("connect", send);
socket.on("data", (bytes) => {
  heard += bytes.toString("latin1");
  if (!message().startsWith(heard)) fail("wrong answer: " + heard);
  if (heard.length < message().length) return;
  longestMs = Math.max(longestMs, performance.now() - sentAt);
  heard = ""; count++;
  if (asked > 0 && count >= asked) { asked = 0; console.log("exchanged"); }
  if (stopping) { console.log(JSON.stringify({ count, longestMs })); process.exit(0); }
  setTimeout(send, 20);
});
socket.on("error", fail);
socket.on("close", () => fail("closed"));
process.stdin.on("data", () => { asked = count + 1; });
process.stdin.on("end", () => { stopping = true; });
`;

class Client {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(lab: Lab, address: string, port: number) {
    const line = lab.client.commandLine(process.execPath, ["--input-type=module", "-e", CLIENT, address, String(port)]);
    this.#child = spawn(line.command, line.args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Waits until the server answers on the connection. */
  async exchanged(): Promise<void> {
    this.#child.stdin!.write("?");
    assert.equal((await this.#lines.next()).value, "exchanged");
  }

  end(): void {
    this.#child.kill();
  }

  async stop(): Promise<{ count: number; longestMs: number; error?: string }> {
    this.#child.stdin!.end();
    return JSON.parse((await this.#lines.next()).value as string) as { count: number; longestMs: number };
  }
}

let lab: Lab;
let initially: Record<string, string>;

before(async () => {
  initially = await surroundings();
  const started = performance.now();
  lab = await up({ directory }, (message) => console.log(`# ${message}`));
  console.log(`# up in ${((performance.now() - started) / 1000).toFixed(1)} s`);
});
after(() => down(directory));

/** An image with nothing but the node's own busybox. */
async function importBusybox(node: LabNode): Promise<void> {
  const script = `set -e; d=$(mktemp -d); mkdir -p $d/bin $d/tmp $d/www; cp /usr/bin/busybox $d/bin/
    for name in sh cat sleep httpd nc echo; do ln -s busybox $d/bin/$name; done
    echo "page of ${node.name}" >$d/www/index.html; tar -C $d -c . | docker import - busybox:test >/dev/null; rm -r $d`;
  await node.shell.runChecked("sh", ["-c", script]);
}

async function runBusybox(node: LabNode, name: string, address: string): Promise<void> {
  const where = ["--network", lab.network.name, "--ip", address, "--mac-address", MAC];
  const script =
    "httpd -p 80 -h /www; nc -ll -p 99 -e /bin/cat & i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done";
  const args = ["run", "-d", "--runtime", "runc", "--name", name, ...where, "busybox:test", "sh", "-c", script];
  await node.shell.runChecked("docker", args);
}

async function page(address: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    const result = await lab.client.run("curl", ["-s", "-m", "10", `http://${address}/`]);
    if (result.status === 0) return result.stdout;
    assert.ok(tries < 30, `no page from ${address}: curl ends with ${result.status}`);
    await sleep(300);
  }
}

/** The numbers that the container has logged. */
async function logged(node: LabNode, name: string): Promise<number[]> {
  const { stdout } = await node.shell.runChecked("docker", ["logs", name]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => Number(line.replace("line ", "")));
}

test("both nodes answer, each with its own instruction set and nothing that emulates", async () => {
  const found = await status(directory);
  assert.deepEqual(
    found.nodes.map((node) => node.state),
    ["ready", "ready"],
  );
  for (const node of found.nodes) assert.match(node.criu!, /^4\.[2-9]/);
  for (const [name, machine] of [
    ["amd64", "x86_64"],
    ["arm64", "aarch64"],
  ] as const) {
    const { shell } = lab.nodes[name];
    assert.equal((await shell.runChecked("uname", ["-m"])).stdout.trim(), machine);
    assert.equal((await shell.runChecked("criu", ["check"])).status, 0);
    assert.notEqual((await shell.run("sh", ["-c", "command -v qemu-x86_64 qemu-aarch64"])).status, 0);
  }
  assert.equal((await lab.nodes.arm64.shell.runChecked("node", ["-p", "process.arch"])).stdout.trim(), "arm64");
  const earliest = Date.now() / 1000 - 2;
  const said = (await lab.nodes.arm64.shell.runChecked("date", ["+%s.%N"])).stdout;
  const latest = Date.now() / 1000 + 2;
  assert.ok(Number(said) > earliest && Number(said) < latest, "the arm64 node's clock is right after it resumed");
});

for (const name of ["amd64", "arm64"] as const)
  test(`${name}: a container with an open connection is checkpointed and restored by its engine`, async (t) => {
    const node = lab.nodes[name];
    await importBusybox(node);
    await runBusybox(node, "same-node", ADDRESS);
    assert.equal(await page(ADDRESS), `page of ${name}\n`);
    const client = new Client(lab, ADDRESS, 99);
    t.after(() => client.end());
    await client.exchanged();
    // More than once: what one round leaves behind must not be in the next one's way.
    for (let round = 0; round < (name === "amd64" ? 10 : 2); round++) {
      const times: number[] = [performance.now()];
      await node.shell.runChecked("docker", ["checkpoint", "create", "same-node", `round-${round}`]);
      times.push(performance.now());
      const state = ["inspect", "-f", "{{.State.Running}}", "same-node"];
      assert.equal((await node.shell.runChecked("docker", state)).stdout.trim(), "false");
      times.push(performance.now());
      const unshield = await shieldAddresses(node.shell, "test", [ADDRESS], (why) => assert.fail(why));
      await node.shell.runChecked("docker", ["start", "--checkpoint", `round-${round}`, "same-node"]);
      await unshield();
      times.push(performance.now());
      console.log(
        `# ${name}: checkpoint ${Math.round(times[1]! - times[0]!)} ms, restore ${Math.round(times[3]! - times[2]!)} ms`,
      );
      assert.equal(await page(ADDRESS), `page of ${name}\n`);
      await client.exchanged();
    }
    const { count, longestMs, error } = await client.stop();
    assert.equal(error, undefined);
    console.log(`# ${name}: ${count} answers on one connection, longest wait ${Math.round(longestMs)} ms`);
    assert.ok(count > 10);
    const numbers = await logged(node, "same-node");
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
    await node.shell.runChecked("docker", ["rm", "-f", "same-node"]);
  });

test("an address is where its container is", async () => {
  for (const name of ["amd64", "arm64", "amd64"] as const) {
    const node = lab.nodes[name];
    await runBusybox(node, "moving", ADDRESS);
    assert.equal(await page(ADDRESS), `page of ${name}\n`);
    const neighbours = (await lab.client.runChecked("ip", ["neigh", "show", ADDRESS])).stdout;
    assert.match(neighbours, new RegExp(`lladdr ${MAC}`));
    await node.shell.runChecked("docker", ["rm", "-f", "moving"]);
  }
});

test("files and trees go to either node and come back", async () => {
  for (const { name, shell } of Object.values(lab.nodes)) {
    await shell.writeFile("/tmp/tree/a/it's", "content\n", 0o640);
    const target = `${directory}/tree-${name}`;
    await shell.getTree("/tmp/tree", target);
    assert.equal(readFileSync(`${target}/a/it's`, "utf8"), "content\n");
    await shell.putTree(target, "/tmp/copy");
    assert.equal((await shell.runChecked("stat", ["-c", "%a", "/tmp/copy/a/it's"])).stdout, "640\n");
    await assert.rejects(shell.runChecked("false", []), new RegExp(`on ${name}`));
  }
});

test("a lab that is up is found, not started", async () => {
  const again = await up({ directory }, (message) => assert.fail(message));
  assert.equal(again.directory, directory);
});

test("a lab with a node that is slow to answer is found, not started", async () => {
  const machine = markedProcesses().find((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("qemu-system"))!;
  process.kill(machine, "SIGSTOP");
  const found = up({ directory }, (message) => assert.fail(message));
  // Longer than a node's status is waited for.
  await sleep(32_000);
  process.kill(machine, "SIGCONT");
  await found;
  assert.ok(markedProcesses().includes(machine));
});

test("after a crash of everything, up brings a new lab", async () => {
  const pids = markedProcesses();
  assert.ok(pids.length > 3);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone with the one before.
    }
  }
  await assert.rejects(
    (async () => {
      for (let tries = 0; tries < 50; tries++, await sleep(100)) await attach(directory);
    })(),
    { code: "lab-not-running" },
  );
  assert.ok(existsSync(directory), "the crash left files");
  lab = await up({ directory }, () => undefined);
  assert.deepEqual(
    (await status(directory)).nodes.map((node) => [node.state, node.containers]),
    [
      ["ready", 0],
      ["ready", 0],
    ],
  );
});

test("down leaves nothing", async () => {
  const node = lab.nodes.amd64;
  await importBusybox(node);
  await runBusybox(node, "left-over", ADDRESS);
  const settings = JSON.parse(Buffer.from(await node.shell.readFile("/etc/docker/daemon.json")).toString()) as unknown;
  const parent = (settings as { "cgroup-parent": string })["cgroup-parent"].slice(1);
  assert.notDeepEqual(controlGroups(parent), []);
  assert.deepEqual(await down(directory), []);
  assert.deepEqual(controlGroups(parent), []);
  assert.deepEqual(markedProcesses(), []);
  assert.equal(existsSync(directory), false);
  // A namespace of the kernel's is gone a moment after its last process. What others took away meanwhile is theirs.
  const added = async (): Promise<string[]> =>
    Object.entries(await surroundings()).flatMap(([what, now]) => {
      const before = new Set(initially[what]!.split("\n"));
      return now.split("\n").filter((line) => !before.has(line));
    });
  for (let tries = 0; tries < 50 && (await added()).length > 0; tries++) await sleep(100);
  assert.deepEqual(await added(), []);
  assert.deepEqual(await down(directory), [], "down of what is down");
  await assert.rejects(attach(directory), { code: "lab-not-running" });
});
