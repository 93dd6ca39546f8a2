// Programs that travel: started at home, moved back and forth while they work, and held against what they print when nobody
// moves them. SEED=n repeats a run's moments, as far as the machine's timing lets it.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { randomFrom } from "../../src/base/index.ts";
import type { Lab } from "../../src/lab/index.ts";
import { describeParking, travel } from "./journey.ts";
import { faultsOf, fillRoot, jobsOf, stop } from "./programs.ts";
import { World } from "./world.ts";

export interface TravelOptions {
  readonly programs: readonly string[];
  /** Whether they run translated abroad; interpreted otherwise. */
  readonly isTranslated: boolean;
  /** Round trips at most; none begins after `limitMs`. */
  readonly trips: number;
  readonly limitMs?: number;
}

/** The test of it. */
export async function assertTravels(t: TestContext, lab: Lab, options: TravelOptions): Promise<void> {
  const { programs, isTranslated, ...bounds } = options;
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const world = await World.open(lab.nodes.arm64.shell, fillRoot);
  t.after(() => world.close());
  if (isTranslated) await world.translate("/moves");
  await world.start(jobsOf(programs));
  await travel(world, { ...bounds, random: randomFrom(seed), log: (line) => t.diagnostic(line) });
  await stop(world, programs);
  t.diagnostic(describeParking(world));
  assert.deepEqual(await faultsOf(world, programs), [], `seed ${seed}`);
}
