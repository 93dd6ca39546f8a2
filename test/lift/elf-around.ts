// Makes ELF files around a few bytes of code.

export interface ElfAround {
  /** Whether it is position-independent (ET_DYN); not unless said. */
  readonly isRelocatable?: boolean;
  /** Address of the code, a multiple of the page size; a usual one unless said. */
  readonly address?: number;
  /** Address of the file's entry; that of the code unless said. */
  readonly entry?: number;
}

/** An x86-64 ELF file of one executable segment that holds `code`. */
export function elfAround(code: Uint8Array, options: ElfAround = {}): Uint8Array {
  const { isRelocatable = false, address = isRelocatable ? 0x1000 : 0x401000, entry = address } = options;
  const file = new Uint8Array(0x1000 + code.length);
  const view = new DataView(file.buffer);
  view.setUint32(0, 0x464c457f, true);
  file.set([2, 1, 1], 4);
  view.setUint16(16, isRelocatable ? 3 : 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setBigUint64(72, 0x1000n, true);
  for (const at of [80, 88]) view.setBigUint64(at, BigInt(address), true);
  for (const at of [96, 104]) view.setBigUint64(at, BigInt(code.length), true);
  file.set(code, 0x1000);
  return file;
}
