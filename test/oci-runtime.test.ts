// The front of the OCI runtime before a fake runc that writes down its arguments: what is passed on arrives as it came.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, beforeEach, test } from "node:test";
import { RuncArguments } from "../src/oci/index.ts";

const front = resolve(import.meta.dirname, "../bin/hcontainer-runtime");
const directory = mkdtempSync(join(tmpdir(), "hc-oci-"));
const calls = join(directory, "calls");
const stateRoot = join(directory, "state");
const bundle = join(directory, "bundle");
const nodeDirectory = join(directory, "node");

writeFileSync(
  join(directory, "runc"),
  `#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done >>${calls}
echo --- >>${calls}
case "$*" in *state*) echo '{"pid":1,"bundle":"${bundle}","status":"running"}';; esac
exit \${FAKE_STATUS:-0}
`,
  { mode: 0o755 },
);
mkdirSync(nodeDirectory);
writeFileSync(join(nodeDirectory, "runtime"), "");
after(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(calls, { force: true });
  rmSync(bundle, { recursive: true, force: true });
});

function runtime(words: string[], env: Record<string, string> = {}): { status: number | null; stderr: string } {
  return spawnSync(front, words, {
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: `${directory}:${process.env["PATH"]}`,
      HCONTAINER_NODE: process.execPath,
      HCONTAINER_NODE_DIRECTORY: nodeDirectory,
      ...env,
    },
  });
}

function recorded(): string[][] {
  if (!existsSync(calls)) return [];
  const text = readFileSync(calls, "utf8");
  return text
    .split("---\n")
    .slice(0, -1)
    .map((call) => call.split("\n").slice(0, -1));
}

function makeBundle(program: "foreign" | "own", args: string[], mounts: unknown[] = []): void {
  mkdirSync(join(bundle, "rootfs/bin"), { recursive: true });
  const file = join(bundle, "rootfs/bin/prog");
  const header = Buffer.alloc(64);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header);
  header.writeUInt16LE(program === "foreign" ? 62 : 183, 18);
  writeFileSync(file, header);
  chmodSync(file, 0o755);
  const config = {
    ociVersion: "1.2.0",
    process: { args, env: ["PATH=/usr/bin:/bin"], cwd: "/" },
    root: { path: "rootfs" },
    mounts,
    keep: { me: 1 },
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
}

function readConfig(): { process: { args: string[] }; mounts: { destination: string }[]; keep: unknown } {
  return JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
}

test("verbs that are none of our business reach runc as they came", () => {
  const lines = [
    ["--root", "/r", "--log", "/l.json", "--log-format", "json", "--systemd-cgroup", "start", "abc"],
    ["--root=/r", "--debug", "delete", "--force", "a b"],
    ["kill", "--all", "abc", "9"],
    ["--log", "restore", "state", "abc"],
    ["--version"],
    ["features"],
  ];
  for (const line of lines) assert.equal(runtime(line).status, 0);
  assert.deepEqual(recorded(), lines);
});

test("the exit status is runc's", () => {
  assert.equal(runtime(["start", "abc"], { FAKE_STATUS: "7" }).status, 7);
  makeBundle("own", ["prog"]);
  assert.equal(runtime(["create", "--bundle", bundle, "abc"], { FAKE_STATUS: "9" }).status, 9);
});

test("create of an x86-64 program starts it through the runtime and adds the mount", () => {
  makeBundle("foreign", ["prog", "-x", "y"]);
  const line = ["--root", "/r", "create", "--bundle", bundle, "--pid-file", "/p", "abc"];
  assert.equal(runtime(line).status, 0);
  assert.deepEqual(recorded(), [line]);
  const config = readConfig();
  assert.deepEqual(config.process.args, ["/.hcontainer/runtime", "/bin/prog", "prog", "-x", "y"]);
  assert.deepEqual(
    config.mounts.map((mount) => mount.destination),
    ["/.hcontainer"],
  );
  assert.deepEqual(config.keep, { me: 1 });
});

test("create of the machine's own program leaves the bundle alone", () => {
  makeBundle("own", ["/bin/prog"]);
  const before = readFileSync(join(bundle, "config.json"), "utf8");
  assert.equal(runtime(["create", "-b", bundle, "abc"]).status, 0);
  assert.equal(readFileSync(join(bundle, "config.json"), "utf8"), before);
});

test("exec goes through Node only in a container that has our mount", () => {
  const spec = join(directory, "process.json");
  const write = (): void => writeFileSync(spec, JSON.stringify({ args: ["prog", "1"], env: ["PATH=/bin"], cwd: "/" }));
  const line = ["--root", stateRoot, "exec", "--process", spec, "--detach", "abc"];
  makeBundle("foreign", ["prog"], [{ destination: "/.hcontainer" }]);
  write();
  assert.equal(runtime(line, { HCONTAINER_NODE: "/nonexistent" }).status, 0);
  assert.deepEqual(recorded(), [line]);
  mkdirSync(join(stateRoot, "abc"), { recursive: true });
  writeFileSync(join(stateRoot, "abc/state.json"), '{"mounts":[{"destination":"/.hcontainer"}]}');
  assert.equal(runtime(line).status, 0);
  assert.deepEqual(JSON.parse(readFileSync(spec, "utf8")).args, ["/.hcontainer/runtime", "/bin/prog", "prog", "1"]);
});

test("a failure is told on stderr and in the log that the engine reads", () => {
  const log = join(directory, "log.json");
  const empty = join(directory, "empty");
  mkdirSync(empty, { recursive: true });
  const result = runtime(["--log", log, "--log-format", "json", "restore", "--image-path", empty, "-b", bundle, "abc"]);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^hcontainer-runtime: \[image-missing\]/);
  const entry = JSON.parse(readFileSync(log, "utf8").trim());
  assert.equal(entry.level, "error");
  assert.match(entry.msg, /image-missing/);
  assert.deepEqual(recorded(), []);
});

test("arguments: options with and without values, one replaced", () => {
  const words = ["--root", "/r", "restore", "--image-path", "/i", "--detach", "-no-subreaper", "--bundle=/b", "id"];
  const args = new RuncArguments(words);
  assert.equal(args.verb, "restore");
  assert.equal(args.option("image-path"), "/i");
  assert.equal(args.option("bundle", "b"), "/b");
  assert.ok(args.has("detach") && args.has("no-subreaper") && !args.has("leave-running"));
  assert.deepEqual(args.operands, ["id"]);
  assert.deepEqual(args.withOption("image-path", "/n")[4], "/n");
  assert.deepEqual(args.withOption("bundle", "/n")[7], "--bundle=/n");
  assert.deepEqual(args.withSwitch("leave-running").slice(2, 4), ["restore", "--leave-running"]);
  assert.deepEqual(args.withVerb("kill", "id", "KILL"), ["--root", "/r", "kill", "id", "KILL"]);
});

test("without Node the front says so", () => {
  const env = { PATH: process.env["PATH"]!, HCONTAINER_NODE: join(directory, "no-node") };
  const result = spawnSync(front, ["create", "abc"], { env, encoding: "utf8" });
  assert.equal(result.status, 69);
  assert.match(result.stderr, /Node is missing/);
});
