// A program that keeps its data in a file which it has mapped shared, as databases do: what it writes there leaves no trace in
// the file's times, so whoever copies only what has changed loses it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerCase } from "./case.ts";
import { ask } from "./json-lines.ts";
import { type Connection, pause, type Watch } from "./watch.ts";

/** Makes sure that nothing is lost, `times` times on one connection; answers how many rounds the program had made. */
async function look(watch: Watch, connection: Connection, times: number, before: number): Promise<number> {
  let last = before;
  for (let n = 0; n < times && !watch.isOver; n++) {
    const { rounds, lost } = (await ask(connection, {})) as { readonly rounds: number; readonly lost: number };
    watch.check("values lost", String(lost), "0");
    watch.check("goes on", String(rounds >= last), "true");
    last = rounds;
    await pause(50);
  }
  return last;
}

/** One connection all the time, whose peer's kernel may wait long before it tries again after a move; others come and go. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const lane = (times: number) => async (): Promise<void> => {
    for (let last = 0; !watch.isOver; ) {
      const connection = await watch.open();
      if (connection === undefined) return;
      last = await look(watch, connection, times, last);
      connection.close();
    }
  };
  const running = watch.run([lane(Number.POSITIVE_INFINITY), lane(3)], 60_000);
  for await (const _ of commands);
  await running;
}

/** The case; compiles its program. */
export function sharedFile(): ServerCase {
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-shared-file-"));
  try {
    const program = join(directory, "program");
    execFileSync("gcc", ["-O2", "-static", "-o", program, join(import.meta.dirname, "shared-file.c")]);
    return {
      name: "shared-file",
      title: "a program that writes to a file which it has mapped shared",
      port: 7000,
      client: new URL(import.meta.url).pathname,
      image: {
        name: "shared-file",
        packages: ["busybox-static"],
        directories: ["data"],
        files: { "srv/program": readFileSync(program) },
        command: ["/srv/program"],
      },
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
