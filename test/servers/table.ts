// The page of the servers, made from what their round trips measured: `table.ts` writes docs/servers.md from the reports that
// the test has left in the cache; a server without a report is missing there.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { cacheDirectory } from "../../src/host/index.ts";
import { SERVERS } from "./cases.ts";
import type { ServerReport } from "./run.ts";

const PAGE = resolve(import.meta.dirname, "../../docs/servers.md");

/** Steps in the order of the table; those before the freeze run while the server works. */
const STEPS = ["image", "translate", "files", "freeze", "transfer", "restore"] as const;

const reportPath = (name: string): string => join(cacheDirectory(), "servers", `${name}.json`);

/** Keeps a report for the page. */
export async function keepReport(report: ServerReport): Promise<void> {
  await mkdir(dirname(reportPath(report.name)), { recursive: true });
  await writeFile(reportPath(report.name), `${JSON.stringify(report, null, 1)}\n`);
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

function tableOf(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return line(head!) + line(head!.map((_, index) => (index < 2 ? "---" : "---:"))) + body.map(line).join("");
}

/** The longest time without a reply around a move: it ends in the phase of the move or in the one after. */
function gapOf(report: ServerReport, phases: readonly string[]): number {
  return Math.max(...report.client.phases.filter(({ name }) => phases.includes(name)).map((p) => p.longestGapMs));
}

function rateOf(report: ServerReport, name: string): string {
  const phase = report.client.phases.find((p) => p.name === name);
  return phase === undefined || phase.ms === 0 ? "" : (phase.replies / (phase.ms / 1000)).toFixed(1);
}

/** Rows of one server, a move each. */
function moveRows(report: ServerReport): string[][] {
  const around = [
    ["going out", "abroad"],
    ["going home", "home again"],
  ] as const;
  return report.moves.map((move, index) => {
    const cells = STEPS.map((step) => {
      const found = move.steps.find((s) => s.step === step);
      return found ? seconds(found.ms) : "";
    });
    const way = move.direction;
    const gap = seconds(gapOf(report, around[index % 2]!));
    return [
      report.name,
      way,
      ...cells,
      seconds(move.downtimeMs),
      gap,
      `${Math.ceil(move.checkpointBytes / (1 << 20))}`,
    ];
  });
}

/** The page. */
export function pageOf(reports: readonly ServerReport[]): string {
  const moves = [
    ["server", "move", ...STEPS, "frozen", "client's longest gap", "checkpoint, MiB"],
    ...reports.flatMap((report) => moveRows(report)),
  ];
  const checks = [
    [
      "server",
      "what it is",
      "replies checked",
      "wrong",
      "connections",
      "replies/s at home",
      "abroad (QEMU)",
      "translated",
      "load",
    ],
    ...reports.map((report) => [
      report.name,
      report.title,
      String(report.client.replies),
      String(report.client.wrong),
      String(report.client.connections),
      rateOf(report, "home"),
      rateOf(report, "abroad"),
      `${report.moves[0]?.translations.length ?? 0} of ${translatable(report)} files`,
      report.load?.toFixed(1) ?? "not noted",
    ]),
  ];
  return `# Servers

Made by \`node test/servers/table.ts\` from the runs of \`test/run servers\`: do not edit.

Servers of Debian 12, unmodified, in plain containers with Docker's default settings, move from an amd64 node to an arm64 node
and back while their clients work. A client keeps connections open over the moves beside new ones and checks every reply; at
the end it compares all data with its own model. One wrong reply, broken connection or lost byte fails the test.

The arm64 node is emulated by QEMU on the same two processors that run the amd64 node, the clients and the tests; its steps
take some 20 times longer than on a real machine, and so do replies abroad. Files without a translation are interpreted. "Load" is the machine's load average over the last quarter of
an hour; times of a busy machine say little.

Times in seconds. Image, translations and files are brought over while the server works; the rest is between freeze and
restore.

${tableOf(moves)}
${tableOf(checks)}`;
}

function translatable(report: ServerReport): number {
  const move = report.moves[0];
  return move === undefined ? 0 : move.translations.length + move.untranslated.length;
}

/** The reports that are there, in the order of the cases. */
async function keptReports(): Promise<ServerReport[]> {
  const reports: ServerReport[] = [];
  for (const { name } of SERVERS) {
    const text = await readFile(reportPath(name), "utf8").catch(() => undefined);
    if (text !== undefined) reports.push(JSON.parse(text) as ServerReport);
  }
  return reports;
}

if (process.argv[1] === import.meta.filename) await writeFile(PAGE, pageOf(await keptReports()));
