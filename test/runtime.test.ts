// tier: runtime
// The runtime under qemu user mode against native runs: the same programs, the same output, the same end. Programs run
// interpreted and, where the test says so, translated. Needs qemu-user, gcc, busybox-static and LLVM 19.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  HC_BASE_QEMU_USER,
  HomeCpu,
  keyName,
  MODULE_STATUS,
  Module,
  offsetOf,
  PROC_AREA_OFFSET,
  PROC_MAGIC,
  ProcState,
} from "../src/abi/index.ts";
import { buildRuntime, translateFile } from "../src/host/index.ts";

const QEMU = "/usr/bin/qemu-aarch64";
const BUSYBOX = "/usr/bin/busybox";
const PROGRAMS = join(import.meta.dirname, "runtime");
let runtime = "";
let directory = "";
const started: ChildProcess[] = [];

before(async () => {
  runtime = await buildRuntime("qemu-user");
  directory = mkdtempSync(join(tmpdir(), "hcontainer-runtime-"));
  mkdirSync(join(directory, "translations"));
});
after(() => {
  for (const child of started) {
    try {
      // What it has started itself is of its group.
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // All have ended.
    }
  }
  rmSync(directory, { recursive: true, force: true });
});

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
  readonly signal: string | null;
}

function environment(translations: boolean): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { PATH: "/usr/bin:/bin", HCONTAINER_QEMU_USER: QEMU, LC_ALL: "C" };
  if (translations) env["HCONTAINER_TRANSLATIONS"] = join(directory, "translations");
  return env;
}

/** Runs a command to its end in a directory of its own. qemu's remark on a signal that kills is not the program's. */
function runOne(command: string, args: readonly string[], env: NodeJS.ProcessEnv, input: string): Outcome {
  const cwd = mkdtempSync(join(directory, "run-"));
  const { stdout, stderr, status, signal, error } = spawnSync(command, args, {
    cwd,
    env,
    input,
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(error, undefined);
  return { stdout, stderr: stderr.replace(/^qemu: uncaught target signal .*\n/gm, ""), status, signal };
}

/** Runs a program natively and in the runtime; both must end alike. */
function compare(
  program: string,
  args: readonly string[],
  options: { translations?: boolean; input?: string } = {},
): Outcome {
  const input = options.input ?? "";
  const native = runOne(program, args, { PATH: "/usr/bin:/bin", LC_ALL: "C" }, input);
  const translated = runOne(
    QEMU,
    [runtime, program, program, ...args],
    environment(options.translations === true),
    input,
  );
  assert.deepEqual(translated, native);
  return native;
}

const SHELL: readonly (readonly [string, string])[] = [
  ["pipeline", "seq 1 200 | grep 7 | sort -r | head -5 | md5sum"],
  ["arithmetic and loops", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo $i $((0x10*3)) $((7%4))"],
  ["substitution", 'a=$(echo one; echo two); echo "$a"; echo `basename /x/y`; set -- a b c; echo $# $2'],
  ["exit status", "false; echo $?; (exit 7); echo $?; ! true; echo $?; exit 9"],
  ["background and wait", "(sleep 0.1; exit 3) & wait $!; echo $?; sleep 0.05 & sleep 0.1; wait; echo done"],
  ["trap", "trap 'echo got; exit 4' TERM; kill -TERM $$; sleep 2; echo not here"],
  ["trap in a pipeline", "trap 'echo bye' EXIT; echo x | cat; kill -USR1 $$; echo not here"],
  ["killed child", "sleep 10 & p=$!; kill $p; { wait $p; } 2>/dev/null; echo $?; sh -c 'kill -SEGV $$'; echo $?"],
  ["files", "mkdir d; echo text > d/f; cp d/f d/g; ln -s f d/l; mv d/g d/h; ls -1 d; cat d/l; rm -r d; ls"],
  ["here document and read", "while read a b; do echo $b-$a; done <<E\n1 2\n3 4\nE"],
  ["not found", "nosuch; ./nosuch; /etc/passwd; /; echo $?"],
  ["scripts", "printf '#!/bin/busybox sh\\necho $0 $1 $#\\n' > s; chmod +x s; ./s a \"b c\"; ./s"],
  ["text tools", "printf 'b 2\\na 1\\n' | sort | sed 's/[0-9]/<&>/' | awk '{print $2, $1, NR*1.5}' | tr a-z A-Z"],
  ["checksums", "head -c 5000 /usr/bin/busybox | tee f | sha256sum; sha1sum < f; cksum < f; sha512sum < f; crc32 f"],
  [
    "compression",
    "seq 1 200 | gzip -9 | gunzip | tail -1; seq 1 20 | bzip2 2>/dev/null | bunzip2 | tail -1; cd /etc; tar cf - passwd | tar tf -",
  ],
  [
    "dates",
    "date -u -d @86400 +%F; TZ=UTC0 date -d '2020-02-03 04:05' +%s; touch -d '2001-02-03 04:05:06' f; stat -c %Y f",
  ],
  [
    "find and xargs",
    "mkdir -p a/b; touch a/x a/b/y; find a -type f | sort | xargs -n1 echo file; find a -name y -exec echo {} +",
  ],
  ["descriptors", "exec 3>out; echo three >&3; exec 3>&-; cat out; { echo e >&2; } 2>&1; cat <&- 2>/dev/null; echo $?"],
  ["timeout", "timeout 0.2 sleep 5; echo $?; timeout 2 true; echo $?"],
  ["machine", "uname -m; nproc > /dev/null; id -u; hostname; cat /proc/self/comm; readlink /proc/self/exe"],
  ["floating point", "printf '%.3f %e %g\\n' 3.14159 1234.5 0.0001; echo 'scale=10; 4*a(1)' | bc -l; dc -e '2 3 ^ p'"],
  ["limits", "ulimit -n 64; ulimit -n; ulimit -c 0; umask 077; touch f; stat -c %a f"],
];

describe("busybox, interpreted", () => {
  for (const [name, script] of SHELL) test(name, () => void compare(BUSYBOX, ["sh", "-c", script]));
  test("standard input", () => void compare(BUSYBOX, ["wc"], { input: "some words\nin lines\n" }));
  test("arguments stay as they are", () => void compare(BUSYBOX, ["echo", "a b", "", "*", "\\n"]));
});

describe("busybox, translated", () => {
  before(async () => {
    const { path, report } = await translateFile(BUSYBOX);
    copyFileSync(path, join(directory, "translations", report.name));
  });
  for (const [name, script] of SHELL) {
    test(name, () => void compare(BUSYBOX, ["sh", "-c", script], { translations: true }));
  }
});

describe("system calls and signals", () => {
  const compiled = (name: string): string => {
    const output = join(directory, name);
    execFileSync("gcc", ["-static", "-O1", "-w", "-pthread", join(PROGRAMS, `${name}.c`), "-o", output]);
    return output;
  };
  for (const source of readdirSync(PROGRAMS).filter((name) => name.endsWith(".c"))) {
    const name = source.slice(0, -2);
    test(name, () => {
      const { status, stdout } = compare(compiled(name), []);
      assert.equal(status, 0);
      assert.ok(stdout.split("\n").length > 20);
    });
  }
  test("a file that is no program is refused", () => {
    const { status, stderr } = runOne(QEMU, [runtime, "/etc/passwd"], environment(false), "");
    assert.equal(status, 127);
    assert.match(stderr, /no x86-64 program/);
  });
});

/** A program that goes on in the runtime until it ends or the tests do. */
class Running {
  readonly child: ChildProcess;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
  output = "";

  constructor(args: readonly string[], options: { translations: boolean } | { env: NodeJS.ProcessEnv }) {
    const env = "env" in options ? options.env : environment(options.translations);
    this.child = spawn(QEMU, [runtime, args[0]!, ...args], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    started.push(this.child);
    this.child.stdout!.on("data", (data: Buffer) => {
      this.output += data.toString();
    });
    this.ended = new Promise((resolve) => this.child.on("close", resolve));
  }

  /** Waits until it has written something. */
  async firstOutput(): Promise<void> {
    while (this.output === "" && this.child.exitCode === null) await sleep(10);
  }
}

/** What /proc tells of processes that run in the runtime: their ids, newest last. */
function descendants(pid: number): number[] {
  const found = [pid];
  for (const parent of found) {
    try {
      const text = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim();
      if (text) found.push(...text.split(" ").map(Number));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Those that have not ended: one whose parent is parked stays a zombie, which no node waits for either. */
function livingDescendants(pid: number): number[] {
  return descendants(pid).filter((found) => {
    try {
      return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${found}/status`, "latin1"));
    } catch {
      return false;
    }
  });
}

/** The process state of a process under qemu, whose addresses are the host's. */
class RemoteState {
  readonly pid: number;
  constructor(pid: number) {
    this.pid = pid;
  }
  #access(field: string, action: (fd: number, at: number) => void): void {
    const fd = openSync(`/proc/${this.pid}/mem`, "r+");
    try {
      action(fd, Number(HC_BASE_QEMU_USER + PROC_AREA_OFFSET) + offsetOf(ProcState, field));
    } finally {
      closeSync(fd);
    }
  }
  read(field: string, bytes: 4 | 8): bigint {
    const buffer = Buffer.alloc(8);
    this.#access(field, (fd, at) => void readSync(fd, buffer, 0, bytes, at));
    return buffer.readBigUInt64LE();
  }
  /** Makes it a process that came from a CPU of a kind and signature. */
  writeHomeCpu(vendor: number, signature: number): void {
    const values = new Map([
      ["vendor", vendor],
      ["signature", signature],
    ]);
    for (const [field, value] of values) {
      const buffer = Buffer.alloc(4);
      buffer.writeUInt32LE(value);
      const inside = offsetOf(HomeCpu, field);
      this.#access("home_cpu", (fd, at) => void writeSync(fd, buffer, 0, 4, at + inside));
    }
  }
  /** Status of the first module. */
  moduleStatus(): number {
    const buffer = Buffer.alloc(4);
    const inside = offsetOf(Module, "status");
    this.#access("modules", (fd, at) => void readSync(fd, buffer, 0, 4, at + inside));
    return buffer.readUInt32LE();
  }
  write(field: string, value: number): void {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value);
    this.#access(field, (fd, at) => void writeSync(fd, buffer, 0, 4, at));
  }
}

/** Asks all processes below `child` to quiesce, as a node does, until all threads are parked. */
async function quiesce(child: ChildProcess): Promise<RemoteState[]> {
  for (let attempt = 0; attempt < 3000; attempt++) {
    const states = livingDescendants(child.pid!).map((pid) => new RemoteState(pid));
    let parked = true;
    for (const state of states) {
      try {
        if (state.read("magic", 8) !== PROC_MAGIC) throw new Error("not started yet");
        // Signal 64 of the host is 62 under qemu user mode, which is where that build of the runtime listens.
        if (state.read("quiesce", 4) === 0n) process.kill(state.pid, 64);
        parked &&= state.read("quiesce", 4) === 1n && state.read("parked", 4) === state.read("threads", 4);
      } catch {
        parked = false;
      }
    }
    if (parked && livingDescendants(child.pid!).length === states.length) return states;
    await sleep(10);
  }
  throw new Error(`some process does not quiesce: ${livingDescendants(child.pid!).map(describeProcess).join("; ")}`);
}

/** What a process that does not quiesce is doing, for whoever looks for the reason. */
function describeProcess(pid: number): string {
  try {
    const state = new RemoteState(pid);
    const [asked, parked, threads] = ["quiesce", "parked", "threads"].map((field) => state.read(field, 4));
    const kernel = readFileSync(`/proc/${pid}/status`, "latin1")
      .match(/^(State|SigPnd|ShdPnd|SigBlk):.*/gm)
      ?.join(" ");
    return `${pid}: quiesce ${asked}, ${parked} of ${threads} parked, ${kernel}`;
  } catch (error) {
    return `${pid}: ${String(error)}`;
  }
}

test("what a program starts sees the same home CPU", async () => {
  const output = join(directory, "home-cpu");
  execFileSync("gcc", ["-static", "-O1", "-xc", "-", "-o", output], {
    input: `#include <cpuid.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) { unsigned a, b, c, d; char x; int waits = argc < 2;
  if (waits) { puts("started"); fflush(stdout); read(0, &x, 1); }
  __cpuid(1, a, b, c, d); printf("%x\\n", a); __cpuid(0, a, b, c, d); printf("%.4s\\n", (char *)&b); fflush(stdout);
  if (waits) execl(argv[0], argv[0], "again", (char *)0); return 0; }`,
  });
  const asking = new Running([output], { translations: false });
  await asking.firstOutput();
  new RemoteState(asking.child.pid!).writeHomeCpu(1, 0x806f8);
  asking.child.stdin!.end("x");
  assert.equal(await asking.ended, 0);
  assert.equal(asking.output, "started\n806f8\nGenu\n806f8\nGenu\n");
});

describe("quiescing", { timeout: 300_000 }, () => {
  test("a pipeline of processes stops and goes on, and nothing is lost", async () => {
    const script =
      "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.02; done | while read x; do echo a $x; done | cat";
    const pipeline = new Running([BUSYBOX, "sh", "-c", script], { translations: true });
    await pipeline.firstOutput();
    for (let round = 0; round < 4; round++) {
      const states = await quiesce(pipeline.child);
      assert.ok(states.length >= 3, `${states.length} processes`);
      await sleep(30);
      const before = pipeline.output;
      await sleep(150);
      assert.equal(pipeline.output, before, "a quiesced pipeline writes nothing");
      for (const state of states) state.write("quiesce", 0);
      await sleep(50);
    }
    assert.equal(await pipeline.ended, 0);
    assert.equal(pipeline.output, Array.from({ length: 60 }, (_, i) => `a line ${i + 1}\n`).join(""));
  });

  test("a sleep goes on where it was", async () => {
    const start = Date.now();
    const sleeper = new Running([BUSYBOX, "sleep", "2"], { translations: false });
    let parkedMs = 0;
    for (let round = 0; round < 3; round++) {
      await sleep(400);
      const asked = Date.now();
      for (const state of await quiesce(sleeper.child)) state.write("quiesce", 0);
      parkedMs += Date.now() - asked;
    }
    const asked = Date.now() - start;
    assert.equal(await sleeper.ended, 0);
    const took = Date.now() - start;
    // Had it begun anew at the last round, it would have slept for two more seconds.
    assert.ok(
      took >= 1990 && took < asked + 1900,
      `${took} ms, of them ${asked} before the last round, ${parkedMs} parked`,
    );
  });

  test("threads park too", async () => {
    const output = join(directory, "many-threads");
    execFileSync("gcc", ["-static", "-O1", "-pthread", "-xc", "-", "-o", output], {
      input: `#include <pthread.h>
#include <unistd.h>
#include <stdio.h>
static volatile int stop; static volatile long counts[4];
static void *count(void *at) { while (!stop) { ++*(volatile long *)at; if ((long)at & 8) usleep(100); } return 0; }
int main(void) { pthread_t t[4]; char c;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, count, (void *)&counts[i]);
  write(1, "started\\n", 8); read(0, &c, 1); stop = 1;
  for (int i = 0; i < 4; i++) { pthread_join(t[i], 0); printf("%d\\n", counts[i] > 0); } }`,
    });
    const counting = new Running([output], { translations: false });
    await counting.firstOutput();
    const [state] = await quiesce(counting.child);
    assert.equal(state!.read("parked", 4), 5n);
    state!.write("quiesce", 0);
    await sleep(100);
    counting.child.stdin!.end("x");
    assert.equal(await counting.ended, 0);
    assert.equal(counting.output, "started\n1\n1\n1\n1\n");
  });
});

test("a translation that comes later is taken up", { timeout: 300_000 }, async () => {
  const { path, report } = await translateFile(BUSYBOX);
  const translations = mkdtempSync(join(directory, "later-"));
  const script = 'echo started; i=0; while [ ! -e "$0" ]; do i=$((i+1)); done; seq 1 1000 | sha256sum';
  const stop = join(translations, "stop");
  const env = { ...environment(false), HCONTAINER_TRANSLATIONS: translations };
  const shell = new Running([BUSYBOX, "sh", "-c", script, stop], { env });
  await shell.firstOutput();
  const state = new RemoteState(shell.child.pid!);
  assert.equal(state.moduleStatus(), MODULE_STATUS.missing);
  copyFileSync(path, join(translations, `${report.name}.part`));
  renameSync(join(translations, `${report.name}.part`), join(translations, report.name));
  while (state.moduleStatus() !== MODULE_STATUS.loaded) await sleep(20);
  await sleep(200);
  writeFileSync(stop, "");
  assert.equal(await shell.ended, 0);
  assert.equal(shell.output, `started\n${execFileSync(BUSYBOX, ["sh", "-c", "seq 1 1000 | sha256sum"])}`);
});

describe("httpd", { timeout: 120_000 }, () => {
  test("serves pages on loopback, also across quiescing", async () => {
    const pages = mkdtempSync(join(directory, "www-"));
    const page = execFileSync(BUSYBOX, ["seq", "1", "20000"]);
    copyFileSync(BUSYBOX, join(pages, "binary"));
    execFileSync(BUSYBOX, ["sh", "-c", "seq 1 20000 > page.txt"], { cwd: pages });
    const port = 20000 + (process.pid % 20000);
    const args = [BUSYBOX, "httpd", "-f", "-p", `127.0.0.1:${port}`, "-h", pages];
    const { child } = new Running(args, { translations: true });
    const fetchPage = (path: string): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const request = get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("end", () => resolve(Buffer.concat(parts)));
          response.on("error", reject);
        });
        request.on("error", reject);
      });
    try {
      for (let i = 0; i < 100; i++) {
        const up = await fetchPage("/page.txt").then(
          () => true,
          () => false,
        );
        if (up) break;
        await sleep(50);
      }
      for (let i = 0; i < 5; i++) assert.deepEqual(await fetchPage("/page.txt"), page);
      assert.deepEqual(await fetchPage("/binary"), readFileSync(BUSYBOX));
      const states = await quiesce(child);
      const waiting = fetchPage("/page.txt");
      await sleep(100);
      for (const state of states) state.write("quiesce", 0);
      assert.deepEqual(await waiting, page);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

test("the runtime's code key is the translator's", async () => {
  const { report } = await translateFile(BUSYBOX);
  const { child } = new Running([BUSYBOX, "sleep", "60"], { translations: false });
  try {
    await quiesce(child);
    const state = new RemoteState(child.pid!);
    assert.equal(state.read("module_count", 4), 1n);
    const fd = openSync(`/proc/${child.pid}/mem`, "r");
    const key = Buffer.alloc(16);
    readSync(fd, key, 0, 16, Number(HC_BASE_QEMU_USER + PROC_AREA_OFFSET) + offsetOf(ProcState, "modules") + 24);
    closeSync(fd);
    assert.equal(`${keyName([0, 4, 8, 12].map((at) => key.readUInt32LE(at)))}.hct`, report.name);
  } finally {
    child.kill("SIGKILL");
  }
});
