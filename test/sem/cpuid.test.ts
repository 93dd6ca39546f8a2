// What cpuid tells programs (the table in runtime/helpers.c) must be there: every instruction of a feature that it advertises has a row
// that is not refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CpuidFeature, Decoder, DecoderOptions } from "iced-x86";
import { TABLE } from "../../src/sem/index.ts";
import { enumerateForms } from "../../src/x86/index.ts";
import { encode, Random } from "../cpu/encode.ts";

const EBX = 1;
const ECX = 2;
const EDX = 3;

/** iced-x86's feature names by leaf, register and bit. */
const BITS: readonly (readonly [number, number, number, string])[] = [
  [1, EDX, 15, "CMOV"],
  [1, EDX, 19, "CLFSH"],
  [1, EDX, 23, "MMX"],
  [1, EDX, 24, "FXSR"],
  [1, EDX, 25, "SSE"],
  [1, EDX, 26, "SSE2"],
  [1, ECX, 0, "SSE3"],
  [1, ECX, 1, "PCLMULQDQ"],
  [1, ECX, 9, "SSSE3"],
  [1, ECX, 12, "FMA"],
  [1, ECX, 13, "CMPXCHG16B"],
  [1, ECX, 19, "SSE4_1"],
  [1, ECX, 20, "SSE4_2"],
  [1, ECX, 22, "MOVBE"],
  [1, ECX, 23, "POPCNT"],
  [1, ECX, 25, "AES"],
  [1, ECX, 26, "XSAVE"],
  [1, ECX, 28, "AVX"],
  [1, ECX, 29, "F16C"],
  [1, ECX, 30, "RDRAND"],
  [7, EBX, 0, "FSGSBASE"],
  [7, EBX, 3, "BMI1"],
  [7, EBX, 5, "AVX2"],
  [7, EBX, 8, "BMI2"],
  [7, EBX, 16, "AVX512F"],
  [7, EBX, 17, "AVX512DQ"],
  [7, EBX, 18, "RDSEED"],
  [7, EBX, 19, "ADX"],
  [7, EBX, 21, "AVX512_IFMA"],
  [7, EBX, 23, "CLFLUSHOPT"],
  [7, EBX, 24, "CLWB"],
  [7, EBX, 28, "AVX512CD"],
  [7, EBX, 29, "SHA"],
  [7, EBX, 30, "AVX512BW"],
  [7, EBX, 31, "AVX512VL"],
  [7, ECX, 1, "AVX512_VBMI"],
  [7, ECX, 6, "AVX512_VBMI2"],
  [7, ECX, 8, "GFNI"],
  [7, ECX, 9, "VAES"],
  [7, ECX, 10, "VPCLMULQDQ"],
  [7, ECX, 11, "AVX512_VNNI"],
  [7, ECX, 12, "AVX512_BITALG"],
  [7, ECX, 14, "AVX512_VPOPCNTDQ"],
  [7, ECX, 22, "RDPID"],
  [0x80000001, ECX, 5, "LZCNT"],
  [0x80000001, ECX, 8, "PREFETCHW"],
  [0x80000001, EDX, 11, "SYSCALL"],
  [0x80000001, EDX, 27, "RDTSCP"],
  [0x80000008, EBX, 0, "CLZERO"],
];
/** Features that every x86-64 processor has. */
const BASE = [
  "INTEL8086",
  "INTEL186",
  "INTEL286",
  "INTEL386",
  "INTEL486",
  "X64",
  "CPUID",
  "CX8",
  "TSC",
  "MULTIBYTENOP",
  "PAUSE",
];

function advertised(): Set<string> {
  const text = readFileSync(join(import.meta.dirname, "../../runtime/helpers.c"), "utf8");
  const table = text.slice(text.indexOf("CPUID_LINES[] = {"), text.indexOf("\n};", text.indexOf("CPUID_LINES[] = {")));
  const lines = [
    ...table.matchAll(/\{(0x[0-9a-f]+), [^,]+, (0x[0-9a-f]+), (0x[0-9a-f]+), (0x[0-9a-f]+), (0x[0-9a-f]+)\}/g),
  ];
  const registers = new Map(lines.map((match) => [Number(match[1]), match.slice(2, 6).map(Number)]));
  return new Set(
    BITS.filter(([leaf, register, bit]) => ((registers.get(leaf)?.[register] ?? 0) >>> bit) & 1).map(
      ([, , , name]) => name,
    ),
  );
}

test("cpuid advertises nothing that is refused", () => {
  const features = advertised();
  for (const name of ["SSE2", "AVX2", "AVX512BW", "XSAVE"])
    assert.ok(features.has(name), `the table was read: ${name}`);
  const there = new Set([...features, ...BASE]);
  const random = new Random(1);
  const wrong = new Set<string>();
  let looked = 0;
  for (const form of enumerateForms()) {
    const { bytes } = encode(random, form, form.takesMemory);
    const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
    const instruction = decoder.decode();
    const needs = Array.from(instruction.cpuidFeatures(), (feature) => CpuidFeature[feature]!);
    instruction.free();
    decoder.free();
    // Old instructions of the base are the business of docs/instructions.md.
    if (!needs.every((name) => there.has(name)) || !needs.some((name) => features.has(name))) continue;
    looked++;
    const row = TABLE.get(form.mnemonic);
    if (!row || row.support === "refused") wrong.add(form.mnemonic);
  }
  assert.ok(looked > 1500, `${looked} forms`);
  assert.deepEqual([...wrong], []);
});
