// `hcontainer check`: what would block a migration, before one is tried.

import { findProblems, inspectContainer } from "../migrate/index.ts";
import { parseVerb } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { NodeList } from "./node-list.ts";
import { printJson } from "./output.ts";

export const help = `Says whether a container can move, and names everything that would block it.

usage: hcontainer check CONTAINER [NODE] [--from NODE] [--json]

  --from NODE   the node that it runs on, if several have a container of that name
  --json        print the findings as JSON

Without NODE only the container itself is looked at. Exit code 3 when something blocks.

examples:
  hcontainer check web arm64
  hcontainer check web --json | jq '.problems[].code'
`;

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const options = { from: { type: "string" }, json: { type: "boolean" } } as const;
  const { values, operands } = parseVerb(args, options, ["CONTAINER", "NODE?"]);
  const nodes = await NodeList.attach();
  try {
    const source = await nodes.find(operands[0]!, values.from);
    const target = operands[1] === undefined ? undefined : await nodes.node(operands[1]);
    const container = await inspectContainer(source, operands[0]!);
    const problems = await findProblems(container, source, target);
    if (values.json)
      printJson({ container: container.name, node: source.name, target: target?.name ?? null, problems });
    else if (problems.length === 0) process.stdout.write(`${container.name} on ${source.name} can move\n`);
    else
      for (const { code, message, advice } of problems)
        process.stdout.write(`[${code}] ${message}\n  advice: ${advice}\n`);
    return exitCode(problems.length === 0 ? "ok" : "refused");
  } finally {
    await nodes.close();
  }
}
