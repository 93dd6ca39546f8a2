// The directory of runtime and translations that a program on this machine sees as its node's: what a foreign node has at
// NODE_MOUNT, and qemu user mode beside it. Directories are immutable and named by what is in them, so runs share them; but a
// run that gets translations meanwhile has one of its own.

import { copyFile, link, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RUNTIME_FILE, type Variant } from "../abi/index.ts";
import { HostError, InputError } from "../base/index.ts";
import { buildRuntime, cached, exists, resolveInside, type TranslateOptions, translateFile } from "../host/index.ts";

const QEMU_PLACES = ["/usr/bin/qemu-aarch64-static", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"];
/** Names in the directory. */
export const QEMU_FILE = "qemu-aarch64";
export const TRANSLATIONS = "translations";
export const LOG_FILE = "log";

/** A translation to offer, by the name that the runtime looks for. */
export interface OfferedTranslation {
  readonly name: string;
  readonly path: string;
}

/** qemu user mode as one file that needs no other, so that it runs in any root directory. */
async function staticQemu(): Promise<string> {
  for (const path of QEMU_PLACES) if (await exists(path)) return path;
  throw new HostError("qemu-missing", `there is no ${QEMU_PLACES[0]}: install Debian's package qemu-user-static`);
}

async function share(from: string, to: string): Promise<void> {
  // Another file system has no links to ours.
  await link(from, to).catch(() => copyFile(from, to));
}

/** Makes a directory for programs under qemu user mode at `directory`, where there is none. */
export async function makeNodeDirectory(directory: string, translations: readonly OfferedTranslation[]): Promise<void> {
  await mkdir(join(directory, TRANSLATIONS), { recursive: true });
  await share(await buildRuntime("qemu-user"), join(directory, RUNTIME_FILE));
  await share(await staticQemu(), join(directory, QEMU_FILE));
  await writeFile(join(directory, LOG_FILE), "");
  for (const { name, path } of translations) await share(path, join(directory, TRANSLATIONS, name));
}

/** The directory that all runs with these translations share. */
export async function qemuNodeDirectory(translations: readonly OfferedTranslation[]): Promise<string> {
  const files = translations.map(({ name, path }) => `${name} ${path}`).sort();
  const tools = [await buildRuntime("qemu-user"), await staticQemu()];
  return cached(["node directory", ...tools, ...files].join("\n"), "-qemu-node", (directory) =>
    makeNodeDirectory(directory, translations),
  );
}

/** Puts a translation into a directory in use, in the place of a smaller one if there is one. */
export async function offerMore(directory: string, { name, path }: OfferedTranslation): Promise<void> {
  const place = join(directory, TRANSLATIONS, name);
  const part = `${place}.part`;
  await rm(part, { force: true });
  await share(path, part);
  await rename(part, place);
}

export interface TranslateFilesOptions {
  readonly variants?: readonly Variant[] | undefined;
  /** The part of a file (of this machine) that is wanted, if not all. */
  partOf?(file: string): TranslateOptions["part"];
  onFile?(path: string): void;
  onRefused?(path: string, why: string): void;
}

/**
 * Translates files of a root directory, each once in every variant. Files that cannot be translated are left to the
 * interpreter; `onRefused` hears why.
 */
export async function translateFiles(
  root: string,
  paths: readonly string[],
  options: TranslateFilesOptions = {},
): Promise<OfferedTranslation[]> {
  const offered = new Map<string, string>();
  const seen = new Set<string>();
  for (const path of paths) {
    const file = resolveInside(root, path);
    if (file === undefined || seen.has(file)) continue;
    seen.add(file);
    options.onFile?.(path);
    try {
      for (const variant of options.variants ?? ["plain"]) {
        const { path: translation, report } = await translateFile(file, { variant, part: options.partOf?.(file) });
        offered.set(report.name, translation);
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      options.onRefused?.(path, error.message);
    }
  }
  return [...offered].map(([name, path]) => ({ name, path }));
}
