// What random chains of instructions have in common: branches over single instructions, and sometimes a loop around all.

/** One in so many chains is a loop, and one in so many instructions is branched over; a chain has `least` of them or more. */
export interface ChainShape {
  readonly loops: number;
  readonly branches: number;
  readonly least: number;
  readonly more: number;
}

/** Lines of assembly of one chain, which uses ecx; `branchTo` gives what may jump to a label. */
export function chainLines(
  below: (limit: number) => number,
  { loops, branches, least, more }: ChainShape,
  branchTo: (label: string) => readonly string[],
  instruction: () => string,
): string[] {
  const lines: string[] = [];
  const isLoop = below(loops) === 0;
  if (isLoop) lines.push("mov $3, %%ecx", "1:");
  for (let i = least + below(more); i > 0; i--) {
    if (below(branches) === 0) lines.push(...branchTo(`${10 + i}f`), instruction(), `${10 + i}:`);
    else lines.push(instruction());
  }
  if (isLoop) lines.push("dec %%ecx", "jnz 1b");
  return lines;
}
