// sqlite3 in a writer loop (in python3, a thread a connection), with settings that survive a power failure: one database with
// a write-ahead log and one with a rollback journal, synchronous=FULL. A row is acknowledged when its commit has come back;
// every acknowledged row must be there at the end, and the databases must be sound. A move gives files new inode numbers
// (README, Limits). sqlite remembers that of a database with a rollback journal, and writes no more by that connection: the
// server opens another then, as it would when somebody had replaced the file.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { ask } from "./json-lines.ts";
import { pause, type Watch } from "./watch.ts";

const SCRIPT = `
import json, socketserver, sqlite3, sys, threading

class Database:
    def __init__(self, path, journal):
        self.lock = threading.Lock()
        self.path = path
        self.journal = journal
        self.open()
        self.connection.execute("CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY, text TEXT, balance INTEGER)")
        self.connection.execute("CREATE TABLE IF NOT EXISTS total (count INTEGER, sum INTEGER)")
        self.connection.execute("INSERT INTO total SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM total)")

    def open(self):
        self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode=" + self.journal)
        self.connection.execute("PRAGMA synchronous=FULL")

    def answer(self, request):
        with self.lock:
            try:
                return self.work(request)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_READONLY_DBMOVED":
                    raise
                self.connection.close()
                self.open()
                return self.work(request)

    def work(self, request):
        run = self.connection.execute
        if request["kind"] == "write":
            run("BEGIN IMMEDIATE")
            run("INSERT INTO rows VALUES (?, ?, ?)", (request["n"], request["text"], request["n"] * 3))
            run("UPDATE total SET count = count + 1, sum = sum + ?", (request["n"] * 3,))
            run("COMMIT")
            return {"written": request["n"]}
        if request["kind"] == "read":
            row = run("SELECT text FROM rows WHERE n = ?", (request["n"],)).fetchone()
            return {"text": row and row[0]}
        if request["kind"] == "check":
            return {"integrity": run("PRAGMA integrity_check").fetchall(),
                    "total": run("SELECT count, sum FROM total").fetchone(),
                    "rows": run("SELECT count(*), sum(balance) FROM rows").fetchone()}

databases = {"wal": Database("/data/wal.db", "WAL"), "delete": Database("/data/delete.db", "DELETE")}

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            request = json.loads(line)
            self.wfile.write(json.dumps(databases[request["database"]].answer(request)).encode() + b"\\n")

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

Server(("0.0.0.0", 7000), Handler).serve_forever()
`;

const textOf = (n: number): string =>
  createHash("sha256")
    .update(`text ${n}`)
    .digest("hex")
    .repeat((n % 30) + 1);

interface Written {
  count: number;
  sum: number;
}

/** Writes row after row; each is read back on another connection once it is acknowledged. */
async function lane(watch: Watch, database: string, written: Written): Promise<void> {
  const [writer, reader] = [await watch.open(), await watch.open()];
  if (writer === undefined || reader === undefined) return;
  for (let n = 1; !watch.isOver; n++) {
    const reply = await ask(writer, { database, kind: "write", n, text: textOf(n) });
    watch.check(`${database}: write`, JSON.stringify(reply), JSON.stringify({ written: n }));
    written.count++;
    written.sum += n * 3;
    const row = 1 + ((n * 7919) % n);
    const read = await ask(reader, { database, kind: "read", n: row });
    watch.check(`${database}: read ${row}`, JSON.stringify(read), JSON.stringify({ text: textOf(row) }));
    await pause(25);
  }
  writer.close();
  reader.close();
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const written = new Map(["wal", "delete"].map((name) => [name, { count: 0, sum: 0 }] as const));
  const lanes = [...written].map(
    ([name, rows]) =>
      (): Promise<void> =>
        lane(watch, name, rows),
  );
  const running = watch.run(lanes, 60_000);
  for await (const _ of commands);
  await running;
  watch.isOver = false;
  const connection = await watch.open();
  if (connection === undefined) return;
  for (const [database, { count, sum }] of written) {
    const got = await ask(connection, { database, kind: "check" });
    const expected = { integrity: [["ok"]], total: [count, sum], rows: [count, sum] };
    watch.check(`${database}: at the end`, JSON.stringify(got), JSON.stringify(expected));
    for (let n = 1; n <= count; n++) {
      const read = await ask(connection, { database, kind: "read", n });
      watch.check(`${database}: at the end ${n}`, JSON.stringify(read), JSON.stringify({ text: textOf(n) }));
    }
  }
  connection.close();
}

export const sqlite: ServerCase = {
  name: "sqlite",
  title: "sqlite3 writer loop: write-ahead log and rollback journal, synchronous=FULL",
  port: 7000,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "sqlite",
    packages: ["python3"],
    directories: ["data"],
    files: { "srv/server.py": SCRIPT },
    command: ["/usr/bin/python3", "/srv/server.py"],
  },
};
