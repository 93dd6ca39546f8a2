// tier: lab
// Recoding of real dumps: home → foreign → home without running in between gives every image file back byte for byte,
// and criu restores what comes back: the program checks everything that it holds. Needs root, gcc, iproute2, mmdebstrap.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { DirectoryImages, writeChanged } from "../src/host/index.ts";
import { decodeMessage, encodeMessage, kindOf, readImage, writeImage } from "../src/image/index.ts";
import { Bench, until } from "./recode/dumps.ts";
import { assertSameSet, roundTrip } from "./recode/support.ts";

const readFile = (path: string): Uint8Array | null => {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
};

/** Decodes and encodes every message of every image file. */
function assertCodecRoundTrip(set: DirectoryImages): void {
  let count = 0;
  for (const name of set.names) {
    const kind = kindOf(name);
    if (!kind || kind.magic === 0) continue;
    const bytes = set.read(name, 0, set.sizeOf(name));
    const records = readImage(name, bytes).records.map((record, index) => {
      const schema = index === 0 ? (kind.head ?? kind.record) : kind.record;
      if (!schema) return record;
      count++;
      return { ...record, message: encodeMessage(schema, decodeMessage(schema, record.message, name)) };
    });
    assert.ok(Buffer.compare(writeImage({ kind, records }), bytes) === 0, `${name} changes`);
  }
  assert.ok(count > 10);
}

async function roundTripOnDisk(bench: Bench, directory: string): Promise<string> {
  const home = new DirectoryImages(directory);
  try {
    assertCodecRoundTrip(home);
    const { back } = roundTrip(home, readFile);
    assertSameSet(back, home);
    const changes = new Map(back.names.map((name) => [name, back.read(name, 0, back.sizeOf(name))]));
    writeChanged(home, changes, bench.path("back"));
    return bench.path("back");
  } finally {
    home.close();
  }
}

test("a program that holds something of everything", async (t) => {
  const bench = new Bench();
  t.after(() => bench.close());
  const probe = await bench.compile("probe.c", "probe");
  const pid = await bench.start([probe, bench.path("go"), "tcp"], "out");
  await until(() => bench.text("out").includes("ready"), "the probe");
  await new Promise((done) => setTimeout(done, 100));
  const back = await roundTripOnDisk(bench, await bench.dump(pid, "dump"));
  await bench.restore(back);
  writeFileSync(bench.path("go"), "");
  await until(() => /ok|lost|failures/.test(bench.text("out")), "the probe's word");
  assert.equal(bench.text("out"), "ready\nok\n");
});

test("a shell script with a pipeline", async (t) => {
  const bench = new Bench();
  t.after(() => bench.close());
  const script =
    "i=0; while :; do i=$((i+1)); echo $i; busybox usleep 20000; done | busybox cat | while read -r line; do echo $line.; done";
  const pid = await bench.start(["busybox", "sh", "-c", `${script} >${bench.path("lines")}`], "out");
  await until(() => bench.text("lines").length > 0, "the first lines", 60_000);
  const dump = await bench.dump(pid, "dump");
  const before = bench.text("lines").length;
  await bench.restore(await roundTripOnDisk(bench, dump));
  await until(() => bench.text("lines").length > before + 200, "more lines", 60_000);
  const lines = bench.text("lines").split("\n").slice(0, -1);
  for (const [index, line] of lines.entries()) assert.equal(line, `${index + 1}.`);
});
