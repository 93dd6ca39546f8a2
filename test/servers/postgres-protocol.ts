// As much of PostgreSQL's protocol (version 3) as the client needs: start-up without a password and simple queries.

import type { Connection, Watch } from "./watch.ts";

/** What a query answered: rows as text, and the server's word for what it did. */
export interface QueryResult {
  readonly rows: readonly (readonly (string | null)[])[];
  readonly tag: string;
}

/** An error that the server reported. */
export class ServerError extends Error {}

function message(type: string, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([head, payload]);
}

function rowOf(payload: Buffer): (string | null)[] {
  const row: (string | null)[] = [];
  let at = 2;
  for (let left = payload.readInt16BE(0); left > 0; left--) {
    const size = payload.readInt32BE(at);
    at += 4;
    row.push(size < 0 ? null : payload.toString("utf8", at, at + size));
    if (size > 0) at += size;
  }
  return row;
}

function errorOf(payload: Buffer): string {
  const fields = payload.toString("utf8").split("\0");
  return fields.find((field) => field[0] === "M")?.slice(1) ?? fields.join(" ");
}

/** One session. */
export class Session {
  readonly #connection: Connection;
  /** Payloads of notifications that have come. */
  readonly notifications: string[] = [];

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(watch: Watch): Promise<Session | undefined> {
    const connection = await watch.open();
    if (connection === undefined) return undefined;
    const words = Buffer.from("\0\x03\0\0user\0postgres\0database\0postgres\0\0", "latin1");
    const head = Buffer.alloc(4);
    head.writeInt32BE(words.length + 4, 0);
    connection.send(Buffer.concat([head, words]));
    const session = new Session(connection);
    await session.#untilReady();
    return session;
  }

  async query(text: string): Promise<QueryResult> {
    this.#connection.send(message("Q", Buffer.from(`${text}\0`)));
    return this.#untilReady();
  }

  close(): void {
    this.#connection.send(message("X", Buffer.alloc(0)));
    this.#connection.close();
  }

  async #untilReady(): Promise<QueryResult> {
    const rows: (string | null)[][] = [];
    let tag = "";
    let error: string | undefined;
    for (;;) {
      const head = await this.#connection.bytes(5);
      const type = head.toString("latin1", 0, 1);
      const payload = await this.#connection.bytes(head.readInt32BE(1) - 4);
      if (type === "D") rows.push(rowOf(payload));
      else if (type === "C") tag = payload.toString("utf8", 0, payload.length - 1);
      else if (type === "E") error = errorOf(payload);
      else if (type === "A") this.notifications.push(payload.toString("utf8", 4).split("\0")[1] ?? "");
      else if (type === "Z") break;
    }
    if (error !== undefined) throw new ServerError(error);
    return { rows, tag };
  }
}
