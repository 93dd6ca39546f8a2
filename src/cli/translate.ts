// `hcontainer translate`: translates an ELF file for a foreign node and reports what the translation covers.

import { copyFile, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { VARIANTS } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { parseEntries, type TranslationReport, translateFile } from "../host/index.ts";
import { parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { formatMs, Progress, printJson, table } from "./output.ts";

export const help = `Translates an x86-64 ELF file into code for a foreign node, and reports how much of it is covered.

usage: hcontainer translate FILE [--target aarch64] [--variant VARIANT] [--entries LIST] [-o OUT] [--json]

  --target aarch64   the foreign node's instruction set (the only one today)
  --variant VARIANT  plain (default), for processes of one thread that share no memory; precise, for those that handle
                     faults too; or ordered, for threads and shared memory
  --entries LIST     a file of addresses in hexadecimal, one a line, at which to look for code as well
  -o, --output OUT   also write the translation to OUT; if OUT is a directory, under the name that nodes look for
  --json             print the report as JSON

Translations are cached by the content of the file. Instructions that are not translated are interpreted when they are
reached; so is code that was not found. What runs of the file have asked for in vain is remembered and found the next time.

examples:
  hcontainer translate /usr/bin/busybox
  hcontainer translate /bin/bash --json | jq .unsupported
`;

const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(2)} %`;

function printReport(report: TranslationReport, isFresh: boolean): void {
  const { milliseconds: ms } = report;
  const interpreted = `${report.interpretedInstructions} (${percent(report.interpretedInstructions, report.instructions)})`;
  const rows: [string, string][] = [
    ["translation", report.name],
    [
      "code found",
      `${report.coveredBytes} of ${report.codeBytes} bytes (${percent(report.coveredBytes, report.codeBytes)})`,
    ],
    ["instructions", `${report.instructions}`],
    ["left to the interpreter", interpreted],
    ["functions", `${report.functions}`],
    ["entries", `${report.entries}, of which runs or you asked for ${report.hintedEntries}`],
    ["jump tables", `${report.jumpTables}, and ${report.unresolvedJumps} jumps with targets known at run time only`],
    ["size", `${report.outputBytes} bytes (${(report.outputBytes / report.codeBytes).toFixed(2)} × the code)`],
    [
      isFresh ? "time" : "time when it was made",
      `${formatMs(ms.discover)} discovery, ${formatMs(ms.analyse)} analysis, ${formatMs(ms.compile)} LLVM, ${formatMs(ms.link)} linking`,
    ],
  ];
  const { tools, own } = report.cpuMilliseconds;
  rows.push(["processor time", `${formatMs(own)} our own, ${formatMs(tools)} LLVM`]);
  rows.push(["memory", `${Math.round(report.peakBytes / 2 ** 20)} MiB at most in our own process`]);
  if (report.refusedInstructions > 0)
    rows.push([
      "refused by LLVM",
      `${report.refusedInstructions} instructions: interpreted; a defect, please report it`,
    ]);
  for (const [name, text] of rows) process.stdout.write(`${name.padEnd(24)}${text}\n`);
  if (report.unsupported.length === 0) return;
  process.stdout.write("\nleft to the interpreter:\n");
  const lines = report.unsupported.map(({ mnemonic, count, reason }) => [mnemonic.toLowerCase(), `${count}`, reason]);
  process.stdout.write(`${table([["mnemonic", "count", "reason"], ...lines])}\n`);
}

function noSuchFile(path: string): never {
  throw new InputError("no-such-file", "there is no such file", path);
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(
    args,
    {
      target: { type: "string", default: "aarch64" },
      variant: { type: "string", default: "plain" },
      entries: { type: "string" },
      output: { type: "string", short: "o" },
      json: { type: "boolean", default: false },
    },
    ["FILE"],
  );
  if (values.target !== "aarch64") throw new UsageError(`--target wants aarch64, not '${values.target}'`);
  const variant = VARIANTS.find((name) => name === values.variant);
  if (!variant) throw new UsageError(`--variant wants one of ${VARIANTS.join(", ")}, not '${values.variant}'`);
  const file = operands[0]!;
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) noSuchFile(file);
  const list = values.entries;
  const entries = list === undefined ? [] : parseEntries(await readFile(list, "latin1").catch(() => noSuchFile(list)));
  const progress = new Progress(values.json);
  progress.step(`translate ${file}`);
  let isFresh = false;
  const { path, report } = await translateFile(file, {
    variant,
    entries,
    onProgress: () => {
      isFresh = true;
    },
  });
  progress.done(isFresh ? "" : "from the cache");
  if (values.output !== undefined) {
    const isDirectory = (await stat(values.output).catch(() => null))?.isDirectory() ?? false;
    await copyFile(path, isDirectory ? join(values.output, report.name) : values.output);
  }
  if (values.json) printJson(report);
  else printReport(report, isFresh);
  return exitCode("ok");
}
