// A process's memory areas in both forms. Abroad the home kernel's own areas are plain memory (vdso: with its content,
// vvar: zeros) or gone (vsyscall), and ours are added above the guest's; at home it is the other way round.

import { create } from "@bufbuild/protobuf";
import { THREAD_AREA_BYTES } from "../abi/index.ts";
import { decodeMessage, encodeMessage, type Memory, type VmaEntry, VmaEntrySchema } from "../image/index.ts";
import { moveVmaFlags } from "./file-flags.ts";
import { GUEST_END, type Layout, MAP, PROT, VMA } from "./layout.ts";
import type { Problems } from "./problems.ts";
import type { RuntimeFile } from "./runtime-file.ts";

/** O_ACCMODE; only O_RDONLY is 0. */
const ACCESS_MODE = 3;

/** Kinds of areas that stand in the way. */
const UNSUPPORTED = [
  [VMA.aioRing, "aio-ring", "uses kernel AIO", "a program that uses io_setup cannot be moved"],
  [VMA.shadowStack, "shadow-stack", "has a shadow stack", "set GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"],
  [VMA.uprobes, "uprobes", "has an area of user-space probes", "end the tracing of its program"],
  [VMA.socket, "packet-socket-map", "maps a packet socket", ""],
] as const;

/** Refuses areas that cannot be moved. */
export function checkAreas(vmas: readonly VmaEntry[], place: string, problems: Problems): void {
  for (const vma of vmas) {
    for (const [bit, code, what, advice] of UNSUPPORTED) {
      if (vma.status & bit) problems.add(code, `${what} (0x${vma.start.toString(16)})`, place, advice);
    }
    if (vma.end > GUEST_END && (vma.status & VMA.vsyscall) === 0) {
      problems.add(
        "address-taken",
        `an area at 0x${vma.start.toString(16)} lies where the runtime belongs`,
        place,
        "programs that use five-level page tables cannot be moved",
      );
    }
  }
}

/** Whether other processes may see the order in which an area is written, or write to it: not files that are only read. */
export function isSharedMemory({ status, prot, fdflags }: VmaEntry): boolean {
  if (status & (VMA.anonymousShared | VMA.sysvIpc)) return true;
  return (status & VMA.fileShared) !== 0 && ((prot & PROT.write) !== 0 || (fdflags & ACCESS_MODE) !== 0);
}

function anonymous(start: bigint, end: bigint, prot: number): VmaEntry {
  return create(VmaEntrySchema, {
    start,
    end,
    pgoff: 0n,
    shmid: 0n,
    prot,
    flags: MAP.private | MAP.anonymous,
    status: VMA.regular | VMA.anonymousPrivate,
    fd: -1n,
    fdflags: 0,
  });
}

/** The areas of the foreign form, and the home kernel's own ones as they were (encoded). */
export function areasToForeign(vmas: readonly VmaEntry[]): { areas: VmaEntry[]; kept: Uint8Array[]; vdso: VmaEntry[] } {
  const areas: VmaEntry[] = [];
  const kept: Uint8Array[] = [];
  const vdso: VmaEntry[] = [];
  for (const vma of vmas) {
    if (vma.status & (VMA.vsyscall | VMA.vdso | VMA.vvar)) {
      kept.push(encodeMessage(VmaEntrySchema, vma));
      if (vma.status & VMA.vdso) vdso.push(vma);
      if ((vma.status & VMA.vsyscall) === 0) areas.push(anonymous(vma.start, vma.end, vma.prot & ~PROT.write));
    } else {
      moveVmaFlags(vma, "toForeign");
      areas.push(vma);
    }
  }
  return { areas, kept, vdso };
}

/** Areas of the runtime and of `threads` threads. */
export function ownAreas(layout: Layout, runtime: RuntimeFile, fileId: number, threads: number): VmaEntry[] {
  const areas: VmaEntry[] = [];
  for (const segment of runtime.segments) {
    const fileEnd = segment.start + ((segment.fileBytes + 4095n) & ~4095n);
    if (segment.fileBytes > 0n) {
      areas.push(
        create(VmaEntrySchema, {
          start: segment.start,
          end: fileEnd,
          pgoff: segment.fileOffset,
          shmid: BigInt(fileId),
          prot: segment.prot,
          flags: MAP.private,
          status: VMA.regular | VMA.filePrivate,
          fd: -1n,
          fdflags: 0,
        }),
      );
    }
    if (segment.end > fileEnd) areas.push(anonymous(fileEnd, segment.end, segment.prot));
  }
  areas.push(anonymous(layout.processArea, layout.processAreaEnd, PROT.read | PROT.write));
  const firstThread = layout.threadArea(0);
  areas.push(anonymous(firstThread, firstThread + BigInt(threads) * BigInt(THREAD_AREA_BYTES), PROT.read | PROT.write));
  return areas;
}

/** The guest's areas in the home form. `kept` are the home kernel's own ones as they were; their pages are put right. */
export function areasToHome(
  vmas: readonly VmaEntry[],
  kept: readonly Uint8Array[],
  memory: Memory,
  place: string,
): VmaEntry[] {
  let areas = vmas.filter((vma) => vma.start < GUEST_END);
  for (const vma of areas) moveVmaFlags(vma, "toHome");
  for (const bytes of kept) {
    const vma = decodeMessage(VmaEntrySchema, bytes, `${place} kept area`);
    if (vma.status & VMA.vsyscall) {
      areas.push(vma);
      continue;
    }
    // The program may have unmapped or replaced it meanwhile.
    if (!isCovered(areas, vma)) continue;
    areas = cutOut(areas, vma.start, vma.end);
    areas.push(vma);
    areas.sort(byStart);
    if (vma.status & VMA.vvar) memory.remove(vma.start, vma.end);
  }
  areas.sort(byStart);
  memory.remove(GUEST_END, 1n << 64n);
  return areas;
}

function byStart(a: VmaEntry, b: VmaEntry): number {
  return a.start < b.start ? -1 : 1;
}

/** Whether `vma` is still there abroad: covered by private anonymous memory of its protection. */
function isCovered(areas: readonly VmaEntry[], vma: VmaEntry): boolean {
  let at = vma.start;
  for (const area of areas) {
    if (area.end <= at || area.start >= vma.end) continue;
    const isPlain = (area.status & VMA.anonymousPrivate) !== 0 && area.prot === (vma.prot & ~PROT.write);
    if (!isPlain || area.start > at) return false;
    at = area.end;
  }
  return at >= vma.end;
}

function cutOut(areas: readonly VmaEntry[], start: bigint, end: bigint): VmaEntry[] {
  const result: VmaEntry[] = [];
  for (const area of areas) {
    if (area.end <= start || area.start >= end) {
      result.push(area);
      continue;
    }
    if (area.start < start) result.push(anonymousPart(area, area.start, start));
    if (area.end > end) result.push(anonymousPart(area, end, area.end));
  }
  return result;
}

function anonymousPart(area: VmaEntry, start: bigint, end: bigint): VmaEntry {
  const part = decodeMessage(VmaEntrySchema, encodeMessage(VmaEntrySchema, area), "area");
  part.start = start;
  part.end = end;
  return part;
}
