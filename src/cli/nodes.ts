// `hcontainer nodes`: the nodes that containers can move between, and what runs there.

import { listAt, textAt } from "../host/index.ts";
import { parseVerb } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { NodeList } from "./node-list.ts";
import { printJson, table } from "./output.ts";

export const help = `Lists the nodes that containers can move between, and the containers that run there.

usage: hcontainer nodes [--json]

examples:
  hcontainer nodes
  hcontainer nodes --json | jq '.[].containers'
`;

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const { values } = parseVerb(args, { json: { type: "boolean" } });
  const nodes = await NodeList.attach();
  try {
    const found = [];
    for (const name of nodes.names) {
      const node = await nodes.node(name);
      const running = await node.docker.call("GET", "/containers/json");
      const containers = listAt(running).map((c) => textAt(listAt(c, "Names")[0] ?? "").replace(/^\//, ""));
      const engine = `docker ${textAt(node.info, "ServerVersion")}`;
      const kernel = textAt(node.info, "KernelVersion");
      found.push({ name, architecture: node.architecture, engine, kernel, containers });
    }
    if (values.json) printJson(found);
    else {
      const rows = found.map((n) => [n.name, n.architecture, n.engine, n.kernel, n.containers.join(", ")]);
      process.stdout.write(`${table([["node", "architecture", "engine", "kernel", "containers"], ...rows])}\n`);
    }
    return exitCode("ok");
  } finally {
    await nodes.close();
  }
}
