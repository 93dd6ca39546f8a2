// `hcontainer recode`: turns a checkpoint in a directory into the other form, in a new directory.

import { existsSync, readFileSync } from "node:fs";
import { HC_BASE, keyName } from "../abi/index.ts";
import { buildRuntime, DirectoryImages, resolveInside, writeChanged } from "../host/index.ts";
import { type ForeignResult, toForeign, toHome } from "../recode/index.ts";
import { parseVerb, UsageError } from "./arguments.ts";
import { exitCode } from "./exit-codes.ts";
import { printJson } from "./output.ts";

export const help = `Turns a CRIU checkpoint of x86-64 processes into translated form, for an arm64 node, or back.

usage: hcontainer recode --to foreign IN OUT [--root DIR] [--runtime FILE] [--json]
       hcontainer recode --to home IN OUT [--json]

IN is the directory of a checkpoint; OUT is made, and IN is not changed. Files that stay the same are hard links.

  --to FORM        foreign: translated form, what criu on an arm64 node restores
                   home: an ordinary x86-64 checkpoint again
  --root DIR       root file system of the processes, where their programs are found (/)
  --runtime FILE   the runtime that the node has as /.hcontainer/runtime (built if it is not given)
  --json           print what was done as JSON

examples:
  hcontainer recode --to foreign checkpoint/ translated/ --root rootfs/
  hcontainer recode --to home dumped/ checkpoint/
`;

function printForeign({ modules, unlisted }: ForeignResult, json: boolean): void {
  const found = modules.map(({ path, key }) => ({ path, translation: keyName(key) }));
  if (json) {
    printJson({ form: "foreign", modules: found, interpreted: unlisted });
    return;
  }
  for (const { path, translation } of found) process.stdout.write(`${translation}  ${path}\n`);
  for (const { path, reason } of unlisted) process.stderr.write(`interpreted: ${path}: ${reason}\n`);
}

/** Runs `hcontainer recode`. */
export async function run(args: string[]): Promise<number> {
  const options = {
    to: { type: "string" },
    root: { type: "string" },
    runtime: { type: "string" },
    json: { type: "boolean" },
  } as const;
  const { values, operands } = parseVerb(args, options, ["IN", "OUT"]);
  if (values.to !== "foreign" && values.to !== "home") throw new UsageError("--to wants 'foreign' or 'home'");
  const [input, output] = operands as [string, string];
  if (existsSync(output)) throw new UsageError(`${output} is there already`);
  const json = values.json === true;
  const root = values.root ?? "/";
  const images = new DirectoryImages(input);
  try {
    if (values.to === "home") {
      writeChanged(images, toHome(images, { base: HC_BASE }), output);
      if (json) printJson({ form: "home" });
      return exitCode("ok");
    }
    const result = toForeign(images, {
      runtime: readFileSync(values.runtime ?? (await buildRuntime("node"))),
      readFile: (path) => {
        const file = resolveInside(root, path);
        return file === undefined ? null : readFileSync(file);
      },
    });
    writeChanged(images, result.changes, output);
    printForeign(result, json);
    return exitCode("ok");
  } finally {
    images.close();
  }
}
