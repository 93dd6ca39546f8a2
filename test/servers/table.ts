// The page of the servers, made from what their round trips measured: the test keeps what the page needs of each report in
// results.json, and `table.ts` writes docs/servers.md from that; a server that has not been moved is missing there.

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { SERVERS } from "./cases.ts";
import type { ServerReport } from "./run.ts";

const PAGE = resolve(import.meta.dirname, "../../docs/servers.md");
const RESULTS = join(import.meta.dirname, "results.json");

/** Steps in the order of the table; those before the freeze run while the server works. */
const STEPS = ["image", "translate", "files", "freeze", "transfer", "restore"] as const;
/** The client's phases around the two moves. */
const AROUND = [
  ["going out", "abroad"],
  ["going home", "home again"],
] as const;

/** What the page shows of one move; times in seconds. */
interface MoveResult {
  readonly direction: string;
  readonly steps: Readonly<Partial<Record<(typeof STEPS)[number], number>>>;
  readonly frozen: number;
  readonly longestGap: number;
  readonly checkpointMiB: number;
}

/** What the page shows of one server. */
interface ServerResult {
  readonly title: string;
  readonly moves: readonly MoveResult[];
  readonly replies: number;
  readonly wrong: number;
  readonly connections: number;
  /** Replies a second. */
  readonly home: number;
  readonly abroad: number;
  readonly translated: number;
  readonly files: number;
  readonly load?: number;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;

/** The longest time without a reply around a move: it ends in the phase of the move or in the one after. */
function gapOf(report: ServerReport, phases: readonly string[]): number {
  return Math.max(...report.client.phases.filter(({ name }) => phases.includes(name)).map((p) => p.longestGapMs));
}

function rateOf(report: ServerReport, name: string): number {
  const phase = report.client.phases.find((p) => p.name === name);
  return phase === undefined || phase.ms === 0 ? 0 : tenths(phase.replies / (phase.ms / 1000));
}

function resultOf(report: ServerReport): ServerResult {
  const moves = report.moves.map((move, index) => ({
    direction: move.direction,
    steps: Object.fromEntries(
      STEPS.flatMap((step) => {
        const found = move.steps.find((s) => s.step === step);
        return found ? [[step, tenths(found.ms / 1000)]] : [];
      }),
    ),
    frozen: tenths(move.downtimeMs / 1000),
    longestGap: tenths(gapOf(report, AROUND[index % 2]!) / 1000),
    checkpointMiB: Math.ceil(move.checkpointBytes / (1 << 20)),
  }));
  const { translations = [], untranslated = [] } = report.moves[0] ?? {};
  const { replies, wrong, connections } = report.client;
  return {
    title: report.title,
    moves,
    ...{ replies, wrong, connections },
    home: rateOf(report, "home"),
    abroad: rateOf(report, "abroad"),
    translated: translations.length,
    files: translations.length + untranslated.length,
    ...(report.load === undefined ? {} : { load: tenths(report.load) }),
  };
}

function readResults(): Record<string, ServerResult> {
  return JSON.parse(readFileSync(RESULTS, "utf8")) as Record<string, ServerResult>;
}

/** Keeps what the page needs of a report, in place of what was there of that server. */
export async function keepReport(report: ServerReport): Promise<void> {
  const results = { ...readResults(), [report.name]: resultOf(report) };
  await writeFile(RESULTS, `${JSON.stringify(results, null, 1)}\n`);
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return line(head!) + line(head!.map((_, index) => (index < 2 ? "---" : "---:"))) + body.map(line).join("");
}

function moveRows(name: string, { moves }: ServerResult): string[][] {
  return moves.map(({ direction, steps, frozen, longestGap, checkpointMiB }) => {
    const cells = STEPS.map((step) => steps[step]?.toFixed(1) ?? "");
    return [name, direction, ...cells, frozen.toFixed(1), longestGap.toFixed(1), String(checkpointMiB)];
  });
}

function checkRow(name: string, result: ServerResult): string[] {
  const { title, replies, wrong, connections, home, abroad, translated, files, load } = result;
  const counts = [replies, wrong, connections].map(String);
  const rates = [home, abroad].map((rate) => rate.toFixed(1));
  return [name, title, ...counts, ...rates, `${translated} of ${files} files`, load?.toFixed(1) ?? "not noted"];
}

/** Results in the order of the cases. */
function foundResults(): (readonly [string, ServerResult])[] {
  const results = readResults();
  return SERVERS.flatMap(({ name }) => {
    const result = results[name];
    return result === undefined ? [] : [[name, result] as const];
  });
}

/** A row a case, also of those that have not been moved. */
export function printServerSummary(): string {
  const results = readResults();
  return tableOf([
    ["server", "what it is", "moves", "replies checked", "wrong", "connections"],
    ...SERVERS.map(({ name, title }) => {
      const result = results[name];
      if (result === undefined) return [name, title, "not moved", "", "", ""];
      return [name, title, ...[result.moves.length, result.replies, result.wrong, result.connections].map(String)];
    }),
  ]).trimEnd();
}

/** The page. */
export function printServersPage(): string {
  const found = foundResults();
  const moveTable = [
    ["server", "move", ...STEPS, "frozen", "client's longest gap", "checkpoint, MiB"],
    ...found.flatMap(([name, result]) => moveRows(name, result)),
  ];
  const rates = ["replies/s at home", "abroad (QEMU)"];
  const checkTable = [
    ["server", "what it is", "replies checked", "wrong", "connections", ...rates, "translated", "load"],
    ...found.map(([name, result]) => checkRow(name, result)),
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

${tableOf(moveTable)}
${tableOf(checkTable)}`;
}

if (process.argv[1] === import.meta.filename) await writeFile(PAGE, printServersPage());
