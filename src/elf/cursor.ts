// A bounds-checked little-endian view of a file. Every read of src/elf goes through it, so that a hostile file ends in
// an InputError and never in an exception of the JavaScript engine, an endless loop or a huge allocation.

import { InputError } from "../base/index.ts";

/** Numbers above this are refused where a guest address is expected: x86-64 user space has 47 bits. */
const ADDRESS_LIMIT = 0x8000_0000_0000;

export class Cursor {
  readonly bytes: Uint8Array;
  readonly place: string;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, place: string) {
    this.bytes = bytes;
    this.place = place;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** Throws unless `length` bytes lie at `offset`. */
  need(offset: number, length: number, what: string): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes.length)) {
      throw new InputError(
        "elf-truncated",
        `${what} lies outside of the file (offset ${offset}, length ${length}, file size ${this.bytes.length})`,
        this.place,
        "the file is damaged or cut short: copy it again",
      );
    }
  }

  u8(offset: number, what: string): number {
    this.need(offset, 1, what);
    return this.bytes[offset]!;
  }

  u16(offset: number, what: string): number {
    this.need(offset, 2, what);
    return this.view.getUint16(offset, true);
  }

  u32(offset: number, what: string): number {
    this.need(offset, 4, what);
    return this.view.getUint32(offset, true);
  }

  i32(offset: number, what: string): number {
    this.need(offset, 4, what);
    return this.view.getInt32(offset, true);
  }

  u64(offset: number, what: string): bigint {
    this.need(offset, 8, what);
    return this.view.getBigUint64(offset, true);
  }

  i64(offset: number, what: string): bigint {
    this.need(offset, 8, what);
    return this.view.getBigInt64(offset, true);
  }

  /** A 64-bit word as a number; words above 2^53 come out rounded, which is enough to compare them with addresses. */
  word(offset: number, what: string): number {
    this.need(offset, 8, what);
    return this.view.getUint32(offset, true) + this.view.getUint32(offset + 4, true) * 0x1_0000_0000;
  }

  /** A 64-bit file offset, size or guest address: refused when no x86-64 program could use it. */
  address(offset: number, what: string): number {
    const value = this.word(offset, what);
    if (value >= ADDRESS_LIMIT) {
      throw new InputError("elf-address", `${what} is 0x${value.toString(16)}, beyond 47 bits`, this.place);
    }
    return value;
  }

  slice(offset: number, length: number, what: string): Uint8Array {
    this.need(offset, length, what);
    return this.bytes.subarray(offset, offset + length);
  }

  /** The zero-terminated string at `offset`, at most `limit` bytes of it. */
  text(offset: number, limit: number): string {
    let end = offset;
    const stop = Math.min(this.bytes.length, offset + limit);
    while (end < stop && this.bytes[end] !== 0) end++;
    return String.fromCharCode(...this.bytes.subarray(offset, end));
  }
}
