// The instruction set: one map from iced-x86's mnemonic names ("Add", "Vpcmpeqb") to rows, put together from the families. A
// mnemonic that is not here is not supported.
//
// Two names mean two instructions each in x86 assembly: movsd and cmpsd are string instructions and SSE2 instructions. Their
// operands tell which is meant, and the row made here asks them.

import { assert } from "../base/index.ts";
import { INTEGER_ROWS } from "./integer.ts";
import { SIMD_ROWS } from "./simd-rows.ts";
import type { Row, Semantic } from "./vocabulary.ts";

const FAMILIES: readonly (readonly Row[])[] = [INTEGER_ROWS, SIMD_ROWS];

const SHARED_NAMES: readonly string[] = ["Movsd", "Cmpsd"];

/** The row of a name that a string instruction and a vector instruction share. */
function either(string: Row, vector: Row): Row {
  const semantic: Semantic = (sem, insn) => {
    const isVector = insn.kind(0) === "vector" || insn.kind(1) === "vector";
    return (isVector ? vector : string).semantic(sem, insn);
  };
  const support = string.support === "full" ? vector.support : string.support;
  const reason = [string.reason, vector.reason].filter((text) => text !== undefined).join("; ");
  return { mnemonic: string.mnemonic, support, semantic, ...(reason === "" ? {} : { reason }) };
}

/** Puts families together; the string family comes before the vector families. */
function assemble(families: readonly (readonly Row[])[]): ReadonlyMap<string, Row> {
  const table = new Map<string, Row>();
  for (const row of families.flat()) {
    const before = table.get(row.mnemonic);
    assert(!before || SHARED_NAMES.includes(row.mnemonic), `one row for ${row.mnemonic}`);
    table.set(row.mnemonic, before ? either(before, row) : row);
  }
  return table;
}

/** Rows by iced-x86 mnemonic name. */
export const TABLE: ReadonlyMap<string, Row> = assemble(FAMILIES);
