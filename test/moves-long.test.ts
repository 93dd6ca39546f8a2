// tier: harm
// Programs that are moved while they work, home ⇄ arm64 node, at random moments, without an engine: whatever they are in
// the middle of, they print what they print when nobody moves them. All programs, translated, ten round trips.

import { test } from "node:test";
import { PROGRAMS } from "./moves/programs.ts";
import { assertTravels } from "./moves/travels.ts";
import { useLab } from "./own-lab.ts";

/** A fault in translated code does not reach its handler yet (README, Limits). */
const ALL = PROGRAMS.filter((name) => name !== "faults");

const lab = useLab();

test("programs print abroad and at home what they print when nobody moves them", (t) =>
  assertTravels(t, lab(), { programs: ALL, isTranslated: true, trips: 10 }));
