// What the dynamic section says about code: symbols, relocations, initialisers. Needs no section headers. Tags and
// relocation types are those of the gABI and the x86-64 psABI; RELR as proposed for the gABI (even word: an address;
// odd word: a bitmap of the 63 words behind it). Static executables keep IRELATIVE relocations without a dynamic
// section, found by the section name `.rela.plt` only.

import { InputError } from "../base/index.ts";
import { type ElfFile, fileOffset, PT } from "./file.ts";

const DT = {
  needed: 1,
  pltRelSize: 2,
  hash: 4,
  strtab: 5,
  symtab: 6,
  rela: 7,
  relaSize: 8,
  strSize: 10,
  init: 12,
  fini: 13,
  soname: 14,
  rpath: 15,
  jmpRel: 23,
  initArray: 25,
  finiArray: 26,
  initArraySize: 27,
  finiArraySize: 28,
  preinitArray: 32,
  preinitArraySize: 33,
  relrSize: 35,
  relr: 36,
  runpath: 29,
  gnuHash: 0x6fff_fef5,
} as const;

export const R_X86_64 = { absolute64: 1, globDat: 6, jumpSlot: 7, relative: 8, irelative: 37 } as const;

const SYM_BYTES = 24;
const RELA_BYTES = 24;
const MAX_DYNAMIC = 4096;
const MAX_RELOCATIONS = 8_000_000;
const MAX_SYMBOLS = 4_000_000;
const MAX_INITIALISERS = 1_000_000;

export interface ElfSymbol {
  readonly name: string;
  /** STT_*: 2 function, 10 indirect function. */
  readonly type: number;
  readonly vaddr: number;
  readonly size: number;
  /** False for symbols that the file only refers to. */
  readonly isDefined: boolean;
}

export interface Relocation {
  readonly vaddr: number;
  readonly type: number;
  readonly symbol: number;
  /** For RELR and RELATIVE without an explicit addend: the word in the file. */
  readonly addend: number;
}

export interface DynamicInfo {
  readonly symbols: readonly ElfSymbol[];
  readonly relocations: readonly Relocation[];
  /** Addresses of DT_INIT, DT_FINI and the entries of the initialiser arrays (as they are in the file). */
  readonly initialisers: readonly number[];
  /** Address ranges of the initialiser arrays. */
  readonly initialiserArrays: readonly { vaddr: number; size: number }[];
}

/** Tags with their values, in order. */
function* eachTag(elf: ElfFile): Generator<[tag: number, value: number]> {
  const segment = elf.segments.find((s) => s.type === PT.dynamic);
  if (!segment) return;
  const end = segment.offset + segment.fileSize;
  elf.cursor.need(segment.offset, segment.fileSize, "dynamic section");
  for (let at = segment.offset, n = 0; at + 16 <= end; at += 16, n++) {
    if (n >= MAX_DYNAMIC) throw new InputError("elf-dynamic", "the dynamic section is too long", elf.place);
    const tag = elf.cursor.word(at, "dynamic tag");
    if (tag === 0) break;
    yield [tag, elf.cursor.word(at + 8, "dynamic value")];
  }
}

/** The first value of each tag. */
function readTags(elf: ElfFile): Map<number, number> {
  const tags = new Map<number, number>();
  for (const [tag, value] of eachTag(elf)) if (!tags.has(tag)) tags.set(tag, value);
  return tags;
}

/** Which other files the dynamic linker maps with this one. */
export interface Needs {
  /** The program's interpreter (PT_INTERP), for programs that are dynamically linked. */
  readonly interpreter: string | undefined;
  /** Names of DT_NEEDED. */
  readonly libraries: readonly string[];
  /** Directories of DT_RUNPATH, else of DT_RPATH, as written: `$ORIGIN` is not resolved. */
  readonly searchPath: readonly string[];
}

/** Reads what a file needs to be linked dynamically. */
export function readNeeds(elf: ElfFile): Needs {
  const { cursor } = elf;
  const interp = elf.segments.find((s) => s.type === PT.interp);
  const names = fileOffset(elf, readTags(elf).get(DT.strtab) ?? -1, 1);
  const text = (at: number): string => (names < 0 ? "" : cursor.text(names + at, 4096));
  const values = (wanted: number): string[] =>
    [...eachTag(elf)].filter(([tag]) => tag === wanted).map(([, value]) => text(value));
  const paths = values(DT.runpath).length > 0 ? values(DT.runpath) : values(DT.rpath);
  return {
    interpreter: interp === undefined ? undefined : cursor.text(interp.offset, Math.min(interp.fileSize, 4096)),
    libraries: values(DT.needed).filter((name) => name !== ""),
    searchPath: paths.flatMap((path) => path.split(":")).filter((directory) => directory !== ""),
  };
}

/** Number of dynamic symbols, from whichever hash table there is. */
function countSymbols(elf: ElfFile, tags: Map<number, number>): number {
  const { cursor } = elf;
  const hash = tags.get(DT.hash);
  const hashAt = hash === undefined ? -1 : fileOffset(elf, hash, 8);
  if (hashAt >= 0) return cursor.u32(hashAt + 4, "hash table");
  const gnuHash = tags.get(DT.gnuHash);
  const at = gnuHash === undefined ? -1 : fileOffset(elf, gnuHash, 16);
  if (at < 0) return 0;
  const [buckets, first, bloomWords] = [0, 4, 8].map((o) => cursor.u32(at + o, "GNU hash table")) as [
    number,
    number,
    number,
  ];
  const bucketsAt = at + 16 + bloomWords * 8;
  cursor.need(bucketsAt, buckets * 4, "GNU hash buckets");
  let last = 0;
  for (let i = 0; i < buckets; i++) last = Math.max(last, cursor.u32(bucketsAt + i * 4, "GNU hash bucket"));
  if (last < first) return first;
  const chains = bucketsAt + buckets * 4;
  // The chain ends in the file at the latest: u32 refuses to read past it.
  while ((cursor.u32(chains + (last - first) * 4, "GNU hash chain") & 1) === 0) last++;
  return last + 1;
}

function parseSymbols(elf: ElfFile, at: number, count: number, namesAt: number, namesSize: number): ElfSymbol[] {
  const { cursor } = elf;
  if (count > MAX_SYMBOLS) throw new InputError("elf-symbols", `${count} symbols are too many`, elf.place);
  cursor.need(at, count * SYM_BYTES, "symbol table");
  const symbols: ElfSymbol[] = [];
  for (let i = 0; i < count; i++, at += SYM_BYTES) {
    const name = cursor.u32(at, "symbol name");
    symbols.push({
      name: name < namesSize ? cursor.text(namesAt + name, Math.min(namesSize - name, 256)) : "",
      type: cursor.u8(at + 4, "symbol info") & 15,
      vaddr: cursor.word(at + 8, "symbol value"),
      size: cursor.word(at + 16, "symbol size"),
      isDefined: cursor.u16(at + 6, "symbol section") !== 0,
    });
  }
  return symbols;
}

function readSymbols(elf: ElfFile, tags: Map<number, number>): ElfSymbol[] {
  const table = tags.get(DT.symtab);
  const names = tags.get(DT.strtab);
  if (table === undefined || names === undefined) return [];
  const at = fileOffset(elf, table, SYM_BYTES);
  const namesAt = fileOffset(elf, names, 1);
  if (at < 0 || namesAt < 0) return [];
  const namesSize = Math.min(tags.get(DT.strSize) ?? 0, elf.bytes.length - namesAt);
  return parseSymbols(elf, at, countSymbols(elf, tags), namesAt, namesSize);
}

const SHT_SYMTAB = 2;

/** Symbols of `.symtab`, which distributions strip. */
export function readStaticSymbols(elf: ElfFile): ElfSymbol[] {
  const table = elf.sections.find((s) => s.type === SHT_SYMTAB);
  const names = elf.sections.find((s) => s.name === ".strtab");
  if (!table || !names) return [];
  return parseSymbols(elf, table.offset, Math.floor(table.size / SYM_BYTES), names.offset, names.size);
}

function parseRela(elf: ElfFile, at: number, size: number, into: Relocation[]): void {
  const { cursor } = elf;
  cursor.need(at, size, "relocation table");
  if (into.length + size / RELA_BYTES > MAX_RELOCATIONS) tooManyRelocations(elf);
  for (const end = at + size; at + RELA_BYTES <= end; at += RELA_BYTES) {
    into.push({
      vaddr: cursor.word(at, "relocation"),
      type: cursor.u32(at + 8, "relocation"),
      symbol: cursor.u32(at + 12, "relocation"),
      addend: cursor.word(at + 16, "relocation"),
    });
  }
}

function tooManyRelocations(elf: ElfFile): never {
  throw new InputError("elf-relocations", `more than ${MAX_RELOCATIONS} relocations`, elf.place);
}

function parseRelr(elf: ElfFile, at: number, size: number, into: Relocation[]): void {
  const { cursor } = elf;
  cursor.need(at, size, "RELR table");
  const add = (vaddr: number): void => {
    const offset = fileOffset(elf, vaddr, 8);
    if (offset < 0) return;
    if (into.length >= MAX_RELOCATIONS) tooManyRelocations(elf);
    into.push({ vaddr, type: R_X86_64.relative, symbol: 0, addend: cursor.word(offset, "relocated word") });
  };
  let next = 0;
  for (const end = at + size; at + 8 <= end; at += 8) {
    const word = cursor.u64(at, "RELR word");
    if ((word & 1n) === 0n) {
      const vaddr = cursor.word(at, "RELR word");
      add(vaddr);
      next = vaddr + 8;
      continue;
    }
    for (let bit = 1; bit < 64; bit++) if ((word >> BigInt(bit)) & 1n) add(next + (bit - 1) * 8);
    next += 63 * 8;
  }
}

function readRelocations(elf: ElfFile, tags: Map<number, number>): Relocation[] {
  const relocations: Relocation[] = [];
  const tables: [number, number][] = [
    [DT.rela, DT.relaSize],
    [DT.jmpRel, DT.pltRelSize],
  ];
  for (const [address, size] of tables) {
    const at = fileOffset(elf, tags.get(address) ?? -1, tags.get(size) ?? 0);
    if (at >= 0) parseRela(elf, at, tags.get(size) ?? 0, relocations);
  }
  const relrAt = fileOffset(elf, tags.get(DT.relr) ?? -1, tags.get(DT.relrSize) ?? 0);
  if (relrAt >= 0) parseRelr(elf, relrAt, tags.get(DT.relrSize) ?? 0, relocations);
  if (tags.size === 0) {
    for (const s of elf.sections)
      if (/^\.rela/.test(s.name) && s.vaddr !== 0) parseRela(elf, s.offset, s.size, relocations);
  }
  return relocations;
}

/** Reads what the dynamic section (or, in a static executable, the section table) says about code. */
export function readDynamic(elf: ElfFile): DynamicInfo {
  const tags = readTags(elf);
  const initialisers: number[] = [];
  const initialiserArrays: { vaddr: number; size: number }[] = [];
  for (const tag of [DT.init, DT.fini]) if (tags.has(tag)) initialisers.push(tags.get(tag)!);
  const arrays: [number, number][] = [
    [DT.initArray, DT.initArraySize],
    [DT.finiArray, DT.finiArraySize],
    [DT.preinitArray, DT.preinitArraySize],
  ];
  for (const [address, size] of arrays) {
    if (tags.has(address)) initialiserArrays.push({ vaddr: tags.get(address)!, size: tags.get(size) ?? 0 });
  }
  for (const s of elf.sections) {
    if (s.type >= 14 && s.type <= 16 && tags.size === 0) initialiserArrays.push({ vaddr: s.vaddr, size: s.size });
    if (s.name === ".init" || s.name === ".fini") initialisers.push(s.vaddr);
  }
  for (const { vaddr, size } of initialiserArrays) {
    const at = fileOffset(elf, vaddr, size);
    if (at < 0) continue;
    if (initialisers.length + size / 8 > MAX_INITIALISERS) {
      throw new InputError("elf-dynamic", `more than ${MAX_INITIALISERS} initialisers`, elf.place);
    }
    for (let i = 0; i + 8 <= size; i += 8) initialisers.push(elf.cursor.word(at + i, "initialiser"));
  }
  return {
    symbols: readSymbols(elf, tags),
    relocations: readRelocations(elf, tags),
    initialisers,
    initialiserArrays,
  };
}
