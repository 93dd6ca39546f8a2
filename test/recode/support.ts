// Support for tests of recoding: a runtime file that is nothing but its header, translated sets made to look parked, and
// comparison of image sets.

import assert from "node:assert/strict";
import {
  ABI_VERSION,
  HC_BASE,
  offsetOf,
  RUNTIME_HEADER_OFFSET,
  RUNTIME_MAGIC,
  RuntimeHeader,
  THREAD_PRIVATE_OFFSET,
  ThreadState,
} from "../../src/abi/index.ts";
import { applyInMemory, type ImageSource, kindOf, Memory, MemoryImages } from "../../src/image/index.ts";
import { formOf, type ReadFile, readProcessTree, toForeign, toHome } from "../../src/recode/index.ts";

/** An ELF file for arm64 of one segment with a runtime header and no code. */
export function headerOnlyRuntime(): Uint8Array {
  const bytes = new Uint8Array(0x2000);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x464c_457f, true);
  bytes.set([2, 1, 1], 4);
  view.setUint16(16, 2, true);
  view.setUint16(18, 183, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setBigUint64(80, HC_BASE, true);
  view.setBigUint64(96, BigInt(bytes.length), true);
  view.setBigUint64(104, BigInt(bytes.length), true);
  const header: [string, bigint][] = [
    ["magic", RUNTIME_MAGIC],
    ["base", HC_BASE],
    ["resume", HC_BASE + 0x1000n],
    ["signal_handler", HC_BASE + 0x1100n],
    ["signal_restorer", HC_BASE + 0x1200n],
  ];
  for (const [name, value] of header) {
    view.setBigUint64(RUNTIME_HEADER_OFFSET + offsetOf(RuntimeHeader, name), value, true);
  }
  view.setUint32(RUNTIME_HEADER_OFFSET + offsetOf(RuntimeHeader, "abi_version"), ABI_VERSION, true);
  return bytes;
}

/** A copy of a set, all in memory. */
export function copyOf(source: ImageSource): MemoryImages {
  return new MemoryImages(
    new Map(source.names.map((name) => [name, new Uint8Array(source.read(name, 0, source.sizeOf(name)))])),
  );
}

/** Writes into the memory of a set in memory, at an address whose page is there. */
export function poke(set: MemoryImages, pid: number, address: bigint, value: number): void {
  const process = readProcessTree(set).processes.find((p) => p.pid === pid)!;
  const page = process.memory.page(address & ~4095n);
  assert.ok(page, `page of 0x${address.toString(16)}`);
  page[Number(address & 4095n)] = value;
}

/** Marks every thread of a translated set as parked, as the runtime does when it quiesces. */
export function park(set: MemoryImages): void {
  for (const process of readProcessTree(set).processes) {
    for (const thread of process.threads) {
      const state = thread.core.tiAarch64!.tls + BigInt(THREAD_PRIVATE_OFFSET);
      poke(set, process.pid, state + BigInt(offsetOf(ThreadState, "parked")), 1);
    }
  }
}

/** Home → foreign → home without running in between. */
export function roundTrip(home: ImageSource, readFile: ReadFile): { foreign: MemoryImages; back: MemoryImages } {
  assert.equal(formOf(home), "home");
  const foreign = copyOf(applyInMemory(home, toForeign(home, { runtime: headerOnlyRuntime(), readFile }).changes));
  assert.equal(formOf(foreign), "foreign");
  park(foreign);
  return { foreign, back: applyInMemory(foreign, toHome(foreign, { base: HC_BASE })) };
}

/** A set's file; of page maps the form that every CRIU reads (4.2 leaves out the number of pages that older ones need). */
function comparable(set: ImageSource, name: string): Uint8Array {
  if (/^pagemap-\d+\.img$/.test(name)) return Memory.read(set, name).encode();
  return set.read(name, 0, set.sizeOf(name));
}

/** Holds two sets against each other, file by file, byte for byte. */
export function assertSameSet(actual: ImageSource, expected: ImageSource): void {
  const images = (set: ImageSource): string[] => set.names.filter((name) => kindOf(name) !== undefined).sort();
  assert.deepEqual(images(actual), images(expected));
  for (const name of images(expected)) {
    const [a, b] = [comparable(actual, name), comparable(expected, name)];
    assert.ok(Buffer.compare(a, b) === 0, `${name} is not the same (${a.length} and ${b.length} bytes)`);
  }
}
