// PostgreSQL: a process for each session, background processes, shared memory of all kinds. Money goes to and fro between
// accounts and its sum stays; a transaction is open over each move, and a cursor in it; messages are passed between
// sessions. All tables are compared at the end, and the log must not tell of a crash.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { type QueryResult, Session } from "./postgres-protocol.ts";
import { pause, show, type Watch } from "./watch.ts";

const ACCOUNTS = 50;
const START = 1000;

const textOf = (n: number): string =>
  createHash("sha256")
    .update(`entry ${n}`)
    .digest("hex")
    .repeat((n % 20) + 1);
const rowsOf = (result: QueryResult): string => JSON.stringify(result.rows);

/** Moves money in transactions, with an entry of its own in each. */
async function transfer(watch: Watch, lane: number, entries: Map<string, string>): Promise<void> {
  const session = await Session.open(watch);
  if (session === undefined) return;
  for (let n = 1; !watch.isOver; n++) {
    const [from, to] = [(n * 7 + lane) % ACCOUNTS, (n * 11 + lane * 3) % ACCOUNTS].sort((a, b) => a - b);
    await session.query("BEGIN");
    await session.query(`UPDATE accounts SET balance = balance - 1 WHERE id = ${from}`);
    await session.query(`UPDATE accounts SET balance = balance + 1 WHERE id = ${to}`);
    const text = textOf(n * 10 + lane);
    const added = await session.query(`INSERT INTO entries VALUES (${lane}, ${n}, '${text}') RETURNING n, text`);
    watch.check(`lane ${lane}: insert ${n}`, rowsOf(added), JSON.stringify([[String(n), text]]));
    const end = n % 10 === 0 ? "ROLLBACK" : "COMMIT";
    watch.check(`lane ${lane}: end`, (await session.query(end)).tag, end);
    if (end === "COMMIT") entries.set(`${lane} ${n}`, text);
    await pause(25);
  }
  session.close();
}

/** The sum of all money, as one statement sees it, never changes. */
async function audit(watch: Watch): Promise<void> {
  const session = await Session.open(watch);
  if (session === undefined) return;
  while (!watch.isOver) {
    const sum = await session.query("SELECT sum(balance), count(*) FROM accounts");
    watch.check("sum", rowsOf(sum), JSON.stringify([[String(ACCOUNTS * START), String(ACCOUNTS)]]));
    const sorted = await session.query(
      "SELECT md5(string_agg(md5(k::text), ',' ORDER BY k)) FROM generate_series(1, 300) k",
    );
    watch.check("sort", rowsOf(sorted), JSON.stringify([[SORTED]]));
    await pause(60);
  }
  session.close();
}

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
const SORTED = md5(Array.from({ length: 300 }, (_, n) => md5(String(n + 1))).join(","));

/** Sessions that come and go: each is a process. */
async function renewed(watch: Watch): Promise<void> {
  for (let n = 0; !watch.isOver; n++) {
    const session = await Session.open(watch);
    if (session === undefined) return;
    watch.check("new session", rowsOf(await session.query(`SELECT ${n} + 1`)), JSON.stringify([[String(n + 1)]]));
    session.close();
    await pause(100);
  }
}

/** Notifications from session to session come in order. */
async function notified(watch: Watch): Promise<void> {
  const [listener, speaker] = [await Session.open(watch), await Session.open(watch)];
  if (listener === undefined || speaker === undefined) return;
  await listener.query("LISTEN news");
  for (let n = 0; !watch.isOver; n++) {
    await speaker.query(`NOTIFY news, 'message ${n}'`);
    for (let tries = 0; listener.notifications.length === 0 && tries < 1000; tries++) await listener.query("SELECT 1");
    watch.check("notification", listener.notifications.shift() ?? "nothing", `message ${n}`);
    await pause(50);
  }
  listener.close();
  speaker.close();
}

/** A transaction that is open while the container moves. */
class OpenTransaction {
  readonly #watch: Watch;
  readonly #session: Session;
  readonly #other: Session;
  #number = 0;

  constructor(watch: Watch, session: Session, other: Session) {
    this.#watch = watch;
    this.#session = session;
    this.#other = other;
  }

  async begin(): Promise<void> {
    this.#number++;
    await this.#session.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    await this.#session.query(`INSERT INTO kept SELECT ${this.#number}, k FROM generate_series(1, 500) k`);
    await this.#session.query("DECLARE c CURSOR FOR SELECT k FROM kept ORDER BY move, k");
    await this.#session.query("FETCH 100 FROM c");
  }

  async end(): Promise<void> {
    const unseen = await this.#other.query(`SELECT count(*) FROM kept WHERE move = ${this.#number}`);
    this.#watch.check("not committed yet", rowsOf(unseen), JSON.stringify([["0"]]));
    const more = await this.#session.query("FETCH 1 FROM c");
    this.#watch.check("cursor", rowsOf(more), JSON.stringify([["101"]]));
    this.#watch.check("commit", (await this.#session.query("COMMIT")).tag, "COMMIT");
    const seen = await this.#other.query(`SELECT count(*), sum(k) FROM kept WHERE move = ${this.#number}`);
    this.#watch.check("committed", rowsOf(seen), JSON.stringify([["500", "125250"]]));
  }
}

/** Holds what the tables have against what was committed. */
async function compare(watch: Watch, entries: ReadonlyMap<string, string>): Promise<void> {
  const session = await Session.open(watch);
  if (session === undefined) return;
  const { rows } = await session.query("SELECT lane, n, text FROM entries");
  const left = new Map(entries);
  for (const [lane, n, text] of rows) {
    const key = `${lane} ${n}`;
    watch.check(`at the end ${key}`, String(text), left.get(key) ?? "nothing");
    left.delete(key);
  }
  if (left.size > 0) watch.wrong(`${left.size} committed entries are lost, the first is ${show([...left.keys()][0]!)}`);
  session.close();
}

async function prepare(session: Session): Promise<void> {
  await session.query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)");
  await session.query(`INSERT INTO accounts SELECT k, ${START} FROM generate_series(0, ${ACCOUNTS - 1}) k`);
  await session.query("CREATE TABLE entries (lane int, n int, text text, PRIMARY KEY (lane, n))");
  await session.query("CREATE TABLE kept (move int, k int)");
}

/** The first session, when the server has come up. */
async function firstSession(watch: Watch): Promise<Session | undefined> {
  for (;;) {
    try {
      return await Session.open(watch);
    } catch (error) {
      // "the database system is starting up"
      if (watch.isOver) throw error;
      await pause(200);
    }
  }
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const first = await firstSession(watch);
  const other = await Session.open(watch);
  if (first === undefined || other === undefined) return;
  await prepare(first);
  const entries = new Map<string, string>();
  const lanes = [
    ...[0, 1, 2].map((lane) => (): Promise<void> => transfer(watch, lane, entries)),
    (): Promise<void> => audit(watch),
    (): Promise<void> => renewed(watch),
    (): Promise<void> => notified(watch),
  ];
  const running = watch.run(lanes, 120_000);
  const open = new OpenTransaction(watch, first, other);
  for await (const command of commands) {
    if (command === "before-move") await open.begin();
    if (command === "after-move") await open.end();
  }
  await running;
  watch.isOver = false;
  await compare(watch, entries);
}

const BINARIES = "/usr/lib/postgresql/15/bin";
/** The first start makes the database; the server is not to run as root. */
const START_SCRIPT = `#!/bin/sh
set -e
as="chroot --userspec=postgres:postgres /"
if [ ! -d /data/base ]; then
  mkdir -p /data /var/run/postgresql
  chown postgres:postgres /data /var/run/postgresql
  chmod 700 /data
  $as ${BINARIES}/initdb -D /data -A trust -N --locale=C --encoding=UTF8
  echo "host all all all trust" >>/data/pg_hba.conf
fi
exec $as ${BINARIES}/postgres -D /data -c listen_addresses=* -c jit=off -c shared_buffers=32MB -c fsync=on
`;

export const postgres: ServerCase = {
  name: "postgres",
  title: "PostgreSQL, a transaction and a cursor open",
  port: 5432,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "postgres",
    packages: ["postgresql-15"],
    // The compiler for queries is off (jit=off).
    leftOut: [
      "usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
      "usr/lib/x86_64-linux-gnu/libz3.so.4",
      "usr/lib/postgresql/15/lib/bitcode",
      "usr/lib/llvm-14",
    ],
    users: ["postgres:x:104:110:PostgreSQL:/var/lib/postgresql:/bin/sh"],
    groups: ["postgres:x:110:"],
    files: { "usr/bin/start": START_SCRIPT },
    command: ["/bin/sh", "/usr/bin/start"],
  },
};
