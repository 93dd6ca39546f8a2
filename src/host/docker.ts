// A Docker engine on a node, driven through its HTTP API: what `inspect` answers is what `create` takes, so a container's
// configuration moves without being taken apart into command-line options. The connection is the stdio of
// `docker system dial-stdio` on the node, kept open, so a request costs no process start there.
// The API is described in Docker's "Engine API" reference (version 1.44 and later are used).

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { HostError } from "../base/index.ts";
import { lastLines } from "./process.ts";
import type { NodeShell } from "./shell.ts";

/** Parsed JSON, to be looked at with care. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The child's stdio as the socket that node:http wants. */
class StdioSocket extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;
  #log = "";

  constructor(child: ChildProcessWithoutNullStreams, name: string) {
    super({ allowHalfOpen: true });
    this.#child = child;
    child.stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      this.#log = lastLines(this.#log + chunk.toString("utf8"), 20);
    });
    child.stdin.on("error", () => undefined);
    child.on("error", (cause) => this.destroy(cause));
    child.on("close", (status) => {
      this.push(null);
      if (status !== 0)
        this.destroy(new HostError("engine-unreachable", `the connection to the engine of ${name} broke`, this.#log));
    });
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    if (!this.#child.stdin.writable) done(new Error("the engine's connection is closed"));
    else this.#child.stdin.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill();
    done(error);
  }

  // What node:http calls on a net.Socket and has no meaning here.
  setKeepAlive(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

export interface EngineReply {
  readonly status: number;
  readonly body: Json;
}

export interface RequestOptions {
  readonly body?: Json | undefined;
  /** Two minutes unless said; infinity waits as long as the connection lives. */
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const REPLY_LIMIT_BYTES = 1 << 26;

function readReply(message: IncomingMessage): Promise<EngineReply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    message.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > REPLY_LIMIT_BYTES)
        message.destroy(new HostError("too-much-output", "the engine's answer is too big"));
      else chunks.push(chunk);
    });
    message.on("error", reject);
    message.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      let body: Json = text;
      if (text !== "" && message.headers["content-type"]?.startsWith("application/json")) {
        try {
          body = JSON.parse(text) as Json;
        } catch {
          // Some answers are several JSON values, a line each; they stay text.
        }
      }
      resolve({ status: message.statusCode ?? 0, body });
    });
  });
}

/** A Docker engine. */
export class Docker {
  readonly shell: NodeShell;
  #agent: Agent | undefined;

  constructor(shell: NodeShell) {
    this.shell = shell;
  }

  /** Sends one request; any status is an answer. Throws when the engine cannot be reached or does not answer in time. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<EngineReply> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const text = options.body === undefined ? undefined : JSON.stringify(options.body);
    const headers: Record<string, string> = { Host: "docker" };
    if (text !== undefined) {
      headers["Content-Type"] = "application/json";
      headers["Content-Length"] = String(Buffer.byteLength(text));
    } else if (method === "POST") headers["Content-Length"] = "0";
    return await new Promise<EngineReply>((resolve, reject) => {
      const sent = httpRequest({ agent: this.#connection(), method, path, headers });
      const late = (): void => {
        const what = `did not answer ${method} ${path} in ${timeoutMs} ms`;
        sent.destroy(new HostError("timeout", `the engine of ${this.shell.name} ${what}`));
      };
      const timer = Number.isFinite(timeoutMs) ? setTimeout(late, timeoutMs) : undefined;
      const fail = (cause: Error): void => {
        clearTimeout(timer);
        if (cause instanceof HostError) reject(cause);
        else
          reject(new HostError("engine-unreachable", `the engine of ${this.shell.name} cannot be reached`, "", cause));
      };
      sent.on("error", fail);
      sent.on("response", (message) => {
        readReply(message).then((reply) => {
          clearTimeout(timer);
          resolve(reply);
        }, fail);
      });
      sent.end(text);
    });
  }

  /** Like `request`; a status of 400 or more throws what the engine says. */
  async call(method: string, path: string, options: RequestOptions = {}): Promise<Json> {
    const { status, body } = await this.request(method, path, options);
    if (status < 400) return body;
    const said = typeof body === "object" && body !== null && "message" in body ? body["message"] : body;
    const code = status === 404 ? "not-found" : status === 409 ? "engine-conflict" : "engine-refused";
    const log = String(said ?? "");
    throw new HostError(
      code,
      `the engine of ${this.shell.name} refused ${method} ${path}: ${log.split("\n", 1)[0]}`,
      log,
    );
  }

  /** Copies an image with all its layers to another engine. What is there already is not unpacked again. */
  imagePipeline(reference: string, target: Docker): ReturnType<NodeShell["commandLine"]>[] {
    return [
      this.shell.commandLine("docker", ["save", reference]),
      target.shell.commandLine("docker", ["load", "--quiet"]),
    ];
  }

  /** Closes the connection; the next request opens one again. */
  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  #connection(): Agent {
    if (this.#agent) return this.#agent;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => {
      const line = this.shell.commandLine("docker", ["system", "dial-stdio"]);
      const child = spawn(line.command, line.args, {
        cwd: line.cwd,
        env: { ...process.env, ...line.env },
        stdio: ["pipe", "pipe", "pipe"],
      });
      return new StdioSocket(child, this.shell.name);
    };
    this.#agent = agent;
    return agent;
  }
}

/** The value at `path` in parsed JSON; undefined when a step is missing. */
export function jsonAt(value: Json, ...path: readonly string[]): Json | undefined {
  let at: Json | undefined = value;
  for (const key of path) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return undefined;
    at = (at as { readonly [key: string]: Json })[key];
  }
  return at;
}

/** The text at `path`; empty when there is none. */
export function textAt(value: Json, ...path: readonly string[]): string {
  const found = jsonAt(value, ...path);
  return typeof found === "string" ? found : "";
}

/** The object at `path`; empty when there is none. */
export function objectAt(value: Json, ...path: readonly string[]): { readonly [key: string]: Json } {
  const found = jsonAt(value, ...path);
  return typeof found === "object" && found !== null && !Array.isArray(found)
    ? (found as { readonly [key: string]: Json })
    : {};
}

/** The list at `path`; empty when there is none. */
export function listAt(value: Json, ...path: readonly string[]): readonly Json[] {
  const found = jsonAt(value, ...path);
  return Array.isArray(found) ? (found as readonly Json[]) : [];
}
