// tier: harm
// Programs that are moved while they work, home ⇄ arm64 node, at random moments, without an engine: whatever they are in
// the middle of, they print what they print when nobody moves them. All programs, translated, ten round trips.
// SEED=n repeats a run's moments (as far as the machine's timing lets it).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Lab, up } from "../src/lab/index.ts";
import { describeParking, travel } from "./moves/journey.ts";
import { faultsOf, fillRoot, jobsOf, PROGRAMS, stop } from "./moves/programs.ts";
import { World } from "./moves/world.ts";
import { randomOf } from "./recode/support.ts";

/** A fault in translated code does not reach its handler yet (README, Limits). */
const ALL = PROGRAMS.filter((name) => name !== "faults");

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
  await world.translate("/moves");
  await world.start(jobsOf(ALL));
  const log = (line: string): void => t.diagnostic(line);
  await travel(world, { trips: 10, random: randomOf(seed), log });
  await stop(world, ALL);
  t.diagnostic(describeParking(world));
  assert.deepEqual(await faultsOf(world, ALL), [], `seed ${seed}`);
});
