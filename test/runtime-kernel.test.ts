// tier: lab
// The runtime on a real arm64 kernel (runtime/kernel-machine.ts): the programs of test/runtime must print what they print natively.
// Shows what qemu user mode cannot: the real base address, vfork, growing stacks, /proc, pid namespaces, every error of the
// kernel's. Needs no root.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { KernelMachine, type Result } from "./runtime/kernel-machine.ts";

const SOURCES = join(import.meta.dirname, "runtime");
const machine = new KernelMachine();
const native = new Map<string, Result>();

const SCRIPT = `busybox mkdir -p /dev/pts; busybox mount -t devpts devpts /dev/pts
for p in /programs/*; do $p > /tmp/out 2>&1; report \${p##*/} $?; done
busybox cat /proc/self/maps > /tmp/out; report maps $?
{ busybox tr '\\0' ' ' < /proc/1/cmdline; busybox cat /proc/1/comm; } > /tmp/out; report cmdline $?
`;

before(async () => {
  const kernelOnly = readdirSync(join(SOURCES, "kernel")).map((name) => `kernel/${name}`);
  const sources = [...readdirSync(SOURCES), ...kernelOnly];
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
  if (!source.endsWith(".c")) continue;
  const name = basename(source, ".c");
  test(`${name} prints what it prints natively`, () => assert.equal(result(name), native.get(name)!.output));
}

test("the program's memory is below 47 bits, and nothing else is shown to it", () => {
  const maps = result("maps");
  assert.match(maps, /^00400000-\S+ r--p .* \/bin\/busybox$/m);
  assert.match(maps, /^7ff\S+ rw-p .* \[stack\]$/m);
  assert.doesNotMatch(maps, /hcontainer|^[89a-f]\S{11}-/m);
});

test("the command line is the program's", () => {
  assert.equal(result("cmdline"), "/bin/busybox sh /script busybox\n");
});
