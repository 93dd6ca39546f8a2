// `hcontainer syscalls`: what becomes of each system call of a program on a foreign node.

import { describeWay, printSyscallPage, SYSCALLS } from "../abi/index.ts";
import { parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { printJson, table } from "./output.ts";

export const help = `Lists the system calls of x86-64 Linux 6.12 and how far a program on a foreign node is given them.

usage: hcontainer syscalls [NAME]... [--json | --markdown]

  --json      as data
  --markdown  as the page docs/syscalls.md

examples:
  hcontainer syscalls
  hcontainer syscalls futex io_uring_setup
  hcontainer syscalls --json | jq '.[] | select(.support != "full") | .name'
`;

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const options = { json: { type: "boolean" }, markdown: { type: "boolean" } } as const;
  const { values, operands } = parseVerb(args, options, ["NAME..."]);
  if (values.json && values.markdown) throw new UsageError("--json and --markdown exclude each other");
  for (const name of operands)
    if (!SYSCALLS.some((row) => row.name === name)) throw new UsageError(`x86-64 has no system call '${name}'`);
  const rows = SYSCALLS.filter((row) => operands.length === 0 || operands.includes(row.name));
  if (values.markdown) process.stdout.write(printSyscallPage());
  else if (values.json)
    printJson(
      rows.map(({ number, name, way, support, reason, host }) => ({
        number,
        name,
        support,
        reason,
        way,
        host: host.map((call) => ({ number: call.number, name: call.name })),
      })),
    );
  else {
    const lines = rows.map((row) => [`${row.number}`, row.name, row.support, describeWay(row), row.reason]);
    process.stdout.write(`${table([["number", "name", "support", "becomes", "reason"], ...lines])}\n`);
  }
  return exitCode("ok");
}
