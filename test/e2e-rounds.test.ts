// tier: harm
// Many round trips of the demo's container at random moments.
//
//   HCONTAINER_E2E_ROUNDS   how many (default 20)

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { ownLabDirectory } from "./own-lab.ts";

const ROOT = resolve(import.meta.dirname, "..");

ownLabDirectory();

test("round trips at random moments: no line and no page is lost", { timeout: 150 * 60_000 }, (t) => {
  const rounds = process.env["HCONTAINER_E2E_ROUNDS"] ?? "20";
  const demo = spawnSync(join(ROOT, "bin/hcontainer"), ["demo", "--rounds", rounds, "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 26,
  });
  assert.equal(demo.status, 0, `${demo.stdout}\n${demo.stderr}`);
  const report = JSON.parse(demo.stdout);
  t.diagnostic(`seed ${report.seed}`);
  assert.deepEqual(report.complaints, []);
  assert.equal(report.moves.length, 2 * Number(rounds));
  const [atHome, abroad, back] = report.evidence;
  for (const evidence of report.evidence) assert.equal(evidence.program, "/bin/busybox");
  assert.deepEqual([atHome.mapped, back.mapped], [[], []]);
  assert.ok(abroad.mapped.some((path: string) => path.endsWith(".hct")));
});
