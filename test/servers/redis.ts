// redis-server: several threads, a child that writes a background save, an append-only file. The client speaks RESP on
// connections that live through the moves and on new ones, and keeps a model of all data, which is compared at the end.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { type Connection, pause, show, type Watch } from "./watch.ts";

type Reply = string | number | null | readonly Reply[] | { readonly error: string };

/** Sends a command as an array of bulk strings. */
function send(connection: Connection, ...words: readonly string[]): void {
  connection.send(
    `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word, "latin1")}\r\n${word}\r\n`).join("")}`,
  );
}

async function receive(connection: Connection): Promise<Reply> {
  const line = await connection.line();
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      return { error: rest };
    case ":":
      return Number(rest);
    case "$": {
      if (rest === "-1") return null;
      const bytes = await connection.bytes(Number(rest) + 2);
      return bytes.toString("latin1", 0, bytes.length - 2);
    }
    case "*": {
      if (rest === "-1") return null;
      const list: Reply[] = [];
      for (let left = Number(rest); left > 0; left--) list.push(await receive(connection));
      return list;
    }
    default:
      throw new Error(`no reply of the protocol: ${show(line)}`);
  }
}

async function ask(connection: Connection, ...words: readonly string[]): Promise<Reply> {
  send(connection, ...words);
  return receive(connection);
}

/** A value that is known for its key and version, up to some kilobytes. */
function contentOf(key: string, version: number): string {
  const line = createHash("sha256").update(`${key} ${version}`).digest("hex");
  return line.repeat(1 + ((key.length * 7 + version * 13) % 60));
}

const isSame = (got: Reply, expected: Reply): boolean => JSON.stringify(got) === JSON.stringify(expected);
const text = (reply: Reply): string => JSON.stringify(reply);

/** One connection of its own keys: strings, a counter, a list, a hash, a transaction; every reply is known. */
async function work(watch: Watch, name: string, model: Map<string, Reply>): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  const expect = async (expected: Reply, ...words: readonly string[]): Promise<void> => {
    watch.check(`${name}: ${words.slice(0, 2).join(" ")}`, text(await ask(connection, ...words)), text(expected));
  };
  const members: string[] = [];
  for (let n = 1; !watch.isOver; n++) {
    const key = `${name}:key:${n % 50}`;
    await expect("OK", "SET", key, contentOf(key, n));
    model.set(key, contentOf(key, n));
    await expect(contentOf(key, n), "GET", key);
    await expect(n, "INCR", `${name}:counter`);
    model.set(`${name}:counter`, String(n));
    members.push(`member ${n}`);
    const length = members.length;
    await expect(length, "RPUSH", `${name}:list`, `member ${n}`);
    if (length > 100) await expect(members.shift()!, "LPOP", `${name}:list`);
    model.set(`${name}:list`, [...members]);
    // Four commands sent at once, the last of which answers for two.
    send(connection, "MULTI");
    send(connection, "HSET", `${name}:hash`, `field ${n % 20}`, String(n));
    send(connection, "HGET", `${name}:hash`, `field ${n % 20}`);
    send(connection, "EXEC");
    for (const expected of ["OK", "QUEUED", "QUEUED", [n <= 20 ? 1 : 0, String(n)]])
      watch.check(`${name}: transaction`, text(await receive(connection)), text(expected));
    model.set(`${name}:hash:${n % 20}`, String(n));
    await pause(25);
  }
  connection.close();
}

/** A connection that only waits: what is pushed for it comes, in order. */
async function blocked(watch: Watch): Promise<void> {
  const [waiting, pushing] = [await watch.open(), await watch.open()];
  if (waiting === undefined || pushing === undefined) return;
  for (let n = 0; !watch.isOver; n++) {
    send(waiting, "BLPOP", "queue", "0");
    await pause(300);
    await ask(pushing, "RPUSH", "queue", `item ${n}`);
    watch.check("BLPOP", text(await receive(waiting)), text(["queue", `item ${n}`]));
  }
  waiting.close();
  pushing.close();
}

/** Messages to a subscriber come, each once and in order. */
async function subscribed(watch: Watch): Promise<void> {
  const [subscriber, publisher] = [await watch.open(), await watch.open()];
  if (subscriber === undefined || publisher === undefined) return;
  watch.check("SUBSCRIBE", text(await ask(subscriber, "SUBSCRIBE", "news")), text(["subscribe", "news", 1]));
  for (let n = 0; !watch.isOver; n++) {
    watch.check("PUBLISH", text(await ask(publisher, "PUBLISH", "news", `message ${n}`)), "1");
    watch.check("message", text(await receive(subscriber)), text(["message", "news", `message ${n}`]));
    await pause(50);
  }
  subscriber.close();
  publisher.close();
}

/** A connection for each request. */
async function renewed(watch: Watch): Promise<void> {
  for (let n = 0; !watch.isOver; n++) {
    const connection = await watch.open();
    if (connection === undefined) return;
    const message = contentOf("echo", n);
    watch.check("ECHO", text(await ask(connection, "ECHO", message)), text(message));
    connection.close();
    await pause(60);
  }
}

const STILL_KEYS = 600;

/** Keys that nobody changes; there are enough for a background save that is under way when the container moves. */
async function fill(watch: Watch): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  for (let n = 0; n < STILL_KEYS; n++) await ask(connection, "SET", `still:${n}`, contentOf("still", n));
  connection.close();
}

async function checkStill(connection: Connection, watch: Watch): Promise<void> {
  for (let n = 0; n < STILL_KEYS; n++)
    watch.check(`GET still:${n}`, text(await ask(connection, "GET", `still:${n}`)), text(contentOf("still", n)));
}

/** Holds all that the server has against the model. */
async function compare(watch: Watch, model: ReadonlyMap<string, Reply>): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  for (const [key, expected] of model) {
    const [name, kind, index] = key.split(":") as [string, string, string?];
    let got: Reply;
    if (kind === "list") got = await ask(connection, "LRANGE", key, "0", "-1");
    else if (kind === "hash") got = await ask(connection, "HGET", `${name}:hash`, `field ${index}`);
    else got = await ask(connection, "GET", key);
    if (isSame(got, expected)) watch.right();
    else watch.wrong(`at the end ${key} is ${show(text(got))}, not ${show(text(expected))}`);
  }
  await checkStill(connection, watch);
  connection.close();
}

/** One field of INFO. */
function field(info: Reply, name: string): string {
  return (
    String(info)
      .split("\r\n")
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1) ?? ""
  );
}

/** Begins a background save that takes a while, so that its child is moved in the middle of it. */
async function beginSave(watch: Watch): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  // Microseconds that the child rests after each key.
  await ask(connection, "CONFIG", "SET", "rdb-key-save-delay", "10000");
  const begun = await ask(connection, "BGSAVE");
  if (begun !== "Background saving started") watch.wrong(`BGSAVE answers ${show(text(begun))}`);
  connection.close();
}

/** The save that was under way during the move must come to a good end. */
async function endSave(watch: Watch): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  await ask(connection, "CONFIG", "SET", "rdb-key-save-delay", "0");
  for (let tries = 0; ; tries++) {
    const info = await ask(connection, "INFO", "persistence");
    if (field(info, "rdb_bgsave_in_progress") === "0") {
      watch.check("background save", field(info, "rdb_last_bgsave_status"), "ok");
      break;
    }
    if (tries > 1200) {
      watch.wrong("the background save does not end");
      break;
    }
    await pause(100);
  }
  connection.close();
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const model = new Map<string, Reply>();
  await fill(watch);
  const lanes = [
    (): Promise<void> => work(watch, "a", model),
    (): Promise<void> => work(watch, "b", model),
    (): Promise<void> => blocked(watch),
    (): Promise<void> => subscribed(watch),
    (): Promise<void> => renewed(watch),
  ];
  const running = watch.run(lanes, 60_000);
  for await (const command of commands) {
    if (command === "before-move") await beginSave(watch);
    if (command === "after-move") await endSave(watch);
  }
  await running;
  watch.isOver = false;
  await compare(watch, model);
}

export const redis: ServerCase = {
  name: "redis",
  title: "redis-server, a background save under way, append-only file",
  port: 6379,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "redis",
    packages: ["redis-server"],
    directories: ["data"],
    files: {
      "etc/redis.conf": [
        "bind 0.0.0.0",
        "protected-mode no",
        "dir /data",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "",
      ].join("\n"),
    },
    command: ["/usr/bin/redis-server", "/etc/redis.conf"],
  },
};
