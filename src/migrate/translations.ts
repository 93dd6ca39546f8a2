// Translations that a container needs on a foreign node: one for each x86-64 ELF file that its processes have mapped as
// code, in the variant that the process needs. Code of other files (programs started later) goes through the node's
// interpreter until it has one; a translation that comes to the node while its program runs is taken up there.

import { join } from "node:path";
import { MISSED_DIRECTORY, VARIANTS, type Variant } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { cacheDirectory, exists, parseEntries, rememberEntries, sha256OfFile } from "../host/index.ts";
import type { Container } from "./container.ts";
import type { MigrationNode } from "./node.ts";
import { readProcesses } from "./process-maps.ts";

/**
 * Makes the translation of an ELF file on this machine: where it lies here, and the name that nodes look for. Undefined
 * when there is none yet: the container then moves without it.
 */
export type Translate = (
  path: string,
  variant: Variant,
) => Promise<{ readonly path: string; readonly name: string } | undefined>;

/** SIGILL, SIGTRAP, SIGBUS, SIGFPE and SIGSEGV in SigCgt. */
const FAULT_SIGNALS = [4, 5, 7, 8, 11].reduce((mask, number) => mask | (1n << BigInt(number - 1)), 0n);
/** Files that processes share memory by: of others, areas that nobody here can write are only read. */
const MEMORY_FILE = /^(?:\/dev\/shm\/|\/dev\/zero|\/memfd:|\/SYSV|\/run\/)/;

/** The variant that a process needs, by its threads, its signal handlers and its map. */
export function neededVariant(process: readonly string[]): Variant {
  let variant: Variant = "plain";
  for (const line of process) {
    const [, field, value] = /^(Threads|SigCgt):\s*(\S+)/.exec(line) ?? [];
    if (field === "Threads" && value !== "1") return "ordered";
    if (field === "SigCgt" && (BigInt(`0x${value}`) & FAULT_SIGNALS) !== 0n) variant = "precise";
    const [, mode, path = ""] = /^\S+-\S+ (\S{4}) \S+ \S+ \d+ *(.*)$/.exec(line) ?? [];
    if (mode?.[3] === "s" && (mode[1] === "w" || MEMORY_FILE.test(path))) return "ordered";
  }
  return variant;
}

export interface MappedCode {
  /** In the container. */
  readonly path: string;
  readonly variants: readonly Variant[];
}

/** The files that the container's processes have mapped as code, and the variants that these processes need. */
export async function mappedCode(node: MigrationNode, container: Container): Promise<MappedCode[]> {
  const files = new Map<string, { path: string; variants: Set<Variant> }>();
  for (const process of await readProcesses(node, container)) {
    const variant = neededVariant(process);
    for (const line of process) {
      const [, mode, device, inode, path] = /^\S+ (\S+) \S+ (\S+) (\d+) +(\/.*)$/.exec(line) ?? [];
      if (mode?.[2] !== "x" || path === undefined || path.endsWith(" (deleted)")) continue;
      const known = files.get(`${device} ${inode}`) ?? { path, variants: new Set() };
      known.variants.add(variant);
      files.set(`${device} ${inode}`, known);
    }
  }
  return [...files.values()].map(({ path, variants }) => ({ path, variants: VARIANTS.filter((v) => variants.has(v)) }));
}

const IS_ELF = 'head -c 20 "$1" | od -An -tx1 | tr -d " \\n"';

/** True for the first 20 bytes, in hexadecimal, of an x86-64 ELF file. */
export function isHomeElf(head: string): boolean {
  return head.startsWith("7f454c4602") && head.slice(36, 40) === "3e00";
}

/** Brings a file of the node here, kept by its digest. */
async function fetchFile(node: MigrationNode, path: string): Promise<string> {
  const digest = (await node.shell.runChecked("sha256sum", ["--", path])).stdout
    .split(/[\s\\]+/)
    .find((w) => w !== "")!;
  const local = join(cacheDirectory(), "executables", digest);
  if (!(await exists(local))) await node.shell.getFile(path, local);
  return local;
}

async function digestThere(node: MigrationNode, path: string): Promise<string> {
  const result = await node.shell.run("sha256sum", ["--", path]);
  return result.status === 0 ? result.stdout.slice(0, 64) : "";
}

/** Prints the lists, each behind its name: few of them and not all of a long one, since containers have a say in them. */
const PRINT_MISSED =
  'cd "$(readlink -f "$1")/../$2" 2>/dev/null || exit 0; ' +
  'for f in $(ls | head -n 2000); do echo "= $f"; head -c 60000 "$f"; echo; done | head -c 8000000';

/** Learns which entries the node's translations lacked, so that those made from now on have them. */
async function learnMissed(node: MigrationNode): Promise<void> {
  const words = ["-c", PRINT_MISSED, "sh", node.nodeDirectory, MISSED_DIRECTORY];
  const { stdout } = await node.shell.run("sh", words);
  for (const part of stdout.split(/^= /m).slice(1)) {
    const [key, ...list] = part.split("\n");
    await rememberEntries(key!, parseEntries(list.join("\n")));
  }
}

export interface StagedTranslation {
  /** The container's file. */
  readonly file: string;
  /** The same here. */
  readonly executable: string;
  readonly variant: Variant;
  /** Whether the target has its translation; one that is refused it never gets: that file's code is interpreted. */
  readonly state: "staged" | "missing" | "refused";
}

async function stageOne(
  target: MigrationNode,
  { file, executable, variant }: Omit<StagedTranslation, "state">,
  translate: Translate,
  onNote: (text: string) => void,
): Promise<StagedTranslation["state"]> {
  let translation: Awaited<ReturnType<Translate>>;
  try {
    translation = await translate(executable, variant);
  } catch (error) {
    // The container brought a file that nobody can translate: no reason to keep the container.
    if (!(error instanceof InputError)) throw error;
    onNote(`${file} is interpreted, as it cannot be translated (${error.code}): ${error.message}`);
    return "refused";
  }
  if (translation === undefined) return "missing";
  const destination = `${target.nodeDirectory}/translations/${translation.name}`;
  if ((await digestThere(target, destination)) !== (await sha256OfFile(translation.path)))
    await target.shell.putFile(translation.path, destination);
  return "staged";
}

/** Makes and copies every translation that the container's mapped code needs on `target`. */
export async function stageTranslations(
  source: MigrationNode,
  target: MigrationNode,
  container: Container,
  translate: Translate,
  onNote: (text: string) => void,
): Promise<StagedTranslation[]> {
  const staged: StagedTranslation[] = [];
  await learnMissed(target);
  for (const { path, variants } of await mappedCode(source, container)) {
    // Through the first process, which does not end while others come and go.
    const there = `/proc/${container.initPid}/root${path}`;
    const head = (await source.shell.run("sh", ["-c", IS_ELF, "sh", there])).stdout;
    if (!isHomeElf(head)) continue;
    onNote(path);
    const executable = await fetchFile(source, there);
    for (const variant of variants) {
      const wanted = { file: path, executable, variant };
      staged.push({ ...wanted, state: await stageOne(target, wanted, translate, onNote) });
    }
  }
  return staged;
}

/** Makes and copies translations that a migration did without. The programs that run there take them up. */
export async function stageLater(
  target: MigrationNode,
  missing: readonly StagedTranslation[],
  translate: Translate,
  onNote: (text: string) => void,
): Promise<void> {
  for (const wanted of missing) {
    onNote(wanted.file);
    await stageOne(target, wanted, translate, onNote);
  }
}
