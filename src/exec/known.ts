// What the cache has of the files that a program maps: translations of all their code, or of what earlier runs have executed
// of it; and how much code has none yet.

import { readFile } from "node:fs/promises";
import { keyName, type Variant } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { type ElfFile, executableSegments, fileCodeKey, readElf } from "../elf/index.ts";
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
  /** Whether there is all of every file. */
  readonly isComplete: boolean;
}

/**
 * The part of a file that somebody who has executed from `entries` wants, as it is named in the cache. All that can be
 * reached from there is twice as much work for LLVM (perl), and most of it is never run.
 */
export function partOfEntries(entries: Iterable<number>): NonNullable<TranslateOptions["part"]> {
  return { executed: new Set([...entries].sort((a, b) => a - b)), roots: [] };
}

interface HomeFile {
  readonly file: string;
  readonly elf: ElfFile;
  readonly key: string;
}

/** The files that paths in `root` lead to, each once; null for one that is no x86-64 ELF file, or a damaged one. */
async function* readFiles(root: string, paths: readonly string[]): AsyncGenerator<HomeFile | null> {
  for (const file of new Set(paths.flatMap((path) => resolveInside(root, path) ?? []))) {
    try {
      const elf = readElf(await readFile(file), file);
      yield { file, elf, key: keyName(fileCodeKey(elf)) };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      yield null;
    }
  }
}

/** Translates what earlier runs have executed of files in `root`; then it is known. */
export async function translateExecuted(
  root: string,
  paths: readonly string[],
  variants: readonly Variant[],
): Promise<void> {
  for await (const found of readFiles(root, paths)) {
    for (const variant of found ? variants : []) {
      const code = { key: found!.key, variant };
      const entries = await rememberedCode(code, "executed");
      if (entries.length === 0) continue;
      try {
        await translateFile(found!.file, { variant, part: partOfEntries(entries) });
        await keepCode(code, "translated", entries);
      } catch (error) {
        // There is nothing in it that can be translated.
        if (!(error instanceof InputError)) throw error;
      }
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
  let isComplete = true;
  for await (const found of readFiles(root, paths)) {
    // Whoever maps a file that is none sees.
    let isWhole = found !== null;
    for (const variant of found ? variants : []) {
      const code = { key: found!.key, variant };
      const all = await findTranslation(found!.file, { variant });
      const entries = all ? [] : await rememberedCode(code, "translated");
      const part =
        entries.length > 0 ? await findTranslation(found!.file, { variant, part: partOfEntries(entries) }) : undefined;
      const best = all ?? part;
      if (best) offered.push({ name: best.report.name, path: best.path });
      if (all) whole.push(code);
      else isWhole = false;
      if (part) parts.push({ ...code, entries: entries.length });
    }
    isComplete &&= isWhole;
    if (found && !isWhole)
      missingBytes += executableSegments(found.elf).reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
  return { offered, whole, parts, missingBytes, isComplete };
}
