// Function ranges and landing pads from the unwind tables (.eh_frame, found through PT_GNU_EH_FRAME or its section
// name, and .gcc_except_table behind it). Formats: LSB Core, "Exception Frames"; pointer encodings DW_EH_PE_*. In the
// stripped files of distributions they cover nearly all code. A damaged record ends the reading: what was found until
// then is kept, since unwind tables only help discovery and nothing relies on them being complete.

import { InputError } from "../base/index.ts";
import { type ElfFile, fileOffset, loadSegments, PT } from "./file.ts";

export interface FrameRange {
  readonly start: number;
  readonly end: number;
  /** Landing pads of the function's exception table. */
  readonly landingPads: readonly number[];
}

const MAX_FRAMES = 2_000_000;
/** Call sites read in one file: more than any has, and a bound when records share one table. */
const MAX_CALL_SITES = 8_000_000;
const OMIT = 0xff;

/** Reads values that move it along; guest addresses are file offsets plus `delta`. */
class FrameReader {
  private readonly elf: ElfFile;
  private readonly delta: number;
  at: number;

  constructor(elf: ElfFile, offset: number, vaddr: number) {
    this.elf = elf;
    this.delta = vaddr - offset;
    this.at = offset;
  }

  get vaddr(): number {
    return this.at + this.delta;
  }

  u8(): number {
    return this.elf.cursor.u8(this.at++, "unwind table");
  }

  u32(): number {
    this.at += 4;
    return this.elf.cursor.u32(this.at - 4, "unwind table");
  }

  /** LEB128; more than 8 bytes are refused (no address or length needs them). */
  leb(signed: boolean): number {
    let value = 0;
    let scale = 1;
    for (let n = 0; n < 8; n++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0) return signed && byte & 0x40 ? value - scale : value;
    }
    throw new InputError("elf-frames", "a number in the unwind table is too long", this.elf.place);
  }

  private format(format: number): number {
    const { cursor } = this.elf;
    const at = this.at;
    switch (format) {
      case 0x01:
      case 0x09:
        return this.leb(format === 0x09);
      case 0x02:
        this.at += 2;
        return cursor.u16(at, "unwind table");
      case 0x0a:
        this.at += 2;
        return (cursor.u16(at, "unwind table") << 16) >> 16;
      case 0x03:
        this.at += 4;
        return cursor.u32(at, "unwind table");
      case 0x0b:
        this.at += 4;
        return cursor.i32(at, "unwind table");
      case 0x00:
      case 0x04:
      case 0x0c:
        this.at += 8;
        return Number(cursor.i64(at, "unwind table"));
      default:
        throw new InputError("elf-frames", `pointer format ${format} in the unwind table`, this.elf.place);
    }
  }

  /** An encoded pointer as a guest address; 0 stays 0. `base` is that of data-relative pointers. */
  pointer(encoding: number, base = 0): number {
    if (encoding === OMIT) return 0;
    const place = this.vaddr;
    const value = this.format(encoding & 15);
    if (value === 0) return 0;
    const application = encoding & 0x70;
    if (application !== 0 && application !== 0x10 && application !== 0x30) {
      throw new InputError("elf-frames", `pointer encoding ${encoding} in the unwind table`, this.elf.place);
    }
    return value + (application === 0x10 ? place : application === 0x30 ? base : 0);
  }

  length(encoding: number): number {
    return this.format(encoding & 15);
  }
}

interface CommonEntry {
  readonly pointerEncoding: number;
  readonly lsdaEncoding: number;
  readonly hasAugmentationData: boolean;
}

function readCommonEntry(reader: FrameReader, elf: ElfFile): CommonEntry {
  const version = reader.u8();
  const augmentation = elf.cursor.text(reader.at, 16);
  reader.at += augmentation.length + 1;
  reader.leb(false);
  reader.leb(true);
  if (version === 1) reader.u8();
  else reader.leb(false);
  let [pointerEncoding, lsdaEncoding] = [0, OMIT];
  if (!augmentation.startsWith("z")) return { pointerEncoding, lsdaEncoding, hasAugmentationData: false };
  reader.leb(false);
  for (const letter of augmentation.slice(1)) {
    if (letter === "R") pointerEncoding = reader.u8();
    else if (letter === "L") lsdaEncoding = reader.u8();
    else if (letter === "P") reader.pointer(reader.u8());
    else if (letter !== "S" && letter !== "B") break;
  }
  return { pointerEncoding, lsdaEncoding, hasAugmentationData: true };
}

/** How much of a bounded resource is left. */
interface Budget {
  left: number;
}

function readLandingPads(elf: ElfFile, lsda: number, functionStart: number, budget: Budget): number[] {
  const offset = fileOffset(elf, lsda, 4);
  if (offset < 0) return [];
  const reader = new FrameReader(elf, offset, lsda);
  const startEncoding = reader.u8();
  const padBase = startEncoding === OMIT ? functionStart : reader.pointer(startEncoding);
  if (reader.u8() !== OMIT) reader.leb(false);
  const siteEncoding = reader.u8();
  const size = reader.leb(false);
  const pads = new Set<number>();
  for (const end = reader.at + size; reader.at < end && budget.left-- > 0; ) {
    reader.length(siteEncoding);
    reader.length(siteEncoding);
    const pad = reader.length(siteEncoding);
    reader.leb(false);
    if (pad !== 0) pads.add(padBase + pad);
  }
  return [...pads];
}

/** Where .eh_frame is: file offset, address and an upper bound of its size. */
function findFrames(elf: ElfFile): { offset: number; vaddr: number; size: number } | null {
  const section = elf.sections.find((s) => s.name === ".eh_frame" && s.size > 0);
  if (section) return section;
  const header = elf.segments.find((s) => s.type === PT.ehFrame);
  if (!header || header.fileSize < 8 || header.offset + header.fileSize > elf.bytes.length) return null;
  const reader = new FrameReader(elf, header.offset, header.vaddr);
  if (reader.u8() !== 1) return null;
  const encoding = reader.u8();
  reader.at += 2;
  const vaddr = reader.pointer(encoding, header.vaddr);
  const segment = loadSegments(elf).find((s) => vaddr >= s.vaddr && vaddr < s.vaddr + s.fileSize);
  if (!segment) return null;
  return { offset: vaddr - segment.vaddr + segment.offset, vaddr, size: segment.vaddr + segment.fileSize - vaddr };
}

/** Every function range that the unwind tables name, sorted by start. */
export function readFrames(elf: ElfFile): FrameRange[] {
  const ranges: FrameRange[] = [];
  try {
    collectFrames(elf, ranges);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  return ranges.sort((a, b) => a.start - b.start);
}

function collectFrames(elf: ElfFile, ranges: FrameRange[]): void {
  const found = findFrames(elf);
  if (!found) return;
  const common = new Map<number, CommonEntry>();
  const budget: Budget = { left: MAX_CALL_SITES };
  const end = found.offset + found.size;
  for (let at = found.offset, n = 0; at + 4 <= end && n < MAX_FRAMES; n++) {
    const length = elf.cursor.u32(at, "unwind record");
    // Zero ends a table that another may follow (crtend's terminator); the 64-bit form is not made for x86-64.
    if (length === 0) {
      at += 4;
      continue;
    }
    if (length === 0xffff_ffff || at + 4 + length > end) return;
    const reader = new FrameReader(elf, at + 4, found.vaddr + (at + 4 - found.offset));
    const idAt = reader.at;
    const id = reader.u32();
    if (id === 0) common.set(at, readCommonEntry(reader, elf));
    else {
      const entry = common.get(idAt - id);
      if (!entry) return;
      const start = reader.pointer(entry.pointerEncoding);
      const size = reader.length(entry.pointerEncoding);
      let landingPads: number[] = [];
      if (entry.hasAugmentationData && reader.leb(false) > 0 && entry.lsdaEncoding !== OMIT) {
        const lsda = reader.pointer(entry.lsdaEncoding);
        if (lsda > 0) landingPads = readLandingPads(elf, lsda, start, budget);
      }
      if (start > 0 && size > 0) ranges.push({ start, end: start + size, landingPads });
    }
    at += 4 + length;
  }
}
