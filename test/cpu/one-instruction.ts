// Lifts one instruction by itself, as a program that has nothing else in it.

import type { Variant } from "../../src/abi/index.ts";
import { readElf } from "../../src/elf/index.ts";
import { discover, liftFile } from "../../src/lift/index.ts";
import { PieceWriter, pieceSymbol } from "../../src/lift/piece.ts";
import { ALL_LIVE } from "../../src/lift/variables.ts";
import type { IrModule } from "../../src/llvm/index.ts";
import { elfAround } from "../lift/elf-around.ts";

const CODE_PAGE = 0x10000000;
/** Where the harness has its instruction, too. */
const CODE_AT = 0x10000800;

/** An ELF file that is one page of int3 with the instruction in it, at the address at which the harness has it. */
export function elfOf(instruction: Uint8Array): Uint8Array {
  const page = new Uint8Array(0x1000).fill(0xcc);
  page.set(instruction, CODE_AT - CODE_PAGE);
  return elfAround(page, { address: CODE_PAGE, entry: CODE_AT });
}

export interface Lifted {
  readonly hex: string;
  readonly symbol: string;
}

/**
 * Writes the pieces of one instruction (as hexadecimal digits) into `module`, with all flags that it sets; null if it is left
 * to the interpreter.
 */
export function liftInto(module: IrModule, hex: string, prefix: string, variant: Variant = "plain"): Lifted | null {
  const file = liftFile(discover(readElf(elfOf(Buffer.from(hex, "hex")), hex)).map, variant);
  // All flags are compared, whether a program could read them or not.
  const { graph } = file.context;
  for (const block of graph.blocks.values()) block.live = ALL_LIVE;
  const liveAfter = new Map([...graph.blocks.values()].map((block) => [block, ALL_LIVE]));
  const heads = new Set(file.pieces.map((piece) => piece.head));
  const own = file.pieces.find((piece) => piece.head.start === CODE_AT);
  if (!own || file.interpretedInstructions > 0) return null;
  for (const piece of file.pieces) {
    new PieceWriter(module, piece, { ...file.context, liveAfter, symbolPrefix: prefix }, heads).write();
  }
  return { hex, symbol: pieceSymbol(CODE_AT, prefix) };
}
