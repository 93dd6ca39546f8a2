// The command: a table of verbs, one file each, loaded when asked for (start-up time matters). A verb's file exports
// `help`, its text with examples, and `run(args)`, which resolves to an exit code.

import { readFileSync } from "node:fs";
import { isUsageError, UsageError } from "./arguments.ts";
import { exitCode, exitCodeOf, printExitCodes } from "./exit-codes.ts";
import { printError } from "./output.ts";

interface Verb {
  readonly help: string;
  run(args: string[]): Promise<number>;
}

/** Verb, one line about it. The verb's code is the file of its name. */
const VERBS: readonly (readonly [name: string, summary: string])[] = [
  ["demo", "show a container move amd64 → arm64 → amd64 while it works, and check that nothing is lost"],
  ["migrate", "move a running container to another node"],
  ["check", "say whether a container can move, and what would block it"],
  ["nodes", "list, name and prepare the nodes that containers can move between"],
  ["lab", "a second node of another architecture on this machine: up, status, shell, down"],
  ["exec", "start an x86-64 program as translated code"],
  ["translate", "translate an ELF file and report coverage"],
  ["bench", "measure translated code against the programs' own arm64 builds"],
  ["recode", "turn a checkpoint into translated form or back into home form"],
  ["inspect", "print what a checkpoint holds"],
  ["syscalls", "list the system calls and how far a program on a foreign node is given them"],
];

const OVERVIEW = `Live migration of running Linux containers between machines of different instruction sets.

usage: hcontainer VERB [ARGUMENT]...

${VERBS.map(([name, summary]) => `  ${name.padEnd(10)} ${summary}`).join("\n")}

  hcontainer VERB --help         what a verb does, with examples
  hcontainer help exit-codes     what exit codes mean
  hcontainer --version
`;

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  const found = /"version":\s*"([^"]+)"/.exec(readFileSync(file, "utf8"));
  return `hcontainer ${found?.[1] ?? "unknown"}\n`;
}

async function load(name: string): Promise<Verb> {
  if (!VERBS.some(([verb]) => verb === name)) throw new UsageError(`there is no verb '${name}'`);
  const module: unknown = await import(new URL(`./${name}.ts`, import.meta.url).href);
  return module as Verb;
}

async function main(args: string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined) {
    process.stderr.write(OVERVIEW);
    return exitCode("usage");
  }
  if (first === "--version" || first === "version") {
    process.stdout.write(version());
    return 0;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    if (rest[0] === "exit-codes") process.stdout.write(`${printExitCodes()}\n`);
    else process.stdout.write(rest[0] === undefined ? OVERVIEW : (await load(rest[0])).help);
    return 0;
  }
  const verb = await load(first);
  const ownArgs = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (ownArgs.includes("--help") || ownArgs.includes("-h")) {
    process.stdout.write(verb.help.endsWith("\n") ? verb.help : `${verb.help}\n`);
    return 0;
  }
  return verb.run(rest);
}

const CACHE_VARIABLES = ["HCONTAINER_SET_CACHE", "NODE_COMPILE_CACHE"];

/** Runs the command and sets the process's exit code; never throws. */
async function runMain(): Promise<void> {
  const args = process.argv.slice(2);
  // What bin/hcontainer has set for us is not for the programs that we start.
  if (process.env["HCONTAINER_SET_CACHE"]) for (const name of CACHE_VARIABLES) delete process.env[name];
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (isUsageError(error)) {
      const verb = VERBS.some(([name]) => name === args[0]) ? ` ${args[0]}` : "";
      process.stderr.write(`error: ${error.message}\n  try: hcontainer${verb} --help\n`);
    } else printError(error);
    process.exitCode = exitCodeOf(error);
  }
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
  throw error;
});
await runMain();
