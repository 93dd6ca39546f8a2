// nats-server, written in Go: goroutines over a few threads, its own scheduler, timers and garbage collector. Messages are
// published and subscribed to on connections that are kept; each comes once and in order, requests are answered.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { type Connection, pause, type Watch } from "./watch.ts";

const textOf = (n: number): string =>
  createHash("sha256")
    .update(`message ${n}`)
    .digest("hex")
    .repeat((n % 40) + 1);

/** A client's connection to the server: it answers pings by itself. */
class Link {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(watch: Watch): Promise<Link | undefined> {
    const connection = await watch.open();
    if (connection === undefined) return undefined;
    const link = new Link(connection);
    const greeting = await connection.line();
    if (!greeting.startsWith("INFO {")) watch.wrong(`the server greets with ${greeting}`);
    connection.send('CONNECT {"verbose":false,"pedantic":true,"protocol":1}\r\n');
    await link.ping(watch);
    return link;
  }

  send(text: string): void {
    this.#connection.send(text);
  }

  publish(subject: string, text: string, reply = ""): void {
    this.send(`PUB ${subject} ${reply ? `${reply} ` : ""}${text.length}\r\n${text}\r\n`);
  }

  /** The next line that is for us: the server asks and tells what it likes at any time, some seconds into a connection for instance. */
  async #line(): Promise<string> {
    for (;;) {
      const line = await this.#connection.line();
      if (line === "PING") this.send("PONG\r\n");
      else if (!line.startsWith("INFO ")) return line;
    }
  }

  /** The next message: subject, the number of the subscription, where to reply, text. */
  async message(): Promise<{ subject: string; reply: string; text: string }> {
    const line = await this.#line();
    if (!line.startsWith("MSG ")) throw new Error(`the server says ${line}`);
    const words = line.split(" ");
    const bytes = await this.#connection.bytes(Number(words.at(-1)) + 2);
    const text = bytes.toString("latin1", 0, bytes.length - 2);
    return { subject: words[1]!, reply: words.length === 5 ? words[3]! : "", text };
  }

  async ping(watch: Watch): Promise<void> {
    this.send("PING\r\n");
    watch.check("ping", await this.#line(), "PONG");
  }

  close(): void {
    this.#connection.close();
  }
}

/** What one connection publishes comes to another, once and in order. */
async function passed(watch: Watch, name: string): Promise<void> {
  const [from, to] = [await Link.open(watch), await Link.open(watch)];
  if (from === undefined || to === undefined) return;
  to.send(`SUB ${name}.* 1\r\n`);
  await to.ping(watch);
  for (let n = 0; !watch.isOver; n += 5) {
    for (let k = n; k < n + 5; k++) from.publish(`${name}.${k % 7}`, textOf(k));
    for (let k = n; k < n + 5; k++) {
      const { subject, text } = await to.message();
      watch.check(`${name} ${k}`, `${subject} ${text}`, `${name}.${k % 7} ${textOf(k)}`);
    }
    await pause(40);
  }
  from.close();
  to.close();
}

/** One side asks, the other answers. */
async function answered(watch: Watch): Promise<void> {
  const [asking, service] = [await Link.open(watch), await Link.open(watch)];
  if (asking === undefined || service === undefined) return;
  service.send("SUB service workers 1\r\n");
  asking.send("SUB inbox 1\r\n");
  await service.ping(watch);
  await asking.ping(watch);
  for (let n = 0; !watch.isOver; n++) {
    asking.publish("service", textOf(n), "inbox");
    const request = await service.message();
    service.publish(request.reply, createHash("md5").update(request.text).digest("hex"));
    const { text } = await asking.message();
    watch.check(`answer ${n}`, text, createHash("md5").update(textOf(n)).digest("hex"));
    await pause(40);
  }
  asking.close();
  service.close();
}

async function renewed(watch: Watch): Promise<void> {
  while (!watch.isOver) {
    const link = await Link.open(watch);
    if (link === undefined) return;
    await link.ping(watch);
    link.close();
    await pause(80);
  }
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const lanes = [
    ...["a", "b", "c"].map((name) => (): Promise<void> => passed(watch, name)),
    (): Promise<void> => answered(watch),
    (): Promise<void> => renewed(watch),
  ];
  const running = watch.run(lanes, 60_000);
  for await (const _ of commands);
  await running;
}

export const nats: ServerCase = {
  name: "nats",
  title: "nats-server (Go)",
  port: 4222,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "nats",
    packages: ["nats-server"],
    // A ping that is not answered in time ends a connection; a frozen server is late itself.
    files: { "etc/nats.conf": 'ping_interval: "10m"\nwrite_deadline: "10m"\n' },
    command: ["/usr/sbin/nats-server", "-c", "/etc/nats.conf"],
  },
};
