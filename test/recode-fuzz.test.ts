// Damaged image sets: whatever is wrong with one, recoding ends soon with changes or an error that has a code. Seeds are
// fixed; SEED=n adds another one. Each mutation flips bytes, cuts, doubles or removes files, or puts absurd numbers into them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HC_BASE } from "../src/abi/index.ts";
import { InputError, randomFrom } from "../src/base/index.ts";
import { applyInMemory, type ImageSource, MemoryImages } from "../src/image/index.ts";
import { describeSet, formOf, toForeign, toHome } from "../src/recode/index.ts";
import { copyOf, headerOnlyRuntime, park } from "./recode/support.ts";
import { noFile, Synthetic } from "./recode/synthetic.ts";

const ROUNDS = 150;
const SLOW_MS = 5_000;
const seeds = [1, 2, 3, ...(process.env["SEED"] ? [Number(process.env["SEED"])] : [])];

type Random = (below: number) => number;

/** Numbers as protobuf's varints at which code that trusts them breaks. */
const ABSURD: readonly (readonly number[])[] = [
  [0],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0x07],
];

function mutate(set: MemoryImages, random: Random): MemoryImages {
  const files = new Map(set.files);
  const names = [...files.keys()];
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const name = names[random(names.length)]!;
    const bytes = new Uint8Array(files.get(name) ?? []);
    const at = bytes.length === 0 ? 0 : random(Math.min(bytes.length, 4096));
    const kind = random(7);
    if (kind === 0) files.delete(name);
    else if (kind === 1) files.set(name, bytes.slice(0, at));
    else if (kind === 2) files.set(name, Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(0, 65536)]));
    else if (kind === 3) files.set(name, new Uint8Array(files.get(names[random(names.length)]!) ?? []));
    else if (kind === 4) bytes.set(ABSURD[random(ABSURD.length)]!.slice(0, Math.max(0, bytes.length - at)), at);
    else
      for (let flips = 1 + random(8); flips > 0 && bytes.length > 0; flips--)
        bytes[random(bytes.length)]! ^= 1 << random(8);
    if (kind >= 4) files.set(name, bytes);
  }
  return new MemoryImages(files);
}

/** Runs `work`, which may refuse its input but nothing else. */
function holdsOut(what: string, work: () => void): void {
  const begin = performance.now();
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof InputError, `${what}: ${error instanceof Error ? error.stack : String(error)}`);
    assert.match(error.code, /^[a-z0-9-]+$/, what);
  }
  const took = performance.now() - begin;
  assert.ok(took < SLOW_MS, `${what}: took ${took.toFixed(0)} ms`);
}

/** Names of written files stay plain: nothing leaves the target directory. */
function checkNames(changes: ReadonlyMap<string, unknown>, what: string): void {
  for (const name of changes.keys()) assert.ok(/^[^./][^/]*$/.test(name), `${what}: writes ${JSON.stringify(name)}`);
}

function foreignOf(home: ImageSource): MemoryImages {
  const runtime = headerOnlyRuntime();
  const set = copyOf(applyInMemory(home, toForeign(home, { runtime, readFile: noFile }).changes));
  park(set);
  return set;
}

for (const seed of seeds) {
  test(`damaged home sets are recoded or refused (seed ${seed})`, () => {
    const random = randomFrom(seed);
    const runtime = headerOnlyRuntime();
    for (let round = 0; round < ROUNDS; round++) {
      const set = mutate(new Synthetic(seed, { processes: 2, threads: 2 }).set, random);
      const what = `seed ${seed} round ${round}`;
      holdsOut(`${what} form`, () => void formOf(set));
      holdsOut(`${what} description`, () => void describeSet(set));
      holdsOut(what, () => {
        const { changes } = toForeign(set, { runtime, readFile: noFile });
        checkNames(changes, what);
        applyInMemory(set, changes);
      });
    }
  });

  test(`damaged translated sets are recoded or refused (seed ${seed})`, () => {
    const random = randomFrom(seed + 1000);
    const whole = foreignOf(new Synthetic(seed, { processes: 2, threads: 2 }).set);
    for (let round = 0; round < ROUNDS; round++) {
      const set = mutate(copyOf(whole), random);
      const what = `seed ${seed} round ${round}`;
      holdsOut(what, () => {
        const changes = toHome(set, { base: HC_BASE });
        checkNames(changes, what);
        applyInMemory(set, changes);
      });
    }
  });
}

test("a process cannot name what is written for it", () => {
  const whole = foreignOf(new Synthetic(7, { processes: 1, threads: 1 }).set);
  const set = copyOf(whole);
  // The home blob of the root process keeps cpuinfo.img: its name, as long, made one that leads elsewhere.
  const [kept, hostile] = ["cpuinfo.img", "mm-/../.img"].map((name) => new TextEncoder().encode(name));
  let found = 0;
  for (const bytes of set.files.values()) {
    for (let at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(kept!); at >= 0; ) {
      bytes.set(hostile!, at);
      found++;
      at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(kept!, at + 1);
    }
  }
  assert.ok(found > 0);
  holdsOut("hostile name", () => checkNames(toHome(set, { base: HC_BASE }), "hostile name"));
});
