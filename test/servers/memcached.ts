// memcached: threads that share one table. The client speaks the text protocol and knows every value.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { type Connection, pause, type Watch } from "./watch.ts";

const STILL_KEYS = 500;
const THREADS = 4;

function contentOf(key: string, version: number): string {
  const line = createHash("sha256").update(`${key} ${version}`).digest("hex");
  return line.repeat(1 + ((key.length * 5 + version * 11) % 40));
}

async function set(connection: Connection, key: string, value: string): Promise<string> {
  connection.send(`set ${key} 0 0 ${value.length}\r\n${value}\r\n`);
  return connection.line();
}

/** The values that the server has of the keys, and the unique numbers by which they can be changed. */
async function gets(
  connection: Connection,
  keys: readonly string[],
): Promise<Map<string, { value: string; cas: string }>> {
  connection.send(`gets ${keys.join(" ")}\r\n`);
  const found = new Map<string, { value: string; cas: string }>();
  for (let line = await connection.line(); line !== "END"; line = await connection.line()) {
    const [, key, , size, cas] = line.split(" ") as [string, string, string, string, string];
    const bytes = await connection.bytes(Number(size) + 2);
    found.set(key, { value: bytes.toString("latin1", 0, bytes.length - 2), cas });
  }
  return found;
}

/** Keys of its own on a connection that is kept; every reply is known. */
async function work(watch: Watch, name: string, model: Map<string, string>): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  watch.check("set counter", await set(connection, `${name}:counter`, "0"), "STORED");
  for (let n = 1; !watch.isOver; n++) {
    const [one, other] = [`${name}:${n % 40}`, `${name}:${(n + 1) % 40}`];
    watch.check(`set ${one}`, await set(connection, one, contentOf(one, n)), "STORED");
    model.set(one, contentOf(one, n));
    const both = await gets(connection, [one, other]);
    watch.check(`get ${one}`, both.get(one)?.value ?? "nothing", contentOf(one, n));
    watch.check(`get ${other}`, both.get(other)?.value ?? "nothing", model.get(other) ?? "nothing");
    const text = contentOf(one, n + 1_000_000);
    connection.send(`cas ${one} 0 0 ${text.length} ${both.get(one)?.cas}\r\n${text}\r\n`);
    watch.check(`cas ${one}`, await connection.line(), "STORED");
    model.set(one, text);
    connection.send(`incr ${name}:counter 1\r\n`);
    watch.check("incr", await connection.line(), String(n));
    await pause(25);
  }
  connection.close();
}

/** Lanes that count with one counter: no step of any may get lost between the server's threads. */
async function count(watch: Watch, counted: { steps: number }): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  while (!watch.isOver) {
    connection.send("incr shared 1\r\n".repeat(10));
    for (let i = 0; i < 10; i++) {
      const line = await connection.line();
      if (/^\d+$/.test(line)) watch.right();
      else watch.wrong(`incr answers ${line}`);
      counted.steps++;
    }
    await pause(40);
  }
  connection.close();
}

async function renewed(watch: Watch): Promise<void> {
  for (let n = 0; !watch.isOver; n = (n + 1) % STILL_KEYS) {
    const connection = await watch.open();
    if (connection === undefined) return;
    const found = await gets(connection, [`still:${n}`]);
    watch.check(`still:${n}`, found.get(`still:${n}`)?.value ?? "nothing", contentOf("still", n));
    connection.close();
    await pause(60);
  }
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const model = new Map<string, string>();
  const counted = { steps: 0 };
  const first = await watch.open();
  if (first === undefined) return;
  for (let n = 0; n < STILL_KEYS; n++) {
    await set(first, `still:${n}`, contentOf("still", n));
    model.set(`still:${n}`, contentOf("still", n));
  }
  await set(first, "shared", "0");
  const lanes = [
    ...["a", "b", "c"].map((name) => (): Promise<void> => work(watch, name, model)),
    ...[1, 2, 3].map(() => (): Promise<void> => count(watch, counted)),
    (): Promise<void> => renewed(watch),
  ];
  const running = watch.run(lanes, 60_000);
  for await (const _ of commands);
  await running;
  const keys = [...model.keys()];
  for (let at = 0; at < keys.length; at += 50) {
    const part = keys.slice(at, at + 50);
    const found = await gets(first, part);
    for (const key of part) watch.check(`at the end ${key}`, found.get(key)?.value ?? "nothing", model.get(key)!);
  }
  const shared = (await gets(first, ["shared"])).get("shared")?.value;
  watch.check("the shared counter", shared ?? "nothing", String(counted.steps));
  first.close();
}

export const memcached: ServerCase = {
  name: "memcached",
  title: `memcached, ${THREADS} worker threads`,
  port: 11211,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "memcached",
    packages: ["memcached"],
    command: ["/usr/bin/memcached", "-u", "nobody", "-t", String(THREADS), "-m", "64", "-U", "0"],
  },
};
