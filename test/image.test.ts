// The image codec: what it keeps, and what it refuses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { InputError, randomFrom } from "../src/base/index.ts";
import {
  CoreEntrySchema,
  decodeMessage,
  decodeRecords,
  encodeMessage,
  encodeRecords,
  kindOf,
  Memory,
  MemoryImages,
  PagemapEntrySchema,
  PagemapHeadSchema,
  PstreeEntrySchema,
  readImage,
  writeImage,
} from "../src/image/index.ts";
import { Synthetic } from "./recode/synthetic.ts";

const refusedAs = (code: string) => (error: unknown) => error instanceof InputError && error.code === code;

test("kinds are found by the longest name", () => {
  assert.equal(kindOf("pagemap-shmem-7.img")?.name, "pagemap-shmem");
  assert.equal(kindOf("pagemap-7.img")?.name, "pagemap");
  assert.equal(kindOf("tmpfs-dev-48.tar.gz.img")?.name, "tmpfs-dev");
  assert.equal(kindOf("stats-dump")?.name, "stats");
  assert.equal(kindOf("pagemap.img2"), undefined);
  assert.equal(kindOf("dump.log"), undefined);
});

test("fields that are not known stay in their places", () => {
  // mtype 1, unknown 2-byte field 7, ids{vm_id 9, unknown 60} between known ones, unknown 90 at the end.
  const bytes = Uint8Array.from([8, 1, 34, 5, 8, 9, 0xe0, 3, 1, 0x3a, 2, 1, 2, 0xd2, 5, 1, 0]);
  const core = decodeMessage(CoreEntrySchema, bytes, "core");
  assert.equal(core.ids?.vmId, 9);
  assert.deepEqual(encodeMessage(CoreEntrySchema, core), bytes);
});

test("bytes behind a message are counted by it", () => {
  const kind = kindOf("pipes-data.img")!;
  const file = writeImage({ kind, records: [{ message: Uint8Array.of(8, 1, 16, 3), extra: Uint8Array.of(1, 2, 3) }] });
  assert.deepEqual(readImage("pipes-data.img", file).records[0]!.extra, Uint8Array.of(1, 2, 3));
  assert.throws(() => readImage("pipes-data.img", file.subarray(0, file.length - 1)), refusedAs("image-frame"));
});

test("damaged frames are refused", () => {
  const good = encodeRecords(PstreeEntrySchema, "pstree.img", [create(PstreeEntrySchema, { pid: 1 })]);
  for (let length = 0; length < good.length; length++) {
    if (length === 8) continue; // an image without records
    assert.throws(
      () => decodeRecords(PstreeEntrySchema, "pstree.img", good.subarray(0, length)),
      refusedAs("image-frame"),
    );
  }
  const bad = good.slice();
  bad[0]! ^= 1;
  assert.throws(() => readImage("pstree.img", bad), refusedAs("image-frame"));
  assert.throws(() => readImage("core-1.img", good), refusedAs("image-frame"));
  assert.throws(() => readImage("dump.log", good), refusedAs("image-kind"));
});

function memoryOf(entries: object[], bytes: number): Memory {
  const kind = kindOf("pagemap-1.img")!;
  const extra = new Uint8Array(0);
  const head = encodeMessage(PagemapHeadSchema, create(PagemapHeadSchema, { pagesId: 3 }));
  const records = [{ message: head, extra }].concat(
    entries.map((entry) => ({
      message: encodeMessage(PagemapEntrySchema, create(PagemapEntrySchema, entry)),
      extra,
    })),
  );
  const pages = Uint8Array.from({ length: bytes }, (_, i) => 1 + Math.floor(i / 4096));
  const files = new Map([
    ["pagemap-1.img", writeImage({ kind, records })],
    ["pages-3.img", pages],
  ]);
  return Memory.read(new MemoryImages(files), "pagemap-1.img");
}

test("the number of pages is read from either field", () => {
  const old = memoryOf([{ vaddr: 0x1000n, compatNrPages: 2, flags: 4 }], 8192);
  const now = memoryOf([{ vaddr: 0x1000n, compatNrPages: 0, nrPages: 2n, flags: 4 }], 8192);
  for (const memory of [old, now]) {
    assert.equal(memory.presentPages, 2);
    assert.equal(memory.page(0x2000n)![0], 2);
    assert.equal(memory.page(0x3000n), null);
  }
  assert.deepEqual(old.encode(), now.encode());
});

test("page maps that do not fit their pages are refused", () => {
  const entry = (vaddr: bigint, nrPages: bigint, flags = 4) => ({ vaddr, compatNrPages: 0, nrPages, flags });
  for (const entries of [
    [entry(0x1000n, 3n)],
    [entry(0x1001n, 1n)],
    [entry(0x2000n, 1n), entry(0x1000n, 1n)],
    [entry(0x1000n, 2n), entry(0x2000n, 1n)],
    [entry(0x1000n, 1n << 60n)],
  ]) {
    assert.throws(() => memoryOf(entries, 8192), refusedAs("image-pagemap"));
  }
  const parent = memoryOf([entry(0x1000n, 1n << 40n, 1)], 0);
  assert.throws(() => parent.page(0x5000n), refusedAs("image-parent"));
  assert.deepEqual([...parent.presentIn(0n, 1n << 60n)], []);
});

test("pages are added, removed and written in order", () => {
  const memory = memoryOf([{ vaddr: 0x1000n, compatNrPages: 4, flags: 4 }], 4 * 4096);
  memory.remove(0x2000n, 0x3000n);
  const added = new Uint8Array(3 * 4096);
  added[4096] = 9;
  memory.add(0x10_0000n, added);
  assert.deepEqual([...memory.presentIn(0n, 1n << 47n)], [0x1000n, 0x3000n, 0x4000n, 0x10_1000n]);
  assert.equal(memory.page(0x3000n)![0], 3);
  assert.equal(memory.page(0x10_1000n)![0], 9);
  const parts = memory.pagesContent();
  assert.ok(!(parts instanceof Uint8Array));
  assert.deepEqual(
    parts.map((part) => (part instanceof Uint8Array ? part.length : [part.offset, part.length])),
    [[0, 4096], [8192, 8192], 4096],
  );
});

test("random damage to image files ends in a refusal or in other messages, never otherwise", (t) => {
  const seed = Number(process.env["HCONTAINER_SEED"] ?? Date.now() % 1e6);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const { files } = new Synthetic(seed);
  const names = [...files.keys()].filter((name) => (kindOf(name)?.magic ?? 0) !== 0);
  for (let round = 0; round < 4000; round++) {
    const name = names[random(names.length)]!;
    const bytes = files.get(name)!.slice(0, random(4) === 0 ? random(files.get(name)!.length + 1) : undefined);
    for (let n = random(4); n > 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
    const kind = kindOf(name)!;
    try {
      for (const [index, { message }] of readImage(name, bytes).records.entries()) {
        const schema = index === 0 ? (kind.head ?? kind.record) : kind.record;
        if (schema) encodeMessage(schema, decodeMessage(schema, message, name));
      }
    } catch (error) {
      assert.ok(error instanceof InputError, `round ${round}, ${name}: ${error}`);
    }
  }
});
