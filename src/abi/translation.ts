// The translation file: an ELF64 shared object for the host, laid out so that the runtime can map it without reading
// ELF: one mapping of the whole file readable and executable at a page boundary, then the page(s) from `dataOffset` on
// private and writable over it. Code refers to itself only relative to the pc, so no relocation is needed.
//
//   0x000  ELF header; program headers follow
//   HEADER_OFFSET  struct translation_header
//   entriesOffset  u32 pairs { guest, host } sorted by guest: offset from `guestLow` to an instruction at which
//                  execution may enter, and offset from the start of the file's image to its host code
//   ...            read-only data, code
//   dataOffset     u64 guest bias, written by the loader: run-time address minus ELF virtual address
//
// A translation is bound to its file by `codeKey` (cheap, checked by the runtime) and `sha256` (checked by the node).

import { defineStruct, type Struct } from "./layout.ts";

export const TRANSLATION_MAGIC = 0x31304c5458434848n; // "HHCXTL01"
/** File offset of the header. */
export const TRANSLATION_HEADER_OFFSET = 0x400;
/** Suffix of translation files; they are named `<codeKey as 32 hex digits>.hct`. */
export const TRANSLATION_SUFFIX = ".hct";

export const TranslationHeader: Struct = defineStruct("translation_header", [
  ["magic", "u64", "TRANSLATION_MAGIC"],
  ["abi_version", "u32", "ABI_VERSION"],
  ["entry_count", "u32", "entries in the table"],
  ["code_key", "u32", "code key of the guest file", { count: 4 }],
  ["sha256", "u8", "digest of the guest file", { count: 32 }],
  ["guest_low", "u64", "lowest executable ELF virtual address"],
  ["guest_high", "u64", "one past the highest"],
  ["image_bytes", "u64", "size of the mapping"],
  ["entries_offset", "u64", ""],
  ["data_offset", "u64", "the writable page with the guest bias at its start"],
]);
