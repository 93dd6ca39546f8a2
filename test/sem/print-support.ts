// Prints docs/instructions.md: which instructions are supported in full, in part, or not, and which of them no test holds against the
// CPU. `node test/sem/print-support.ts > docs/instructions.md`; support.test.ts compares.

import { type Row, TABLE } from "../../src/sem/index.ts";
import { enumerateForms } from "../../src/x86/index.ts";
import { AS_ON_ZEN, NOT_COMPARABLE } from "../cpu/not-comparable.ts";

/** A mnemonic as people write it. */
const written = (names: readonly string[]): string => names.map((name) => name.toLowerCase()).join(" ");

/** A table of mnemonics by reason. */
function byReason(entries: readonly { readonly name: string; readonly reason: string }[]): string {
  const groups = new Map<string, string[]>();
  for (const { name, reason } of entries) groups.set(reason, [...(groups.get(reason) ?? []), name]);
  const lines = [...groups].map(([reason, names]) => `| ${written(names)} | ${reason} |`);
  return ["| instructions | |", "|---|---|", ...lines].join("\n");
}

/** The page's text. */
export function printSupport(): string {
  const rows = [...TABLE.values()];
  const withSupport = (support: Row["support"]): Row[] => rows.filter((row) => row.support === support);
  const entries = (support: Row["support"]) =>
    withSupport(support).map((row) => ({ name: row.mnemonic, reason: row.reason ?? "" }));
  const mnemonics = [...new Set(enumerateForms().map((form) => form.mnemonic))];
  const missing = mnemonics.filter((name) => !TABLE.has(name)).sort();
  const uncompared = NOT_COMPARABLE.flatMap(({ names, reason }) => names.map((name) => ({ name, reason })));
  return `# Instructions

Printed from the table of \`src/sem\` by \`test/sem/print-support.ts\`; do not edit.

Of ${mnemonics.length} mnemonics that 64-bit code may contain (iced-x86's names, without other makers' retired extensions),
${withSupport("full").length} are supported in full, ${withSupport("partial").length} in part, ${withSupport("refused").length} are refused and
${missing.length} are not known. What is refused or not known raises the exception of an undefined instruction.

## In part

${byReason(entries("partial"))}

## Refused

${byReason(entries("refused"))}

## Not known

${written(missing)}

## Not held against the CPU

\`test/cpu\` compares all others, in every form, with the processor that the test runs on. It names the features that this processor lacks,
whose instructions then go untested. Flags that the manuals leave undefined are not compared; they are those of AMD's Zen.

${byReason(uncompared)}

## Held against AMD's CPUs alone

There the makers' CPUs differ, and a program finds what AMD's Zen does, wherever it comes from.

${byReason(AS_ON_ZEN.map(({ what, reason }) => ({ name: what, reason })))}
`;
}

if (import.meta.main) process.stdout.write(printSupport());
