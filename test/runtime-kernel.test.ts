// tier: lab
// The runtime on a real arm64 kernel: the lab node's kernel boots with the runtime as its first program, which runs an
// unmodified busybox, which runs the programs of test/runtime. What they print must be what they print natively. Shows what
// qemu user mode cannot: the real base address, vfork, growing stacks, /proc, pid namespaces. Needs no root.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { HC_BASE, NODE_MOUNT, PROC_AREA_OFFSET, printHeader, RUNTIME_FILE } from "../src/abi/index.ts";
import { buildRuntime, translateFile } from "../src/host/index.ts";
import { arm64Disk } from "../src/lab/index.ts";

const BUSYBOX = "/usr/bin/busybox";
const SOURCES = join(import.meta.dirname, "runtime");
const directory = mkdtempSync(join(tmpdir(), "hcontainer-kernel-"));
const native = new Map<string, string>();
const found = new Map<string, { status: number; output: string }>();
let trace = "";

/** An initramfs in cpio's newc format. Directories are those that the files need, and `directories`. */
function initramfs(files: ReadonlyMap<string, Buffer>, directories: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  let inode = 0;
  const add = (name: string, mode: number, content: Buffer): void => {
    const numbers = [++inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
    const head = `070701${numbers.map((n) => n.toString(16).padStart(8, "0")).join("")}${name}\0`;
    for (const part of [Buffer.from(head, "latin1"), content]) {
      parts.push(part, Buffer.alloc((4 - (part.length % 4)) % 4));
    }
  };
  const made = new Set<string>();
  const addDirectory = (path: string): void => {
    if (path === "" || path === "." || made.has(path)) return;
    addDirectory(path.split("/").slice(0, -1).join("/"));
    made.add(path);
    add(path, 0o040755, Buffer.alloc(0));
  };
  for (const path of directories) addDirectory(path);
  for (const [path, content] of files) {
    addDirectory(path.split("/").slice(0, -1).join("/"));
    add(path, path.startsWith("etc/") ? 0o100644 : 0o100755, content);
  }
  add("TRAILER!!!", 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

function compile(source: string): string {
  const output = join(directory, basename(source, ".c"));
  execFileSync("gcc", ["-static", "-O1", "-w", "-pthread", `-I${directory}`, source, "-o", output]);
  return output;
}

const SCRIPT = `#!/bin/sh
export PATH=/bin
busybox mount -t proc p /proc; busybox mount -t devtmpfs d /dev; busybox mount -t tmpfs t /tmp; busybox ip link set lo up
report() { echo "RESULT $1 $2"; busybox base64 /tmp/out; echo END; }
cd /tmp
for p in /programs/*; do $p > /tmp/out 2>&1; report \${p##*/} $?; done
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
busybox poweroff -f
`;

before(async () => {
  writeFileSync(join(directory, "abi.h"), printHeader());
  const runtime = await buildRuntime("node");
  const { path: translation, report } = await translateFile(BUSYBOX);
  const { kernel } = await arm64Disk(() => undefined);
  const files = new Map<string, Buffer>([
    [`${NODE_MOUNT.slice(1)}/${RUNTIME_FILE}`, readFileSync(runtime)],
    [`${NODE_MOUNT.slice(1)}/translations/${report.name}`, readFileSync(translation)],
    ["bin/busybox", readFileSync(BUSYBOX)],
    ["bin/sh", readFileSync(BUSYBOX)],
    ["etc/passwd", readFileSync("/etc/passwd")],
    ["usr/bin/busybox", readFileSync(BUSYBOX)],
    ["script", Buffer.from(SCRIPT)],
    ["quiesce", readFileSync(compile(join(SOURCES, "kernel/quiesce.c")))],
  ]);
  const sources = [...readdirSync(SOURCES).filter((name) => name.endsWith(".c")), "kernel/spawn.c"];
  for (const source of sources) {
    const program = compile(join(SOURCES, source));
    const name = basename(source, ".c");
    const cwd = join(directory, `run-${name}`);
    mkdirSync(cwd);
    const { stdout, stderr, status } = spawnSync(program, { cwd, encoding: "utf8", env: {} });
    assert.equal(status, 0, `${source} natively`);
    native.set(name, stdout + stderr);
    files.set(`programs/${name}`, readFileSync(program));
  }
  const image = join(directory, "initramfs");
  writeFileSync(image, initramfs(files, ["proc", "dev", "sys", "tmp"]));
  const options = [
    "-M",
    "virt",
    "-cpu",
    "max,pauth-impdef=on",
    "-m",
    "1024",
    "-smp",
    "2",
    "-nographic",
    "-net",
    "none",
  ];
  const append = `console=ttyAMA0 quiet panic=-1 rdinit=${NODE_MOUNT}/${RUNTIME_FILE} -- /bin/busybox /bin/busybox sh /script`;
  const { stdout } = spawnSync(
    "qemu-system-aarch64",
    [...options, "-no-reboot", "-kernel", kernel, "-initrd", image, "-append", append],
    { encoding: "utf8", timeout: 300_000, stdio: ["ignore", "pipe", "inherit"] },
  );
  trace = stdout.replaceAll("\r", "");
  for (const [, name, status, text] of trace.matchAll(/^RESULT (\S+) (\d+)\n([A-Za-z0-9+/=\n]*?)END$/gm)) {
    found.set(name!, { status: Number(status), output: Buffer.from(text!, "base64").toString() });
  }
});
after(() => rmSync(directory, { recursive: true, force: true }));

function result(name: string): string {
  const one = found.get(name);
  assert.ok(one, `no result of ${name}; the console:\n${trace.slice(-2000)}`);
  assert.equal(one.status, 0, one.output);
  return one.output;
}

test("programs print what they print natively", () => {
  assert.ok(native.size >= 5);
  for (const [name, output] of native) assert.equal(result(name), output, name);
});

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
