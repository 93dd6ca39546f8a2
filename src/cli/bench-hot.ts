// Which code a workload executes, so that `hcontainer bench code --hot` need not translate whole libraries: what
// qemu-x86_64 executes of them on this machine, and what runs of the translated program have then left to the interpreter, since
// our CPU has instructions that qemu's lacks, and libraries choose by them.

import { readFileSync } from "node:fs";
import { keyName } from "../abi/index.ts";
import { fileCodeKey, loadSegments, readElf } from "../elf/index.ts";
import { addEntries } from "../exec/index.ts";
import type { TranslateOptions } from "../host/index.ts";
import { readReport } from "./bench-blocks.ts";
import { listHomeBlocks } from "./bench-measure.ts";
import type { Workload } from "./bench-workloads.ts";

type CodePart = NonNullable<TranslateOptions["part"]>;

/** Executed instructions, by file: as offsets in it. */
function executedOffsets(report: string): Map<string, Set<number>> {
  const { mappings, blocks } = readReport(report);
  const byFile = new Map<string, Set<number>>();
  for (const { address, sizes } of blocks) {
    const mapping = mappings.find(({ start, end }) => address >= start && address < end);
    if (!mapping) continue;
    const offsets = byFile.get(mapping.path) ?? new Set();
    byFile.set(mapping.path, offsets);
    let offset = address - mapping.start + mapping.offset;
    for (const size of sizes) {
      offsets.add(offset);
      offset += size;
    }
  }
  return byFile;
}

/** What a workload executes. */
export class HotCode {
  readonly #offsets: ReadonlyMap<string, ReadonlySet<number>>;
  readonly #interpreted = new Map<string, Set<number>>();

  private constructor(offsets: ReadonlyMap<string, ReadonlySet<number>>) {
    this.#offsets = offsets;
  }

  /** Runs the amd64 program at `path` in `root` to see. */
  static async observe(workload: Workload, root: string, path: string, inputs: string): Promise<HotCode> {
    return new HotCode(executedOffsets(await listHomeBlocks(workload, root, path, inputs)));
  }

  /** Takes what a run has interpreted, by code key; gives how much of it is new. */
  addInterpreted(interpreted: ReadonlyMap<string, ReadonlySet<number>>): number {
    return addEntries(this.#interpreted, interpreted);
  }

  /** The part of a file's code. */
  partOf(file: string): CodePart {
    const elf = readElf(readFileSync(file), file);
    const offsets = this.#offsets.get(file) ?? new Set();
    const executed = new Set<number>();
    for (const { offset, vaddr, fileSize } of loadSegments(elf)) {
      for (const at of offsets) if (at >= offset && at < offset + fileSize) executed.add(at - offset + vaddr);
    }
    return { executed, roots: [...(this.#interpreted.get(keyName(fileCodeKey(elf))) ?? [])] };
  }
}
