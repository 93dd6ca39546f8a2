// tier: e2e
// Programs that are moved while they work, home ⇄ arm64 node, at random moments, without an engine: whatever they are in
// the middle of, they print what they print when nobody moves them. Bounded; moves-long.test.ts goes on for longer.

import { test } from "node:test";
import { assertTravels } from "./moves/travels.ts";
import { useLab } from "./own-lab.ts";

/** Interpreted: without the minute that translating takes. moves-long.test.ts has all programs, translated. */
const BOUNDED = ["queued", "threads", "sockets", "ipc", "vforks", "futex", "crowds", "filters"];

const lab = useLab();

test("programs print abroad and at home what they print when nobody moves them", (t) =>
  assertTravels(t, lab(), { programs: BOUNDED, isTranslated: false, trips: 3, limitMs: 60_000 }));
