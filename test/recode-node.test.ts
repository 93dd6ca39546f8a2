// tier: e2e
// Processes that really move: dumped by criu on this machine, recoded, restored by criu in the arm64 node's kernel, where
// they run on as translated processes, then quiesced, dumped there, recoded and restored here. No engine takes part.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { runChecked } from "../src/host/index.ts";
import { type Lab, up } from "../src/lab/index.ts";
import { Bench, until } from "./recode/dumps.ts";
import { NodeBench } from "./recode/node-bench.ts";

let lab: Lab;
before(async () => {
  lab = await up({}, () => undefined);
});
after(async () => {
  await Promise.all(Object.values(lab?.nodes ?? {}).map((node) => node.shell.close()));
});

/** Waits until a command on the node prints what `isDone` wants. */
async function untilThere(node: NodeBench, path: string, isDone: (text: string) => boolean): Promise<string> {
  const end = performance.now() + 120_000;
  for (;;) {
    const { stdout } = await node.shell.run("cat", [path]);
    if (isDone(stdout)) return stdout;
    if (performance.now() > end) assert.fail(`${path} on the node says: ${stdout.slice(-2000)}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

const lineCount = (text: string): number => text.split("\n").length - 1;

test("a counting program goes to arm64 and comes back", async (t) => {
  const bench = new Bench();
  t.after(() => bench.close());
  const program = bench.path("count");
  const source = new URL("programs/count.c", import.meta.url).pathname;
  await runChecked("gcc", ["-O2", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-o", program, source]);
  const pid = await bench.start([program, bench.path("lines")], "out");
  await until(() => lineCount(bench.text("lines")) > 20, "the first lines");
  const dump = await bench.dump(pid, "dump");
  const node = await NodeBench.open(lab.nodes.arm64.shell, bench.directory);
  t.after(() => node.close());
  for (const name of ["count", "lines", "out"]) await node.shell.putFile(bench.path(name), bench.path(name));
  await node.shell.runChecked("chmod", ["755", program]);
  const here = lineCount(bench.text("lines"));
  await node.restore(dump, bench.path("foreign"));
  await untilThere(node, bench.path("lines"), (text) => lineCount(text) > here + 20);
  await node.quiesce();
  await node.dumpHome(pid, bench.path("foreign-dump"), bench.path("home"));
  await node.shell.getFile(bench.path("lines"), bench.path("lines.there"));
  const there = bench.text("lines.there");
  await runChecked("sh", ["-c", 'cat "$1" >"$2"', "sh", bench.path("lines.there"), bench.path("lines")]);
  await bench.restore(bench.path("home"));
  await until(() => lineCount(bench.text("lines")) > lineCount(there) + 20, "lines at home again");
  const lines = bench.text("lines").split("\n").slice(0, -1);
  for (const [index, line] of lines.entries()) assert.equal(line, String(index + 1));
  assert.ok(lineCount(there) > here + 20);
});
