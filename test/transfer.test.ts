// What of a tree has to be copied again after the freeze: everything whose times cannot tell that it is unchanged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sharedFiles } from "../src/migrate/process-maps.ts";
import { difference, settledPart } from "../src/migrate/transfer.ts";

/** An entry as find prints it for snapshots. */
const entry = (type: string, inode: number, changed: number): string =>
  `${type} 644 0:0 4096 ${inode} ${changed}.5 ${changed}.5`;

const TREE = new Map([
  ["data", entry("d", 1, 1000)],
  ["data/old", entry("f", 2, 1000)],
  ["data/fresh", entry("f", 3, 2000)],
  ["data/mapped", entry("f", 4, 1000)],
  ["data/other name", entry("f", 4, 1000)],
]);

test("files that are mapped or just changed count as changed though they look the same", () => {
  const settled = settledPart(TREE, 2000, new Set(["data/mapped", "not here"]));
  const { changed, removed } = difference(settled, TREE);
  assert.deepEqual(changed, ["data/fresh", "data/mapped", "data/other name"]);
  assert.deepEqual(removed, [], "nothing is taken away from what is there");
});

test("what is gone is removed, settled or not", () => {
  const settled = settledPart(TREE, 2000, new Set(["data/mapped"]));
  const { removed } = difference(settled, new Map([...TREE].filter(([path]) => !/fresh|mapped|old/.test(path))));
  assert.deepEqual([...removed].sort(), ["data/fresh", "data/mapped", "data/old"]);
});

test("shared maps of files are found, whatever they allow", () => {
  const maps = [
    "7f0000000000-7f0000001000 rw-s 00000000 00:2a 77                         /data/db shm",
    "7f0000001000-7f0000002000 r--s 00000000 00:2a 78                         /data/read",
    "7f0000002000-7f0000003000 rw-p 00000000 00:2a 79                         /data/private",
    "7f0000003000-7f0000004000 rw-s 00000000 00:2a 80                         /data/gone (deleted)",
    "7f0000004000-7f0000005000 rw-s 00000000 00:01 81                         /data/two\\012lines",
    "7f0000005000-7f0000006000 rw-p 00000000 00:00 0                          [stack]",
  ];
  assert.deepEqual([...sharedFiles([["Threads:\t1"], maps])].sort(), [
    "/data/db shm",
    "/data/read",
    "/data/two\nlines",
  ]);
});
