// The code that a foreign node runs, as plain JavaScript: the modules that the OCI runtime reaches, with types stripped
// and names changed to .js. Stripping there, under every start of the OCI runtime, would cost more than all it does.

import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative, resolve } from "node:path";

const SOURCE = resolve(import.meta.dirname, "..");
const ENTRY = join(SOURCE, "oci/main.ts");
const STATIC_IMPORT = /^(?:import|export)\s[^;]*?from\s*"(\.[^"]+\.ts)"/gm;
const DYNAMIC_IMPORT = /\bimport\("(\.[^"]+\.ts)"\)/g;

/** Path below dist/ → text, for every module that is reached. */
export function nodeCode(): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (file: string): void => {
    const name = relative(SOURCE, file).replace(/\.ts$/, ".js");
    if (found.has(name)) return;
    const text = stripTypeScriptTypes(readFileSync(file, "utf8"));
    found.set(name, text.replace(/(\bfrom\s*"\.[^"]+|\bimport\("\.[^"]+)\.ts"/g, '$1.js"'));
    const imports = [...text.matchAll(STATIC_IMPORT)];
    // Elsewhere, what is loaded on demand is for commands that do not run on a node.
    if (file.startsWith(join(SOURCE, "oci/"))) imports.push(...text.matchAll(DYNAMIC_IMPORT));
    for (const [, specifier] of imports) visit(resolve(dirname(file), specifier!));
  };
  visit(ENTRY);
  return found;
}
