// Makes programs of random AVX-512 instructions under masks: loads, stores and comparisons at the ends of pages, of which the
// last is followed by memory that nobody may touch, with registers and masks overwritten between them, and branches. A
// program prints all that is in registers, masks and memory behind each chain.

import { randomFrom } from "../../src/base/index.ts";
import { chainLines } from "./chain-lines.ts";

const REGISTERS = [0, 1, 2, 16, 17, 18];
const MASKS = 4;
const CHAINS = 100;
const LANES = [
  { bits: 8, letter: "b" },
  { bits: 16, letter: "w" },
  { bits: 32, letter: "d" },
  { bits: 64, letter: "q" },
] as const;

/** C source of a program; the seed says of which. */
export function makeMaskChains(seed: number): string {
  const below = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const laneBits: number[] = [];

  const makeLines = (): string[] => {
    const lane = pick([LANES[0], LANES[0], ...LANES]);
    laneBits.push(lane.bits);
    const k = (): string => `%%k${1 + below(MASKS)}`;
    const under = (): string => `%{${k()}%}`;
    const zeroing = (): string => `${under()}${below(3) > 0 ? "%{z%}" : ""}`;
    const instruction = (): string => {
      const size = pick(["x", "y", "y", "z"]);
      const v = (): string => `%%${size}mm${pick(REGISTERS)}`;
      const source = (): string => pick(["(%0)", v()]);
      return pick([
        () => `vmovdqu${lane.bits} (%0), ${v()}${zeroing()}`,
        () => `vmovdqu${lane.bits} (%0), ${v()}${zeroing()}`,
        () => `vmovdqu${lane.bits} ${v()}, (%0)${under()}`,
        () => `vmovdqu${lane.bits} ${v()}, ${v()}${zeroing()}`,
        () => `vpcmpu${lane.letter} $${below(8)}, ${source()}, ${v()}, ${k()}${under()}`,
        () => `vpcmpu${lane.letter} $4, ${source()}, ${v()}, ${k()}${under()}`,
        () => `vptestm${lane.letter} ${source()}, ${v()}, ${k()}${under()}`,
        () => `vpadd${lane.letter} ${source()}, ${v()}, ${v()}${zeroing()}`,
        () => `vpsub${lane.letter} ${v()}, ${v()}, ${v()}`,
        () => `vmovdqa64 ${v()}, ${v()}`,
        () => `kandq ${k()}, ${k()}, ${k()}`,
        () => `korq ${k()}, ${k()}, ${k()}`,
      ])();
    };
    const branchTo = (label: string): string[] => [`kortestq ${k()}, ${k()}`, `je ${label}`];
    return chainLines(below, { loops: 4, branches: 5, least: 3, more: 9 }, branchTo, instruction);
  };

  const chain = (lines: readonly string[], number: number): string => {
    const all = [
      ...REGISTERS.map((r, i) => `vmovdqu64 ${i * 64}(%1), %%zmm${r}`),
      ...Array.from({ length: MASKS }, (_, i) => `kmovq ${512 + i * 8}(%1), %%k${i + 1}`),
      ...lines,
      ...REGISTERS.map((r, i) => `vmovdqu64 %%zmm${r}, ${i * 64}(%1)`),
      ...Array.from({ length: MASKS }, (_, i) => `kmovq %%k${i + 1}, ${512 + i * 8}(%1)`),
      "vzeroupper",
    ];
    const text = all.map((line) => `    "${line}\\n\\t"`).join("\n");
    const clobbers = [...REGISTERS.map((r) => `"xmm${r}"`), '"k1", "k2", "k3", "k4"'].join(", ");
    return `static __attribute__((noinline)) void chain${number}(void *at, void *all) {\n  __asm__ volatile(\n${text}\n    : : "r"(at), "r"(all) : "rcx", "memory", "cc", ${clobbers});\n}`;
  };
  const chains = Array.from({ length: CHAINS }, makeLines).map(chain);
  return `
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
static unsigned long long state = ${seed % 0x7fffffff}ull + 1;
static unsigned long long next(void) { state = state * 6364136223846793005ull + 1442695040888963407ull; return state >> 33 ^ state >> 11; }
static unsigned long long all[8 * 8 + ${MASKS}];
static const int LANE_BYTES[] = {${laneBits.map((bits) => bits / 8).join(", ")}};
${chains.join("\n")}
int main(void) {
  static void (*const chains[])(void *, void *) = {${chains.map((_, i) => `chain${i}`).join(", ")}};
  unsigned char *pages = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + 8192, 4096, PROT_NONE)) return 1;
  for (int round = 0; round < 10; round++)
    for (unsigned i = 0; i < sizeof chains / sizeof *chains; i++) {
      int is_last = next() % 2, left = next() % 4 ? 1 + (int)(next() % 64) : 64 + (int)(next() % 512);
      unsigned char *at = pages + (is_last ? 8192 : 4096) - left;
      unsigned long long lanes = (unsigned)left / (unsigned)LANE_BYTES[i], mask = is_last && lanes < 64 ? (1ull << lanes) - 1 : ~0ull;
      for (int j = -64; j < (is_last ? left : left + 64); j++) at[j] = (unsigned char)(next() % 3);
      for (int j = 0; j < 64; j++) all[j] = next() % 3 * 0x0100010001000101ull + next() % 3;
      for (int j = 0; j < ${MASKS}; j++) {
        unsigned long long low = (1ull << next() % 64) - 1;
        all[64 + j] = mask & (next() % 3 == 0 ? next() << 32 ^ next() : next() % 8 == 0 ? ~0ull : low);
      }
      chains[i](at, all);
      unsigned long long sum = 0;
      for (int j = 0; j < 8192; j++) sum = (sum ^ pages[j]) * 0x100000001b3ull;
      printf("%d %u %d %d: %llx |", round, i, is_last, left, sum);
      for (int j = 0; j < ${REGISTERS.length} * 8; j++) printf(" %llx", all[j]);
      for (int j = 0; j < ${MASKS}; j++) printf(" k %llx", all[64 + j]);
      printf("\\n");
    }
  return 0;
}
`;
}
