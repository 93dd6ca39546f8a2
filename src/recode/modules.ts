// The executable files that a process has mapped, so that the runtime can find their translations: each with its address
// range, load bias and code key. A file that cannot be read, is no x86-64 ELF file or was changed in memory is left out,
// with a note: its code is interpreted.

import { InputError } from "../base/index.ts";
import { type ElfFile, fileCodeKey, loadSegments, readElf } from "../elf/index.ts";
import { type Memory, PAGE_BYTES, type VmaEntry } from "../image/index.ts";
import { PROT, VMA } from "./layout.ts";

export interface MappedModule {
  readonly path: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly bias: bigint;
  readonly key: readonly number[];
}

/** Why a file's code is interpreted. */
export interface Unlisted {
  readonly path: string;
  readonly reason: string;
}

interface Known {
  readonly elf: ElfFile | null;
  readonly key: readonly number[];
  readonly reason: string;
}

/** Reads a file of the container by its path there; null when it is not there any more. */
export type ReadFile = (path: string) => Uint8Array | null;

/** Finds modules, remembering files between the processes of a set. */
export class ModuleFinder {
  private readonly readFile: ReadFile;
  private readonly known = new Map<string, Known>();

  constructor(readFile: ReadFile) {
    this.readFile = readFile;
  }

  /** The modules of a process, by address. */
  find(
    vmas: readonly VmaEntry[],
    memory: Memory,
    paths: ReadonlyMap<number, string>,
  ): { modules: MappedModule[]; unlisted: Unlisted[] } {
    const found = new Map<string, MappedModule>();
    const unlisted = new Map<string, Unlisted>();
    for (const vma of vmas) {
      if ((vma.prot & PROT.execute) === 0 || (vma.status & (VMA.filePrivate | VMA.fileShared)) === 0) continue;
      const path = paths.get(Number(vma.shmid));
      if (path === undefined) continue;
      const { elf, key, reason } = this.look(path);
      const mapping = elf === null ? reason : place(elf, vma, memory);
      if (typeof mapping === "string") {
        unlisted.set(path, { path, reason: mapping });
        continue;
      }
      const name = `${path}\0${mapping.bias}`;
      const before = found.get(name);
      found.set(name, {
        path,
        start: before && before.start < vma.start ? before.start : vma.start,
        end: before && before.end > vma.end ? before.end : vma.end,
        bias: mapping.bias,
        key,
      });
    }
    // One changed page makes the whole file's translation worthless: its functions know of each other.
    const modules = [...found.values()].filter((module) => !unlisted.has(module.path));
    modules.sort((a, b) => (a.start < b.start ? -1 : 1));
    return { modules, unlisted: [...unlisted.values()] };
  }

  private look(path: string): Known {
    let known = this.known.get(path);
    if (!known) {
      known = this.load(path);
      this.known.set(path, known);
    }
    return known;
  }

  private load(path: string): Known {
    const bytes = this.readFile(path);
    if (bytes === null) return { elf: null, key: [], reason: "the file cannot be read in the container" };
    try {
      const elf = readElf(bytes, path);
      return { elf, key: fileCodeKey(elf), reason: "" };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return { elf: null, key: [], reason: error.message };
    }
  }
}

/** The load bias of a mapping of `elf`, or why the mapping is not the file's code. */
function place(elf: ElfFile, vma: VmaEntry, memory: Memory): { bias: bigint } | string {
  const segment = loadSegments(elf).find(
    (s) =>
      BigInt(s.offset) - (BigInt(s.offset) % BigInt(PAGE_BYTES)) <= vma.pgoff &&
      vma.pgoff < BigInt(s.offset + s.fileSize),
  );
  if (!segment) return "mapped from a place that no segment covers";
  for (const address of memory.presentIn(vma.start, vma.end)) {
    const at = Number(address - vma.start + vma.pgoff);
    const page = memory.page(address)!;
    const original = elf.bytes.subarray(at, at + PAGE_BYTES);
    if (!page.every((byte, index) => byte === (original[index] ?? 0))) return "its code was changed in memory";
  }
  return { bias: BigInt.asUintN(64, vma.start - vma.pgoff + BigInt(segment.offset) - BigInt(segment.vaddr)) };
}
