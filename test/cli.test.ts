// The command as a user meets it: help, exit codes, wrong command lines.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");

function hcontainer(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(join(root, "bin/hcontainer"), args, { encoding: "utf8", timeout: 30_000 });
}

test("without a verb: overview on stderr, exit code of wrong usage", () => {
  const { status, stdout, stderr } = hcontainer();
  assert.equal(status, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /usage: hcontainer VERB/);
});

test("an unknown verb or option is wrong usage", () => {
  assert.equal(hcontainer("teleport").status, 2);
  assert.match(hcontainer("teleport").stderr, /no verb 'teleport'/);
  assert.equal(hcontainer("../base/errors").status, 2);
});

test("every verb has help with examples", () => {
  const verbs = [...hcontainer("--help").stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map((match) => match[1]!);
  assert.ok(verbs.includes("migrate") && verbs.includes("demo"));
  for (const verb of verbs) {
    if (!existsSync(join(root, `src/cli/${verb}.ts`))) assert.fail(`src/cli/${verb}.ts is missing`);
    const { status, stdout } = hcontainer(verb, "--help");
    assert.equal(status, 0, `${verb} --help`);
    assert.match(stdout, /usage:/i, `${verb} --help`);
    assert.match(stdout, /example/i, `${verb} --help`);
  }
});
