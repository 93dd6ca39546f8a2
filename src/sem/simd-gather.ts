// Gathers and scatters. A gather that faults has changed nothing here (the CPU may have done some lanes and cleared their
// mask bits); executed again it does the same. A scatter that faults has stored the lanes before, as on the CPU, but its
// mask is whole: executed again it stores them once more.

import { full, refused } from "./rows.ts";
import { range } from "./simd-operands.ts";
import { Unsupported } from "./unsupported.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

/** Number of lanes of the index register, which only the name of the form tells. */
function indexLanes<V>(insn: Insn<V>, indexBits: number): number {
  const letter = /vm(?:32|64)([xyz])/i.exec(insn.code)?.[1]?.toLowerCase();
  if (letter === undefined) throw new Unsupported(`${insn.code}: not a form with vector addresses`);
  return { x: 128, y: 256, z: 512 }[letter]! / indexBits;
}

const join = <V>(s: Sem<V>, lanes: V[]): V => (lanes.length === 1 ? lanes[0]! : s.concat(...lanes.reverse()));

function gather(indexBits: 32 | 64, dataBits: 32 | 64): Semantic {
  return <V>(s: Sem<V>, insn: Insn<V>) => {
    const count = Math.min(insn.width(0) / dataBits, indexLanes(insn, indexBits));
    const isEvex = insn.encoding === "evex";
    const mask = isEvex
      ? insn.opmask(count)
      : s.signMask(s.trunc(s.zext(insn.read(2), 512), count * dataBits), dataBits);
    const old = insn.read(0);
    const lanes = range(count, (lane) => {
      const address = insn.laneAddress(1, lane, indexBits);
      if (mask === null) return s.load(dataBits, address);
      const selected = s.bits(mask, lane, 1);
      const loaded = s.loadIf(selected, dataBits, address);
      return s.select(selected, loaded, s.bits(old, lane * dataBits, dataBits));
    });
    const value = join(s, lanes);
    insn.write(0, s.w(value) < 128 ? s.zext(value, 128) : value);
    if (isEvex) insn.setOpmask(s.int(64, 0));
    else insn.write(2, s.int(128, 0));
  };
}

function scatter(indexBits: 32 | 64, dataBits: 32 | 64): Semantic {
  return (s, insn) => {
    const count = Math.min(insn.width(1) / dataBits, indexLanes(insn, indexBits));
    const mask = insn.opmask(count);
    const data = insn.read(1);
    for (let lane = 0; lane < count; lane++) {
      const address = insn.laneAddress(0, lane, indexBits);
      const value = s.bits(data, lane * dataBits, dataBits);
      if (mask === null) s.store(address, value);
      else s.storeIf(s.bits(mask, lane, 1), address, value);
    }
    insn.setOpmask(s.int(64, 0));
  };
}

const SHAPES = [
  ["d", "d", "ps", 32, 32],
  ["d", "q", "pd", 32, 64],
  ["q", "d", "ps", 64, 32],
  ["q", "q", "pd", 64, 64],
] as const;

export const SIMD_GATHER: readonly Row[] = [
  ...SHAPES.flatMap(([index, data, float, indexBits, dataBits]) => [
    full(`Vpgather${index}${data}`, gather(indexBits, dataBits)),
    full(`Vgather${index}${float}`, gather(indexBits, dataBits)),
    full(`Vpscatter${index}${data}`, scatter(indexBits, dataBits)),
    full(`Vscatter${index}${float}`, scatter(indexBits, dataBits)),
  ]),
  ...["gather", "scatter"].flatMap((kind) =>
    [0, 1].flatMap((level) =>
      ["dps", "dpd", "qps", "qpd"].map((shape) =>
        refused(`V${kind}pf${level}${shape}`, "AVX512PF was made for one family of CPUs that is no more"),
      ),
    ),
  ),
];
