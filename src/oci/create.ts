// `create`, `run` and `exec` of x86-64 programs on a foreign node: the bundle (or the process that exec is given) is
// changed so that the program starts through the runtime. A program of the machine's own architecture is left alone.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { InputError } from "../base/index.ts";
import type { RuncArguments } from "./arguments.ts";
import { addNodeMount, hasNodeMount, readBundle, rootOf, startThroughRuntime, writeBundle } from "./bundle.ts";
import { nodeDirectory } from "./node.ts";
import { containerState, runWrapped } from "./wrapped.ts";

function preservedFds(args: RuncArguments): number {
  return Number(args.option("preserve-fds") ?? 0);
}

/** Runs `create` or `run`; answers the exit status. */
export function create(args: RuncArguments): number {
  const bundle = resolve(args.option("bundle", "b") ?? ".");
  const specification = readBundle(bundle);
  const spec = specification.process;
  if (spec !== undefined && !hasNodeMount(specification) && startThroughRuntime(rootOf(bundle, specification), spec)) {
    addNodeMount(specification, nodeDirectory());
    writeBundle(bundle, specification);
  }
  return runWrapped(args.words, preservedFds(args));
}

/** Runs `exec`; answers the exit status. */
export async function exec(args: RuncArguments): Promise<number> {
  const { bundle } = await containerState(args, args.operands[0] ?? "");
  const specification = readBundle(bundle);
  if (!hasNodeMount(specification)) return runWrapped(args.words, preservedFds(args));
  const file = args.option("process", "p");
  if (file === undefined)
    throw new InputError("exec-form-unsupported", "exec needs --process FILE here", bundle, "use the engine's exec");
  const spec = JSON.parse(readFileSync(file, "utf8")) as Parameters<typeof startThroughRuntime>[1];
  if (startThroughRuntime(rootOf(bundle, specification), spec)) {
    writeFileSync(`${file}.part`, JSON.stringify(spec), { mode: 0o600 });
    renameSync(`${file}.part`, file);
  }
  return runWrapped(args.words, preservedFds(args));
}
