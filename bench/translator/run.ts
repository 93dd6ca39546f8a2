// How fast our own part of translating is, LLVM's apart: `node bench/translator/run.ts [--variant plain|precise|ordered] FILE...`
// prints for each ELF file its code in MB, processor time in seconds for finding the code, for dividing and analysing it, and for
// writing its LLVM IR, MB of code per second, and bytes of IR per byte of code. Name a file twice: the first time is also the
// JavaScript engine's warming up.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { VARIANTS } from "../../src/abi/index.ts";
import { executableSegments, readElf } from "../../src/elf/index.ts";
import { discover, liftFile, writeShards } from "../../src/lift/index.ts";

const { values, positionals } = parseArgs({
  options: { variant: { type: "string", default: "plain" } },
  allowPositionals: true,
});
const variant = VARIANTS.find((name) => name === values.variant);
if (!variant || positionals.length === 0)
  throw new Error("usage: node bench/translator/run.ts [--variant plain|precise|ordered] FILE...");

/** Seconds of processor time of this process, the engine's own threads included. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

process.stdout.write(
  "| file | code, MB | find | analyse | write | MB/s | IR : code |\n|---|---|---|---|---|---|---|\n",
);
for (const path of positionals) {
  const times = [processorTime()];
  const elf = readElf(readFileSync(path), path);
  const { map, isConstant } = discover(elf, []);
  times.push(processorTime());
  const lifted = liftFile(map, variant, isConstant);
  times.push(processorTime());
  let irBytes = 0;
  for (const { ir } of writeShards(lifted)) irBytes += ir.length;
  times.push(processorTime());
  const codeBytes = executableSegments(elf).reduce((sum, { bytes }) => sum + bytes.length, 0);
  const seconds = times.slice(1).map((time, i) => (time - times[i]!).toFixed(2));
  const speed = codeBytes / 1e6 / (times.at(-1)! - times[0]!);
  const cells = [
    basename(path),
    (codeBytes / 1e6).toFixed(2),
    ...seconds,
    speed.toFixed(2),
    (irBytes / codeBytes).toFixed(0),
  ];
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}
