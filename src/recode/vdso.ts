// Finds the functions of the home kernel's vdso in the dumped pages: a small ELF shared object, whose dynamic symbols
// name them. It comes from a dump, so nothing in it is trusted; whatever is wrong with it, the runtime just answers
// fewer calls itself (the others go on as ordinary code, since the pages are there).

import { VDSO_CALLS } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { readDynamic, readElf } from "../elf/index.ts";

/** Guest addresses of VDSO_CALLS in a vdso at `start` with these bytes; 0 for those that it lacks. */
export function findVdsoCalls(bytes: Uint8Array, start: bigint, place: string): bigint[] {
  const found = new Map<string, number>();
  try {
    for (const symbol of readDynamic(readElf(bytes, place)).symbols) {
      if (symbol.isDefined && symbol.vaddr > 0 && symbol.vaddr < bytes.length) found.set(symbol.name, symbol.vaddr);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  return VDSO_CALLS.map((name) => {
    const value = found.get(name);
    return value === undefined ? 0n : start + BigInt(value);
  });
}
