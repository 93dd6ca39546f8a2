// Takes one server through a round trip under load: home, abroad, home again, with its client working all the time.
// Everything that was measured is in the answer; what was wrong is in the client's report.

import { spawn } from "node:child_process";
import { loadavg } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { HostError } from "../../src/base/index.ts";
import { type NodeList, translate } from "../../src/cli/node-list.ts";
import { listAt, type NodeShell, textAt } from "../../src/host/index.ts";
import { type MigrationNode, type MigrationReport, migrate, type Translate } from "../../src/migrate/index.ts";
import type { ServerCase } from "./case.ts";
import { imageOf, makeServerImage } from "./image.ts";
import { type ClientReport, pause } from "./watch.ts";

const ADDRESS = "10.217.0.79";
/** An emulated node on a busy machine is slow. */
const FREEZE_TIMEOUT_MS = 1_200_000;
const CLIENT = join(import.meta.dirname, "client.ts");

/** What was seen of one server. */
export interface ServerReport {
  readonly name: string;
  readonly title: string;
  readonly moves: readonly MigrationReport[];
  readonly client: ClientReport;
  /** Load average of the machine over the last 15 minutes: the emulated node shares its processors with all else. */
  readonly load?: number;
  /** What a lost process or log said, if something was wrong. */
  readonly log: string;
}

/** A client's process. */
class ClientProcess {
  readonly #child;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(shell: NodeShell, server: ServerCase) {
    const line = shell.commandLine(process.execPath, [
      "--disable-warning=ExperimentalWarning",
      CLIENT,
      server.client,
      ADDRESS,
      String(server.port),
    ]);
    this.#child = spawn(line.command, line.args, {
      env: { ...process.env, ...line.env, NODE_TEST_CONTEXT: undefined },
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout }).on("line", (text) => {
      this.#lines.push(text);
      this.#wake?.();
    });
    this.#child.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  async #line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#ended) throw new HostError("client-failed", "the client ended without a report");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift()!;
  }

  /** Says a command; comes back when the client has done it. */
  async say(command: string): Promise<void> {
    this.#child.stdin.write(`${command}\n`);
    await this.#line();
  }

  /** Ends the client's work and answers its report. */
  async end(): Promise<ClientReport> {
    this.#child.stdin.end();
    return JSON.parse(await this.#line()) as ClientReport;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

export interface RunOptions {
  /** How long the client works at each place without a disturbance. */
  readonly quietMs: number;
  /** How translations are got; by default they are made before the freeze. */
  readonly translate?: Translate;
  /** The server stays at home: for trying out a client. */
  readonly stays?: boolean;
  readonly onStep?: (text: string) => void;
}

const containerName = (server: ServerCase): string => `hcontainer-server-${server.name}`;

/** Removes containers of this and of earlier runs, which would have the address. */
async function removeContainers(nodes: readonly MigrationNode[]): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ name: ["hcontainer-server-"] }));
  for (const node of nodes)
    for (const found of listAt(await node.docker.call("GET", `/containers/json?all=1&filters=${filters}`)))
      await node.docker.request("DELETE", `/containers/${textAt(found, "Id")}?force=true`);
}

/** The end of the container's log, wherever it is. */
async function lastLog(nodes: readonly MigrationNode[], server: ServerCase): Promise<string> {
  const parts: string[] = [];
  for (const node of nodes) {
    const log = await node.shell.run("docker", ["logs", "--tail", "30", containerName(server)]);
    if (log.status === 0) parts.push(`on ${node.name}:\n${log.stdout}${log.stderr}`);
  }
  return parts.join("\n");
}

/** Moves the server there and back under load. */
export async function roundTrip(list: NodeList, server: ServerCase, options: RunOptions): Promise<ServerReport> {
  const [home, foreign] = [await list.node("amd64"), await list.node("arm64")];
  const note = (text: string): void => options.onStep?.(`${server.name}: ${text}`);
  await removeContainers([home, foreign]);
  note("make the image");
  await makeServerImage(home, server.image);
  const words = ["run", "-d", "--name", containerName(server), "--network", list.lab.network.name, "--ip", ADDRESS];
  await home.shell.runChecked("docker", [...words, imageOf(server.image)]);
  const client = new ClientProcess(list.lab.client, server);
  const moves: MigrationReport[] = [];
  try {
    await client.say("phase home");
    await client.say("await-reply");
    await pause(options.quietMs);
    const ways = [
      [home, foreign, "going out", "abroad"],
      [foreign, home, "going home", "home again"],
    ] as const;
    for (const [source, target, going, there] of options.stays ? [] : ways) {
      const move = await migrate(source, target, containerName(server), {
        freezeTimeoutMs: FREEZE_TIMEOUT_MS,
        translate: options.translate ?? translate,
        onNote: (text) => note(text),
        onStep: async (step, ms) => {
          note(`${source.name} → ${target.name}: ${step}${ms === undefined ? "" : ` ${Math.round(ms)} ms`}`);
          if (step !== "freeze" || ms !== undefined) return;
          await client.say("before-move");
          await client.say(`phase ${going}`);
        },
      });
      moves.push(move);
      await client.say(`phase ${there}`);
      await client.say("await-reply");
      await pause(options.quietMs);
      note("the client looks after what was under way");
      await client.say("after-move");
    }
    note("the client compares all data");
    const report = await client.end();
    const log = report.wrong > 0 ? await lastLog([home, foreign], server) : "";
    await removeContainers([home, foreign]);
    return { name: server.name, title: server.title, moves, client: report, load: loadavg()[2]!, log };
  } catch (error) {
    note(await lastLog([home, foreign], server));
    client.kill();
    await removeContainers([home, foreign]).catch(() => undefined);
    throw error;
  }
}
