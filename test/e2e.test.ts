// tier: e2e
// The main job, as a user runs it: a container made of Debian's unmodified busybox moves from amd64 to arm64 and back
// while it logs and serves pages, between two real Docker engines, two real kernels and CRIU. Needs root.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { run } from "../src/host/index.ts";
import { ownLabDirectory } from "./own-lab.ts";

const hcontainer = resolve(import.meta.dirname, "../bin/hcontainer");
const { scratch } = ownLabDirectory();
const MINUTES = 60_000;

test("a working container moves amd64 → arm64 → amd64 and nothing is lost", { timeout: 20 * MINUTES }, async (t) => {
  const seed = process.env["HCONTAINER_SEED"] ?? String(Math.floor(Math.random() * 1e9));
  t.diagnostic(`seed ${seed}`);
  const result = await run(hcontainer, ["demo", "--json", "--seed", seed], { timeoutMs: 18 * MINUTES });
  assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
  const report = JSON.parse(result.stdout) as {
    moves: { direction: string }[];
    evidence: { node: string; program: string; mapped: string[] }[];
    lines: number;
    client: { pages: number; wrong: number };
    complaints: string[];
  };
  assert.deepEqual(report.complaints, []);
  assert.equal(report.moves.length, 2);
  assert.equal(report.client.wrong, 0);
  assert.ok(report.client.pages > 0 && report.lines > 20);
  const [before, abroad, back] = report.evidence;
  assert.deepEqual([before?.mapped, back?.mapped], [[], []], "nothing of ours is in a process at home");
  assert.match(abroad!.program, /busybox$/, "its program is the untouched file");
  assert.ok(
    abroad!.mapped.some((path) => path.endsWith(".hct")),
    "abroad it executes a translation",
  );
});

test("a program that was never at home starts on the arm64 node", { timeout: 15 * MINUTES }, async () => {
  const root = join(scratch, "root");
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync("/usr/bin/busybox", join(root, "bin/busybox"));
  const up = await run(hcontainer, ["lab", "up"], { timeoutMs: 10 * MINUTES });
  assert.equal(up.status, 0, up.stderr);
  const exec = (script: string) => {
    const words = ["exec", "--node", "arm64", "--rootfs", root, "--", "/bin/busybox", "sh", "-c", script];
    return run(hcontainer, words, { input: "some input\n", timeoutMs: 5 * MINUTES });
  };
  const script = "busybox uname -m; busybox tr a-z A-Z; busybox seq 1 100 | busybox md5sum; echo x >/written; exit 7";
  const { stdout, status } = await exec(`PATH=/bin; ${script}`);
  const md5 = (await run("sh", ["-c", "seq 1 100 | md5sum"])).stdout;
  assert.deepEqual([stdout, status], [`x86_64\nSOME INPUT\n${md5}`, 7]);
  assert.equal((await exec("test -e /written || kill -KILL $$")).status, 128 + 9);
});
