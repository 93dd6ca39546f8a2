// `hcontainer demo`: a container that logs and serves pages moves from amd64 to arm64 and back while a client watches.
// What is shown is measured and checked; the demo fails when a line or a page is wrong.

import { spawn } from "node:child_process";
import { fractionsFrom, HostError } from "../base/index.ts";
import type { NodeShell } from "../host/index.ts";
import { labDirectory, up } from "../lab/index.ts";
import { inspectContainer, type MigrationNode, type MigrationReport, migrate } from "../migrate/index.ts";
import { numberOption, parseVerb } from "./arguments.ts";
import type { ClientReport } from "./demo-client.ts";
import { IMAGE, LOG, makeImage, VOLUME_DIRECTORY, VOLUME_LOG } from "./demo-image.ts";
import { checkLog } from "./demo-log.ts";
import { exitCode } from "./exit-codes.ts";
import { STEP_NAMES } from "./migrate.ts";
import { NodeList, prepareForeign, translate } from "./node-list.ts";
import { formatMs, Progress, printJson, table } from "./output.ts";

export const help = `Shows a container move amd64 → arm64 → amd64 while it works, and checks that nothing is lost.

usage: hcontainer demo [--rounds N] [--seed N] [--keep] [--json]

  --rounds N   how many times it moves there and back (default 1)
  --seed N     fixes the random moments at which it moves
  --keep       leave the container running at the end
  --json       print what was measured as JSON

The lab comes up if it is not (and stays: 'hcontainer lab down' ends it). The container is plain 'docker run' of an image
made of Debian's busybox-static: a pipeline of processes logs a numbered, checksummed line ten times a second, into a file
of the container and one of a volume, beside busybox httpd. A client in a network of its own fetches pages all the time and checks every byte.

examples:
  hcontainer demo
  hcontainer demo --rounds 20 --seed 7 --json
`;

const NAME = "hcontainer-demo";
const ADDRESS = "10.217.0.77";
const CLIENT = new URL("./demo-client.ts", import.meta.url).pathname;

/** Starts the client; the answer ends it and gives its report. */
function startClient(shell: NodeShell): () => Promise<ClientReport> {
  const line = shell.commandLine(process.execPath, ["--disable-warning=ExperimentalWarning", CLIENT, ADDRESS]);
  const child = spawn(line.command, line.args, {
    env: { ...process.env, ...line.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return async () => {
    child.stdin.end();
    const status = await ended;
    if (status !== 0) throw new HostError("client-failed", `the client ended with status ${status}`);
    return JSON.parse(text) as ClientReport;
  };
}

async function startContainer(node: MigrationNode, network: string): Promise<void> {
  const volume = ["--volume", `${NAME}:${VOLUME_DIRECTORY}`];
  const words = ["run", "-d", "--name", NAME, "--network", network, "--ip", ADDRESS, ...volume, IMAGE];
  await node.shell.runChecked("docker", words, { timeoutMs: 60_000 });
}

async function removeContainers(nodes: readonly MigrationNode[]): Promise<void> {
  for (const node of nodes) {
    await node.docker.request("DELETE", `/containers/${NAME}?force=true`);
    await node.docker.request("DELETE", `/volumes/${NAME}`);
  }
}

/** The container's log file, read on the node that it runs on. */
async function readLog(node: MigrationNode, path = LOG): Promise<string> {
  const { initPid } = await inspectContainer(node, NAME);
  return new TextDecoder().decode(await node.shell.readFile(`/proc/${initPid}/root${path}`));
}

interface Evidence {
  readonly node: string;
  readonly program: string;
  /** Files of ours that the first process has mapped. */
  readonly mapped: readonly string[];
}

/** What the first process of the container is made of, as the node's kernel tells. */
async function gatherEvidence(node: MigrationNode): Promise<Evidence> {
  const { initPid } = await inspectContainer(node, NAME);
  const script = 'readlink "/proc/$1/exe"; sed -n "s|.* \\(/\\.hcontainer/.*\\)|\\1|p" "/proc/$1/maps" | sort -u';
  const { stdout } = await node.shell.runChecked("sh", ["-c", script, "sh", String(initPid)]);
  const [program, ...mapped] = stdout.trim().split("\n");
  return { node: node.name, program: program ?? "", mapped };
}

/** Waits until the log grows by some lines, which shows that the container works; bounded. */
async function seeItWork(node: MigrationNode, moreLines: number): Promise<number> {
  const before = checkLog(await readLog(node)).lines;
  const deadline = performance.now() + 120_000;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = checkLog(await readLog(node)).lines;
    if (now >= before + moreLines) return now;
    if (performance.now() > deadline)
      throw new HostError("container-silent", `the container on ${node.name} logged ${now - before} lines in 120 s`);
  }
}

export interface DemoReport {
  readonly seed: number;
  readonly moves: readonly MigrationReport[];
  readonly evidence: readonly Evidence[];
  readonly lines: number;
  readonly client: ClientReport;
  readonly complaints: readonly string[];
  readonly totalMs: number;
}

/** Prints where the time of the moves went, a column a move. */
function printMoves(moves: readonly MigrationReport[]): void {
  const shown = moves.slice(0, 4);
  const steps = [...new Set(shown.flatMap((move) => move.steps.map(({ step }) => step)))];
  const cell = (move: MigrationReport, step: string): string => {
    const found = move.steps.find((s) => s.step === step);
    return found ? formatMs(found.ms) : "";
  };
  const rows = steps.map((step) => [STEP_NAMES[step] ?? step, ...shown.map((move) => cell(move, step))]);
  rows.push(["frozen", ...shown.map((move) => formatMs(move.downtimeMs))]);
  process.stdout.write(`${table([["step", ...shown.map((move) => move.direction)], ...rows])}\n`);
}

function printReport(report: DemoReport): void {
  printMoves(report.moves);
  const { client } = report;
  for (const { node, program, mapped } of report.evidence)
    process.stdout.write(
      `on ${node} its program is ${program}${mapped.length ? `, running as ${mapped.join(", ")}` : ", and nothing of ours is in it"}\n`,
    );
  process.stdout.write(
    `log: ${report.lines} lines; pages: ${client.pages} right, ${client.wrong} wrong (${client.bytes >> 10} KiB); ` +
      `the client's longest gap: ${formatMs(client.longestGapMs)}\n`,
  );
  for (const complaint of report.complaints) process.stdout.write(`wrong: ${complaint}\n`);
  const verdict = report.complaints.length === 0 ? "nothing missing, nothing doubled, nothing wrong" : "FAILED";
  process.stdout.write(`${verdict} (${formatMs(report.totalMs)}, seed ${report.seed})\n`);
}

/** Moves the container there and back; everything that is wrong is collected. */
async function perform(
  nodes: NodeList,
  rounds: number,
  seed: number,
  progress: Progress,
): Promise<Omit<DemoReport, "totalMs">> {
  const [home, foreign] = [await nodes.node("amd64"), await nodes.node("arm64")];
  const random = fractionsFrom(seed);
  const stopClient = startClient(nodes.lab.client);
  const moves: MigrationReport[] = [];
  const evidence: Evidence[] = [];
  const complaints: string[] = [];
  let client: ClientReport | undefined;
  try {
    evidence.push(await gatherEvidence(home));
    for (let leg = 0; leg < rounds * 2; leg++) {
      const [source, target] = leg % 2 === 0 ? [home, foreign] : [foreign, home];
      await new Promise((resolve) => setTimeout(resolve, 500 + random() * 1500));
      const move = await migrate(source, target, NAME, {
        translate,
        onStep: (step, ms) =>
          ms === undefined
            ? progress.step(`${source.name} → ${target.name}: ${STEP_NAMES[step] ?? step}`)
            : progress.done(),
      });
      moves.push(move);
      progress.step(`it works on ${target.name}`);
      progress.done(`${await seeItWork(target, 10)} lines`);
      for (const path of [LOG, VOLUME_LOG]) {
        const { complaint } = checkLog(await readLog(target, path));
        if (complaint) complaints.push(`after move ${leg + 1}, ${path}: ${complaint}`);
      }
      if (leg < 2) evidence.push(await gatherEvidence(target));
    }
  } finally {
    client = await stopClient();
  }
  const last = checkLog(await readLog(home));
  complaints.push(...client.complaints);
  if (client.pages === 0) complaints.push("the client got no page");
  return { seed, moves, evidence, lines: last.lines, client, complaints };
}

/** Runs the verb. */
export async function run(args: string[]): Promise<number> {
  const begin = performance.now();
  const { values } = parseVerb(args, {
    rounds: { type: "string" },
    seed: { type: "string" },
    keep: { type: "boolean" },
    json: { type: "boolean" },
  });
  const rounds = numberOption("rounds", values.rounds, 1, 1, 1000);
  const seed = numberOption("seed", values.seed, Math.floor(Math.random() * 2 ** 31), 0, 2 ** 32 - 1);
  const progress = new Progress();
  try {
    progress.step("lab");
    const lab = await up({ directory: labDirectory() }, (text) => progress.note(text));
    progress.done();
    const nodes = await NodeList.attach();
    try {
      const [home, foreign] = [await nodes.node("amd64"), await nodes.node("arm64")];
      progress.step("install runtime and recoder on arm64");
      await prepareForeign(lab.nodes.arm64.shell);
      progress.step("make the image");
      await removeContainers([home, foreign]);
      await makeImage(home);
      progress.step("docker run on amd64");
      await startContainer(home, lab.network.name);
      await seeItWork(home, 5);
      progress.done();
      const report: DemoReport = {
        ...(await perform(nodes, rounds, seed, progress)),
        totalMs: performance.now() - begin,
      };
      if (!values.keep) await removeContainers([home, foreign]);
      if (values.json) printJson(report);
      else printReport(report);
      return exitCode(report.complaints.length === 0 ? "ok" : "failed");
    } finally {
      await nodes.close();
    }
  } catch (error) {
    progress.failed();
    throw error;
  }
}
