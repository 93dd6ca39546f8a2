// Runs tiers of tests and sums up: `test/run [TIER]... [-- FILE-PART]...`. A test file names its tier in its first
// line, `// tier: NAME`; without one it is fast. The last line is `N passed, N failed`; the exit code is non-zero when
// a test failed or when none ran.
//
//   check    types, lint, layers: no test of behaviour
//   fast     pure code; no root, no tools, seconds
//   cpu      against the real CPU; needs LLVM 19 and qemu-user
//   runtime  translated programs under qemu-user
//   lab      needs root; two nodes on this machine
//   e2e      whole migrations in the lab
//   harm     many round trips; long
//   servers  Debian's servers moved under load; long
//   corpus   many of Debian's programs, translated, against native runs; hours without a cache
//   all      every tier but harm, servers and corpus

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const ALL = ["check", "fast", "cpu", "runtime", "lab", "e2e"];
const TIERS = [...ALL, "harm", "servers", "corpus"];
const WHOLE_FILE_MINUTES = {
  check: 10,
  fast: 5,
  cpu: 20,
  runtime: 20,
  lab: 30,
  e2e: 40,
  harm: 180,
  servers: 600,
  corpus: 720,
} as Record<string, number>;

function tierOf(file: string): string {
  const first = readFileSync(file, "utf8").split("\n", 1)[0]!;
  const tier = /^\/\/ tier: ([a-z0-9]+)$/.exec(first)?.[1] ?? "fast";
  if (!TIERS.includes(tier)) throw new Error(`${file}: no such tier: ${tier}`);
  return tier;
}

function wanted(args: readonly string[]): { tiers: readonly string[]; parts: readonly string[] } {
  const cut = args.indexOf("--");
  const names = cut < 0 ? args : args.slice(0, cut);
  for (const name of names)
    if (!TIERS.includes(name) && name !== "all")
      throw new Error(`no such tier: ${name} (one of ${TIERS.join(" ")} all)`);
  const parts = cut < 0 ? [] : args.slice(cut + 1);
  if (names.includes("all")) return { tiers: ALL, parts };
  return { tiers: names.length ? names : ["fast"], parts };
}

/** Runs the files of one tier; resolves to the numbers of tests passed and failed. */
async function runTier(tier: string, files: string[]): Promise<{ passed: number; failed: number }> {
  process.stdout.write(`# tier ${tier}: ${files.length} files\n`);
  const serial = ["lab", "e2e", "harm", "servers", "corpus"].includes(tier);
  const stream = run({ files, concurrency: serial ? 1 : 2, timeout: WHOLE_FILE_MINUTES[tier]! * 60_000 });
  let [passed, failed] = [0, 0];
  stream.on("test:pass", (event) => {
    if (event.details.type !== "suite" && event.skip === undefined && event.todo === undefined) passed++;
  });
  stream.on("test:fail", (event) => {
    if (event.details.type !== "suite" && event.todo === undefined) failed++;
  });
  await new Promise<void>((resolve, reject) => {
    stream.once("error", reject);
    stream.compose(new spec()).on("end", resolve).on("error", reject).pipe(process.stdout, { end: false });
  });
  return { passed, failed };
}

const { tiers, parts } = wanted(process.argv.slice(2));
const root = import.meta.dirname;
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.ts") && (parts.length === 0 || parts.some((part) => name.includes(part))))
  .map((name) => join(root, name))
  .sort();

let [passed, failed] = [0, 0];
for (const tier of tiers) {
  const own = files.filter((file) => tierOf(file) === tier);
  if (own.length === 0) continue;
  const counts = await runTier(tier, own);
  passed += counts.passed;
  failed += counts.failed;
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
