// An image set in a directory: read by range through open files, and written as a second directory in which files that
// did not change are hard links and new files are put together from ranges of old ones. The set that is read is never
// written to, so a failure at any point leaves it whole.

import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { assert, HostError, InputError } from "../base/index.ts";
import type { Changes, Content, ImageSource } from "../image/index.ts";

const CHUNK_BYTES = 1 << 22;

/** The regular files of a directory as an image set. */
export class DirectoryImages implements ImageSource {
  readonly directory: string;
  readonly names: readonly string[];
  readonly #sizes = new Map<string, number>();
  readonly #files = new Map<string, number>();

  constructor(directory: string) {
    this.directory = directory;
    let entries: ReturnType<typeof readEntries>;
    try {
      entries = readEntries(directory);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new InputError("checkpoint-unreadable", `the checkpoint cannot be read: ${why}`, directory);
    }
    this.names = entries;
    for (const name of entries) this.#sizes.set(name, statSync(join(directory, name)).size);
  }

  sizeOf(name: string): number {
    return this.#sizes.get(name) ?? -1;
  }

  read(name: string, offset: number, length: number): Uint8Array {
    const bytes = Buffer.allocUnsafe(length);
    this.readInto(name, offset, bytes);
    return bytes;
  }

  /** Fills `bytes` with what lies at `offset` of a file. */
  readInto(name: string, offset: number, bytes: Uint8Array): void {
    let fd = this.#files.get(name);
    if (fd === undefined) {
      fd = openSync(join(this.directory, name), "r");
      this.#files.set(name, fd);
    }
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(fd, bytes, done, bytes.length - done, offset + done);
      if (count === 0) {
        throw new InputError(
          "image-truncated",
          `${fstatSync(fd).size} bytes, ${offset + bytes.length} are needed`,
          join(this.directory, name),
          "copy the whole checkpoint directory again",
        );
      }
      done += count;
    }
  }

  close(): void {
    for (const fd of this.#files.values()) closeSync(fd);
    this.#files.clear();
  }
}

function readEntries(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

function writeContent(source: DirectoryImages, path: string, content: Content): void {
  const fd = openSync(path, "wx", 0o600);
  try {
    let chunk: Buffer | undefined;
    for (const part of content instanceof Uint8Array ? [content] : content) {
      if (part instanceof Uint8Array) {
        writeAll(fd, part);
        continue;
      }
      chunk ??= Buffer.allocUnsafe(CHUNK_BYTES);
      for (let done = 0; done < part.length; ) {
        const bytes = chunk.subarray(0, Math.min(CHUNK_BYTES, part.length - done));
        source.readInto(part.from, part.offset + done, bytes);
        writeAll(fd, bytes);
        done += bytes.length;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Writes what comes out of applying `changes` to `source` as a new set in `directory`, which is made. */
export function writeChanged(source: DirectoryImages, changes: Changes, directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700, recursive: true });
    for (const name of source.names) {
      if (!changes.has(name)) linkOrCopy(join(source.directory, name), join(directory, name));
    }
    for (const [name, content] of changes) {
      assert(!name.includes("/") && !name.startsWith("."), `an image's name is a plain name: ${name}`);
      if (content !== null) writeContent(source, join(directory, name), content);
    }
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HostError("checkpoint-not-written", `the image set cannot be written to ${directory}: ${why}`, "", cause);
  }
}
