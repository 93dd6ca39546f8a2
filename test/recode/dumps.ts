// Real dumps for tests: programs started on this machine in namespaces of their own (network, processes), and dumped
// and restored by criu there, where nobody else takes their pids.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { criuDump, criuRestore, runChecked } from "../../src/host/index.ts";

const STEP_MS = 10;

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await new Promise((done) => setTimeout(done, STEP_MS));
  }
}

/** A directory and a network namespace for one test. */
export class Bench {
  readonly directory: string = mkdtempSync(join(tmpdir(), "hc-recode-"));
  private init = 0;
  private namespace: ChildProcess | undefined;

  path(name: string): string {
    return join(this.directory, name);
  }

  text(name: string): string {
    return existsSync(this.path(name)) ? readFileSync(this.path(name), "utf8") : "";
  }

  /** Compiles a program of test/programs as a static executable. */
  async compile(source: string, name: string): Promise<string> {
    const from = join(import.meta.dirname, "../programs", source);
    await runChecked("gcc", ["-O2", "-static", "-pthread", "-w", "-o", this.path(name), from]);
    return this.path(name);
  }

  private async prefix(): Promise<string[]> {
    if (!this.namespace) {
      // The shell is the namespace's init: it takes in and reaps whatever loses its parent.
      const script = "ip link set lo up && echo up && { sleep 100000 & wait; }";
      const words = ["--net", "--pid", "--fork", "--mount-proc", "sh", "-c", script];
      this.namespace = spawn("unshare", words, { stdio: ["ignore", "pipe", "inherit"] });
      await new Promise((done) => this.namespace!.stdout!.once("data", done));
      const children = readFileSync(`/proc/${this.namespace.pid}/task/${this.namespace.pid}/children`, "utf8");
      this.init = Number(children.trim());
    }
    return ["nsenter", "--target", String(this.init), "--net", "--pid", "--mount"];
  }

  /** Starts a program in a session of its own; what it prints goes to the file `output`. Gives its pid there. */
  async start(words: readonly string[], output: string): Promise<number> {
    // Files are opened inside: what is open from outside of the namespace's mounts could not be dumped.
    const script = 'exec </dev/null >>"$0" 2>&1; echo $$ >"$0.pid"; exec "$@"';
    const [command, ...args] = [...(await this.prefix()), "setsid", "--fork", "sh", "-c", script, this.path(output)];
    const child = spawn(command!, [...args, ...words], { stdio: "ignore", cwd: this.directory });
    await new Promise((done) => child.once("exit", done));
    await until(() => this.text(`${output}.pid`).endsWith("\n"), "the program's pid");
    const pid = Number(this.text(`${output}.pid`));
    rmSync(this.path(`${output}.pid`));
    return pid;
  }

  /** Dumps a process tree, which ends, into the directory `name`. */
  async dump(pid: number, name: string, options: readonly string[] = []): Promise<string> {
    await criuDump(pid, this.path(name), { prefix: await this.prefix(), options: ["--tcp-established", ...options] });
    return this.path(name);
  }

  /** Restores what lies in `directory`. */
  async restore(directory: string, options: readonly string[] = []): Promise<number> {
    const prefix = await this.prefix();
    return criuRestore(directory, { prefix, options: ["--tcp-established", ...options] });
  }

  /** Ends everything that was started here and removes the directory. */
  close(): void {
    if (this.init > 0) process.kill(this.init, "SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}
