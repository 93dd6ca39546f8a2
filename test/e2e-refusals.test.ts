// tier: e2e
// Migrations that must not happen, and that are disturbed, between the lab's nodes. The lab is the one of
// HCONTAINER_LAB_DIRECTORY, or one of this test's own. The container checks itself (its lines carry checksums); after
// every refusal it must have gone on at the source.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { IMAGE, LOG, makeImage, PAGE_COUNT, pageText } from "../src/cli/demo-image.ts";
import { checkLog } from "../src/cli/demo-log.ts";
import { NodeList, prepareForeign, translate } from "../src/cli/node-list.ts";
import { run } from "../src/host/index.ts";
import { up } from "../src/lab/index.ts";
import { inspectContainer, MigrationFailed, type MigrationNode, migrate } from "../src/migrate/index.ts";
import { ownLabDirectory } from "./own-lab.ts";

const ROOT = resolve(import.meta.dirname, "..");
const NAME = "hcontainer-e2e";
const ADDRESS = "10.217.0.78";

let nodes: NodeList;
let home: MigrationNode;
let foreign: MigrationNode;

before(async () => {
  await up({}, () => undefined);
  nodes = await NodeList.attach();
  home = await nodes.node("amd64");
  foreign = await nodes.node("arm64");
  await prepareForeign(foreign.shell);
  await makeImage(home);
});

const { state } = ownLabDirectory(async () => nodes?.close());

async function startContainer(...options: string[]): Promise<void> {
  for (const node of [home, foreign]) await node.docker.request("DELETE", `/containers/${NAME}?force=true`);
  const words = ["run", "-d", "--name", NAME, "--network", nodes.lab.network.name, "--ip", ADDRESS, ...options, IMAGE];
  await home.shell.runChecked("docker", words);
}

async function readLog(node: MigrationNode): Promise<string> {
  const { initPid } = await inspectContainer(node, NAME);
  return new TextDecoder().decode(await node.shell.readFile(`/proc/${initPid}/root${LOG}`));
}

/** The container works on the node: its log is right and grows, and it serves what it must. */
async function assertWorks(node: MigrationNode): Promise<void> {
  const first = checkLog(await readLog(node));
  assert.equal(first.complaint, "");
  for (let tries = 0; tries < 200; tries++) {
    await new Promise((done) => setTimeout(done, 300));
    const now = checkLog(await readLog(node));
    assert.equal(now.complaint, "");
    if (now.lines >= first.lines + 5) break;
    assert.ok(tries < 199, `the log stays at ${now.lines} lines`);
  }
  const page = 7 % PAGE_COUNT;
  const got = await nodes.lab.client.runChecked("curl", ["-s", "-m", "60", `http://${ADDRESS}/${page}.txt`]);
  assert.equal(got.stdout, pageText(page));
}

/** Migrates and does harm when a step begins; the migration must fail and the container go on. */
async function assertSurvives(
  step: string,
  harm: () => Promise<unknown>,
  expected: RegExp,
  freezeTimeoutMs?: number,
): Promise<void> {
  await startContainer();
  const onStep = async (name: string, ms: number | undefined): Promise<void> => {
    if (name === step && ms === undefined) await harm();
  };
  await assert.rejects(migrate(home, foreign, NAME, { translate, onStep, freezeTimeoutMs }), (error: unknown) => {
    assert.ok(error instanceof MigrationFailed, String(error));
    assert.equal(error.exit, "rolledBack", `${error.message}\n${error.log}`);
    assert.match(`${error.code}\n${error.message}\n${error.log}`, expected);
    return true;
  });
  await assertWorks(home);
}

/** The checkpoint directory of the twin on the foreign node. */
async function twinCheckpoints(): Promise<string> {
  const { id } = await inspectContainer(foreign, NAME);
  return `${foreign.dockerRoot}/containers/${id}/checkpoints`;
}

test("no emulator is on the foreign node", async () => {
  const found = await foreign.shell.run("sh", [
    "-c",
    "ls /usr/bin /usr/local/bin /usr/libexec | grep -i qemu; ls /proc/sys/fs/binfmt_misc",
  ]);
  assert.doesNotMatch(found.stdout, /qemu/);
});

test("a truncated image set is refused and the container goes on", async () => {
  const harm = async (): Promise<void> => {
    await foreign.shell.runChecked("sh", ["-c", 'truncate -s 20 "$1"/*/core-1.img', "sh", await twinCheckpoints()]);
  };
  await assertSurvives("restore", harm, /image-/);
});

test("a translation made for another file is refused and the container goes on", async () => {
  // The digest lies behind magic, version, count and key in the header.
  const script =
    'for f in "$1"/translations/*.hct; do printf x | dd of="$f" bs=1 seek=$((0x400 + 32)) conv=notrunc status=none; done';
  const harm = (): Promise<unknown> => foreign.shell.runChecked("sh", ["-c", script, "sh", foreign.nodeDirectory]);
  await assertSurvives("freeze", harm, /translation-mismatch/);
});

test("a full disk on the target is reported and the container goes on", async () => {
  const file = `${foreign.dockerRoot}/filler`;
  const fill = 'fallocate -l $(($(df -B1 --output=avail "$2" | tail -n 1) - 65536)) "$1"';
  const harm = (): Promise<unknown> => foreign.shell.runChecked("sh", ["-c", fill, "sh", file, foreign.dockerRoot]);
  try {
    await assertSurvives("freeze", harm, /space/i);
  } finally {
    await foreign.shell.run("rm", ["-f", file]);
  }
});

test("a freeze that takes too long is waited for and undone", async () => {
  await assertSurvives("prepare", async () => undefined, /freeze-timeout/, 1);
});

test("a migration whose process is killed in the freeze is recovered", async () => {
  await startContainer();
  const child = spawn(join(ROOT, "bin/hcontainer"), ["migrate", NAME, "arm64"], { stdio: "ignore" });
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  const inFreeze = (): boolean =>
    readdirSync(state)
      .map((name) => readFileSync(join(state, name), "utf8").trim().split("\n"))
      .some((lines) => lines.at(-1)!.includes('"begin","step":"freeze"'));
  while (child.exitCode === null && !inFreeze()) await new Promise((done) => setTimeout(done, 5));
  assert.equal(child.exitCode, null, "it was killed before its end");
  // The front is a shell that has become Node.
  child.kill("SIGKILL");
  await ended;
  const recovered = await run(join(ROOT, "bin/hcontainer"), ["migrate", "--recover", "--json"]);
  assert.equal(recovered.status, 0, recovered.stderr);
  const reports = JSON.parse(recovered.stdout) as { container: string; result: string }[];
  assert.deepEqual(
    reports.map(({ container, result }) => [container, result]),
    [[NAME, "rolled back"]],
  );
  await assertWorks(home);
});

test("a target whose engine dies in the middle is survived", async () => {
  const harm = (): Promise<unknown> => foreign.shell.run("sh", ["-c", 'kill -9 "$(cat /run/docker.pid)"']);
  await assertSurvives("transfer", harm, /engine-unreachable/);
  // The node's init starts the engine again; what the migration could not remove there is removed here.
  for (let tries = 0; tries < 100; tries++) {
    if ((await foreign.shell.run("docker", ["rm", "-f", NAME])).status === 0) break;
    await new Promise((done) => setTimeout(done, 1000));
  }
});

test("what cannot move is named before it is touched", async () => {
  await startContainer("--privileged", "-t");
  const check = await run(join(ROOT, "bin/hcontainer"), ["check", NAME, "arm64", "--json"]);
  assert.equal(check.status, 3, check.stderr);
  const codes = JSON.parse(check.stdout).problems.map((problem: { code: string }) => problem.code);
  assert.deepEqual(codes.sort(), ["privileged", "terminal"]);
  const move = await run(join(ROOT, "bin/hcontainer"), ["migrate", NAME, "arm64"]);
  assert.equal(move.status, 3, move.stderr);
  await home.shell.run("docker", ["rm", "-f", NAME]);
});

test("a process whose number the target forbids is named before it is touched", async () => {
  const limit = "/proc/sys/kernel/pid_max";
  const before = new TextDecoder().decode(await foreign.shell.readFile(limit)).trim();
  const setLimit = (value: string): Promise<unknown> =>
    foreign.shell.runChecked("sh", ["-c", 'echo "$2" >"$1"', "sh", limit, value]);
  await startContainer();
  try {
    await setLimit("4000");
    // The last child has a number beyond the limit; the shell itself has a small one.
    const script = "i=0; while [ $i -lt 4100 ]; do busybox true; i=$((i+1)); done; busybox sleep 300 & wait";
    await home.shell.runChecked("docker", ["exec", "-d", NAME, "/bin/busybox", "sh", "-c", script]);
    const codes = async (): Promise<string[]> => {
      const check = await run(join(ROOT, "bin/hcontainer"), ["check", NAME, "arm64", "--json"]);
      return JSON.parse(check.stdout).problems.map((problem: { code: string }) => problem.code);
    };
    let found = await codes();
    for (let tries = 0; tries < 100 && !found.includes("pid-limit"); tries++) found = await codes();
    assert.ok(found.includes("pid-limit"), found.join());
    await setLimit(before);
    assert.ok(!(await codes()).includes("pid-limit"));
  } finally {
    await setLimit(before);
    await home.shell.run("docker", ["rm", "-f", NAME]);
  }
});

test("a node that the user names is prepared, checked against and forgotten", async () => {
  const file = join(state, "nodes.json");
  const call = async (...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
    run(join(ROOT, "bin/hcontainer"), words, { env: { HCONTAINER_NODES: file } });
  const { args } = foreign.shell.commandLine("true", []);
  const option = (name: string): string => args.find((word) => word.startsWith(`${name}=`))!.slice(name.length + 1);
  const destination = args.find((word) => word.startsWith("root@"))!;
  const proxy = home.shell.commandLine("busybox", ["nc", destination.replace("root@", ""), "22"]);
  const added = await call(
    ...["nodes", "add", "edge", destination, "--identity", args[args.indexOf("-i") + 1]!],
    ...["--known-hosts", option("UserKnownHostsFile"), "--proxy-command", [proxy.command, ...proxy.args].join(" ")],
  );
  assert.equal(added.status, 0, added.stderr);
  assert.equal((await call("nodes", "add", "edge", "--local")).status, 2);
  const listed = await call("nodes", "--json");
  assert.equal(listed.status, 0, listed.stderr);
  const names = JSON.parse(listed.stdout).map((node: { name: string; architecture: string }) => [
    node.name,
    node.architecture,
  ]);
  assert.deepEqual(names, [
    ["amd64", "amd64"],
    ["arm64", "arm64"],
    ["edge", "arm64"],
  ]);
  // The lab has set everything up, so nothing is left to change.
  const prepared = await call("nodes", "prepare", "edge", "--json");
  assert.equal(prepared.status, 0, prepared.stderr);
  assert.deepEqual(JSON.parse(prepared.stdout), { changed: [], wanted: [], problems: [] });
  await startContainer();
  const check = await call("check", NAME, "edge", "--json");
  assert.equal(check.status, 0, check.stdout + check.stderr);
  await home.shell.run("docker", ["rm", "-f", NAME]);
  assert.equal((await call("nodes", "remove", "edge")).status, 0);
  assert.equal((await call("check", NAME, "edge")).status, 2);
});
