// nginx: a master and two workers that serve files (sendfile), compress, pass requests on to themselves over the loopback,
// and send a big file slowly, so that a download is under way whenever the container moves.

import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import type { ServerCase } from "./case.ts";
import { readReply, sendGet } from "./http.ts";
import { pause, type Watch } from "./watch.ts";

const PAGES = 40;
const BIG_LINES = 60_000;

/** What page `n` holds; pages differ in size, up to some 100 KiB. */
function pageOf(n: number, lines = (n * n * 37) % 1700): string {
  let text = `page ${n}\n`;
  let line = createHash("md5").update(text).digest("hex");
  for (let i = 0; i < lines; i++) {
    text += `${line}\n`;
    if (i % 16 === 0) line = createHash("md5").update(line).digest("hex");
  }
  return text;
}

const expected = new Map(Array.from({ length: PAGES }, (_, n) => [n, pageOf(n)] as const));

interface Way {
  readonly name: string;
  readonly path: (n: number) => string;
  readonly headers?: Readonly<Record<string, string>>;
}

const WAYS: readonly Way[] = [
  { name: "file", path: (n) => `/${n}.txt` },
  { name: "compressed", path: (n) => `/compressed/${n}.txt`, headers: { "Accept-Encoding": "gzip" } },
  { name: "passed on", path: (n) => `/passed/${n}.txt` },
];

async function fetch(watch: Watch, connection: Parameters<typeof readReply>[0], way: Way, n: number): Promise<void> {
  sendGet(connection, way.path(n), way.headers);
  const { status, headers, body } = await readReply(connection);
  const text = headers.get("content-encoding") === "gzip" ? gunzipSync(body).toString() : body.toString();
  watch.check(`${way.name} ${n}`, `${status} ${text}`, `200 ${expected.get(n)}`);
}

/** A connection that is kept. */
async function kept(watch: Watch, way: Way, first: number): Promise<void> {
  const connection = await watch.open();
  if (connection === undefined) return;
  for (let n = first; !watch.isOver; n = (n + 1) % PAGES) {
    await fetch(watch, connection, way, n);
    await pause(40);
  }
  connection.close();
}

/** A connection for each page. */
async function renewed(watch: Watch): Promise<void> {
  for (let n = 0; !watch.isOver; n = (n + 1) % PAGES) {
    const connection = await watch.open();
    if (connection === undefined) return;
    await fetch(watch, connection, WAYS[0]!, n);
    connection.close();
    await pause(60);
  }
}

/** One big file after the other, sent slowly. */
async function download(watch: Watch): Promise<void> {
  const big = pageOf(PAGES, BIG_LINES);
  while (!watch.isOver) {
    const connection = await watch.open();
    if (connection === undefined) return;
    sendGet(connection, "/slow/big.txt");
    const { status, body } = await readReply(connection);
    watch.check("big file", `${status} ${body.toString()}`, `200 ${big}`);
    connection.close();
  }
}

/** The client's side of the case. */
export async function client(watch: Watch, commands: AsyncIterable<string>): Promise<void> {
  const lanes = [
    ...WAYS.map((way, index) => (): Promise<void> => kept(watch, way, index * 7)),
    (): Promise<void> => renewed(watch),
    (): Promise<void> => download(watch),
  ];
  const running = watch.run(lanes, 120_000);
  for await (const _ of commands);
  await running;
}

const CONFIGURATION = `
user www-data;
worker_processes 2;
daemon off;
pid /run/nginx.pid;
error_log stderr notice;
events { worker_connections 256; }
http {
  access_log off;
  sendfile on;
  default_type text/plain;
  upstream self { server 127.0.0.1:80; keepalive 4; }
  server {
    listen 80 reuseport;
    root /www;
    keepalive_requests 1000000;
    keepalive_timeout 3600s;
    send_timeout 3600s;
    location /compressed/ { alias /www/; gzip on; gzip_min_length 1; gzip_types text/plain; }
    location /slow/ { alias /www/; limit_rate 200k; }
    location /passed/ {
      proxy_pass http://self/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 3600s;
      proxy_send_timeout 3600s;
    }
  }
}
`;

export const nginx: ServerCase = {
  name: "nginx",
  title: "nginx, a master and two workers",
  port: 80,
  client: new URL(import.meta.url).pathname,
  image: {
    name: "nginx",
    packages: ["nginx"],
    directories: ["var/lib/nginx", "var/log/nginx"],
    files: {
      "etc/nginx/test.conf": CONFIGURATION,
      ...Object.fromEntries(Array.from(expected, ([n, text]) => [`www/${n}.txt`, text])),
      "www/big.txt": pageOf(PAGES, BIG_LINES),
    },
    command: ["/usr/sbin/nginx", "-c", "/etc/nginx/test.conf"],
  },
};
