// What our steps add to a plain CRIU migration, on one machine and on its own processor: a pipeline of busybox processes
// and a server are dumped and restored by criu, as often as asked; around that, the steps that are ours are taken with the
// same image sets and timed: the OCI runtime's whole call before and after runc (with a runc that does nothing), and the
// recoder by itself. An emulated node would tell the emulator's time.
//
// usage: node bench/migration/run.ts [ROUNDS]

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RUNTIME_FILE } from "../../src/abi/index.ts";
import { buildRuntime, DirectoryImages, runChecked, writeChanged } from "../../src/host/index.ts";
import { NODE_CODE_PATH, nodeCode } from "../../src/migrate/index.ts";
import { recodeToForeign, recodeToHome } from "../../src/oci/index.ts";
import { Bench } from "../../test/recode/dumps.ts";
import { copyOf, park } from "../../test/recode/support.ts";

const ROOT = join(import.meta.dirname, "../..");
const ROUNDS = Number(process.argv[2] ?? 10);
const SCRIPT = `busybox httpd -p 127.0.0.1:8080 -h /
count() { n=0; while :; do n=$((n + 1)); echo "line $n"; sleep 0.1; done; }
check() { while read -r line; do sum=$(echo "$line" | md5sum); echo "$line \${sum%% *}"; done; }
count | check | cat`;

const times = new Map<string, number[]>();
function note(what: string, ms: number): void {
  times.set(what, [...(times.get(what) ?? []), ms]);
}
async function timed<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  note(what, performance.now() - start);
  return result;
}

/** An installed node's package, and a runc that does nothing. */
async function installPackage(directory: string): Promise<{ command: string; env: NodeJS.ProcessEnv }> {
  mkdirSync(join(directory, "dist/oci"), { recursive: true });
  mkdirSync(join(directory, "node/translations"), { recursive: true });
  mkdirSync(join(directory, "node_modules/.bin"), { recursive: true });
  await runChecked("cp", ["-r", join(ROOT, "bin"), join(ROOT, "package.json"), directory]);
  await runChecked("cp", [await buildRuntime("node"), join(directory, "node", RUNTIME_FILE)]);
  symlinkSync(process.execPath, join(directory, "node_modules/.bin/node"));
  writeFileSync(join(directory, NODE_CODE_PATH), await nodeCode());
  const idle = join(directory, "runc");
  writeFileSync(idle, "#!/bin/sh\nexit 0\n");
  chmodSync(idle, 0o755);
  const env = { ...process.env, HCONTAINER_RUNC: idle, NODE_COMPILE_CACHE: join(directory, "compiled") };
  return { command: join(directory, "bin/hcontainer-runtime"), env };
}

const bench = new Bench();
try {
  const { command, env } = await installPackage(bench.path("package"));
  const bundle = bench.path("bundle");
  mkdirSync(bundle);
  let pid = await bench.start(["busybox", "sh", "-c", SCRIPT], "output");
  await new Promise((done) => setTimeout(done, 1000));
  for (let round = 0; round <= ROUNDS; round++) {
    const home = await timed("criu dump", () => bench.dump(pid, `home-${round}`));
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ root: { path: "/" }, mounts: [] }));
    await timed("our OCI runtime around a restore abroad", () => {
      const words = ["restore", "--image-path", home, "--bundle", bundle, "container"];
      const { status, stderr } = spawnSync(command, words, { env, encoding: "utf8" });
      if (status !== 0) throw new Error(`hcontainer-runtime restore: ${stderr}`);
    });
    const foreign = bench.path(`foreign-${round}`);
    const images = new DirectoryImages(home);
    await timed("  of it recoding to translated form", () => {
      writeChanged(images, recodeToForeign(images, "/", join(bench.path("package"), "node")), foreign);
    });
    images.close();
    // As the runtime leaves it before a dump; what it is written to is memory, as on a node it is the page cache.
    const dumped = copyOf(new DirectoryImages(foreign));
    park(dumped);
    await timed("recoding to home form", () => recodeToHome(dumped));
    await timed("Node.js starting and ending", () => spawnSync(process.execPath, ["-e", "0"], { env }));
    await timed("the OCI runtime's code loaded, nothing to do", () =>
      spawnSync(command, ["restore", "--image-path", bench.path("none"), "x"], { env }),
    );
    pid = await timed("criu restore", () => bench.restore(home));
    for (const name of [`home-${round}`, `foreign-${round}`]) rmSync(bench.path(name), { recursive: true });
    await new Promise((done) => setTimeout(done, 200));
    // The first round fills caches, the compiler's among them.
    if (round === 0) times.clear();
  }
} finally {
  bench.close();
}
process.stdout.write(`${"step".padEnd(48)}   median      min   (ms, ${ROUNDS} rounds)\n`);
for (const [what, list] of times) {
  const sorted = list.toSorted((a, b) => a - b);
  const show = (ms: number): string => ms.toFixed(1).padStart(8);
  process.stdout.write(`${what.padEnd(48)} ${show(sorted[sorted.length >> 1]!)} ${show(sorted[0]!)}\n`);
}
