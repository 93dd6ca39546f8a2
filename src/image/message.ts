// Decoding and encoding of single messages. Two things are ours beside the protobuf library: whatever it throws on
// hostile bytes becomes an InputError, and unknown fields go back to where they were. The library writes them behind the
// known ones; CRIU writes every field in the order of the numbers, so we sort by number, at every level. So an image
// that CRIU wrote and nobody changed is written back byte for byte, whichever of its fields we know.

import { type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { InputError } from "../base/index.ts";

/** Decodes one message; `place` names it in errors. */
export function decodeMessage<S extends DescMessage>(schema: S, bytes: Uint8Array, place: string): MessageShape<S> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new InputError(
      "image-message",
      `not a valid ${schema.name}: ${error instanceof Error ? error.message : String(error)}`,
      place,
      "the image file is damaged: copy the checkpoint again or make a new one",
    );
  }
}

/** Encodes one message with its fields in the order of their numbers. */
export function encodeMessage<S extends DescMessage>(schema: S, message: MessageShape<S>): Uint8Array<ArrayBuffer> {
  const bytes = toBinary(schema, message) as Uint8Array<ArrayBuffer>;
  if (holdsUnknown(schema, message)) sortFields(schema, bytes);
  return bytes;
}

function holdsUnknown(schema: DescMessage, message: Message): boolean {
  if (message.$unknown !== undefined && message.$unknown.length > 0) return true;
  const fields = message as unknown as Record<string, unknown>;
  for (const field of schema.fields) {
    const value = fields[field.localName];
    if (value === undefined) continue;
    if (field.fieldKind === "message" && holdsUnknown(field.message, value as Message)) return true;
    if (field.fieldKind === "list" && field.listKind === "message") {
      if ((value as Message[]).some((element) => holdsUnknown(field.message, element))) return true;
    }
  }
  return false;
}

/** Sorts the fields of an encoded message in place: their number and sizes stay as they are. */
function sortFields(schema: DescMessage, bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  const fields: { number: number; bytes: Uint8Array }[] = [];
  let sorted = true;
  while (reader.pos < bytes.length) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const field = schema.field[keyOf(schema, number)];
    if (wireType === WireType.LengthDelimited) {
      const body = reader.bytes();
      if (field?.message) sortFields(field.message, body);
    } else {
      reader.skip(wireType, number);
    }
    if (fields.length > 0 && fields.at(-1)!.number > number) sorted = false;
    fields.push({ number, bytes: bytes.slice(start, reader.pos) });
  }
  if (sorted) return;
  fields.sort((a, b) => a.number - b.number);
  let at = 0;
  for (const field of fields) {
    bytes.set(field.bytes, at);
    at += field.bytes.length;
  }
}

const keys = new WeakMap<DescMessage, Map<number, string>>();

function keyOf(schema: DescMessage, number: number): string {
  let names = keys.get(schema);
  if (!names) {
    names = new Map(schema.fields.map((field) => [field.number, field.localName]));
    keys.set(schema, names);
  }
  return names.get(number) ?? "";
}
