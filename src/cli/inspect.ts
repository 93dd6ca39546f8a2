// `hcontainer inspect`: prints what a checkpoint holds and what would keep it from moving.

import { DirectoryImages } from "../host/index.ts";
import { checkHome, describeSet, type Problem, type SetSummary } from "../recode/index.ts";
import { parseVerb } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { printJson, table } from "./output.ts";

export const help = `Prints what a CRIU checkpoint holds, and what would keep it from moving to another architecture.

usage: hcontainer inspect DIR [--json]

DIR is the directory of a checkpoint. Its form is home (x86-64 processes), foreign (translated processes, as dumped on an
arm64 node) or native (another architecture's own).

  --json   print it as JSON

examples:
  hcontainer inspect /var/lib/docker/containers/ID/checkpoints/NAME
  hcontainer inspect checkpoint/ --json | jq '.problems[].code'
`;

const MIB = 1024 * 1024;
const size = (bytes: number): string =>
  bytes >= MIB ? `${(bytes / MIB).toFixed(1)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;

function print(set: SetSummary, problems: readonly Problem[]): void {
  const heading = ["PID", "PARENT", "NAME", "THREADS", "MEMORY", "PROGRAM"];
  const rows = set.processes.map((process) => [
    String(process.pid),
    String(process.parent),
    process.name,
    process.isZombie ? "zombie" : String(process.threads),
    size(process.memoryBytes),
    process.program,
  ]);
  const files = Object.entries(set.files).map(([name, count]) => `${count} ${name}`);
  const lines = [
    `form         ${set.form}`,
    `images       ${set.images} files, ${size(set.bytes)}`,
    `open files   ${files.join(", ") || "none"}`,
    `connections  ${set.connections}`,
    `mounts       ${set.mounts}`,
    `seccomp      ${set.seccompFilters === 0 ? "none" : `${set.seccompFilters} filters`}`,
    `code         ${set.code.join(", ")}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n\n${table([heading, ...rows])}\n`);
  if (problems.length === 0) return;
  process.stdout.write("\nwhat keeps it from moving:\n");
  for (const { code, message, place, advice } of problems) {
    process.stdout.write(`  ${code}: ${place}: ${message}${advice ? `\n    ${advice}` : ""}\n`);
  }
}

/** Runs `hcontainer inspect`. */
export async function run(args: string[]): Promise<number> {
  const { values, operands } = parseVerb(args, { json: { type: "boolean" } }, ["DIR"]);
  const images = new DirectoryImages(operands[0]!);
  try {
    const set = describeSet(images);
    const problems = set.form === "home" ? checkHome(images) : [];
    if (values.json === true) printJson({ ...set, problems });
    else print(set, problems);
    return exitCode("ok");
  } finally {
    images.close();
  }
}
