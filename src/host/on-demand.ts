// What only some commands need and takes long to load: translating and building pull in the decoder, the semantics and
// the lifter. They are loaded when they are called, so that whoever imports this module for its shells does not wait.

import type { InterpreterBuild } from "./build-interpreter.ts";
import type { RuntimePlace } from "./build-runtime.ts";
import type { TranslateOptions, Translation } from "./translate.ts";

/** See build-interpreter.ts. */
export async function buildInterpreter(target: "aarch64" | "x86_64"): Promise<InterpreterBuild> {
  return (await import("./build-interpreter.ts")).buildInterpreter(target);
}

/** See build-runtime.ts. */
export async function buildRuntime(place: RuntimePlace): Promise<string> {
  return (await import("./build-runtime.ts")).buildRuntime(place);
}

/** See translate.ts. */
export async function findTranslation(
  path: string,
  wanted?: Pick<TranslateOptions, "variant" | "part">,
): Promise<Translation | undefined> {
  return (await import("./translate.ts")).findTranslation(path, wanted);
}

/** See translate.ts. */
export async function translateFile(path: string, options?: TranslateOptions): Promise<Translation> {
  return (await import("./translate.ts")).translateFile(path, options);
}
