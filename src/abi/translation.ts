// The translation file: an ELF64 shared object for the host, laid out so that the runtime can map it without reading
// ELF: one mapping of the whole file readable and executable at a page boundary, then the page(s) from `dataOffset` on
// private and writable over it. Code refers to itself only relative to the pc, so no relocation is needed.
//
//   0x000  ELF header; program headers follow
//   HEADER_OFFSET  struct translation_header
//   entriesOffset  u32 pairs { guest, host } sorted by guest: offset from `guestLow` to an instruction at which
//                  execution may enter, and offset from the start of the file's image to its host code
//   faultsOffset   struct fault_row for each access that may fault, sorted (none in the plain variant)
//   unalignedOffset  struct unaligned_row for each access that wants an aligned address, sorted (in the ordered one only)
//   ...            read-only data, code
//   dataOffset     u64 guest bias (run-time address minus ELF virtual address), and the addresses of pages of the guest's
//                  file, to all of which the loader adds the bias
//
// A translation is bound to its file by `codeKey` (cheap, checked by the runtime) and `sha256` (checked by the node).

import { defineStruct, type Struct } from "./layout.ts";

export const TRANSLATION_MAGIC = 0x31304c5458434848n; // "HHCXTL01"
/** File offset of the header. */
export const TRANSLATION_HEADER_OFFSET = 0x400;
/** Suffix of translation files; they are named `<codeKey as 32 hex digits>` + suffix of the variant. */
export const TRANSLATION_SUFFIX = ".hct";

/**
 * How a translation accesses memory. Each variant does all that the ones before it do, and costs more:
 *   plain    as if nobody else saw the memory, and as if no access could fail
 *   precise  a fault finds the guest's registers as they were before the instruction
 *   ordered  other threads and processes see accesses in x86-64's order
 */
export const VARIANTS = ["plain", "precise", "ordered"] as const;
export type Variant = (typeof VARIANTS)[number];

/** Name of a file's translation; `key` as keyName prints it. */
export function translationName(key: string, variant: Variant): string {
  return `${key}${variant === "plain" ? "" : `.${variant}`}${TRANSLATION_SUFFIX}`;
}

/** What becomes of a fault in translated code. Offsets from the start of the image, but for the last. */
export const FaultRow: Struct = defineStruct("fault_row", [
  ["access", "u32", "the instruction that may fault"],
  [
    "landing",
    "u32",
    "where to go on, with the registers of the fault: leaves for the dispatcher with the state at `guest`",
  ],
  ["guest", "u32", "the instruction that is interpreted then, from `guestLow`"],
]);

/** What becomes of an access whose address turns out not to be aligned. Offsets from the start of the image. */
export const UnalignedRow: Struct = defineStruct("unaligned_row", [
  ["access", "u32", "the instruction that may fault"],
  ["form", "u32", "the same for any address: one of its first two instructions. It goes on behind the first"],
]);

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
  ["data_offset", "u64", "the writable pages: page_count words, of which the first is the guest bias (0 in the file)"],
  ["faults_offset", "u64", "rows of FaultRow, sorted by access"],
  ["unaligned_offset", "u64", "rows of UnalignedRow, sorted by access"],
  ["fault_count", "u32", ""],
  ["unaligned_count", "u32", ""],
  ["variant", "u32", "index into VARIANTS"],
  ["page_count", "u32", "words that get the bias added"],
]);
