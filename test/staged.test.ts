// Which translations a container gets on its way: those of a real process's files, with a translator that refuses some.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { HostError, InputError } from "../src/base/index.ts";
import { localShell } from "../src/host/index.ts";
import type { Container } from "../src/migrate/container.ts";
import type { MigrationNode } from "../src/migrate/node.ts";
import { stageTranslations, type Translate } from "../src/migrate/translations.ts";

const scratch = mkdtempSync(join(tmpdir(), "staged-test-"));
Object.assign(process.env, { HCONTAINER_CACHE: join(scratch, "cache") });
const shell = localShell("here");
const program = spawn("sleep", ["600"]);
after(() => {
  program.kill();
  rmSync(scratch, { recursive: true });
});

/** This machine, with an engine that knows one container: our process. */
const node = {
  shell,
  nodeDirectory: join(scratch, "node"),
  docker: { call: () => Promise.resolve({ Processes: [[String(program.pid)]] }) },
} as unknown as MigrationNode;
const container = { id: "c", initPid: program.pid } as unknown as Container;
const stage = (translate: Translate, notes: string[] = []) =>
  stageTranslations(node, node, container, translate, (note) => notes.push(note));

test("a file that cannot be translated is named and stays behind, the others move", async () => {
  const translation = join(scratch, "translation");
  writeFileSync(translation, "translated");
  const notes: string[] = [];
  const staged = await stage(async (path, variant) => {
    const { stdout } = await shell
      .runChecked("grep", ["-c", "GNU C Library", "--", path])
      .catch(() => ({ stdout: "" }));
    if (stdout !== "") throw new InputError("translation-refused", "LLVM refuses its translation", path);
    return { path: translation, name: `${variant}.hct` };
  }, notes);
  const libc = staged.filter(({ file }) => file.includes("libc.so"));
  assert.deepEqual(
    libc.map(({ state }) => state),
    ["refused"],
  );
  assert.ok(staged.length > libc.length);
  assert.ok(staged.every(({ file, state }) => file.includes("libc.so") || state === "staged"));
  assert.deepEqual(readdirSync(join(scratch, "node/translations")), ["plain.hct"]);
  assert.equal(notes.filter((note) => /libc.*interpreted.*translation-refused/.test(note)).length, 1);
});

test("files without a translation yet are told from refused ones", async () => {
  const staged = await stage(() => Promise.resolve(undefined));
  assert.ok(staged.length > 0 && staged.every(({ state }) => state === "missing"));
});

test("a machine that cannot translate stops the staging", async () => {
  const broken = () => Promise.reject(new HostError("command-not-started", "no llc-19"));
  await assert.rejects(stage(broken), { code: "command-not-started" });
});
