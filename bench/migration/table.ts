// Prints, as Markdown, where the time of migrations went: medians over the moves of a report of `hcontainer demo --json`.
//
// usage: bin/hcontainer demo --rounds 20 --json >REPORT && node bench/migration/table.ts REPORT

import { readFileSync } from "node:fs";
import type { DemoReport } from "../../src/cli/demo.ts";

const report = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as DemoReport;
const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const directions = [...new Set(report.moves.map((move) => move.direction))];
const steps = [...new Set(report.moves.flatMap((move) => move.steps.map(({ step }) => step)))];
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;

let text = row(["step", ...directions.map((direction) => `${direction}, ms`)]);
text += row(["---", ...directions.map(() => "---:")]);
for (const step of steps) {
  const cells = directions.map((direction) => {
    const times = report.moves
      .filter((move) => move.direction === direction)
      .flatMap((move) => move.steps.filter((s) => s.step === step).map((s) => s.ms));
    return times.length === 0 ? "" : String(Math.round(median(times)));
  });
  text += row([step, ...cells]);
}
const frozen = directions.map((direction) =>
  String(Math.round(median(report.moves.filter((move) => move.direction === direction).map((m) => m.downtimeMs)))),
);
text += row(["**frozen** (freeze to restore)", ...frozen]);
const { pages, wrong, longestGapMs } = report.client;
text += `\n${report.moves.length} moves, seed ${report.seed}: ${report.lines} lines logged, ${report.complaints.length} complaints; `;
text += `${pages} pages fetched, ${wrong} wrong, longest gap ${Math.round(longestGapMs)} ms.\n`;
process.stdout.write(text);
