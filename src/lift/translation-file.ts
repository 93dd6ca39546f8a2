// The translation file (src/abi/translation.ts): how the linker must lay it out, and what is filled in afterwards. The
// linker leaves room for header and entries and names every piece in its symbol table; from that the table of entries is
// written, and the symbol table is cut off.

import {
  ABI_VERSION,
  FaultRow,
  offsetOf,
  TRANSLATION_HEADER_OFFSET,
  TRANSLATION_MAGIC,
  TranslationHeader,
  UnalignedRow,
  VARIANTS,
  type Variant,
} from "../abi/index.ts";
import { assert } from "../base/index.ts";
import { FAULT_WORDS, FAULTS_SECTION, UNALIGNED_SECTION, UNALIGNED_WORDS } from "../llvm/index.ts";
import { pageSymbol, pieceSymbol } from "./piece.ts";

/** Bytes of one entry. */
const ENTRY_BYTES = 8;
/** Data starts a page of the largest size that arm64 kernels use. */
const DATA_ALIGNMENT = 0x10000;
const PAGE_BYTES = 0x1000;
const WORD_BYTES = 4;
assert(FaultRow.sizeBytes === FAULT_WORDS.all * WORD_BYTES, "rows keep their size when they are made absolute");
assert(UnalignedRow.sizeBytes === UNALIGNED_WORDS.all * WORD_BYTES, "rows keep their size when they are made absolute");

/** What the header says about the guest's file. */
export interface TranslationFacts {
  readonly variant: Variant;
  readonly codeKey: readonly number[];
  readonly sha256: Uint8Array;
  readonly guestLow: number;
  readonly guestHigh: number;
  /** pcs of all entries. */
  readonly entries: readonly number[];
}

const PAGES_SYMBOL = "hc_pages";

/** The linker script for a translation with so many entries, whose code looks up these pages of the guest's file. */
export function linkerScript(entries: number, pages: Iterable<number>): string {
  const words = [...pages]
    .sort((a, b) => a - b)
    .map((page) => `${pageSymbol(page)} = .; QUAD(0x${(page * PAGE_BYTES).toString(16)})`);
  const header = TRANSLATION_HEADER_OFFSET;
  return `
PHDRS { image PT_LOAD FILEHDR PHDRS FLAGS(5); data PT_LOAD FLAGS(6); }
SECTIONS {
  . = ${header};
  .hc_header : { BYTE(0) . += ${TranslationHeader.sizeBytes - 1}; } :image
  .hc_entries : ALIGN(64) { hc_entries = .; BYTE(0) . += ${entries * ENTRY_BYTES}; } :image
  .hc_faults : ALIGN(64) { hc_faults = .; *(${FAULTS_SECTION}) hc_faults_end = .; } :image
  .hc_unaligned : ALIGN(64) { hc_unaligned = .; *(${UNALIGNED_SECTION}) hc_unaligned_end = .; } :image
  .rodata : ALIGN(64) { *(.rodata .rodata.*) } :image
  .text : ALIGN(64) { *(.text .text.*) } :image
  .hc_data : ALIGN(${DATA_ALIGNMENT}) {
    ${PAGES_SYMBOL} = .;
    QUAD(0)
    ${words.join("\n    ")}
    hc_pages_end = .;
    . = ALIGN(${PAGE_BYTES});
    hc_end = .;
  } :data
  .hc_other : { *(.data .data.* .bss .bss.* .got .got.*) } :data
  ASSERT(SIZEOF(.hc_other) == 0, "translated code has data that would have to be relocated or written")
  /DISCARD/ : { *(.comment .note* .eh_frame* .ARM.*) }
}
`;
}

/** Values of the symbols of a linked file (our own linker's output: trusted, but not blindly). */
function readSymbols(view: DataView): Map<string, number> {
  const at = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const size = view.getUint16(58, true);
  const symbols = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const section = at + i * size;
    if (view.getUint32(section + 4, true) !== 2) continue;
    const names = at + view.getUint32(section + 40, true) * size;
    const namesAt = Number(view.getBigUint64(names + 24, true));
    const first = Number(view.getBigUint64(section + 24, true));
    const end = first + Number(view.getBigUint64(section + 32, true));
    for (let symbol = first; symbol < end; symbol += 24) {
      let name = "";
      for (let c = namesAt + view.getUint32(symbol, true); view.getUint8(c) !== 0; c++) {
        name += String.fromCharCode(view.getUint8(c));
      }
      symbols.set(name, Number(view.getBigUint64(symbol + 8, true)));
    }
  }
  return symbols;
}

interface Words {
  readonly all: number;
  readonly addresses: number;
}

/** Makes the rows between two addresses relative to the image and sorts them by access; gives their number. */
function finishRows(view: DataView, start: number, end: number, { all, addresses }: Words): number {
  const rows: number[][] = [];
  for (let at = start; at < end; at += all * WORD_BYTES) {
    const word = (i: number): number => view.getInt32(at + i * WORD_BYTES, true);
    rows.push(Array.from({ length: all }, (_, i) => (i < addresses ? at + i * WORD_BYTES + word(i) : word(i))));
  }
  rows.sort((a, b) => a[0]! - b[0]!);
  rows.flat().forEach((word, i) => {
    view.setUint32(start + i * WORD_BYTES, word, true);
  });
  return rows.length;
}

/** Makes the translation file out of the linker's output. */
export function finishTranslation(linked: Uint8Array, facts: TranslationFacts): Uint8Array {
  const symbols = readSymbols(new DataView(linked.buffer, linked.byteOffset, linked.byteLength));
  const symbol = (name: string): number => {
    const value = symbols.get(name);
    assert(value !== undefined, `the linked translation defines ${name}`);
    return value;
  };
  const imageBytes = symbol("hc_end");
  const entriesOffset = symbol("hc_entries");
  assert(imageBytes <= linked.length, "addresses and file offsets of a translation are the same");
  const file = linked.slice(0, imageBytes);
  const view = new DataView(file.buffer);
  // ET_DYN, since it runs wherever it is mapped; the section headers are cut off.
  view.setUint16(16, 3, true);
  view.setBigUint64(40, 0n, true);
  for (const at of [58, 60, 62]) view.setUint16(at, 0, true);

  const entries = [...facts.entries].sort((a, b) => a - b);
  entries.forEach((pc, i) => {
    view.setUint32(entriesOffset + i * ENTRY_BYTES, pc - facts.guestLow, true);
    view.setUint32(entriesOffset + i * ENTRY_BYTES + 4, symbol(pieceSymbol(pc)), true);
  });

  const faults = symbol("hc_faults");
  const faultCount = finishRows(view, faults, symbol("hc_faults_end"), FAULT_WORDS);
  const unaligned = symbol("hc_unaligned");
  const unalignedCount = finishRows(view, unaligned, symbol("hc_unaligned_end"), UNALIGNED_WORDS);

  const field = (name: string, index = 0): number =>
    TRANSLATION_HEADER_OFFSET + offsetOf(TranslationHeader, name, index);
  view.setBigUint64(field("magic"), TRANSLATION_MAGIC, true);
  view.setUint32(field("abi_version"), ABI_VERSION, true);
  view.setUint32(field("entry_count"), entries.length, true);
  facts.codeKey.forEach((word, i) => {
    view.setUint32(field("code_key", i), word, true);
  });
  file.set(facts.sha256, field("sha256"));
  view.setBigUint64(field("guest_low"), BigInt(facts.guestLow), true);
  view.setBigUint64(field("guest_high"), BigInt(facts.guestHigh), true);
  view.setBigUint64(field("image_bytes"), BigInt(imageBytes), true);
  view.setBigUint64(field("entries_offset"), BigInt(entriesOffset), true);
  view.setBigUint64(field("faults_offset"), BigInt(faults), true);
  view.setUint32(field("fault_count"), faultCount, true);
  view.setBigUint64(field("unaligned_offset"), BigInt(unaligned), true);
  view.setUint32(field("unaligned_count"), unalignedCount, true);
  view.setUint32(field("variant"), VARIANTS.indexOf(facts.variant), true);
  view.setBigUint64(field("data_offset"), BigInt(symbol(PAGES_SYMBOL)), true);
  view.setUint32(field("page_count"), (symbol("hc_pages_end") - symbol(PAGES_SYMBOL)) / 8, true);
  return file;
}
