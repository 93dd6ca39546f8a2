// tier: lab
// The runtime on a real arm64 kernel (runtime/kernel-machine.ts): the programs of test/runtime must print what they print natively.
// Shows what qemu user mode cannot: the real base address, vfork, growing stacks, /proc, pid namespaces, every error of the
// kernel's. Needs no root.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { HC_BASE, PROC_AREA_OFFSET } from "../src/abi/index.ts";
import { KernelMachine, type Result } from "./runtime/kernel-machine.ts";

const SOURCES = join(import.meta.dirname, "runtime");
/** Programs that help, and are not compared. */
const TOOLS = ["quiesce.c"];
const machine = new KernelMachine();
const native = new Map<string, Result>();

const SCRIPT = `for p in /programs/*; do $p > /tmp/out 2>&1; report \${p##*/} $?; done
busybox cat /proc/self/maps > /tmp/out; report maps $?
{ busybox tr '\\0' ' ' < /proc/1/cmdline; busybox cat /proc/1/comm; } > /tmp/out; report cmdline $?
echo 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.02; done | sed "s/^/a /" | while read x; do echo $x; done > /tmp/lines' > /tmp/loop
busybox unshare -p -f sh /tmp/loop & first=$!
sleep 0.5
for round in 1 2 3; do
  pids=$(busybox ps -o pid,args | busybox awk '($2 == "sh" && $3 == "/tmp/loop") || $2 == "sed" { print $1 }')
  /quiesce 0x${(HC_BASE + PROC_AREA_OFFSET).toString(16)} $pids; sleep 0.1
done > /tmp/out 2>&1
wait; report quiesce $?
busybox cp /tmp/lines /tmp/out; report lines $?
`;

before(async () => {
  const kernelOnly = readdirSync(join(SOURCES, "kernel")).filter((name) => !TOOLS.includes(name));
  for (const name of TOOLS)
    machine.files.set(basename(name, ".c"), readFileSync(machine.compile(join(SOURCES, "kernel", name))));
  const sources = [...readdirSync(SOURCES), ...kernelOnly.map((name) => `kernel/${name}`)];
  for (const source of sources.filter((name) => name.endsWith(".c"))) {
    const program = machine.compile(join(SOURCES, source));
    const name = basename(source, ".c");
    native.set(name, machine.runNatively(program));
    assert.equal(native.get(name)!.status, 0, `${source} natively`);
    machine.files.set(`programs/${name}`, readFileSync(program));
  }
  await machine.boot(SCRIPT);
});
after(() => machine.remove());

function result(name: string): string {
  const { status, output } = machine.result(name);
  assert.equal(status, 0, output);
  return output;
}

test("there are programs", () => assert.ok(native.size >= 5));
for (const source of [...readdirSync(SOURCES), ...readdirSync(join(SOURCES, "kernel"))]) {
  if (!source.endsWith(".c") || TOOLS.includes(source)) continue;
  const name = basename(source, ".c");
  test(`${name} prints what it prints natively`, () => assert.equal(result(name), native.get(name)!.output));
}

test("the program's memory is below 47 bits, the runtime and the translation above", () => {
  const maps = result("maps");
  assert.match(maps, /^00400000-\S+ r--p .* \/bin\/busybox$/m);
  assert.match(maps, /^7ff\S+ rw-p .* \[stack\]$/m);
  assert.match(maps, /^900000000000-\S+ r-xp .* \/\.hcontainer\/runtime$/m);
  assert.match(maps, /^901000000000-\S+ r-xp .* \/\.hcontainer\/translations\/\S+\.hct$/m);
});

test("the command line is the program's", () => {
  assert.equal(result("cmdline"), "/bin/busybox sh /script busybox\n");
});

test("a pipeline in a pid namespace quiesces and goes on", () => {
  const lines = result("quiesce").trim().split("\n");
  assert.equal(lines.length, 3, lines.join("\n"));
  for (const line of lines) {
    const [, parked, all] = /^(\d+) of (\d+) parked$/.exec(line)!;
    assert.equal(parked, all, line);
    assert.ok(Number(all) >= 3);
  }
  assert.equal(result("lines"), Array.from({ length: 60 }, (_, i) => `a line ${i + 1}\n`).join(""));
});
