// The frame of an image file: magic numbers, then records of a 32-bit length and a message, some followed by raw bytes.
// Everything is checked against the bytes at hand before it is read, so a hostile file costs no more than its own size.

import type { DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { InputError } from "../base/index.ts";
import { COMMON_MAGIC, type ImageKind, kindOf, SERVICE_MAGIC } from "./kinds.ts";
import { decodeMessage, encodeMessage } from "./message.ts";

/** Files of messages larger than this are refused: a page map of a terabyte takes less. Raw files have no limit. */
export const MAX_IMAGE_BYTES = 128 * 1024 * 1024;

const ADVICE = "the image file is damaged: copy the checkpoint again or make a new one";

export interface ImageRecord {
  readonly message: Uint8Array;
  /** Raw bytes behind the message; empty for most kinds. */
  readonly extra: Uint8Array;
}

export interface ImageFile {
  readonly kind: ImageKind;
  readonly records: readonly ImageRecord[];
}

function refuse(message: string, place: string): never {
  throw new InputError("image-frame", message, place, ADVICE);
}

function headerBytes(kind: ImageKind): number {
  return kind.isLone ? 4 : 8;
}

/** Splits an image file with framing into its records. */
export function readImage(name: string, bytes: Uint8Array): ImageFile {
  const kind = kindOf(name);
  if (!kind || kind.magic === 0) throw new InputError("image-kind", `not an image file that has records`, name);
  if (bytes.length > MAX_IMAGE_BYTES) {
    throw new InputError("image-size", `${bytes.length} bytes, more than ${MAX_IMAGE_BYTES}`, name);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = headerBytes(kind);
  if (bytes.length < at) refuse(`only ${bytes.length} bytes long`, name);
  if (!kind.isLone && view.getUint32(0, true) !== (kind.isService ? SERVICE_MAGIC : COMMON_MAGIC)) {
    refuse("does not start with CRIU's magic number", name);
  }
  if (view.getUint32(at - 4, true) !== kind.magic) refuse(`is not a CRIU ${kind.name} image`, name);
  const records: ImageRecord[] = [];
  while (at < bytes.length) {
    if (bytes.length - at < 4) refuse(`ends inside the length of record ${records.length}`, name);
    const size = view.getUint32(at, true);
    at += 4;
    if (size > bytes.length - at) refuse(`record ${records.length} of ${size} bytes reaches beyond the end`, name);
    const message = bytes.subarray(at, at + size);
    at += size;
    const extraSize = extraBytes(kind, message, bytes.length - at, `${name} record ${records.length}`);
    records.push({ message, extra: bytes.subarray(at, at + extraSize) });
    at += extraSize;
  }
  return { kind, records };
}

function extraBytes(kind: ImageKind, message: Uint8Array, left: number, place: string): number {
  if (kind.extra === undefined) return 0;
  if (kind.extra === "rest") return left;
  const size = kind.extra(decodeMessage(kind.record!, message, place) as Message);
  if (size > left) refuse(`${size} bytes of data reach beyond the end`, place);
  return size;
}

/** The bytes of an image file. */
export function writeImage(image: ImageFile): Uint8Array<ArrayBuffer> {
  const { kind, records } = image;
  let size = headerBytes(kind);
  for (const { message, extra } of records) size += 4 + message.length + extra.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = headerBytes(kind);
  if (!kind.isLone) view.setUint32(0, kind.isService ? SERVICE_MAGIC : COMMON_MAGIC, true);
  view.setUint32(at - 4, kind.magic, true);
  for (const { message, extra } of records) {
    view.setUint32(at, message.length, true);
    bytes.set(message, at + 4);
    at += 4 + message.length;
    bytes.set(extra, at);
    at += extra.length;
  }
  return bytes;
}

const NOTHING = new Uint8Array(0);

/** All records of an image whose records are of one kind without raw bytes. */
export function decodeRecords<S extends DescMessage>(schema: S, name: string, bytes: Uint8Array): MessageShape<S>[] {
  const { records } = readImage(name, bytes);
  return records.map(({ message }, index) => decodeMessage(schema, message, `${name} record ${index}`));
}

/** The only record of an image. */
export function decodeSingle<S extends DescMessage>(schema: S, name: string, bytes: Uint8Array): MessageShape<S> {
  const records = decodeRecords(schema, name, bytes);
  if (records.length !== 1) refuse(`holds ${records.length} records instead of one`, name);
  return records[0]!;
}

/** The bytes of image file `name` with these records, which carry no raw bytes. */
export function encodeRecords<S extends DescMessage>(
  schema: S,
  name: string,
  messages: readonly MessageShape<S>[],
): Uint8Array<ArrayBuffer> {
  const kind = kindOf(name)!;
  const records = messages.map((message) => ({ message: encodeMessage(schema, message), extra: NOTHING }));
  return writeImage({ kind, records });
}
