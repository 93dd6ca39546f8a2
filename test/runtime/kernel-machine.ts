// A machine of the node's architecture in which programs run in the runtime from the first process on: the lab node's kernel
// boots with the runtime as its first program, which runs an unmodified busybox, which runs a script. Needs no root.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { NODE_MOUNT, printHeader, RUNTIME_FILE } from "../../src/abi/index.ts";
import { buildRuntime, translateFile } from "../../src/host/index.ts";
import { arm64Disk } from "../../src/lab/index.ts";

const BUSYBOX = "/usr/bin/busybox";

/** What a command printed, on both streams, and how it ended. */
export interface Result {
  readonly status: number;
  readonly output: string;
}

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

/** The files of one boot; `directory` is where programs are compiled and run natively. */
export class KernelMachine {
  readonly directory = mkdtempSync(join(tmpdir(), "hcontainer-kernel-"));
  readonly native = new Map<string, Result>();
  readonly files = new Map<string, Buffer>();
  /** What the console showed. */
  trace = "";
  readonly #found = new Map<string, Result>();

  constructor() {
    writeFileSync(join(this.directory, "abi.h"), printHeader());
  }

  /** Compiles a C program; gives its path on this machine. */
  compile(source: string): string {
    const output = join(this.directory, basename(source, ".c"));
    execFileSync("gcc", ["-static", "-O1", "-w", "-pthread", `-I${this.directory}`, source, "-o", output]);
    return output;
  }

  /** Runs a program in a directory of its own, natively. */
  runNatively(program: string, args: readonly string[] = []): Result {
    // A tmpfs, as the machine has.
    const cwd = mkdtempSync(join("/dev/shm", "hcontainer-run-"));
    const { stdout, stderr, status } = spawnSync(program, args, { cwd, encoding: "utf8", env: {}, timeout: 120_000 });
    rmSync(cwd, { recursive: true, force: true });
    return { status: status ?? -1, output: stdout + stderr };
  }

  /** Boots and runs the shell script, by a busybox that is translated unless told otherwise, in which `report NAME STATUS` hands over the file /tmp/out. */
  async boot(
    script: string,
    options: { readonly interpreted?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const runtime = await buildRuntime("node");
    if (!options.interpreted) {
      const { path, report } = await translateFile(BUSYBOX);
      this.files.set(`${NODE_MOUNT.slice(1)}/translations/${report.name}`, readFileSync(path));
    }
    const { kernel } = await arm64Disk(() => undefined);
    const head = `#!/bin/sh
export PATH=/bin
busybox mount -t proc p /proc; busybox mount -t devtmpfs d /dev; busybox mount -t tmpfs t /tmp; busybox ip link set lo up
busybox ln -s /proc/self/fd /dev/fd
report() { echo "RESULT $1 $2"; busybox base64 /tmp/out; echo END; }
cd /tmp
`;
    const files = new Map<string, Buffer>([
      [`${NODE_MOUNT.slice(1)}/${RUNTIME_FILE}`, readFileSync(runtime)],
      ["bin/busybox", readFileSync(BUSYBOX)],
      ["bin/sh", readFileSync(BUSYBOX)],
      ["usr/bin/busybox", readFileSync(BUSYBOX)],
      ["etc/passwd", readFileSync("/etc/passwd")],
      ["script", Buffer.from(`${head}${script}\nbusybox poweroff -f\n`)],
      ...this.files,
    ]);
    const image = join(this.directory, "initramfs");
    writeFileSync(image, initramfs(files, ["proc", "dev", "sys", "tmp"]));
    const machine = "-M virt -cpu max,pauth-impdef=on -m 1024 -smp 2 -nographic -net none -no-reboot".split(" ");
    const append = `console=ttyAMA0 quiet panic=-1 rdinit=${NODE_MOUNT}/${RUNTIME_FILE} -- /bin/busybox /bin/busybox sh /script`;
    const { stdout } = spawnSync(
      "qemu-system-aarch64",
      [...machine, "-kernel", kernel, "-initrd", image, "-append", append],
      {
        encoding: "utf8",
        timeout: options.timeoutMs ?? 300_000,
        stdio: ["ignore", "pipe", "inherit"],
        maxBuffer: 1 << 28,
      },
    );
    this.trace = stdout.replaceAll("\r", "");
    for (const [, name, status, text] of this.trace.matchAll(/^RESULT (\S+) (\d+)\n([A-Za-z0-9+/=\n]*?)END$/gm)) {
      this.#found.set(name!, { status: Number(status), output: Buffer.from(text!, "base64").toString() });
    }
  }

  /** What was reported under a name; throws, with the end of the console, if nothing was. */
  result(name: string): Result {
    const one = this.#found.get(name);
    if (!one) throw new Error(`no result of ${name}; the console:\n${this.trace.slice(-2000)}`);
    return one;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
