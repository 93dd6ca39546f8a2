// A client's process: `client.ts FILE ADDRESS PORT`. Each line of its input is a command: `phase NAME` begins a phase of
// the report, `await-reply` is answered when it has one, others are the client's own; a line of output answers each. The end of the input ends the work; the last
// line of output is the report as JSON.

import { createInterface } from "node:readline";
import type { Client } from "./case.ts";
import { Watch } from "./watch.ts";

/** A connection's peer sends again what went unanswered ever more seldom: after a long outage it takes as long once more. */
const REPLY_MS = 60_000;

const [file, address, port] = process.argv.slice(2) as [string, string, string];
const { client } = (await import(file)) as { client: Client };
const watch = new Watch(address, Number(port));

async function* commands(): AsyncGenerator<string> {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.startsWith("phase ")) watch.phase(line.slice(6));
    else if (line === "await-reply") await watch.reply(REPLY_MS);
    else yield line;
    process.stdout.write("done\n");
  }
  watch.isOver = true;
}

await client(watch, commands());
process.stdout.write(`${JSON.stringify(watch.report())}\n`);
process.exit(0);
