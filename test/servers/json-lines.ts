// A protocol of lines: each request and each reply is a JSON value on a line of its own.

import type { Connection } from "./watch.ts";

export type Answer = Readonly<Record<string, unknown>>;

/** Sends a request and answers its reply. */
export async function ask(connection: Connection, request: Readonly<Record<string, unknown>>): Promise<Answer> {
  connection.send(`${JSON.stringify(request)}\n`);
  return JSON.parse(await connection.line("\n")) as Answer;
}
