// tier: e2e
// A process that a signal has stopped moves, stays stopped, and sees nothing of it; its parent neither. Without an engine.

import assert from "node:assert/strict";
import { test } from "node:test";
import { carry } from "./moves/carry.ts";
import { useLab } from "./own-lab.ts";

const NAMES = ["stopped", "stoppedthreads", "stoppedworkers"];

const lab = useLab();

test("a stopped process stays stopped abroad until it is continued", async () => {
  assert.deepEqual(await carry(lab().nodes.arm64.shell, NAMES, "there"), []);
});

test("a stopped process comes home stopped", async () => {
  assert.deepEqual(await carry(lab().nodes.arm64.shell, NAMES, "back"), []);
});
