// Runs round trips of named servers in the lab that is up, and prints what was seen: `main.ts [--quiet SECONDS] [--later] [--stay] NAME...`.

import { parseArgs } from "node:util";
import { NodeList, prepareForeign, translate, translateLater } from "../../src/cli/node-list.ts";
import { MigrationFailed } from "../../src/migrate/index.ts";
import { SERVERS } from "./cases.ts";
import { roundTrip } from "./run.ts";
import { keepReport } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quiet: { type: "string" }, later: { type: "boolean" }, stay: { type: "boolean" } },
});
const nodes = await NodeList.attach();
try {
  const begin = performance.now();
  await prepareForeign((await nodes.node("arm64")).shell);
  for (const server of SERVERS.filter(({ name }) => positionals.includes(name))) {
    try {
      const report = await roundTrip(nodes, server, {
        translate: values.later ? translateLater : translate,
        stays: values.stay ?? false,
        quietMs: Number(values.quiet ?? 5) * 1000,
        onStep: (text) => process.stderr.write(`${((performance.now() - begin) / 1000).toFixed(1)} ${text}\n`),
      });
      if (report.client.wrong === 0 && report.moves.length === 2) await keepReport(report);
      process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
    } catch (error) {
      process.stderr.write(`${server.name}: ${error instanceof Error ? error.stack : String(error)}\n`);
      if (error instanceof MigrationFailed) process.stderr.write(`${error.log}\n`);
      process.exitCode = 1;
    }
  }
} finally {
  await nodes.close();
}
