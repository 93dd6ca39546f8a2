// Moves belongings (test/programs/moves/belongings.h): each process sets one up, is moved, and looks whether it is there.

import type { NodeShell } from "../../src/host/index.ts";
import { fillBelongings } from "./programs.ts";
import { World } from "./world.ts";

/** `criu`: home to home without us, the oracle; `there`: they look abroad; `back`: they look at home again. */
export type Way = "criu" | "there" | "back";

const READY_MS = 20_000;
const LOOK_MS = { criu: 15_000, there: 90_000, back: 15_000 } as const;

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

/** Carries all of `names` at once; gives what got lost, a line each. */
export async function carry(node: NodeShell, names: readonly string[], way: Way): Promise<string[]> {
  const world = await World.open(node, fillBelongings);
  let keep = process.env["KEEP"] !== undefined;
  try {
    await world.start(names.map((name) => [name, "/belongings", name] as const));
    await untilAll(names, READY_MS, async (name) => (await world.text(`/w/${name}.out`)).includes("\n"));
    await pause(200);
    if (way === "criu") await world.throughCriu();
    else await world.toForeign();
    if (way === "back") {
      await pause(500);
      await world.toHome();
    }
    await world.write("/w/go", "");
    await untilAll(names, LOOK_MS[way], async (name) => (await world.text(`/w/${name}.status`)) !== "");
    const lost: string[] = [];
    for (const name of names) {
      const status = (await world.text(`/w/${name}.status`)).trim();
      const printed = await world.text(`/w/${name}.out`);
      if (status === "0" && printed === "ready\nok\n") continue;
      lost.push(
        `${name}: ${status === "" ? "does not end" : `status ${status}`}: ${printed.replace("ready\n", "").trim()}`,
      );
    }
    keep &&= lost.length > 0;
    return lost;
  } finally {
    await world.close(keep);
  }
}

async function untilAll(
  names: readonly string[],
  limitMs: number,
  isDone: (name: string) => Promise<boolean>,
): Promise<void> {
  const end = performance.now() + limitMs;
  for (const name of names) while (!(await isDone(name)) && performance.now() < end) await pause(50);
}
