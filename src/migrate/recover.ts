// Recovery: migrations whose process died are brought to an end from their journals. If the twin runs, the migration is
// committed; else the source is resumed and the target cleaned.

import { appendFileSync } from "node:fs";
import { HostError } from "../base/index.ts";
import { type Json, jsonAt, listAt, textAt } from "../host/index.ts";
import type { OldJournal } from "./journal.ts";
import { commit } from "./migrate.ts";
import type { MigrationNode } from "./node.ts";
import { type Attempt, isTwinRunning, rollBack } from "./rollback.ts";

export interface RecoveryReport {
  readonly container: string;
  readonly source: string;
  readonly target: string;
  readonly result: "moved" | "rolled back";
  readonly leftovers: readonly string[];
}

/** The last state of the attempt that the journal holds; undefined when nothing had been touched. */
function lastAttempt(journal: OldJournal): Attempt | undefined {
  const entry = journal.entries.findLast((e) => e.data !== undefined && "attempt" in e.data);
  const attempt = entry?.data?.["attempt"];
  if (attempt === undefined) return undefined;
  return {
    containerId: textAt(attempt, "containerId"),
    checkpoint: textAt(attempt, "checkpoint"),
    twinId: textAt(attempt, "twinId"),
    restartPolicy: jsonAt(attempt, "restartPolicy") ?? { Name: "no" },
    networks: jsonAt(attempt, "networks") ?? {},
    volumes: listAt(attempt, "volumes").map(String),
    isFreezeTried: jsonAt(attempt, "isFreezeTried") === true,
    isStartTried: jsonAt(attempt, "isStartTried") === true,
  };
}

/** The twin by the container's name, when the process died before it could note its id. */
async function findTwin(target: MigrationNode, name: string): Promise<string> {
  const { status, body } = await target.docker.request("GET", `/containers/${encodeURIComponent(name)}/json`);
  return status === 200 && textAt(body, "State", "Status") === "created" ? textAt(body, "Id") : "";
}

/** Ends one unfinished migration. */
export async function recover(
  journal: OldJournal,
  nodeOf: (name: string) => Promise<MigrationNode>,
): Promise<RecoveryReport> {
  const start = journal.entries[0]?.data as Json | undefined;
  if (start === undefined) throw new HostError("journal-damaged", `${journal.path} has no beginning`);
  const [container, source, target] = [textAt(start, "container"), textAt(start, "source"), textAt(start, "target")];
  const end = (result: RecoveryReport["result"], leftovers: readonly string[]): RecoveryReport => {
    appendFileSync(journal.path, `${JSON.stringify({ time: Date.now(), event: "end", data: { result } })}\n`);
    return { container, source, target, result, leftovers };
  };
  const attempt = lastAttempt(journal);
  if (attempt === undefined) return end("rolled back", []);
  const [sourceNode, targetNode] = [await nodeOf(source), await nodeOf(target)];
  const twinId = attempt.twinId || (await findTwin(targetNode, container));
  const known = { ...attempt, twinId };
  if (known.isStartTried && (await isTwinRunning(targetNode, twinId)))
    return end("moved", await commit(sourceNode, targetNode, known));
  return end("rolled back", (await rollBack(sourceNode, targetNode, known)).leftovers);
}
