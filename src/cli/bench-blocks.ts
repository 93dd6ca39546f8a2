// What the plugin that lists executed blocks (bench/insn-count/blocks.c) says.

/** A file that is mapped, and where. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly path: string;
}

export interface ExecutedBlock {
  readonly address: number;
  readonly executed: number;
  /** Bytes of its instructions. */
  readonly sizes: readonly number[];
}

export function readReport(report: string): { mappings: Mapping[]; blocks: ExecutedBlock[] } {
  const mappings = [...report.matchAll(/^map ([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \S+ +(\/.*)$/gm)].map(
    ([, start, end, offset, path]) => ({
      start: Number.parseInt(start!, 16),
      end: Number.parseInt(end!, 16),
      offset: Number.parseInt(offset!, 16),
      path: path!,
    }),
  );
  const blocks = [...report.matchAll(/^block ([0-9a-f]+) (\d+)((?: \d+)+)$/gm)].map(([, address, executed, sizes]) => ({
    address: Number.parseInt(address!, 16),
    executed: Number(executed),
    sizes: sizes!.trim().split(" ").map(Number),
  }));
  return { mappings, blocks };
}
