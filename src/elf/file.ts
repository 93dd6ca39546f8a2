// The frame of an ELF64 file for x86-64: header, program headers, section headers (which may be stripped: nothing but
// names depends on them), the map from guest addresses to file bytes, and the build id. System V gABI 4.1 and the
// x86-64 psABI. Guest addresses are ELF virtual addresses here, as numbers below 2^47.

import { codeKey, type KeySegment } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { Cursor } from "./cursor.ts";

export const PT = {
  load: 1,
  dynamic: 2,
  interp: 3,
  note: 4,
  tls: 7,
  ehFrame: 0x6474_e550,
  relro: 0x6474_e552,
} as const;
export const PF = { execute: 1, write: 2, read: 4 } as const;

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const SHDR_BYTES = 64;
/** More program headers than any linker makes; the kernel refuses above 64 KiB of them too. */
const MAX_SEGMENTS = 1024;
/** Offsets into code have 32 bits in translations; compilers' code models have no more either. */
const MAX_CODE_SPAN = 0xffff_ffff;

export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly fileSize: number;
  readonly memSize: number;
}

export interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly vaddr: number;
  readonly offset: number;
  readonly size: number;
}

export interface ElfFile {
  readonly place: string;
  readonly bytes: Uint8Array;
  readonly cursor: Cursor;
  /** True for ET_DYN: the guest's load bias is known at run time only. */
  readonly isRelocatable: boolean;
  readonly entry: number;
  readonly segments: readonly Segment[];
  /** Empty when the section table is stripped or damaged. */
  readonly sections: readonly Section[];
}

function refuse(code: string, message: string, place: string, advice = ""): never {
  throw new InputError(code, message, place, advice);
}

function checkHeader(cursor: Cursor): void {
  const { place } = cursor;
  if (cursor.size < 4 || cursor.u32(0, "ELF magic") !== 0x464c_457f) refuse("elf-magic", "not an ELF file", place);
  cursor.need(0, EHDR_BYTES, "ELF header");
  const [fileClass, encoding] = [cursor.u8(4, "class"), cursor.u8(5, "encoding")];
  if (fileClass !== 2 || encoding !== 1) refuse("elf-class", "not a 64-bit little-endian ELF file", place);
  const machine = cursor.u16(18, "machine");
  if (machine !== 62) refuse("elf-machine", `machine ${machine} is not x86-64 (62)`, place);
  const type = cursor.u16(16, "type");
  if (type !== 2 && type !== 3) {
    refuse("elf-type", `type ${type} is neither an executable (2) nor a shared object (3)`, place);
  }
}

function readSegments(cursor: Cursor): Segment[] {
  const offset = cursor.word(32, "program header offset");
  const size = cursor.u16(54, "program header size");
  const count = cursor.u16(56, "program header count");
  if (size !== PHDR_BYTES) refuse("elf-header", `program headers of ${size} bytes`, cursor.place);
  if (count === 0 || count > MAX_SEGMENTS) refuse("elf-header", `${count} program headers`, cursor.place);
  cursor.need(offset, size * count, "program header table");
  const segments: Segment[] = [];
  for (let at = offset; at < offset + size * count; at += size) {
    const segment: Segment = {
      type: cursor.u32(at, "segment type"),
      flags: cursor.u32(at + 4, "segment flags"),
      offset: cursor.address(at + 8, "segment offset"),
      vaddr: cursor.address(at + 16, "segment address"),
      fileSize: cursor.address(at + 32, "segment file size"),
      memSize: cursor.address(at + 40, "segment memory size"),
    };
    if (segment.type === PT.load) {
      cursor.need(segment.offset, segment.fileSize, "loadable segment");
      if (segment.fileSize > segment.memSize) {
        refuse("elf-segment", "a segment is larger in the file than in memory", cursor.place);
      }
    }
    segments.push(segment);
  }
  checkLoadable(
    cursor,
    segments.filter((s) => s.type === PT.load),
  );
  return segments;
}

/** Loadable segments are in ascending order and apart, and none of the file's code is mapped again and again. */
function checkLoadable(cursor: Cursor, segments: readonly Segment[]): void {
  let [end, code] = [0, 0];
  const executable = segments.filter((s) => (s.flags & PF.execute) !== 0 && s.fileSize > 0);
  const [first, last] = [executable[0], executable.at(-1)];
  if (first && last && last.vaddr + last.memSize - first.vaddr > MAX_CODE_SPAN) {
    refuse("elf-segment", "executable segments are more than 4 GiB apart", cursor.place);
  }
  for (const { vaddr, memSize, fileSize, flags } of segments) {
    if (vaddr < end) refuse("elf-segment", "loadable segments overlap or are out of order", cursor.place);
    end = vaddr + memSize;
    if (flags & PF.execute) code += fileSize;
  }
  if (code > cursor.size) refuse("elf-segment", "executable segments are larger than the file", cursor.place);
}

/** Section headers are a convenience that stripping may remove: whatever is wrong with them, they are ignored. */
function readSections(cursor: Cursor): Section[] {
  const offset = cursor.word(40, "section header offset");
  const size = cursor.u16(58, "section header size");
  const count = cursor.u16(60, "section header count");
  const namesIndex = cursor.u16(62, "section name index");
  if (size !== SHDR_BYTES || count === 0 || offset + size * count > cursor.size || namesIndex >= count) return [];
  const namesOffset = cursor.word(offset + namesIndex * size + 24, "section names");
  const sections: Section[] = [];
  for (let at = offset; at < offset + size * count; at += size) {
    const name = namesOffset + cursor.u32(at, "section name");
    const section = {
      name: name < cursor.size ? cursor.text(name, 128) : "",
      type: cursor.u32(at + 4, "section type"),
      flags: cursor.u32(at + 8, "section flags"),
      vaddr: cursor.word(at + 16, "section address"),
      offset: cursor.word(at + 24, "section offset"),
      size: cursor.word(at + 32, "section size"),
    };
    const hasBytes = section.type !== 0 && section.type !== 8;
    if (!hasBytes || section.offset + section.size <= cursor.size) sections.push(section);
  }
  return sections;
}

/** Reads the headers of an x86-64 executable or shared object; `place` names it in errors. */
export function readElf(bytes: Uint8Array, place: string): ElfFile {
  const cursor = new Cursor(bytes, place);
  checkHeader(cursor);
  return {
    place,
    bytes,
    cursor,
    isRelocatable: cursor.u16(16, "type") === 3,
    entry: cursor.address(24, "entry point"),
    segments: readSegments(cursor),
    sections: readSections(cursor),
  };
}

/** The loadable segments, in program header order. */
export function loadSegments(elf: ElfFile): Segment[] {
  return elf.segments.filter((s) => s.type === PT.load);
}

/** The loadable executable segments with their bytes. */
export function executableSegments(elf: ElfFile): { vaddr: number; bytes: Uint8Array }[] {
  return loadSegments(elf)
    .filter((s) => (s.flags & PF.execute) !== 0 && s.fileSize > 0)
    .map((s) => ({ vaddr: s.vaddr, bytes: elf.cursor.slice(s.offset, s.fileSize, "executable segment") }));
}

/** The code key of the file (src/abi/code-key.ts). */
export function fileCodeKey(elf: ElfFile): [number, number, number, number] {
  const segments = loadSegments(elf).filter((s) => (s.flags & PF.execute) !== 0);
  return codeKey(
    segments.map((s): KeySegment => {
      return { vaddr: BigInt(s.vaddr), bytes: elf.cursor.slice(s.offset, s.fileSize, "executable segment") };
    }),
  );
}

/** File offset of guest address `vaddr` with at least `length` file bytes behind it, or -1. */
export function fileOffset(elf: ElfFile, vaddr: number, length: number): number {
  for (const s of elf.segments) {
    if (s.type !== PT.load) continue;
    const at = vaddr - s.vaddr;
    if (at >= 0 && at + length <= s.fileSize) return s.offset + at;
  }
  return -1;
}

const NT_GNU_BUILD_ID = 3;

/** The GNU build id, or null. Damaged notes are as good as none. */
export function readBuildId(elf: ElfFile): Uint8Array | null {
  for (const s of elf.segments) {
    if (s.type !== PT.note || s.offset + s.fileSize > elf.bytes.length) continue;
    const end = s.offset + s.fileSize;
    let at = s.offset;
    while (at + 12 <= end) {
      const nameSize = elf.cursor.u32(at, "note");
      const size = elf.cursor.u32(at + 4, "note");
      const type = elf.cursor.u32(at + 8, "note");
      const body = at + 12 + ((nameSize + 3) & ~3);
      if (nameSize > end - at || size > end - at || body + size > end) break;
      if (type === NT_GNU_BUILD_ID && nameSize === 4 && elf.cursor.text(at + 12, 4) === "GNU") {
        return elf.cursor.slice(body, size, "build id");
      }
      at = body + ((size + 3) & ~3);
    }
  }
  return null;
}
