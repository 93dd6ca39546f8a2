// A process namespace on the arm64 node in which plain criu restores and dumps translated processes, without any engine.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  HC_BASE,
  keyName,
  NODE_MOUNT,
  offsetOf,
  PROC_AREA_OFFSET,
  ProcState,
  QUIESCE_SIGNAL,
  RUNTIME_FILE,
} from "../../src/abi/index.ts";
import { buildRuntime, DirectoryImages, type NodeShell, writeChanged } from "../../src/host/index.ts";
import { toForeign, toHome } from "../../src/recode/index.ts";

const QUIESCE_TIMEOUT_MS = 60_000;

export class NodeBench {
  readonly shell: NodeShell;
  readonly directory: string;
  private init = 0;

  private constructor(shell: NodeShell, directory: string) {
    this.shell = shell;
    this.directory = directory;
  }

  /** Makes `directory` on the node (the same path as on this machine) and puts the runtime in its place. */
  static async open(shell: NodeShell, directory: string): Promise<NodeBench> {
    const bench = new NodeBench(shell, directory);
    await shell.runChecked("mkdir", ["-p", directory, `${NODE_MOUNT}/translations`]);
    await shell.putFile(await buildRuntime("node"), `${NODE_MOUNT}/${RUNTIME_FILE}`);
    const script =
      'setsid unshare --pid --fork --mount-proc sh -c "sleep 100000 & wait" </dev/null >/dev/null 2>&1 & u=$!; ' +
      'until c=$(cat /proc/$u/task/$u/children) && [ -n "$c" ]; do sleep 0.1; done; echo $c';
    bench.init = Number((await shell.runChecked("sh", ["-c", script])).stdout.trim());
    return bench;
  }

  async close(): Promise<void> {
    await this.shell.run("kill", ["-KILL", String(this.init)]);
    await this.shell.run("rm", ["-rf", this.directory]);
  }

  private async criu(verb: string, directory: string, options: readonly string[]): Promise<void> {
    const enter = ["--target", String(this.init), "--pid", "--mount"];
    const words = ["criu", verb, "--images-dir", directory, "--log-file", `${verb}.log`, "-v4", "--tcp-established"];
    const result = await this.shell.run("nsenter", [...enter, ...words, ...options], { timeoutMs: 120_000 });
    if (result.status === 0) return;
    const log = await this.shell.run("tail", ["-n", "40", `${directory}/${verb}.log`]);
    assert.fail(`criu ${verb} on the node: ${log.stdout || result.stderr}`);
  }

  /** Recodes the home set in `home` and restores it on the node. */
  async restore(home: string, local: string): Promise<void> {
    const source = new DirectoryImages(home);
    try {
      const runtime = readFileSync(await buildRuntime("node"));
      const readFile = (path: string): Uint8Array => readFileSync(path);
      const { changes, modules } = toForeign(source, { runtime, readFile });
      assert.ok(modules.every(({ key }) => keyName(key).length === 32));
      writeChanged(source, changes, local);
    } finally {
      source.close();
    }
    await this.shell.putTree(local, local);
    await this.criu("restore", local, ["--restore-detached", "--pidfile", `${local}.pid`]);
  }

  /** Pids, as the node sees them, of the processes in the namespace beside its init and that one's sleep. */
  private async pids(): Promise<number[]> {
    const script =
      'n=$(readlink /proc/$1/ns/pid); for p in /proc/[0-9]*; do [ "$(readlink $p/ns/pid)" = "$n" ] && ' +
      '[ "$(cut -d")" -f2 <$p/stat | cut -c2)" != Z ] && ! grep -q "^sh$\\|^sleep$" $p/comm && basename $p; done; true';
    const { stdout } = await this.shell.runChecked("sh", ["-c", script, "sh", String(this.init)]);
    return stdout.trim().split("\n").filter(Boolean).map(Number);
  }

  private async word(pid: number, field: string): Promise<number> {
    const at = HC_BASE + PROC_AREA_OFFSET + BigInt(offsetOf(ProcState, field));
    const script = `dd if=/proc/${pid}/mem bs=4 skip=$((0x${at.toString(16)} / 4)) count=1 2>/dev/null | od -An -tu4`;
    return Number((await this.shell.runChecked("sh", ["-c", script])).stdout.trim());
  }

  /** Asks every process to quiesce and waits until all threads are parked. */
  async quiesce(): Promise<void> {
    const end = performance.now() + QUIESCE_TIMEOUT_MS;
    const pids = await this.pids();
    assert.ok(pids.length > 0, "processes run on the node");
    for (const pid of pids) await this.shell.runChecked("sh", ["-c", `kill -${QUIESCE_SIGNAL} ${pid}`]);
    for (const pid of pids) {
      for (;;) {
        const [threads, parked] = [await this.word(pid, "threads"), await this.word(pid, "parked")];
        if (threads === parked) break;
        assert.ok(performance.now() < end, `process ${pid}: ${parked} of ${threads} threads are parked`);
        await new Promise((done) => setTimeout(done, 100));
      }
    }
  }

  /** Dumps the quiesced tree of `pid` (as the namespace counts) and puts its home form into `home` on this machine. */
  async dumpHome(pid: number, local: string, home: string): Promise<void> {
    await this.shell.runChecked("mkdir", ["-p", local]);
    await this.criu("dump", local, ["--tree", String(pid)]);
    await this.shell.getTree(local, local);
    const source = new DirectoryImages(local);
    try {
      writeChanged(source, toHome(source, { base: HC_BASE }), home);
    } finally {
      source.close();
    }
  }
}
