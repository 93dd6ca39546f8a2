// The engine's API over the stdio of a command: a fake `docker system dial-stdio` bridges to an HTTP server here.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HostError } from "../src/base/index.ts";
import { Docker, localShell } from "../src/host/index.ts";

const directory = mkdtempSync(join(tmpdir(), "hc-docker-"));
const starts: string[] = [];
let server: Server;
let docker: Docker;

before(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      starts.push(`${request.method} ${request.url}`);
      if (request.url === "/silent") return;
      if (request.url === "/gone") return void response.socket?.destroy();
      const text = Buffer.concat(chunks).toString("utf8");
      response.statusCode = request.url === "/missing" ? 404 : 200;
      response.setHeader("Content-Type", "application/json");
      if (request.url === "/missing") response.end(JSON.stringify({ message: "No such container: x" }));
      else response.end(JSON.stringify({ method: request.method, echo: text, filler: "x".repeat(300_000) }));
    });
  });
  const socket = join(directory, "socket");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const bridge = `#!${process.execPath}
const { connect } = require("node:net");
const { appendFileSync } = require("node:fs");
appendFileSync(${JSON.stringify(join(directory, "starts"))}, "x");
const socket = connect(${JSON.stringify(socket)});
process.stdin.pipe(socket);
socket.pipe(process.stdout);
socket.on("close", () => process.exit(0));
`;
  writeFileSync(join(directory, "docker"), bridge, { mode: 0o755 });
  docker = new Docker(localShell("here", { env: { PATH: `${directory}:${process.env["PATH"]}` } }));
});

after(() => {
  docker.close();
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

test("requests share one connection and get their answers", async () => {
  for (let round = 0; round < 3; round++) {
    const reply = await docker.call("POST", "/echo", { body: { round } });
    assert.ok(typeof reply === "object" && reply !== null && "echo" in reply);
    assert.equal(reply["echo"], JSON.stringify({ round }));
  }
  const { readFileSync } = await import("node:fs");
  assert.equal(readFileSync(join(directory, "starts"), "utf8"), "x");
});

test("what the engine refuses is an error with its words", async () => {
  await assert.rejects(docker.call("GET", "/missing"), (error: unknown) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.code, "not-found");
    assert.match(error.message, /No such container: x/);
    return true;
  });
});

test("an engine that is silent or goes away is an error, and the next request connects anew", async () => {
  await assert.rejects(docker.call("GET", "/silent", { timeoutMs: 200 }), { code: "timeout" });
  await assert.rejects(docker.call("GET", "/gone"), { code: "engine-unreachable" });
  assert.ok(await docker.call("GET", "/echo"));
});
