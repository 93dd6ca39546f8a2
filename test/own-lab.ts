// The lab of a test file: that of HCONTAINER_LAB_DIRECTORY, which stays, or one of the file's own, which is gone when its
// tests are over, also when a timeout or a user ends them. What migrations note goes with it.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { down, type Lab, labDirectory, up } from "../src/lab/index.ts";

/**
 * Gives the file a lab directory, for itself and for the commands that it starts (environment), and takes the lab down at the
 * end, behind `close`, which closes what the tests have open there. `scratch` is for what else they write; it goes, too, and
 * `state` in it is where migrations write their journals.
 */
export function ownLabDirectory(close: () => Promise<unknown> = async () => undefined): {
  readonly scratch: string;
  readonly state: string;
} {
  const scratch = mkdtempSync(join(tmpdir(), "hcontainer-test-"));
  const isOwn = !process.env["HCONTAINER_LAB_DIRECTORY"];
  if (isOwn) process.env["HCONTAINER_LAB_DIRECTORY"] = join(scratch, "lab");
  const state = join(scratch, "state");
  mkdirSync(state);
  process.env["HCONTAINER_STATE"] = state;
  const leave = async (): Promise<void> => {
    await close().catch(() => undefined);
    if (isOwn) await down(labDirectory());
    rmSync(scratch, { recursive: true, force: true });
  };
  const interrupted = (): void => void leave().finally(() => process.exit(1));
  process.once("SIGTERM", interrupted).once("SIGINT", interrupted);
  after(leave);
  return { scratch, state };
}

/** Starts the file's lab before its tests; the function returned gives it to them. */
export function useLab(): () => Lab {
  let lab: Lab | undefined;
  before(async () => {
    lab = await up({}, () => undefined);
  });
  ownLabDirectory(() => Promise.all(Object.values(lab?.nodes ?? {}).map((node) => node.shell.close())));
  return () => {
    if (lab === undefined) throw new Error("the lab is there from the first test on");
    return lab;
  };
}
