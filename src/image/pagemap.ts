// Memory in an image set: pagemap-<pid>.img lists runs of pages, pages-<id>.img holds the bytes of those that are
// present, one run after the other. Addresses ascend, as CRIU writes them and expects them. The number of pages is in a
// 64-bit field since CRIU 4.2 and in a 32-bit one before: we read whichever is there and write both.

import { clone, create } from "@bufbuild/protobuf";
import { InputError } from "../base/index.ts";
import { readImage, writeImage } from "./framing.ts";
import { type PagemapEntry, PagemapEntrySchema, PagemapHeadSchema } from "./gen/criu_pb.ts";
import { kindOf } from "./kinds.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import { type Content, type FileRange, type ImageSource, readWhole } from "./source.ts";

export const PAGE_BYTES = 4096;
const PAGE = BigInt(PAGE_BYTES);

/** Bits of PagemapEntry.flags. */
export const PE = { parent: 1, lazy: 2, present: 4 } as const;

/** A run of pages. `entry` is null for runs that are ours; those bring their bytes along. */
interface Run {
  readonly vaddr: bigint;
  readonly pages: number;
  /** The bytes: a range of the source's page file, bytes of ours, or null when they are elsewhere (a parent set). */
  readonly bytes: FileRange | Uint8Array | null;
  readonly entry: PagemapEntry | null;
}

const NOTHING = new Uint8Array(0);

function refuse(message: string, place: string): never {
  throw new InputError("image-pagemap", message, place, "the image set is damaged or incomplete: copy it again");
}

/** The pages of one process (or of one shared memory object). */
export class Memory {
  readonly name: string;
  readonly pagesName: string;
  private readonly source: ImageSource;
  private readonly head: Uint8Array;
  private runs: Run[];

  private constructor(source: ImageSource, name: string, pagesName: string, head: Uint8Array, runs: Run[]) {
    this.source = source;
    this.name = name;
    this.pagesName = pagesName;
    this.head = head;
    this.runs = runs;
  }

  /** Reads the page map `name` and checks it against its page file. */
  static read(source: ImageSource, name: string): Memory {
    const { records } = readImage(name, readWhole(source, name));
    if (records.length === 0) refuse("holds no head", name);
    const head = records[0]!.message;
    const pagesName = `pages-${decodeMessage(PagemapHeadSchema, head, `${name} head`).pagesId}.img`;
    const pagesBytes = Math.max(source.sizeOf(pagesName), 0);
    const runs: Run[] = [];
    let offset = 0;
    let end = 0n;
    for (let index = 1; index < records.length; index++) {
      const place = `${name} record ${index}`;
      const entry = decodeMessage(PagemapEntrySchema, records[index]!.message, place);
      const count = entry.nrPages > 0n ? entry.nrPages : BigInt(entry.compatNrPages);
      if (entry.vaddr % PAGE !== 0n || entry.vaddr < end) refuse("address is not aligned or not ascending", place);
      end = entry.vaddr + count * PAGE;
      if (end > 0x1_0000_0000_0000_0000n) refuse("run of pages leaves the address space", place);
      const pages = Number(count);
      const length = pages * PAGE_BYTES;
      if (!isPresent(entry)) {
        runs.push({ vaddr: entry.vaddr, pages, bytes: null, entry });
        continue;
      }
      if (offset + length > pagesBytes) refuse(`${pagesName} ends before the pages of this run`, place);
      runs.push({ vaddr: entry.vaddr, pages, bytes: { from: pagesName, offset, length }, entry });
      offset += length;
    }
    return new Memory(source, name, pagesName, head, runs);
  }

  /** Number of pages whose bytes are in this set. */
  get presentPages(): number {
    return this.runs.reduce((sum, run) => sum + (run.bytes === null ? 0 : run.pages), 0);
  }

  /** Whether some pages are only in a parent set (an incremental dump). */
  get hasParent(): boolean {
    return this.runs.some((run) => run.entry !== null && run.bytes === null);
  }

  /** Bytes of the page at `address`, or null when it holds nothing but zeros or the file's own content. */
  page(address: bigint): Uint8Array | null {
    const run = this.runs[this.firstRunEndingAfter(address)];
    if (run === undefined || run.vaddr > address) return null;
    const at = Number(address - run.vaddr);
    if (run.bytes === null) {
      throw new InputError(
        "image-parent",
        `the page at 0x${address.toString(16)} is in a parent image set only`,
        this.name,
        "make the last dump complete, without --prev-images-dir",
      );
    }
    if (run.bytes instanceof Uint8Array) return run.bytes.subarray(at, at + PAGE_BYTES);
    return this.source.read(run.bytes.from, run.bytes.offset + at, PAGE_BYTES);
  }

  /** Index of the first run that ends above `address` (the number of runs if none does). */
  private firstRunEndingAfter(address: bigint): number {
    let [low, high] = [0, this.runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const run = this.runs[middle]!;
      if (run.vaddr + BigInt(run.pages) * PAGE > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Addresses of the pages in [start, end) whose bytes are in this set. */
  *presentIn(start: bigint, end: bigint): Generator<bigint> {
    for (let index = this.firstRunEndingAfter(start); index < this.runs.length; index++) {
      const run = this.runs[index]!;
      if (run.vaddr >= end) return;
      if (run.bytes === null) continue;
      const runEnd = run.vaddr + BigInt(run.pages) * PAGE;
      const stop = runEnd < end ? runEnd : end;
      for (let at = run.vaddr > start ? run.vaddr : start; at < stop; at += PAGE) yield at;
    }
  }

  /** Up to `length` bytes from `address` on; pages that are not there read as zeros. */
  read(address: bigint, length: number): Uint8Array {
    const result = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = address + BigInt(done);
      const within = Number(at % PAGE);
      const take = Math.min(PAGE_BYTES - within, length - done);
      const page = this.page(at - BigInt(within));
      if (page) result.set(page.subarray(within, within + take), done);
      done += take;
    }
    return result;
  }

  /** Removes all pages in [start, end), which are page borders. */
  remove(start: bigint, end: bigint): void {
    const kept: Run[] = [];
    for (const run of this.runs) {
      const runEnd = run.vaddr + BigInt(run.pages) * PAGE;
      if (runEnd <= start || run.vaddr >= end) {
        kept.push(run);
        continue;
      }
      if (run.vaddr < start) kept.push(slice(run, 0, Number((start - run.vaddr) / PAGE)));
      if (runEnd > end) kept.push(slice(run, Number((end - run.vaddr) / PAGE), run.pages));
    }
    this.runs = kept;
  }

  /** Adds the pages of `bytes` (whole pages) at `address`, leaving out those that are all zeros. Nothing may be there. */
  add(address: bigint, bytes: Uint8Array): void {
    let start = -1;
    for (let at = 0; at <= bytes.length; at += PAGE_BYTES) {
      const isUsed = at < bytes.length && !isZero(bytes, at);
      if (isUsed && start < 0) start = at;
      if (isUsed || start < 0) continue;
      const run: Run = {
        vaddr: address + BigInt(start),
        pages: (at - start) / PAGE_BYTES,
        bytes: bytes.subarray(start, at),
        entry: null,
      };
      this.runs.splice(this.firstRunEndingAfter(run.vaddr), 0, run);
      start = -1;
    }
  }

  /** The page map's new bytes. */
  encode(): Uint8Array<ArrayBuffer> {
    const records = [{ message: this.head, extra: NOTHING }];
    for (const run of this.runs) {
      const entry = run.entry ?? create(PagemapEntrySchema, { vaddr: run.vaddr, flags: PE.present });
      entry.nrPages = BigInt(run.pages);
      entry.compatNrPages = run.pages < 2 ** 32 ? run.pages : 0;
      records.push({ message: encodeMessage(PagemapEntrySchema, entry), extra: NOTHING });
    }
    return writeImage({ kind: kindOf(this.name)!, records });
  }

  /** The page file's new content, in as few parts as it takes. */
  pagesContent(): Content {
    const parts: (FileRange | Uint8Array)[] = [];
    for (const { bytes } of this.runs) {
      if (bytes === null) continue;
      const last = parts.at(-1);
      if (
        last !== undefined &&
        !(last instanceof Uint8Array) &&
        !(bytes instanceof Uint8Array) &&
        last.offset + last.length === bytes.offset
      ) {
        parts[parts.length - 1] = { ...last, length: last.length + bytes.length };
      } else {
        parts.push(bytes);
      }
    }
    return parts;
  }
}

/** Whether the page of `bytes` at `at` is all zeros. */
function isZero(bytes: Uint8Array, at: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, PAGE_BYTES);
  for (let offset = 0; offset < PAGE_BYTES; offset += 4) if (view.getUint32(offset, true) !== 0) return false;
  return true;
}

function isPresent(entry: PagemapEntry): boolean {
  // Sets of CRIU before 2.0 have no flags.
  return entry.flags === 0 ? !entry.inParent : (entry.flags & PE.present) !== 0;
}

function slice(run: Run, from: number, to: number): Run {
  const vaddr = run.vaddr + BigInt(from * PAGE_BYTES);
  const pages = to - from;
  const length = pages * PAGE_BYTES;
  let { bytes, entry } = run;
  if (bytes instanceof Uint8Array) bytes = bytes.subarray(from * PAGE_BYTES, to * PAGE_BYTES);
  else if (bytes !== null) bytes = { from: bytes.from, offset: bytes.offset + from * PAGE_BYTES, length };
  if (entry !== null) {
    entry = clone(PagemapEntrySchema, entry);
    entry.vaddr = vaddr;
  }
  return { vaddr, pages, bytes, entry };
}
