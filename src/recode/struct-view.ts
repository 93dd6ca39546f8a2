// Reads and writes fields of a structure of src/abi in bytes.

import { offsetOf, type Struct } from "../abi/index.ts";
import { assert } from "../base/index.ts";

export class StructView {
  readonly struct: Struct;
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  /** A view of `struct` at the start of `bytes`. */
  constructor(struct: Struct, bytes: Uint8Array) {
    assert(bytes.length >= struct.sizeBytes, `${struct.name} needs ${struct.sizeBytes} bytes, not ${bytes.length}`);
    this.struct = struct;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The scalar `name` (element `index` of it), unsigned. */
  get(name: string, index = 0): bigint {
    const at = offsetOf(this.struct, name, index);
    switch (this.widthOf(name)) {
      case 1:
        return BigInt(this.view.getUint8(at));
      case 2:
        return BigInt(this.view.getUint16(at, true));
      case 4:
        return BigInt(this.view.getUint32(at, true));
      default:
        return this.view.getBigUint64(at, true);
    }
  }

  number(name: string, index = 0): number {
    return Number(this.get(name, index));
  }

  /** Stores the low bits of `value`. */
  set(name: string, value: bigint | number, index = 0): void {
    const at = offsetOf(this.struct, name, index);
    const bits = BigInt(value);
    const width = this.widthOf(name);
    if (width === 1) this.view.setUint8(at, Number(BigInt.asUintN(8, bits)));
    else if (width === 2) this.view.setUint16(at, Number(BigInt.asUintN(16, bits)), true);
    else if (width === 4) this.view.setUint32(at, Number(BigInt.asUintN(32, bits)), true);
    else this.view.setBigUint64(at, BigInt.asUintN(64, bits), true);
  }

  /** The bytes of `name`, or of element `index` of it. */
  slice(name: string, index?: number): Uint8Array {
    const field = this.struct.fields.find((f) => f.name === name)!;
    const size = index === undefined ? field.sizeBytes : field.sizeBytes / Math.max(field.count, 1);
    const at = offsetOf(this.struct, name, index ?? 0);
    return this.bytes.subarray(at, at + size);
  }

  /** A view of element `index` of the array of structures `name`. */
  element(name: string, index: number): StructView {
    const type = this.struct.fields.find((f) => f.name === name)!.type;
    assert(typeof type === "object" && "struct" in type, `${this.struct.name}.${name} holds structures`);
    return new StructView(type.struct, this.slice(name, index));
  }

  private widthOf(name: string): number {
    const field = this.struct.fields.find((f) => f.name === name);
    assert(field !== undefined && typeof field.type === "string", `${this.struct.name}.${name} is a scalar`);
    return field.sizeBytes / Math.max(field.count, 1);
  }
}
