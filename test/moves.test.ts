// tier: e2e
// Programs that are moved while they work, home ⇄ arm64 node, at random moments, without an engine: whatever they are in
// the middle of, they print what they print when nobody moves them. Bounded; moves-long.test.ts goes on for longer.
// SEED=n repeats a run's moments (as far as the machine's timing lets it).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Lab, up } from "../src/lab/index.ts";
import { describeParking, travel } from "./moves/journey.ts";
import { faultsOf, fillRoot, jobsOf, stop } from "./moves/programs.ts";
import { World } from "./moves/world.ts";
import { randomOf } from "./recode/support.ts";

const LIMIT_MS = 60_000;
/** Interpreted: without the minute that translating takes. moves-long.test.ts has all programs, translated. */
const BOUNDED = ["queued", "threads", "sockets", "ipc", "vforks", "futex"];

let lab: Lab;
before(async () => {
  lab = await up({}, () => undefined);
});
after(async () => {
  await Promise.all(Object.values(lab?.nodes ?? {}).map((node) => node.shell.close()));
});

test("programs print abroad and at home what they print when nobody moves them", async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const world = await World.open(lab.nodes.arm64.shell, fillRoot);
  t.after(() => world.close());
  await world.start(jobsOf(BOUNDED));
  const log = (line: string): void => t.diagnostic(line);
  await travel(world, { trips: 3, limitMs: LIMIT_MS, random: randomOf(seed), log });
  await stop(world, BOUNDED);
  t.diagnostic(describeParking(world));
  assert.deepEqual(await faultsOf(world, BOUNDED), [], `seed ${seed}`);
});
