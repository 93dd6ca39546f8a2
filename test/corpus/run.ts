// Runs rows of the corpus by hand: `node test/corpus/run.ts [OPTION]... [NAME-START | ROOT]...`
//
//   --native          only the native run; prints what it prints
//   --interpret       nothing translated
//   --executed        with what it executes translated meanwhile, and again with that: large programs in minutes instead of hours
//   --known           translated, and only what is found without running first
//   --without PART    leaves a module out, to find the one at fault; may be repeated
//   --bisect          for a row that differs: which module's translation makes it differ
//   --record          notes the results in results.json, for docs/programs.md
//   --patience N      how many times longer than usual a row may take
//
// Without --known, a row that maps files which its script does not name runs again with those translated too.

import { parseArgs } from "node:util";
import { packageVersions } from "../../src/host/index.ts";
import { type CorpusProgram, PROGRAMS } from "./programs.ts";
import { recordResult, type Way } from "./results.ts";
import {
  differences,
  type Outcome,
  rootOf,
  runExecuted,
  runNatively,
  runTranslated,
  type TranslatedOutcome,
} from "./run-program.ts";

const { values, positionals } = parseArgs({
  options: {
    native: { type: "boolean", default: false },
    interpret: { type: "boolean", default: false },
    executed: { type: "boolean", default: false },
    known: { type: "boolean", default: false },
    without: { type: "string", multiple: true, default: [] },
    bisect: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    patience: { type: "string", default: "1" },
  },
  allowPositionals: true,
});

const rows = PROGRAMS.filter(
  (row) => positionals.length === 0 || positionals.some((part) => row.name.startsWith(part) || row.root === part),
).map((row) => ({ ...row, seconds: (row.seconds ?? 120) * Number(values.patience) }));

async function bisect(row: CorpusProgram, native: Outcome, modules: readonly string[]): Promise<void> {
  for (const module of modules) {
    const outcome = await runTranslated(row, { modules, without: [module] });
    if (differences(native, outcome).length === 0) process.stdout.write(`  at fault: ${module}\n`);
  }
}

async function runRow(row: CorpusProgram): Promise<boolean> {
  await rootOf(row);
  const native = await runNatively(row);
  if (values.native) {
    process.stdout.write(
      `== ${row.name}: status ${native.status}\n${native.stdout}${native.stderr}${JSON.stringify(native.files, null, 1)}\n`,
    );
    const again = differences(native, await runNatively(row));
    if (again.length > 0) process.stdout.write(`  NOT DETERMINISTIC: ${again.join("\n  ")}\n`);
    return again.length === 0;
  }
  if (values.executed) {
    const reports: boolean[] = [];
    for (const outcome of await runExecuted(row, values.without)) {
      reports.push(await report(row, native, outcome, reports.length === 0 ? "meanwhile" : "executed"));
    }
    return !reports.includes(false);
  }
  const options = { interpret: values.interpret, without: values.without };
  let outcome = await runTranslated(row, { modules: [], ...options });
  const { modules, unknown, variants } = outcome;
  if (!values.interpret && !values.known && (unknown.length > 0 || variants.length > 1))
    outcome = await runTranslated(row, { modules, variants, ...options });
  const isSame = await report(row, native, outcome, values.interpret ? "interpreted" : "translated");
  if (!isSame && values.bisect) await bisect(row, native, modules);
  return isSame;
}

/** Says what came of a row, and notes it if that is wanted; whether all was as natively. */
async function report(row: CorpusProgram, native: Outcome, outcome: TranslatedOutcome, way: Way): Promise<boolean> {
  const found = differences(native, outcome);
  if (values.record) {
    const version = (await packageVersions(await rootOf(row))).get(row.package) ?? "";
    recordResult(row.name, version, way, found.length === 0, outcome.milliseconds);
  }
  const verdict = found.length === 0 ? "same" : "DIFFERS";
  const seconds = (outcome.milliseconds / 1000).toFixed(1);
  process.stdout.write(`${verdict.padEnd(8)}${row.name.padEnd(34)}${way.padEnd(12)}${seconds} s\n`);
  for (const line of found.slice(0, 12)) process.stdout.write(`  ${line.slice(0, 400)}\n`);
  return found.length === 0;
}

let wrong = 0;
for (const row of rows) {
  try {
    if (!(await runRow(row))) wrong++;
  } catch (error) {
    wrong++;
    process.stdout.write(
      `FAILED  ${row.name}: ${error instanceof Error ? error.message.slice(0, 600) : String(error)}\n`,
    );
  }
}
process.stdout.write(`${rows.length - wrong} of ${rows.length} as natively\n`);
process.exitCode = wrong > 0 ? 1 : 0;
