// tier: fast
// Commands, the cache and the local shell, against the machine's own programs.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HostError } from "../src/base/index.ts";
import {
  alternatives,
  cached,
  localShell,
  quote,
  run,
  runChecked,
  runPipeline,
  sha256,
  withLock,
} from "../src/host/index.ts";

const scratch = mkdtempSync(join(tmpdir(), "host-test-"));
Object.assign(process.env, { HCONTAINER_CACHE: join(scratch, "cache") });
after(() => rmSync(scratch, { recursive: true }));

test("a failed command says which, how and why", async () => {
  await assert.rejects(runChecked("sh", ["-c", "echo first; echo why >&2; exit 3"]), (error: unknown) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.code, "command-failed");
    assert.match(error.message, /status 3: why/);
    return true;
  });
  await assert.rejects(runChecked("sh", ["-c", "kill -9 $$"]), { code: "command-killed" });
  await assert.rejects(runChecked("sh", ["-c", "kill -6 $$"]), { code: "command-failed", message: /status 134/ });
  await assert.rejects(run("/no/such/program", []), { code: "command-not-started" });
  await assert.rejects(run("sleep", ["60"], { timeoutMs: 50 }), { code: "timeout" });
  assert.equal((await run("sh", ["-c", "kill -9 $$"])).status, 137);
});

test("output comes whole, as bytes, and line by line", async () => {
  const lines: string[] = [];
  const result = await run("sh", ["-c", "cat; printf 'a\\nb'; printf '\\377' >&2"], {
    input: Uint8Array.of(0xff, 0x0a),
    onLine: (line, stream) => lines.push(`${stream} ${line}`),
  });
  assert.deepEqual([...result.bytes], [0xff, 0x0a, 0x61, 0x0a, 0x62]);
  assert.deepEqual(lines.filter((line) => line.startsWith("stdout")).slice(1), ["stdout a", "stdout b"]);
});

test("a pipeline fails with the command that failed", async () => {
  await assert.rejects(
    runPipeline([
      { command: "echo", args: ["x"] },
      { command: "sh", args: ["-c", "cat >/dev/null; echo broken >&2; exit 4"] },
    ]),
    /status 4: broken/,
  );
});

test("a cache entry is built once, whole or not at all", async () => {
  let builds = 0;
  const build = async (path: string): Promise<void> => {
    builds++;
    writeFileSync(path, "half");
    if (builds === 1) throw new Error("crash");
    await new Promise((resolve) => setTimeout(resolve, 50));
    writeFileSync(path, "whole");
  };
  await assert.rejects(cached("key", ".txt", build), /crash/);
  const paths = await Promise.all([1, 2, 3].map(() => cached("key", ".txt", build)));
  assert.equal(builds, 2);
  assert.equal(new Set(paths).size, 1);
  assert.equal(readFileSync(paths[0]!, "utf8"), "whole");
});

test("a lock does not outlive its owner", async () => {
  const path = join(scratch, "lock");
  const program = `import { withLock } from ${JSON.stringify(join(import.meta.dirname, "../src/host/index.ts"))};
    await withLock(${JSON.stringify(path)}, async () => { console.log("held"); await new Promise((r) => setTimeout(r, 60000)); });`;
  const owner = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => owner.stdout.once("data", resolve));
  let held = true;
  const mine = withLock(path, async () => assert.equal(held, false));
  await new Promise((resolve) => setTimeout(resolve, 100));
  held = false;
  owner.kill("SIGKILL");
  await mine;
});

test("files and trees through a node's shell", async () => {
  const node = localShell("here", { prefix: ["env", "A=1"], env: { B: "2" } });
  assert.equal((await node.runChecked("sh", ["-c", "echo $A$B$C"], { env: { C: "3" } })).stdout, "123\n");
  const tree = join(scratch, "tree");
  const awkward = "a b'c\n$x";
  await node.writeFile(join(tree, "deep", awkward), "content", 0o751);
  await runChecked("truncate", ["-s", "64M", join(tree, "holes")]);
  await runChecked("ln", ["-s", "nowhere", join(tree, "link")]);
  await node.putTree(tree, join(scratch, "copy"));
  const copy = join(scratch, "copy", "deep", awkward);
  assert.equal(readFileSync(copy, "utf8"), "content");
  assert.equal(statSync(copy).mode & 0o777, 0o751);
  assert.ok(statSync(join(scratch, "copy", "holes")).blocks < 1000);
  await node.getFile(copy, join(scratch, "got"));
  assert.equal(statSync(join(scratch, "got")).mode & 0o777, 0o751);
  await assert.rejects(node.readFile(join(scratch, "missing")), /on here/);
  await assert.rejects(node.writeFile("/proc/nothing", "x"), { code: "write-failed" });
  assert.ok(!existsSync("/proc/nothing.part"));
});

test("quoting survives a shell", async () => {
  const words = ["", "a b", "it's", "$HOME", "`x`", "new\nline", '"', "\\", "*"];
  const printed = await run("sh", ["-c", `printf '%s\\0' ${words.map(quote).join(" ")}`]);
  assert.deepEqual(printed.stdout.split("\0").slice(0, -1), words);
});

test("digests are sha256", async () => {
  const said = await run("sha256sum", [], { input: "abc" });
  assert.equal(said.stdout.split(" ")[0], sha256("abc"));
});

test("alternatives of packages' scripts", () => {
  const scripts = `
update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\
    --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz
  update-alternatives --quiet --install "/usr/bin/awk" awk "/usr/bin/gawk" 10 --slave /usr/bin/nawk nawk /usr/bin/gawk
update-alternatives --install /usr/bin/$name $name /usr/bin/other 100
`;
  assert.deepEqual(
    [...alternatives(scripts)],
    [
      ["/usr/bin/awk", "/usr/bin/gawk"],
      ["/usr/share/man/man1/awk.1.gz", "/usr/share/man/man1/mawk.1.gz"],
      ["/usr/bin/nawk", "/usr/bin/gawk"],
    ],
  );
});
