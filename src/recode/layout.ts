// Where our areas lie in a translated process (ARCHITECTURE.md, "A translated process"), and the numbers of Linux and
// CRIU that recoding needs.

import {
  PROC_AREA_BYTES,
  PROC_AREA_OFFSET,
  THREAD_AREA_BYTES,
  THREAD_AREA_OFFSET,
  TRANSLATION_OFFSET,
} from "../abi/index.ts";

/** Guest addresses end here; everything of ours, and of a foreign kernel, is at or above. */
export const GUEST_END = 0x8000_0000_0000n;

/** Addresses of our areas for a runtime linked at `base`. */
export class Layout {
  readonly base: bigint;

  constructor(base: bigint) {
    this.base = base;
  }

  get processArea(): bigint {
    return this.base + PROC_AREA_OFFSET;
  }

  get processAreaEnd(): bigint {
    return this.processArea + BigInt(PROC_AREA_BYTES);
  }

  /** Start of the area of thread slot `index`. */
  threadArea(index: number): bigint {
    return this.base + THREAD_AREA_OFFSET + BigInt(index) * BigInt(THREAD_AREA_BYTES);
  }

  get translations(): bigint {
    return this.base + TRANSLATION_OFFSET;
  }
}

/** CoreEntry.mtype. */
export const MACHINE = { x86_64: 1, aarch64: 3 } as const;
/** TaskCoreEntry.task_state. */
export const TASK = { alive: 1, dead: 2, stopped: 3 } as const;

/** Bits of VmaEntry.status. */
export const VMA = {
  regular: 1 << 0,
  stack: 1 << 1,
  vsyscall: 1 << 2,
  vdso: 1 << 3,
  heap: 1 << 5,
  filePrivate: 1 << 6,
  fileShared: 1 << 7,
  anonymousShared: 1 << 8,
  anonymousPrivate: 1 << 9,
  sysvIpc: 1 << 10,
  socket: 1 << 11,
  vvar: 1 << 12,
  aioRing: 1 << 13,
  memfd: 1 << 14,
  shadowStack: 1 << 15,
  guard: 1 << 16,
  uprobes: 1 << 17,
} as const;

export const PROT = { read: 1, write: 2, execute: 4 } as const;
export const MAP = { shared: 1, private: 2, anonymous: 0x20 } as const;

/** FileEntry.type. */
export const FILE_TYPE = { regular: 1 } as const;

/** Words of the auxiliary vector that CRIU takes on each architecture. */
export const AUXV_WORDS = { home: 44, foreign: 50 } as const;
