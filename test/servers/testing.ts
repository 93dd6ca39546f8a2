// Servers' round trips as tests, in the lab of HCONTAINER_LAB_DIRECTORY or in one of their own.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { NodeList, prepareForeign } from "../../src/cli/node-list.ts";
import { up } from "../../src/lab/index.ts";
import type { Translate } from "../../src/migrate/index.ts";
import { ownLabDirectory } from "../own-lab.ts";
import type { ServerCase } from "./case.ts";
import { roundTrip, type ServerReport } from "./run.ts";

export interface TestOptions {
  readonly translate: Translate;
  readonly quietMs: number;
  readonly timeoutMinutes: number;
  readonly onReport?: (report: ServerReport) => Promise<void>;
}

/** Everything that was checked was right, there and back. */
function assertRight(report: ServerReport): void {
  assert.deepEqual(report.client.complaints, [], report.log);
  assert.equal(report.client.wrong, 0);
  const directions = report.moves.map(({ direction }) => direction);
  assert.deepEqual(directions, ["amd64 → arm64", "arm64 → amd64"]);
  for (const name of ["home", "abroad", "home again"]) {
    const phase = report.client.phases.find((p) => p.name === name);
    assert.ok(phase !== undefined && phase.replies > 0, `the server answers (${name})`);
  }
}

/** Makes a test of each server. */
export function testServers(servers: readonly ServerCase[], options: TestOptions): void {
  let nodes: NodeList | undefined;
  ownLabDirectory(async () => nodes?.close());

  before(async () => {
    await up({}, () => undefined);
    nodes = await NodeList.attach();
    await prepareForeign((await nodes.node("arm64")).shell);
  });

  for (const server of servers)
    test(server.title, { timeout: options.timeoutMinutes * 60_000 }, async (t) => {
      const { translate, quietMs } = options;
      const report = await roundTrip(nodes!, server, { translate, quietMs, onStep: (text) => t.diagnostic(text) });
      assertRight(report);
      await options.onReport?.(report);
    });
}
