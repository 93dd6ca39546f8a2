// The recoder on this node: where it finds the runtime, the container's files and the translations, and what it refuses
// of them. A module without a translation is interpreted; a translation that was made for another file is refused.

import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import {
  ABI_VERSION,
  HC_BASE,
  keyName,
  offsetOf,
  RUNTIME_FILE,
  TRANSLATION_HEADER_OFFSET,
  TRANSLATION_MAGIC,
  TranslationHeader,
  translationName,
  VARIANTS,
} from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { resolveInside } from "../host/index.ts";
import type { Changes, ImageSource } from "../image/index.ts";
import { type ForeignResult, toForeign, toHome } from "../recode/index.ts";

/** Digest in a translation's header; refuses what is no translation of this version. */
function translatedDigest(path: string): string {
  const refuse = (why: string): never => {
    throw new InputError("translation-file", why, path, "remove it and stage the translation again");
  };
  const bytes = Buffer.alloc(TranslationHeader.sizeBytes);
  const file = openSync(path, "r");
  try {
    const count = readSync(file, bytes, 0, bytes.length, TRANSLATION_HEADER_OFFSET);
    if (count < bytes.length) refuse("too short for a translation");
  } finally {
    closeSync(file);
  }
  if (bytes.readBigUInt64LE(offsetOf(TranslationHeader, "magic")) !== TRANSLATION_MAGIC) refuse("not a translation");
  const version = bytes.readUInt32LE(offsetOf(TranslationHeader, "abi_version"));
  if (version !== ABI_VERSION) refuse(`of ABI version ${version}; this node has ${ABI_VERSION}`);
  const at = offsetOf(TranslationHeader, "sha256");
  return bytes.subarray(at, at + 32).toString("hex");
}

/** Holds the translations that the processes will use against the files that they were made for. */
function checkTranslations(modules: ForeignResult["modules"], root: string, nodeDirectory: string): void {
  const all = modules.flatMap((module) => VARIANTS.map((variant) => ({ ...module, variant })));
  for (const { path, key, variant } of all) {
    const translation = join(nodeDirectory, "translations", translationName(keyName(key), variant));
    if (!existsSync(translation)) continue;
    const file = resolveInside(root, path);
    if (file === undefined) continue;
    const digest = createHash("sha256").update(readFileSync(file)).digest("hex");
    if (digest !== translatedDigest(translation))
      throw new InputError(
        "translation-mismatch",
        `${translation} was made for another file than ${path}`,
        path,
        "remove the translation and migrate again",
      );
  }
}

/** Home form to translated form, for processes whose root file system is `root`. */
export function recodeToForeign(images: ImageSource, root: string, nodeDirectory: string): Changes {
  const { changes, modules } = toForeign(images, {
    runtime: readFileSync(join(nodeDirectory, RUNTIME_FILE)),
    readFile: (path) => {
      const file = resolveInside(root, path);
      return file === undefined ? null : readFileSync(file);
    },
  });
  checkTranslations(modules, root, nodeDirectory);
  return changes;
}

/** A dump of translated processes to home form. */
export function recodeToHome(images: ImageSource): Changes {
  return toHome(images, { base: HC_BASE });
}
