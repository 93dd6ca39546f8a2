// `hcontainer migrate`: moves a running container, or brings interrupted migrations to an end.

import { type MigrationReport, migrate, recover, stageLater, unfinishedJournals } from "../migrate/index.ts";
import { numberOption, parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { NodeList, prepareForeign, translate, translateLater } from "./node-list.ts";
import { formatMs, Progress, printJson, table } from "./output.ts";

export const help = `Moves a running container to another node, of the same or another instruction set, and keeps it running.

usage: hcontainer migrate CONTAINER NODE [--from NODE] [--timeout SECONDS] [--translate WHEN] [--json]
       hcontainer migrate --recover [--json]

  --from NODE         the node that it runs on, if several have a container of that name
  --timeout SECONDS   how long its freeze may take before the migration is given up (default 180)
  --translate WHEN    first (default): before the freeze; later: what is not at hand is made when the container runs there,
                      interpreted until then
  --recover           end migrations whose process died: commit those whose container runs at the target, resume the
                      others at the source
  --json              print the report as JSON

The container is checked, then image, files and translations are brought over while it runs; then it is frozen, the rest
follows, and it goes on at the target. If anything fails before it runs there, it goes on at the source (exit code 4).

examples:
  hcontainer migrate web arm64
  hcontainer migrate web amd64 --json | jq .downtimeMs
  hcontainer migrate --recover
`;

/** Words for the steps. */
export const STEP_NAMES: Readonly<Record<string, string>> = {
  prepare: "prepare",
  image: "stage the image",
  create: "create the container",
  translate: "translate its programs",
  files: "copy its files",
  freeze: "freeze and dump",
  transfer: "copy the checkpoint and what changed",
  restore: "restore",
  settle: "see it run",
  commit: "commit",
};

/** Prints a report for people. */
export function printReport(report: MigrationReport): void {
  const rows = report.steps.map(({ step, ms }) => [STEP_NAMES[step] ?? step, formatMs(ms)]);
  process.stdout.write(`${table([["step", "time"], ...rows])}\n`);
  const { container, source, target, direction } = report;
  process.stdout.write(
    `${container} moved from ${source} to ${target} (${direction}): frozen for ${formatMs(report.downtimeMs)}, ` +
      `${formatMs(report.totalMs)} in all, checkpoint ${Math.ceil(report.checkpointBytes / 1024)} KiB\n`,
  );
  for (const left of report.leftovers) process.stdout.write(`left over: ${left}\n`);
}

async function runRecovery(isJson: boolean): Promise<number> {
  const journals = unfinishedJournals();
  if (journals.length === 0) {
    if (isJson) printJson([]);
    else process.stdout.write("nothing to recover\n");
    return exitCode("ok");
  }
  const nodes = await NodeList.attach();
  try {
    const reports = [];
    for (const journal of journals) reports.push(await recover(journal, (name) => nodes.node(name)));
    if (isJson) printJson(reports);
    else
      for (const { container, source, target, result } of reports)
        process.stdout.write(
          result === "moved"
            ? `${container} runs on ${target}; its migration is committed\n`
            : `${container} goes on at ${source}\n`,
        );
    return exitCode("ok");
  } finally {
    await nodes.close();
  }
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(
    args,
    {
      from: { type: "string" },
      timeout: { type: "string" },
      translate: { type: "string", default: "first" },
      recover: { type: "boolean" },
      json: { type: "boolean" },
    },
    ["CONTAINER?", "NODE?"],
  );
  if (values.recover) return runRecovery(values.json ?? false);
  const [container, to] = operands;
  if (container === undefined || to === undefined) throw new UsageError("CONTAINER and NODE are wanted");
  const freezeTimeoutMs = numberOption("timeout", values.timeout, 180, 1, 86_400) * 1000;
  const isLater = values.translate === "later";
  if (!isLater && values.translate !== "first") throw new UsageError("--translate wants 'first' or 'later'");
  const nodes = await NodeList.attach();
  const progress = new Progress();
  try {
    const source = await nodes.find(container, values.from);
    const target = await nodes.node(to);
    for (const node of [source, target]) {
      if (node.architecture !== "arm64") continue;
      progress.step(`${node.name} up to date`);
      await prepareForeign(node.shell);
      progress.done();
    }
    const report = await migrate(source, target, container, {
      translate: isLater ? translateLater : translate,
      freezeTimeoutMs,
      onStep: (step, ms) => (ms === undefined ? progress.step(STEP_NAMES[step] ?? step) : progress.done()),
      onNote: (text) => progress.note(text),
    });
    if (values.json) printJson(report);
    else printReport(report);
    if (report.untranslated.length > 0) {
      progress.step("translate what is interpreted so far");
      await stageLater(target, report.untranslated, translate, (text) => progress.note(text));
      progress.done();
    }
    return exitCode("ok");
  } catch (error) {
    progress.failed();
    throw error;
  } finally {
    await nodes.close();
  }
}
