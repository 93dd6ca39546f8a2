// What the cache has of the files that a program maps: translations of all their code, or of what earlier runs have executed
// of it; and how much code has none yet.

import { readFile } from "node:fs/promises";
import { keyName, type Variant } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { executableSegments, fileCodeKey, readElf } from "../elf/index.ts";
import { findTranslation, resolveInside, type TranslateOptions, translateFile } from "../host/index.ts";
import { type ExecutedCode, keepCode, rememberedCode } from "./executed.ts";
import type { OfferedTranslation } from "./node-directory.ts";

export interface KnownTranslations {
  readonly offered: readonly OfferedTranslation[];
  /** Files and variants of which there is all. */
  readonly whole: readonly ExecutedCode[];
  /** Those of which there is a part, and how many entries were executed of what it has. */
  readonly parts: readonly (ExecutedCode & { readonly entries: number })[];
  /** Bytes of code without a translation of the whole, each file once. */
  readonly missingBytes: number;
}

/**
 * The part of a file that somebody who has executed from `entries` wants, as it is named in the cache. All that can be
 * reached from there is twice as much work for LLVM (perl), and most of it is never run.
 */
export function partOfEntries(entries: Iterable<number>): NonNullable<TranslateOptions["part"]> {
  return { executed: new Set([...entries].sort((a, b) => a - b)), roots: [] };
}

/** Translates what earlier runs have executed of files in `root`; then it is known. */
export async function translateExecuted(
  root: string,
  paths: readonly string[],
  variants: readonly Variant[],
): Promise<void> {
  for (const file of new Set(paths.flatMap((path) => resolveInside(root, path) ?? []))) {
    try {
      const key = keyName(fileCodeKey(readElf(await readFile(file), file)));
      for (const variant of variants) {
        const entries = await rememberedCode({ key, variant }, "executed");
        if (entries.length === 0) continue;
        await translateFile(file, { variant, part: partOfEntries(entries) });
        await keepCode({ key, variant }, "translated", entries);
      }
    } catch (error) {
      // No x86-64 file, or nothing in it that can be translated.
      if (!(error instanceof InputError)) throw error;
    }
  }
}

/** Looks for what there is of files in `root`. */
export async function offerKnown(
  root: string,
  paths: readonly string[],
  variants: readonly Variant[],
): Promise<KnownTranslations> {
  const offered: OfferedTranslation[] = [];
  const whole: ExecutedCode[] = [];
  const parts: (ExecutedCode & { entries: number })[] = [];
  let missingBytes = 0;
  for (const file of new Set(paths.flatMap((path) => resolveInside(root, path) ?? []))) {
    try {
      const elf = readElf(await readFile(file), file);
      const key = keyName(fileCodeKey(elf));
      let isMissing = false;
      for (const variant of variants) {
        const all = await findTranslation(file, { variant });
        const entries = all ? [] : await rememberedCode({ key, variant }, "translated");
        const part =
          entries.length > 0 ? await findTranslation(file, { variant, part: partOfEntries(entries) }) : undefined;
        const found = all ?? part;
        if (found) offered.push({ name: found.report.name, path: found.path });
        if (all) whole.push({ key, variant });
        else isMissing = true;
        if (part) parts.push({ key, variant, entries: entries.length });
      }
      if (isMissing) missingBytes += executableSegments(elf).reduce((sum, { bytes }) => sum + bytes.length, 0);
    } catch (error) {
      // No x86-64 file, or a damaged one: whoever maps it sees.
      if (!(error instanceof InputError)) throw error;
    }
  }
  return { offered, whole, parts, missingBytes };
}
