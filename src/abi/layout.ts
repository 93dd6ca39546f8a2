// A tiny description language for C structures, so that one table feeds the runtime (as a generated header with
// _Static_asserts) and the TypeScript side (as offsets). Natural alignment, little endian, no padding at the ends but
// what alignment asks for.

export type FieldType =
  | "u8"
  | "u16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | { readonly struct: Struct }
  | { readonly bytes: number };

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** Number of elements; 0 for a plain field. */
  readonly count: number;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly doc: string;
}

export interface Struct {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly sizeBytes: number;
  readonly alignment: number;
}

/** `[name, type, doc]` or `[name, type, doc, { count, at }]`; `at` forces an offset (checked to lie ahead). */
export type FieldSpec = readonly [string, FieldType, string, { readonly count?: number; readonly at?: number }?];

const SCALARS = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;

function sizeOf(type: FieldType): number {
  if (typeof type === "string") return SCALARS[type];
  return "struct" in type ? type.struct.sizeBytes : type.bytes;
}

function alignmentOf(type: FieldType): number {
  if (typeof type === "string") return SCALARS[type];
  return "struct" in type ? type.struct.alignment : 16;
}

/** Lays out the fields in order. */
export function defineStruct(name: string, specs: readonly FieldSpec[]): Struct {
  let offset = 0;
  let alignment = 1;
  const fields: Field[] = [];
  for (const [fieldName, type, doc, options] of specs) {
    const align = alignmentOf(type);
    alignment = Math.max(alignment, align);
    offset = Math.ceil(offset / align) * align;
    if (options?.at !== undefined) {
      if (options.at < offset) throw new Error(`${name}.${fieldName} overlaps: ${options.at} < ${offset}`);
      offset = options.at;
    }
    const count = options?.count ?? 0;
    const sizeBytes = sizeOf(type) * Math.max(count, 1);
    fields.push({ name: fieldName, type, count, offset, sizeBytes, doc });
    offset += sizeBytes;
  }
  return { name, fields, sizeBytes: Math.ceil(offset / alignment) * alignment, alignment };
}

/** Byte offset of `field` (element `index` of it) in `struct`. */
export function offsetOf(struct: Struct, field: string, index = 0): number {
  const found = struct.fields.find((f) => f.name === field);
  if (!found) throw new Error(`${struct.name} has no field ${field}`);
  return found.offset + index * sizeOf(found.type);
}

const C_TYPES = {
  u8: "uint8_t",
  u16: "uint16_t",
  u32: "uint32_t",
  i32: "int32_t",
  u64: "uint64_t",
  i64: "int64_t",
} as const;

function cField(field: Field): string {
  const suffix = field.count > 0 ? `[${field.count}]` : "";
  const { type, name } = field;
  if (typeof type === "string") return `${C_TYPES[type]} ${name}${suffix};`;
  if ("struct" in type) return `struct ${type.struct.name} ${name}${suffix};`;
  return `_Alignas(16) uint8_t ${name}${suffix}[${type.bytes}];`;
}

/** The C definition of `struct`, with a static assertion for every offset and for the size. */
export function printC(struct: Struct): string {
  let text = `struct ${struct.name} {\n`;
  let end = 0;
  let pads = 0;
  for (const field of struct.fields) {
    if (field.offset - end >= 16) text += `    uint8_t pad${pads++}_[${field.offset - end}];\n`;
    text += `    ${cField(field)} /* ${field.doc} */\n`;
    end = field.offset + field.sizeBytes;
  }
  text += "};\n";
  for (const field of struct.fields) {
    text += `_Static_assert(offsetof(struct ${struct.name}, ${field.name}) == ${field.offset}, "${struct.name}.${field.name}");\n`;
  }
  text += `_Static_assert(sizeof(struct ${struct.name}) == ${struct.sizeBytes}, "${struct.name}");\n`;
  return text;
}
