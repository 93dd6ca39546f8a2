// Makers of rows: how the families write down their lines of the table.

import { Unsupported } from "./unsupported.ts";
import type { Row, Semantic } from "./vocabulary.ts";

/** A fully supported instruction. */
export function full(mnemonic: string, semantic: Semantic): Row {
  return { mnemonic, support: "full", semantic };
}

/** A vector instruction by its legacy name and by that with a V in front, which differ in nothing but their operands. */
export function both(name: string, semantic: Semantic): Row[] {
  return [full(name, semantic), full(`V${name.toLowerCase()}`, semantic)];
}

/** An instruction that does less than the CPU in the way that `reason` tells. */
export function partial(mnemonic: string, semantic: Semantic, reason: string): Row {
  return { mnemonic, support: "partial", semantic, reason };
}

/** An instruction that we know and do not do. */
export function refused(mnemonic: string, reason: string): Row {
  const semantic: Semantic = (_sem, insn) => {
    throw new Unsupported(`${insn.mnemonic}: ${reason}`);
  };
  return { mnemonic, support: "refused", semantic, reason };
}
