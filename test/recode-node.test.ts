// tier: e2e
// Processes that really move: dumped by criu on this machine, recoded, restored by criu in the arm64 node's kernel, where
// they run on as translated processes, then quiesced, dumped there, recoded and restored here. No engine takes part.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { runChecked } from "../src/host/index.ts";
import { useLab } from "./own-lab.ts";
import { Bench, until } from "./recode/dumps.ts";
import { NodeBench } from "./recode/node-bench.ts";

const lab = useLab();

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

/** Puts files of the bench at the same paths of the node, with their modes. */
async function putFiles(node: NodeBench, bench: Bench, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await node.shell.putFile(bench.path(name), bench.path(name));
    await node.shell.runChecked("chmod", [(statSync(bench.path(name)).mode & 0o7777).toString(8), bench.path(name)]);
  }
}

const lineCount = (text: string): number => text.split("\n").length - 1;

/** Programs that write numbered lines, what else of the bench their node needs, and the lines that they are to write. */
interface Counting {
  readonly command: readonly string[];
  readonly files: readonly string[];
  line(number: number): string;
}

/** Starts them, moves them to the node and home again, and checks that they counted on everywhere without a gap. */
async function assertCountsOn(t: TestContext, bench: Bench, { command, files, line }: Counting): Promise<void> {
  const pid = await bench.start(command, "out");
  await until(() => lineCount(bench.text("lines")) > 20, "the first lines");
  const dump = await bench.dump(pid, "dump");
  const node = await NodeBench.open(lab().nodes.arm64.shell, bench.directory);
  t.after(() => node.close());
  await putFiles(node, bench, [...files, "lines", "out"]);
  const here = lineCount(bench.text("lines"));
  await node.restore(dump, bench.path("foreign"));
  await untilThere(node, bench.path("lines"), (text) => lineCount(text) > here + 10);
  await node.quiesce();
  await node.dumpHome(pid, bench.path("foreign-dump"), bench.path("home"));
  await node.shell.getFile(bench.path("lines"), bench.path("lines.there"));
  const there = lineCount(bench.text("lines.there"));
  await runChecked("sh", ["-c", 'cat "$1" >"$2"', "sh", bench.path("lines.there"), bench.path("lines")]);
  await bench.restore(bench.path("home"));
  await until(() => lineCount(bench.text("lines")) > there + 20, "lines at home again");
  const lines = bench.text("lines").split("\n").slice(0, -1);
  for (const [index, text] of lines.entries()) assert.equal(text, line(index + 1));
  assert.ok(there > here + 10);
  assert.equal(bench.text("out"), "");
}

test("a counting program goes to arm64 and comes back", async (t) => {
  const bench = new Bench();
  t.after(() => bench.close());
  const program = bench.path("count");
  const source = new URL("programs/count.c", import.meta.url).pathname;
  await runChecked("gcc", ["-O2", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-o", program, source]);
  await assertCountsOn(t, bench, { command: [program, bench.path("lines")], files: ["count"], line: String });
});

async function startProbe(t: TestContext): Promise<{ bench: Bench; node: NodeBench; pid: number; dump: string }> {
  const bench = new Bench();
  t.after(() => bench.close());
  const probe = await bench.compile("probe.c", "probe");
  const pid = await bench.start([probe, bench.path("go"), "tcp"], "out");
  await until(() => bench.text("out").includes("ready"), "the probe");
  await new Promise((done) => setTimeout(done, 100));
  const dump = await bench.dump(pid, "dump");
  const node = await NodeBench.open(lab().nodes.arm64.shell, bench.directory);
  t.after(() => node.close());
  await putFiles(node, bench, ["probe", "out"]);
  return { bench, node, pid, dump };
}

test("a program that holds something of everything finds it on arm64", async (t) => {
  const { bench, node, dump } = await startProbe(t);
  await node.restore(dump, bench.path("foreign"));
  await node.shell.runChecked("touch", [bench.path("go")]);
  assert.equal(await untilThere(node, bench.path("out"), (text) => /ok|failures/.test(text)), "ready\nok\n");
});

test("a program that holds something of everything finds it at home again", async (t) => {
  const { bench, node, pid, dump } = await startProbe(t);
  await node.restore(dump, bench.path("foreign"));
  await new Promise((done) => setTimeout(done, 2000));
  await node.quiesce();
  await node.dumpHome(pid, bench.path("foreign-dump"), bench.path("home"));
  assert.equal(bench.text("out"), "ready\n");
  await bench.restore(bench.path("home"));
  await runChecked("touch", [bench.path("go")]);
  await until(() => /ok|failures/.test(bench.text("out")), "the probe's word");
  assert.equal(bench.text("out"), "ready\nok\n");
});

test("a shell that starts programs on arm64 comes home with them", async (t) => {
  const bench = new Bench();
  t.after(() => bench.close());
  await runChecked("cp", ["/bin/busybox", bench.path("busybox")]);
  const busybox = bench.path("busybox");
  const script = `i=0; while :; do i=$((i+1)); echo $i; ${busybox} usleep 20000; done | ${busybox} cat | while read -r l; do echo $l.; done`;
  const command = [busybox, "sh", "-c", `${script} >${bench.path("lines")}`];
  await assertCountsOn(t, bench, { command, files: ["busybox"], line: (number) => `${number}.` });
});
