// python3 with asyncio's event loop: many connections, timers, digests and arithmetic whose results are known.

import { createHash } from "node:crypto";
import type { ServerCase } from "./case.ts";
import { type Answer, ask } from "./json-lines.ts";
import { pause, type Watch } from "./watch.ts";

const SCRIPT = `
import asyncio, hashlib, json, zlib

state = {}
turns = 0

async def turn():
    global turns
    while True:
        await asyncio.sleep(0.01)
        turns += 1

def answer(request):
    kind = request["kind"]
    if kind == "digest":
        data = request["text"].encode()
        return {"sha256": hashlib.sha256(data).hexdigest(), "crc32": zlib.crc32(data)}
    if kind == "put":
        state.setdefault(request["key"], []).append(request["value"])
        return {"length": len(state[request["key"]])}
    if kind == "get":
        return {"value": state.get(request["key"], [])}
    if kind == "compute":
        a, b = 0, 1
        for _ in range(request["n"]):
            a, b = b, a + b
        return {"number": str(a), "float": sum(1 / (k * k) for k in range(1, 200))}
    if kind == "turns":
        return {"turns": turns}
    raise ValueError(kind)

async def serve(reader, writer):
    try:
        while line := await reader.readline():
            request = json.loads(line)
            if request["kind"] == "sleep":
                await asyncio.sleep(request["seconds"])
                reply = {"slept": request["seconds"]}
            else:
                reply = answer(request)
            writer.write(json.dumps(reply).encode() + b"\\n")
            await writer.drain()
    finally:
        writer.close()

async def main():
    asyncio.create_task(turn())
    server = await asyncio.start_server(serve, "0.0.0.0", 7000, limit=1 << 20)
    async with server:
        await server.serve_forever()

asyncio.run(main())
`;

const textOf = (n: number): string =>
  createHash("sha256")
    .update(`text ${n}`)
    .digest("hex")
    .repeat((n % 30) + 1);

const CRC_TABLE = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb8_8320 : c >>> 1;
  return c >>> 0;
});

function crc32(text: string): number {
  let crc = 0xffff_ffff;
  for (const byte of Buffer.from(text, "latin1")) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 255]!;
  return (crc ^ 0xffff_ffff) >>> 0;
}

function fibonacci(n: number): string {
  let [a, b] = [0n, 1n];
  for (let i = 0; i < n; i++) [a, b] = [b, a + b];
  return String(a);
}

/** What Python's `sum(1 / (k * k) ...)` gives: the same additions in the same order. */
function squares(): number {
  let sum = 0;
  for (let k = 1; k < 200; k++) sum += 1 / (k * k);
  return sum;
}

async function lane(watch: Watch, name: string, values: Map<string, number[]>): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  const own: number[] = [];
  values.set(name, own);
  for (let n = 0; !watch.isOver; n++) {
    const text = textOf(n);
    const sha256 = createHash("sha256").update(text).digest("hex");
    const same = (what: string, got: Answer, expected: Answer): void =>
      watch.check(`${name}: ${what}`, JSON.stringify(got), JSON.stringify(expected));
    same("digest", await ask(connection, { kind: "digest", text }), { sha256, crc32: crc32(text) });
    own.push(n);
    same("put", await ask(connection, { kind: "put", key: name, value: n }), { length: own.length });
    const computed = { number: fibonacci(n % 300), float: squares() };
    same("compute", await ask(connection, { kind: "compute", n: n % 300 }), computed);
    if (n % 10 === 0) same("sleep", await ask(connection, { kind: "sleep", seconds: 0.2 }), { slept: 0.2 });
    await pause(40);
  }
  connection.close();
}

async function renewed(watch: Watch): Promise<void> {
  let turns = -1;
  while (!watch.isOver) {
    const connection = await watch.open();
    if (connection === undefined) return;
    const reply = await ask(connection, { kind: "turns" });
    if (Number(reply["turns"]) >= turns) watch.right();
    else watch.wrong(`the loop's turns go back: ${String(reply["turns"])} after ${turns}`);
    turns = Number(reply["turns"]);
    connection.close();
    await pause(80);
  }
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const values = new Map<string, number[]>();
  const lanes = ["a", "b", "c", "d"].map((name) => (): Promise<void> => lane(watch, name, values));
  const running = watch.run([...lanes, (): Promise<void> => renewed(watch)], 60_000);
  for await (const _ of commands);
  await running;
  watch.isOver = false;
  const connection = await watch.open();
  if (connection === undefined) return;
  for (const [key, value] of values) {
    const got = await ask(connection, { kind: "get", key });
    watch.check(`at the end ${key}`, JSON.stringify(got), JSON.stringify({ value }));
  }
  connection.close();
}

export const asyncio: ServerCase = {
  name: "asyncio",
  title: "python3, an asyncio server",
  port: 7000,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "asyncio",
    packages: ["python3"],
    files: { "srv/server.py": SCRIPT },
    command: ["/usr/bin/python3", "/srv/server.py"],
  },
};
