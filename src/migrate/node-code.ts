// The code that a foreign node runs: the OCI runtime and all that it imports as one file of plain JavaScript. Every
// checkpoint and restore there starts it anew, within the time that a container stands still: loading one file takes a
// third of what loading the modules one by one does.

import { resolve } from "node:path";
import { build } from "esbuild";

const ENTRY = resolve(import.meta.dirname, "../oci/main.ts");
/** Where the code lies in the node's package: as deep as its modules here, so that paths relative to them hold. */
export const NODE_CODE_PATH = "dist/oci/main.js";

/** The code's text; the same for the same sources. */
export async function nodeCode(): Promise<string> {
  const result = await build({
    entryPoints: [ENTRY],
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "inline",
    logLevel: "silent",
  });
  return result.outputFiles[0]!.text;
}
