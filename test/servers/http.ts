// As much of HTTP/1.1 as a client needs that checks bytes: a request, and a reply by length or in chunks.

import type { Connection } from "./watch.ts";

export interface HttpReply {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Sends a request without a body. */
export function sendGet(connection: Connection, path: string, headers: Readonly<Record<string, string>> = {}): void {
  const lines = Object.entries({ Host: "server", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.send(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
}

/** Reads a reply whole. */
export async function readReply(connection: Connection): Promise<HttpReply> {
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(`${await connection.line()} `) ?? [];
  if (status === undefined) throw new Error("this is no reply of HTTP");
  const headers = new Map<string, string>();
  for (let line = await connection.line(); line !== ""; line = await connection.line()) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status), headers, body: await readBody(connection, headers) };
}

async function readBody(connection: Connection, headers: ReadonlyMap<string, string>): Promise<Buffer> {
  if (headers.get("transfer-encoding") !== "chunked")
    return connection.bytes(Number(headers.get("content-length") ?? 0));
  const chunks: Buffer[] = [];
  for (;;) {
    const size = Number.parseInt(await connection.line(), 16);
    const chunk = await connection.bytes(size);
    await connection.line();
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(Buffer.from(chunk));
  }
}
