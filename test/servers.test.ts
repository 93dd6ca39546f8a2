// tier: servers
// Debian's servers in containers, moved amd64 → arm64 → amd64 under load; see servers/case.ts. Long: an emulated arm64 node
// does the work. Needs root. `node test/servers/table.ts` makes docs/servers.md from what was measured.
//
//   HCONTAINER_SERVERS     names of servers to take, separated by blanks (default: all)
//   HCONTAINER_TRANSLATE   first (default) or later: whether translations are made before the freeze

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NodeList, prepareForeign, translate, translateLater } from "../src/cli/node-list.ts";
import { down, labDirectory, up } from "../src/lab/index.ts";
import { SERVERS } from "./servers/cases.ts";
import { roundTrip } from "./servers/run.ts";
import { keepReport } from "./servers/table.ts";

const own = process.env["HCONTAINER_LAB_DIRECTORY"] ? undefined : mkdtempSync(join(tmpdir(), "hcontainer-servers-"));
if (own !== undefined) process.env["HCONTAINER_LAB_DIRECTORY"] = join(own, "lab");
const state = mkdtempSync(join(tmpdir(), "hcontainer-servers-state-"));
process.env["HCONTAINER_STATE"] = state;
const wanted = process.env["HCONTAINER_SERVERS"]?.split(" ");

let nodes: NodeList;

before(async () => {
  await up({ directory: labDirectory() }, () => undefined);
  nodes = await NodeList.attach();
  await prepareForeign((await nodes.node("arm64")).shell);
});

after(async () => {
  await nodes?.close();
  if (own !== undefined) {
    await down(labDirectory());
    rmSync(own, { recursive: true, force: true });
  }
  rmSync(state, { recursive: true, force: true });
});

for (const server of SERVERS.filter(({ name }) => wanted?.includes(name) ?? true))
  test(server.title, { timeout: 90 * 60_000 }, async (t) => {
    const isLater = process.env["HCONTAINER_TRANSLATE"] === "later";
    const report = await roundTrip(nodes, server, {
      quietMs: 10_000,
      translate: isLater ? translateLater : translate,
      onStep: (text) => t.diagnostic(text),
    });
    assert.deepEqual(report.client.complaints, [], report.log);
    assert.equal(report.client.wrong, 0);
    assert.deepEqual(
      report.moves.map(({ direction }) => direction),
      ["amd64 → arm64", "arm64 → amd64"],
    );
    for (const name of ["home", "abroad", "home again"]) {
      const phase = report.client.phases.find((p) => p.name === name);
      assert.ok(phase !== undefined && phase.replies > 0, `the server answers (${name})`);
    }
    await keepReport(report);
  });
