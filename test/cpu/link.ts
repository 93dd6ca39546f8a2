// Links a C program of this directory with the interpreter and the helpers that it calls.

import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  buildInterpreter,
  type CompileTarget,
  compileC,
  type InterpreterBuild,
  inParallel,
  runChecked,
} from "../../src/host/index.ts";

const runtime = resolve(import.meta.dirname, "../../runtime");

/**
 * Compiles `source` (a file name here) for `target` into `output`, and gives the interpreter's build. `more` are further
 * arguments of the compiler: definitions, objects.
 */
export async function linkWithInterpreter(
  target: CompileTarget,
  source: string,
  output: string,
  more: readonly string[] = [],
): Promise<InterpreterBuild> {
  const built = await buildInterpreter(target);
  const names = readdirSync(runtime);
  const headers = names.filter((name) => name.endsWith(".h")).map((name) => join(runtime, name));
  const helpers = await inParallel(
    names
      .filter((name) => /^helpers.*\.c$/.test(name))
      .map((name) => () => {
        const dependencies = [join(built.includeDir, "abi.h"), ...headers];
        return compileC(target, join(runtime, name), [built.includeDir, runtime], dependencies);
      }),
  );
  const compiler = target === "x86_64" ? ["gcc"] : ["aarch64-linux-gnu-gcc", "-static-pie"];
  const flags = ["-O1", "-g", "-Wall", "-Wextra", `-I${built.includeDir}`, `-I${runtime}`, "-o", output];
  const [command, ...rest] = [
    ...compiler,
    ...flags,
    join(import.meta.dirname, source),
    ...more,
    ...helpers,
    ...built.objects,
  ];
  await runChecked(command!, rest);
  return built;
}
