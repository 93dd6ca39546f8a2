// Damaged and hostile ELF files, made from a real one or from nothing but noise, the same ones for the same seed.

import { randomFrom } from "../../src/base/index.ts";

type Random = (limit: number) => number;

const INTERESTING = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x1000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  0x7fff_ffff_f000n,
  0xffff_ffff_ffff_ffffn,
];

const DAMAGE: Readonly<Record<string, (bytes: Uint8Array, random: Random) => Uint8Array>> = {
  "changed bytes": (bytes, random) => {
    for (let n = 1 + random(200); n > 0; n--) bytes[random(bytes.length)] = random(256);
    return bytes;
  },
  "changed header words": (bytes, random) => {
    const view = new DataView(bytes.buffer);
    for (let n = 1 + random(6); n > 0; n--) {
      view.setBigUint64(random(0x390), INTERESTING[random(INTERESTING.length)]!, true);
    }
    return bytes;
  },
  "changed words anywhere": (bytes, random) => {
    const view = new DataView(bytes.buffer);
    for (let n = 1 + random(60); n > 0; n--) {
      const near = view.getBigUint64(random(bytes.length - 8) & ~7, true) + BigInt(random(64)) - 32n;
      const value = random(2) ? near : INTERESTING[random(INTERESTING.length)]!;
      view.setBigUint64(random(bytes.length - 8) & ~7, BigInt.asUintN(64, value), true);
    }
    return bytes;
  },
  "a cut file": (bytes, random) => bytes.slice(0, random(bytes.length)),
  "a copied part": (bytes, random) => {
    const [from, to] = [random(bytes.length), random(bytes.length)];
    bytes.copyWithin(to, from, from + random(bytes.length));
    return bytes;
  },
  "noise in a part": (bytes, random) => {
    const at = 0x400 + random(bytes.length - 0x400);
    for (let i = at; i < Math.min(bytes.length, at + random(20_000)); i++) bytes[i] = random(256);
    return bytes;
  },
};

/** A damaged copy of `good`, and what was done to it. */
export function mutate(good: Uint8Array, seed: number): { bytes: Uint8Array; kind: string } {
  const random = randomFrom(seed);
  const kinds = Object.keys(DAMAGE);
  const kind = kinds[random(kinds.length)]!;
  return { bytes: DAMAGE[kind]!(Uint8Array.from(good), random), kind };
}

/** Bytes that decode to many branches, calls, tables and odd instructions. */
export function noise(size: number, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const code = new Uint8Array(size);
  const openings = [0x48, 0x0f, 0x66, 0xf3, 0xe8, 0xeb, 0x74, 0xff, 0xc5, 0x62, 0xf0, 0x89, 0x8d, 0xc3, 0xd8, 0xa4];
  for (let i = 0; i < size; i++) code[i] = random(3) === 0 ? openings[random(openings.length)]! : random(256);
  return code;
}
