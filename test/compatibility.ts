// Prints docs/compatibility.md: what runs abroad and what does not, at a glance, from the tables of system calls and instructions
// and from the recorded results of the tests. `node test/compatibility.ts > docs/compatibility.md`; compatibility.test.ts compares.

import { SYSCALLS } from "../src/abi/index.ts";
import { TABLE } from "../src/sem/index.ts";
import { PROGRAMS } from "./corpus/programs.ts";
import { type RowResult, readResults, type Way } from "./corpus/results.ts";
import { printServerSummary } from "./servers/table.ts";

/** From the way that proves most to the one that proves least. */
const WAYS: readonly { readonly way: Way; readonly title: string }[] = [
  { way: "translated", title: "all of their code translated" },
  { way: "executed", title: "all code that their rows execute translated" },
  { way: "meanwhile", title: "translations made while they ran" },
  { way: "interpreted", title: "interpreted" },
];

function countSupport(rows: Iterable<{ readonly support: string }>): string {
  const counts = new Map<string, number>();
  for (const { support } of rows) counts.set(support, (counts.get(support) ?? 0) + 1);
  return ["full", "partial", "refused"].map((support) => counts.get(support) ?? 0).join(" | ");
}

const names = (rows: readonly string[]): string => (rows.length > 0 ? rows.join(", ") : "none");

/** Names of rows by how far they have been shown to run; each is in one of the lists. */
function sortPrograms(): { readonly title: string; readonly rows: readonly string[] }[] {
  const results = readResults();
  const outcomeOf = (name: string, way: Way): RowResult["outcomes"][Way] => results[name]?.outcomes[way];
  const differs = (name: string): boolean => WAYS.some(({ way }) => outcomeOf(name, way)?.isSame === false);
  let left = PROGRAMS.map(({ name }) => name);
  const take = (test: (name: string) => boolean): string[] => {
    const taken = left.filter(test);
    left = left.filter((name) => !taken.includes(name));
    return taken;
  };
  const lists = [{ title: "differs from the native run in some way", rows: take(differs) }];
  for (const { way, title } of WAYS)
    lists.push({ title: `as natively, ${title}`, rows: take((name) => outcomeOf(name, way)?.isSame === true) });
  return [...lists, { title: "not run", rows: left }];
}

/** The page's text. */
export function printCompatibility(): string {
  const programs = sortPrograms();
  return `# Compatibility

Printed by \`node test/compatibility.ts\` from the tables of the sources and the recorded results of the tests; do not edit.

| | full | in part | refused | |
|---|---|---|---|---|
| system calls of x86-64 Linux 6.12 | ${countSupport(SYSCALLS)} | [syscalls.md](syscalls.md) |
| instructions (mnemonics) | ${countSupport(TABLE.values())} | [instructions.md](instructions.md) |

## Programs of Debian

${PROGRAMS.length} rows of the corpus, each a script with real work for a program, held against a native run: output, exit status and files
([programs.md](programs.md)).

| what was seen | rows | |
|---|---|---|
${programs.map(({ title, rows }) => `| ${title} | ${rows.length} | ${names(rows)} |`).join("\n")}

## Servers, moved under load in both directions

Every reply checked by a client that keeps its connections ([servers.md](servers.md)).

${printServerSummary()}
`;
}

if (import.meta.main) process.stdout.write(printCompatibility());
