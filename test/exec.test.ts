// tier: runtime
// `hcontainer exec` on this machine, as a user runs it: what it starts ends as it would natively. Dynamically linked
// programs of this machine, interpreted; translated ones are the corpus's business. Needs root and qemu-user-static.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { keyName } from "../src/abi/index.ts";
import { fileCodeKey, readElf } from "../src/elf/index.ts";
import { linkedFiles } from "../src/exec/index.ts";
import { cacheDirectory } from "../src/host/index.ts";

const hcontainer = resolve(import.meta.dirname, "../bin/hcontainer");
const scratch = mkdtempSync(join(tmpdir(), "hcontainer-exec-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

function exec(args: readonly string[], input = "", env: NodeJS.ProcessEnv = process.env) {
  const result = spawnSync(hcontainer, ["exec", ...args], { input, env, encoding: "utf8", timeout: 120_000 });
  return { stdout: result.stdout, stderr: result.stderr, status: result.status };
}

test("streams, environment, arguments and status are the program's", () => {
  const script = 'cat; echo "$A-$1-$2"; echo complaint >&2; exit 7';
  const env = { ...process.env, A: "from outside", LC_ALL: "C" };
  assert.deepEqual(exec(["--interpret", "--", "sh", "-c", script, "sh", "a b", ""], "input\n", env), {
    stdout: "input\nfrom outside-a b-\n",
    stderr: "complaint\n",
    status: 7,
  });
});

test("nothing of ours is in the program's environment", () => {
  const ours: NodeJS.ProcessEnv = { ...process.env, HOME: "/root" };
  delete ours["NODE_COMPILE_CACHE"];
  const names = (text: string): string[] => text.split("\n").map((line) => line.split("=")[0]!);
  const { stdout } = exec(["--interpret", "--", "env"], "", ours);
  const own = spawnSync("env", { env: ours, encoding: "utf8" });
  assert.deepEqual(names(stdout).sort(), names(own.stdout).sort());
});

test("a signal that ends the program, and one that is passed on to it", async () => {
  assert.equal(exec(["--interpret", "--", "sh", "-c", "kill -SEGV $$"]).status, 128 + 11);
  const script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
  const child = spawn(hcontainer, ["exec", "--interpret", "--", "sh", "-c", script]);
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    if (output === "") child.kill("SIGTERM");
    output += data.toString();
  });
  const status = await new Promise((done) => child.on("close", done));
  assert.deepEqual([output, status], ["ready\ngot\n", 5]);
});

test("scripts start by their interpreters", () => {
  const file = join(scratch, "script");
  writeFileSync(file, '#!/bin/sh -e\necho "$0" "$1"; false; echo not here\n', { mode: 0o755 });
  assert.deepEqual(exec(["--interpret", "--", file, "x"]), { stdout: `${file} x\n`, stderr: "", status: 1 });
});

test("what is no program is refused with its own status", () => {
  const missing = exec(["--", "no-such-program"]);
  assert.deepEqual([missing.status, /program-missing/.test(missing.stderr)], [127, true]);
  const text = exec(["--", "/etc/passwd"]);
  assert.deepEqual([text.status, /program-foreign/.test(text.stderr)], [126, true]);
  assert.equal(exec(["--arch", "riscv64", "--", "true"]).status, 2);
  assert.equal(exec(["--node", "arm64", "--", "true"]).status, 2);
});

test("a root directory is the program's whole world, and what it writes stays", () => {
  const root = join(scratch, "root");
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync("/usr/bin/busybox", join(root, "bin/sh"));
  const { stdout, status } = exec(["--interpret", "--rootfs", root, "--", "sh", "-c", "echo /bin/*; pwd; echo x >/y"]);
  assert.deepEqual([stdout, status], ["/bin/sh\n/\n", 0]);
  assert.equal(readFileSync(join(root, "y"), "utf8"), "x\n");
});

test("what a program executes is translated while it runs, remembered, and used by the next run", () => {
  // A program of its own each time, of which nothing is known.
  const [source, program] = [join(scratch, "own.c"), join(scratch, "own")];
  const step = `s = s * 1664525 + ${randomInt(1 << 30)}u`;
  const head = "#include <stdio.h>\n#include <stdlib.h>\n";
  const body = `unsigned s = 1; for (long i = atol(a[n - 1]); i > 0; i--) ${step}; printf("%u\\n", s); return 3;`;
  writeFileSync(source, `${head}int main(int n, char **a) { ${body} }\n`);
  execFileSync("gcc", ["-O1", "-static", "-o", program, source]);
  const key = keyName(fileCodeKey(readElf(readFileSync(program), program)));
  const list = (name: string): string => join(cacheDirectory(), "executed", `${key}.plain.${name}`);
  try {
    for (const way of ["meanwhile", "executed", "meanwhile"]) {
      const { stdout, status } = spawnSync(program, ["300000"], { encoding: "utf8" });
      const { stderr, ...ours } = exec(["-v", "--translate", way, "--", program, "300000"]);
      assert.deepEqual(ours, { stdout, status }, stderr);
      assert.ok(existsSync(list("executed")), `${way} remembers`);
      assert.ok(way === "meanwhile" || existsSync(list("translated")), `${way} translates`);
    }
  } finally {
    for (const name of ["executed", "translated"]) rmSync(list(name), { force: true });
  }
  assert.equal(exec(["--translate", "sometimes", "--", "true"]).status, 2);
  assert.equal(exec(["--translate", "meanwhile", "--translate-only", "--", "true"]).status, 2);
});

test("the files that a start maps are those that the dynamic linker lists", () => {
  // --list is what ldd asks for; it loads the libraries without running the program.
  for (const program of ["/bin/bash", "/usr/bin/openssl", "/usr/bin/ssh"]) {
    const { stdout } = spawnSync("/lib64/ld-linux-x86-64.so.2", ["--list", program], { encoding: "utf8" });
    const listed = stdout.match(/(?<==> )\/\S+/g) ?? [];
    assert.ok(listed.length > 0, program);
    const names = (paths: readonly string[]): string[] => [...new Set(paths.map((p) => p.split("/").at(-1)!))].sort();
    const own = [program, "/lib64/ld-linux-x86-64.so.2"];
    assert.deepEqual(names(linkedFiles("/", program)), names([...own, ...listed]));
  }
});
