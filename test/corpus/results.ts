// What runs of the corpus came to, kept beside the table so that docs/programs.md can be printed from it: of each row the
// package's version and, for each way to run it, whether all was as natively and how long it took.
// `node test/corpus/results.ts` prints the page.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROGRAMS } from "./programs.ts";

/** Translated with all that it maps, with what an earlier run has executed of that, with what it executes itself, or not at all. */
export type Way = "translated" | "executed" | "meanwhile" | "interpreted";

export interface RowResult {
  readonly version: string;
  readonly outcomes: Partial<Record<Way, { readonly isSame: boolean; readonly seconds: number }>>;
}

const FILE = join(import.meta.dirname, "results.json");

export function readResults(): Record<string, RowResult> {
  return JSON.parse(readFileSync(FILE, "utf8")) as Record<string, RowResult>;
}

/** Notes a result; what is known of another version of the package is forgotten. */
export function recordResult(name: string, version: string, way: Way, isSame: boolean, milliseconds: number): void {
  const all = readResults();
  const known = all[name]?.version === version ? all[name].outcomes : {};
  all[name] = { version, outcomes: { ...known, [way]: { isSame, seconds: Math.round(milliseconds / 100) / 10 } } };
  const ordered = PROGRAMS.flatMap((row) => (all[row.name] ? [[row.name, all[row.name]]] : []));
  writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(ordered), null, 1)}\n`);
}

/** The page docs/programs.md. */
export function printProgramsPage(): string {
  const results = readResults();
  const cell = (name: string, way: Way): string => {
    const outcome = results[name]?.outcomes[way];
    if (outcome === undefined) return "not run";
    return outcome.isSame ? `same, ${outcome.seconds.toFixed(1)} s` : "**differs**";
  };
  const lines = PROGRAMS.map(({ name, package: from }) => {
    const version = results[name]?.version ?? "";
    return `| ${name} | ${from} ${version} | ${cell(name, "translated")} | ${cell(name, "meanwhile")} | ${cell(name, "executed")} | ${cell(name, "interpreted")} |`;
  });
  const count = (way: Way): number => PROGRAMS.filter((row) => results[row.name]?.outcomes[way]?.isSame).length;
  return `# Programs that have run

Printed by \`node test/corpus/results.ts\` from the results of \`node test/corpus/run.ts --record\`. Each row of the corpus
(\`test/corpus\`) is a script that runs a program of Debian bookworm, unmodified, with the shell and all else that it starts, in a
root directory of its own under qemu user mode. *Same* means: standard output, standard error, exit status and every file
written are those of a native run. *Translated* is with all code of all files. *Meanwhile* is a first run that begins interpreted and has what it executes often
translated while it runs (\`hcontainer exec --translate meanwhile\`), *again* a run with what earlier ones have executed. Times are of
qemu user mode on a busy machine and tell little about speed.

Of ${PROGRAMS.length} rows, ${count("translated")} have run translated, ${count("meanwhile")} with translations made meanwhile, ${count("executed")} again with what was executed, and
${count("interpreted")} interpreted, with the same result.

| program | package | translated | meanwhile | again | interpreted |
|---|---|---|---|---|---|
${lines.join("\n")}
`;
}

if (import.meta.filename === process.argv[1]) process.stdout.write(printProgramsPage());
