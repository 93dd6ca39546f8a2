// An image set as the recoder sees it: names of files, and bytes by range, so that page files never need to fit into
// memory. What recoding yields is a list of changes; new contents may refer to ranges of old files, which whoever owns
// the directory copies, clones or keeps in place.

import { assert, InputError } from "../base/index.ts";
import { MAX_IMAGE_BYTES } from "./framing.ts";

/** Read access to an image set. `read` gives exactly the bytes asked for. */
export interface ImageSource {
  readonly names: readonly string[];
  /** Size of a file in bytes, or -1 when the set has no such file. */
  sizeOf(name: string): number;
  read(name: string, offset: number, length: number): Uint8Array;
}

/** A range of a file of the source. */
export interface FileRange {
  readonly from: string;
  readonly offset: number;
  readonly length: number;
}

/** The new content of a file: bytes, or parts in order. */
export type Content = Uint8Array | readonly (FileRange | Uint8Array)[];

/** What to do to a set: new contents by file name; null removes the file. Files that are not named stay. */
export type Changes = ReadonlyMap<string, Content | null>;

/** Reads a whole file of messages. */
export function readWhole(source: ImageSource, name: string): Uint8Array {
  const size = source.sizeOf(name);
  if (size < 0) {
    throw new InputError("image-missing", "the image set lacks this file", name, "copy the whole checkpoint directory");
  }
  if (size > MAX_IMAGE_BYTES) throw new InputError("image-size", `${size} bytes, more than ${MAX_IMAGE_BYTES}`, name);
  return source.read(name, 0, size);
}

/** An image set in memory. */
export class MemoryImages implements ImageSource {
  readonly files: ReadonlyMap<string, Uint8Array>;

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.files = files;
  }

  get names(): readonly string[] {
    return [...this.files.keys()];
  }

  sizeOf(name: string): number {
    return this.files.get(name)?.length ?? -1;
  }

  read(name: string, offset: number, length: number): Uint8Array {
    const bytes = this.files.get(name);
    assert(bytes !== undefined && offset >= 0 && length >= 0 && offset + length <= bytes.length, `range of ${name}`);
    return bytes.subarray(offset, offset + length);
  }
}

/** The set that comes out of applying `changes`, in memory. */
export function applyInMemory(source: ImageSource, changes: Changes): MemoryImages {
  const files = new Map<string, Uint8Array>();
  for (const name of source.names) {
    if (!changes.has(name)) files.set(name, source.read(name, 0, source.sizeOf(name)));
  }
  for (const [name, content] of changes) {
    if (content === null) continue;
    files.set(name, content instanceof Uint8Array ? content : joinParts(source, content));
  }
  return new MemoryImages(files);
}

function joinParts(source: ImageSource, parts: readonly (FileRange | Uint8Array)[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part instanceof Uint8Array ? part : source.read(part.from, part.offset, part.length), at);
    at += part.length;
  }
  return bytes;
}
