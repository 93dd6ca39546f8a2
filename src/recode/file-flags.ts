// Open flags in an image set: whatever carries some is converted (src/abi/syscalls.ts knows the bits that differ).

import { convertOpenFlags } from "../abi/index.ts";
import type { FileEntry, VmaEntry } from "../image/index.ts";

export type Direction = "toForeign" | "toHome";

/** The open flags `flags` in the other architecture's numbers. */
export function moveOpenFlags(flags: number, direction: Direction): number {
  return convertOpenFlags(flags, direction === "toForeign" ? "arm64" : "x86-64");
}

/** Remaps every open flag of a file in place. */
export function moveFileFlags(file: FileEntry, direction: Direction): void {
  const holders = [
    file.reg,
    file.isk,
    file.nsf,
    file.psk,
    file.nlsk,
    file.efd,
    file.epfd,
    file.sgfd,
    file.tfd,
    file.ify,
    file.ffy,
    file.usk,
    file.pipe,
    file.tty,
    file.memfd,
    file.bpf,
    file.pidfd,
  ];
  for (const holder of holders) {
    if (holder) holder.flags = moveOpenFlags(holder.flags, direction);
  }
  // What fanotify opens for its events.
  if (file.ffy) file.ffy.evflags = moveOpenFlags(file.ffy.evflags, direction);
}

/** Remaps the open flags that an area remembers of its file, in place. */
export function moveVmaFlags(vma: VmaEntry, direction: Direction): void {
  if (vma.fdflags !== 0) vma.fdflags = moveOpenFlags(vma.fdflags, direction);
}
