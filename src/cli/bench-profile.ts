// Where the executed instructions of a translated workload are: `hcontainer bench code --profile`.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { offsetOf, TRANSLATION_HEADER_OFFSET, TRANSLATION_MAGIC, TranslationHeader } from "../abi/index.ts";
import { type ExecutedBlock, readReport } from "./bench-blocks.ts";

const INSN_BYTES = 4;

/** The guest's pc of the piece that holds the host code at an offset of a translation file; undefined in other files. */
function pieceAt(file: Buffer, offset: number): number | undefined {
  const field = (name: string): number => TRANSLATION_HEADER_OFFSET + offsetOf(TranslationHeader, name);
  if (file.length < field("sha256") || file.readBigUInt64LE(field("magic")) !== TRANSLATION_MAGIC) return undefined;
  const entries = Number(file.readBigUInt64LE(field("entries_offset")));
  const low = Number(file.readBigUInt64LE(field("guest_low")));
  let found: { readonly guest: number; readonly host: number } | undefined;
  for (let i = file.readUInt32LE(field("entry_count")) - 1; i >= 0; i--) {
    const [guest, host] = [file.readUInt32LE(entries + i * 8) + low, file.readUInt32LE(entries + i * 8 + 4)];
    if (host <= offset && (!found || host > found.host)) found = { guest, host };
  }
  return found?.guest;
}

/** Text for people: the files, and the hottest blocks with the words of their code (for `llvm-mc --disassemble`). */
export function describeProfile(report: string, count: number): string {
  const { mappings, blocks } = readReport(report);
  const weight = (block: ExecutedBlock): number => block.executed * block.sizes.length;
  const total = blocks.reduce((sum, block) => sum + weight(block), 0);
  const percent = (part: number): string => `${((100 * part) / total).toFixed(2)} %`;
  const fileOf = (block: ExecutedBlock): (typeof mappings)[number] | undefined =>
    mappings.find(({ start, end }) => block.address >= start && block.address < end);
  const perFile = new Map<string, number>();
  for (const block of blocks) {
    const path = fileOf(block)?.path ?? "?";
    perFile.set(path, (perFile.get(path) ?? 0) + weight(block));
  }
  const lines = [...perFile].sort((a, b) => b[1] - a[1]).map(([path, sum]) => `${percent(sum)} ${basename(path)}`);
  const contents = new Map<string, Buffer>();
  for (const block of [...blocks].sort((a, b) => weight(b) - weight(a)).slice(0, count)) {
    const mapping = fileOf(block);
    if (!mapping) continue;
    const file = contents.get(mapping.path) ?? readFileSync(mapping.path);
    contents.set(mapping.path, file);
    const offset = block.address - mapping.start + mapping.offset;
    const piece = pieceAt(file, offset);
    const place = piece === undefined ? "" : `, piece ${piece.toString(16)}`;
    lines.push(
      `\n${percent(weight(block))} ${block.executed} times ${basename(mapping.path)} +${offset.toString(16)}${place}`,
    );
    for (let i = 0; i < block.sizes.length; i++) {
      const word = [...file.subarray(offset + i * INSN_BYTES, offset + (i + 1) * INSN_BYTES)];
      lines.push(`  ${word.map((byte) => `0x${byte.toString(16).padStart(2, "0")}`).join(" ")}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
