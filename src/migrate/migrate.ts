// Moves a running container from one node to another: check, stage (image, twin, translations, files) while it runs,
// freeze, transfer, restore, commit. Until the twin runs, everything to go on at the source is kept there; any failure
// resumes it. Each step is in the journal before it begins.

import { HostError, InputError } from "../base/index.ts";
import { type Json, jsonAt, runPipeline, textAt } from "../host/index.ts";
import { findProblems } from "./check.ts";
import { type Container, checkpointDirectory, inspectContainer, logFile, twinRequest } from "./container.ts";
import { freeze } from "./freeze.ts";
import { Journal } from "./journal.ts";
import type { MigrationNode } from "./node.ts";
import { problemsError } from "./problem.ts";
import { readProcesses, sharedFiles } from "./process-maps.ts";
import { type Attempt, removeContainer, rollBack, setRestartPolicy, startFromCheckpoint } from "./rollback.ts";
import {
  applyDifference,
  clockOf,
  copyDirectory,
  difference,
  type Snapshot,
  settledPart,
  snapshot,
} from "./transfer.ts";
import { type StagedTranslation, stageTranslations, type Translate } from "./translations.ts";
import { createVolumes, namedVolumes, removeVolumes, type Tree, treesOf, volumesOf } from "./volumes.ts";

export interface MigrateOptions {
  readonly translate: Translate;
  /** Called, and awaited, when a step begins (`ms` undefined) and when it is done. */
  readonly onStep?: (step: string, ms: number | undefined) => void | Promise<void>;
  readonly onNote?: (text: string) => void;
  /** How long the freeze may take; one that took longer is undone. */
  readonly freezeTimeoutMs?: number | undefined;
  /** How long the twin must have run before the source is given up. */
  readonly settleMs?: number;
}

export interface StepTime {
  readonly step: string;
  readonly ms: number;
}

export interface MigrationReport {
  readonly container: string;
  readonly source: string;
  readonly target: string;
  readonly sourceId: string;
  readonly targetId: string;
  readonly direction: string;
  readonly steps: readonly StepTime[];
  /** From the request to freeze to the answer that the twin runs. */
  readonly downtimeMs: number;
  readonly totalMs: number;
  readonly checkpointBytes: number;
  /** The container's files that have a translation at the target. */
  readonly translations: readonly string[];
  /** Those whose code is interpreted there until one is brought (`stageLater`). */
  readonly untranslated: readonly StagedTranslation[];
  readonly leftovers: readonly string[];
}

/** A migration that failed; the container's fate is in `exit`. */
export class MigrationFailed extends HostError {
  readonly exit: "rolledBack" | "stranded";
  readonly step: string;
  constructor(exit: "rolledBack" | "stranded", step: string, source: string, cause: unknown, more: readonly string[]) {
    const code = cause instanceof HostError || cause instanceof InputError ? cause.code : "migration-failed";
    const said = cause instanceof Error ? cause.message : String(cause);
    const log =
      cause instanceof HostError ? [cause.log] : cause instanceof InputError ? [cause.place, cause.advice] : [];
    const fate =
      exit === "rolledBack" ? `the container goes on at ${source}` : `the container does NOT run at ${source}`;
    super(code, `step '${step}' failed: ${said}`, [...log.filter((l) => l !== ""), ...more, fate].join("\n"), cause);
    this.name = "MigrationFailed";
    this.exit = exit;
    this.step = step;
  }
}

/** One migration under way. */
class Migration {
  readonly steps: StepTime[] = [];
  step = "check";
  attempt: Attempt;
  readonly #journal: Journal;
  readonly #options: MigrateOptions;

  constructor(journal: Journal, attempt: Attempt, options: MigrateOptions) {
    this.#journal = journal;
    this.attempt = attempt;
    this.#options = options;
  }

  /** Runs one step; its begin, end and time go to the journal and to whoever watches. */
  async run<T>(step: string, work: () => Promise<T>, changes: Partial<Attempt> = {}): Promise<T> {
    this.step = step;
    this.attempt = { ...this.attempt, ...changes };
    this.#journal.write("begin", step, { attempt: this.attempt as unknown as Json });
    await this.#options.onStep?.(step, undefined);
    const start = performance.now();
    const result = await work();
    const ms = performance.now() - start;
    this.steps.push({ step, ms });
    this.#journal.write("done", step, { ms: Math.round(ms) });
    await this.#options.onStep?.(step, ms);
    return result;
  }
}

async function stageImage(source: MigrationNode, target: MigrationNode, container: Container): Promise<void> {
  const { status, body } = await target.docker.request("GET", `/images/${encodeURIComponent(container.imageId)}/json`);
  const isThere = status === 200 && textAt(body, "Id") === container.imageId;
  if (!isThere) await runPipeline(source.docker.imagePipeline(container.imageReference, target.docker));
  const named = await target.docker.call("GET", `/images/${encodeURIComponent(container.imageReference)}/json`);
  if (textAt(named, "Id") !== container.imageId)
    throw new HostError(
      "image-differs",
      `image ${container.imageReference} on ${target.name} is ${textAt(named, "Id")}, not ${container.imageId}`,
    );
}

async function createTwin(target: MigrationNode, container: Container): Promise<string> {
  const name = encodeURIComponent(container.name);
  const platform = `linux/${container.home}`;
  const request = twinRequest(container, target);
  const body = {
    ...(request as { readonly [key: string]: Json }),
    // Until the commit nothing but the migration may start it.
    HostConfig: {
      ...(jsonAt(request, "HostConfig") as { readonly [key: string]: Json }),
      RestartPolicy: { Name: "no" },
    },
  };
  const path = `/containers/create?name=${name}&platform=${encodeURIComponent(platform)}`;
  return textAt(await target.docker.call("POST", path, { body }), "Id");
}

/** Space that the container's files, memory and image take must be there before anything is frozen. */
async function checkSpace(source: MigrationNode, target: MigrationNode, container: Container): Promise<void> {
  const directories = [container.upperDirectory, ...volumesOf(container).map((volume) => volume.directory)];
  const used = await source.shell.run("du", ["-s", "-c", "-B1", "--", ...directories]);
  const memory = await source.docker.call("GET", `/containers/${container.id}/stats?stream=false&one-shot=true`);
  const memoryBytes = Number(jsonAt(memory, "memory_stats", "usage") ?? 0);
  const free = await target.shell.runChecked("df", ["-B1", "--output=avail", "--", target.dockerRoot]);
  const freeBytes = Number(free.stdout.trim().split("\n").at(-1));
  // The engine unpacks a checkpoint twice on its way to CRIU and the recoder writes it once more.
  const neededBytes = Number(used.stdout.trim().split("\n").at(-1)?.split(/\s/)[0] ?? 0) + 4 * memoryBytes + (16 << 20);
  if (Number.isFinite(freeBytes) && freeBytes < neededBytes)
    throw new InputError(
      "target-full",
      `${target.name} has ${freeBytes >> 20} MiB free, about ${neededBytes >> 20} MiB are needed`,
      target.dockerRoot,
      "free space there (docker system prune)",
    );
}

/** Brings the container's log to the target, so that its history moves along. */
async function copyLog(
  source: MigrationNode,
  target: MigrationNode,
  container: Container,
  twinId: string,
): Promise<void> {
  if (textAt(container.inspect, "HostConfig", "LogConfig", "Type") !== "json-file") return;
  const from = logFile(source, container.id);
  if ((await source.shell.run("test", ["-f", from])).status !== 0) return;
  const script = 'cat >"$1" && chmod 640 "$1"';
  await runPipeline([
    source.shell.commandLine("cat", [from]),
    target.shell.commandLine("sh", ["-c", script, "sh", logFile(target, twinId)]),
  ]);
}

async function sizeOf(node: MigrationNode, directory: string): Promise<number> {
  const { stdout } = await node.shell.run("du", ["-s", "-b", "--", directory]);
  return Number(stdout.split(/\s/)[0] ?? 0);
}

/** The twin must still run after a moment; what dies at once would take the source with it. */
async function settle(target: MigrationNode, twinId: string, settleMs: number): Promise<void> {
  const deadline = performance.now() + settleMs;
  do {
    const twin = await target.docker.call("GET", `/containers/${twinId}/json`);
    if (jsonAt(twin, "State", "Running") !== true) {
      const status = jsonAt(twin, "State", "ExitCode");
      throw new HostError(
        "twin-ended",
        `the container ended on ${target.name} right after its restore, with exit status ${String(status)}`,
        textAt(twin, "State", "Error"),
      );
    }
    await new Promise((done) => setTimeout(done, 100));
  } while (performance.now() < deadline);
}

/** A tree and what it held when it was copied last. */
interface Copy {
  readonly tree: Tree;
  readonly state: Snapshot;
}

/** Brings a copy up to date; answers what the tree held. */
async function updateTree(
  source: MigrationNode,
  target: MigrationNode,
  { tree, state }: Copy,
  isLive: boolean,
): Promise<Snapshot> {
  const now = await snapshot(source, tree.from, tree.exclude);
  await applyDifference(source, tree.from, target, tree.to, difference(state, now), isLive);
  return now;
}

/** Copies the trees while the container works in them. */
async function copyLiveTrees(
  source: MigrationNode,
  target: MigrationNode,
  container: Container,
  trees: readonly Tree[],
): Promise<Copy[]> {
  const copies: Copy[] = [];
  for (const tree of trees) {
    // In this order: a file that is mapped later than that is changed later, too.
    const since = await clockOf(source);
    const shared = sharedFiles(await readProcesses(source, container));
    const now = await updateTree(source, target, { tree, state: new Map() }, true);
    const top = tree.destination === "/" ? "/" : `${tree.destination}/`;
    const inside = [...shared].filter((path) => path.startsWith(top)).map((path) => path.slice(top.length));
    copies.push({ tree, state: settledPart(now, since, new Set(inside)) });
  }
  return copies;
}

/** What cpuid is to tell abroad, as CRIU writes it; where it cannot, cpuid tells of a CPU that nearly all programs are content with. */
async function describeCpu(source: MigrationNode, container: Container): Promise<Uint8Array | undefined> {
  if (source.architecture !== container.home) return undefined;
  const script =
    'd=$(mktemp -d) && criu cpuinfo dump -D "$d" >/dev/null && cat "$d/cpuinfo.img"; status=$?; rm -rf "$d"; exit $status';
  const { status, bytes } = await source.shell.run("sh", ["-c", script]);
  return status === 0 ? bytes : undefined;
}

/** Waits for all of them; throws what the first one threw, when none is under way any more. */
async function allSettled(works: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === "rejected") throw result.reason;
}

/** What is at the target before the freeze. */
interface Staged {
  readonly twinId: string;
  readonly copied: readonly Copy[];
  readonly translations: readonly StagedTranslation[];
  readonly cpu: Uint8Array | undefined;
}

/** Stages what can be brought over while the container runs; answers the twin's id and what the files were. */
async function stage(
  migration: Migration,
  source: MigrationNode,
  target: MigrationNode,
  container: Container,
  options: MigrateOptions,
): Promise<Staged> {
  await migration.run("image", () => stageImage(source, target, container));
  const volumes = namedVolumes(container);
  const create = async (): Promise<string> => {
    await createVolumes(source, target, volumes);
    return createTwin(target, container);
  };
  const twinId = await migration.run("create", create, { volumes });
  migration.attempt = { ...migration.attempt, twinId };
  const twin = await inspectContainer(target, twinId);
  let translations: StagedTranslation[] = [];
  if (container.home !== target.architecture) {
    translations = await migration.run("translate", () =>
      stageTranslations(source, target, container, options.translate, (text) => options.onNote?.(text)),
    );
  }
  const copied = await migration.run("files", async () =>
    copyLiveTrees(source, target, container, await treesOf(container, twin, target)),
  );
  return { twinId, copied, translations, cpu: await describeCpu(source, container) };
}

/** Freezes, transfers and restores; answers the time between. */
async function switchOver(
  migration: Migration,
  source: MigrationNode,
  target: MigrationNode,
  container: Container,
  staged: Staged,
  options: MigrateOptions,
): Promise<{ downtimeMs: number; checkpointBytes: number }> {
  const { checkpoint } = migration.attempt;
  const start = performance.now();
  const timeoutMs = options.freezeTimeoutMs ?? 180_000;
  await migration.run("freeze", () => freeze(source, container, checkpoint, timeoutMs), { isFreezeTried: true });
  const from = checkpointDirectory(source, container.id, checkpoint);
  const copyCheckpoint = async (): Promise<void> => {
    if (staged.cpu !== undefined) await source.shell.writeFile(`${from}/cpuinfo.img`, staged.cpu);
    await copyDirectory(source, from, target, checkpointDirectory(target, staged.twinId, checkpoint));
  };
  const updateTrees = async (): Promise<void> => {
    for (const copy of staged.copied) await updateTree(source, target, copy, false);
  };
  await migration.run("transfer", () =>
    allSettled([copyCheckpoint(), updateTrees(), copyLog(source, target, container, staged.twinId)]),
  );
  const { networks } = migration.attempt;
  const restore = (): Promise<void> => startFromCheckpoint(target, staged.twinId, checkpoint, networks);
  await migration.run("restore", restore, { isStartTried: true });
  const downtimeMs = performance.now() - start;
  return { downtimeMs, checkpointBytes: await sizeOf(source, from) };
}

/** Gives up the source and the checkpoint; what cannot be removed is reported, the container runs at the target. */
export async function commit(source: MigrationNode, target: MigrationNode, attempt: Attempt): Promise<string[]> {
  const leftovers: string[] = [];
  const attemptTo = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      leftovers.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  await attemptTo("restart policy", () => setRestartPolicy(target, attempt.twinId, attempt.restartPolicy));
  await attemptTo(`container on ${source.name}`, () => removeContainer(source, attempt.containerId));
  await attemptTo(`volumes on ${source.name}`, () => removeVolumes(source, attempt.volumes));
  await attemptTo(`checkpoint on ${target.name}`, () =>
    target.docker.call("DELETE", `/containers/${attempt.twinId}/checkpoints/${encodeURIComponent(attempt.checkpoint)}`),
  );
  return leftovers;
}

/** Moves the container; throws MigrationFailed with the container's fate, or an InputError when it was not touched. */
export async function migrate(
  source: MigrationNode,
  target: MigrationNode,
  containerName: string,
  options: MigrateOptions,
): Promise<MigrationReport> {
  const begin = performance.now();
  const container = await inspectContainer(source, containerName);
  const problems = await findProblems(container, source, target);
  if (problems.length > 0) throw problemsError(problems);
  await checkSpace(source, target, container);
  const id = `${new Date().toISOString().replace(/[:.]/g, "-")}-${container.id.slice(0, 12)}`;
  const attempt: Attempt = {
    containerId: container.id,
    checkpoint: `hcontainer-${Date.now().toString(36)}`,
    twinId: "",
    restartPolicy: jsonAt(container.inspect, "HostConfig", "RestartPolicy") ?? { Name: "no" },
    networks: jsonAt(container.inspect, "NetworkSettings", "Networks") ?? {},
    volumes: [],
    isFreezeTried: false,
    isStartTried: false,
  };
  const journal = new Journal(id, { container: container.name, source: source.name, target: target.name });
  const migration = new Migration(journal, attempt, options);
  try {
    // An engine would start a container with a restart policy again, from its beginning, when the freeze ends it.
    await migration.run("prepare", () => setRestartPolicy(source, container.id, { Name: "no" }));
    const staged = await stage(migration, source, target, container, options);
    const { downtimeMs, checkpointBytes } = await switchOver(migration, source, target, container, staged, options);
    await migration.run("settle", () => settle(target, staged.twinId, options.settleMs ?? 500));
    const leftovers = await migration.run("commit", () => commit(source, target, migration.attempt));
    journal.end("moved");
    return {
      container: container.name,
      source: source.name,
      target: target.name,
      sourceId: container.id,
      targetId: staged.twinId,
      direction: `${source.architecture} → ${target.architecture}`,
      steps: migration.steps,
      downtimeMs,
      totalMs: performance.now() - begin,
      checkpointBytes,
      translations: staged.translations.filter((entry) => entry.state === "staged").map((entry) => entry.file),
      untranslated: staged.translations.filter((entry) => entry.state === "missing"),
      leftovers,
    };
  } catch (error) {
    throw await failed(migration, journal, source, target, error);
  }
}

async function failed(
  migration: Migration,
  journal: Journal,
  source: MigrationNode,
  target: MigrationNode,
  error: unknown,
): Promise<MigrationFailed> {
  const { step } = migration;
  journal.write("failed", step, { error: error instanceof Error ? error.message : String(error) });
  try {
    const { leftovers } = await rollBack(source, target, migration.attempt);
    journal.end("rolled back");
    return new MigrationFailed("rolledBack", step, source.name, error, leftovers);
  } catch (second) {
    const why = second instanceof Error ? second.message : String(second);
    journal.write("failed", "roll back", { error: why });
    return new MigrationFailed("stranded", step, source.name, error, [`roll back failed: ${why}`]);
  }
}
