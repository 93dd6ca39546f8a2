// tier: harm
// What moves with a container: whatever criu alone can carry from home to home is also there after a way abroad and back.
// What it loses by itself (a machine may forbid it some) is said in the test's diagnostics.

import assert from "node:assert/strict";
import { test } from "node:test";
import { carry } from "./moves/carry.ts";
import { belongings } from "./moves/programs.ts";
import { useLab } from "./own-lab.ts";

/**
 * Criu refuses whole dumps for pipes in packet mode, and for processes of other users on a machine that withholds
 * CAP_SYS_RESOURCE; the group does not look around in time by criu alone either.
 */
const REFUSED: ReadonlySet<string> = new Set(["packets", "credentials", "groups"]);

const lab = useLab();

test("what criu carries from home to home is there after a way abroad and back", async (t) => {
  const node = lab().nodes.arm64.shell;
  const names = (await belongings()).filter((name) => !REFUSED.has(name));
  const lostByCriu = await carry(node, names, "criu");
  for (const line of lostByCriu) t.diagnostic(`criu alone: ${line}`);
  const left = names.filter((name) => !lostByCriu.some((line) => line.startsWith(`${name}:`)));
  assert.ok(left.length >= 40, `criu alone carries ${left.length} of ${names.length}`);
  assert.deepEqual(await carry(node, left, "back"), []);
});
