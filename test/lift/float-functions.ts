// Makes C programs of random functions on floats and doubles that loop, branch and call each other, so that a compiler keeps scalars
// in vector registers over all of that. A program prints the bits of what each function gives.

import { randomFrom } from "../../src/base/index.ts";

const FUNCTIONS = 40;
const STATEMENTS = 5;
const DEPTH = 3;
const TYPES = ["double", "float"] as const;
type Type = (typeof TYPES)[number];

/** C source of a program; the seed says of which. */
export function makeFunctions(seed: number): string {
  const below = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  let loops = 0;

  const constant = (type: Type): string =>
    pick(["0.5", "1.25", "-3.0", "0.0", "1e-3", "7.0"]) + (type === "float" ? "f" : "");
  const variable = (type: Type): string => `${type === "float" ? "f" : "d"}${below(4)}`;

  const expression = (type: Type, depth: number, callable: number): string => {
    if (depth === 0) return below(4) === 0 ? constant(type) : variable(type);
    const inner = (of: Type = type): string => expression(of, depth - 1, callable);
    const other: Type = type === "float" ? "double" : "float";
    const suffix = type === "float" ? "f" : "";
    return pick([
      () => `(${inner()} + ${inner()})`,
      () => `(${inner()} - ${inner()})`,
      () => `(${inner()} * ${inner()})`,
      () => `(${inner()} / (${inner()} + ${constant(type)}))`,
      () => `(${type})${inner(other)}`,
      () => `-(${inner()})`,
      () => `__builtin_fabs${suffix}(${inner()})`,
      () => `__builtin_sqrt${suffix}(${inner()})`,
      () => `__builtin_copysign${suffix}(${inner()}, ${inner()})`,
      () => `(${inner()} < ${inner()} ? ${inner()} : ${inner()})`,
      () => `(${type})(int)(${inner()} * 0.01${suffix})`,
      () => `(${type})n`,
      () =>
        callable === 0 ? inner() : `(${type})function${below(callable)}(${inner("double")}, ${inner("float")}, p, n)`,
      () => `p[(n + ${below(8)}) & 7].${type === "float" ? "f" : "d"}`,
    ])();
  };

  const statement = (depth: number, callable: number): string => {
    const type = pick(TYPES);
    const assign = (): string => `${variable(type)} ${pick(["=", "+=", "-=", "*="])} ${expression(type, 2, callable)};`;
    const block = (calls: number): string =>
      `{ ${Array.from({ length: 1 + below(3) }, () => statement(depth - 1, calls)).join(" ")} }`;
    if (depth === 0) return assign();
    return pick([
      assign,
      assign,
      () =>
        `if (${expression(type, 1, 0)} ${pick(["<", ">=", "==", "!="])} ${expression(type, 1, 0)}) ${block(callable)}`,
      () => `if (n & ${1 << below(3)}) ${block(callable)} else ${block(callable)}`,
      () => {
        const i = `i${loops++}`;
        // What calls in a loop call would grow without bounds.
        return `for (int ${i} = 0; ${i} < ${1 + below(6)}; ${i}++) { n += ${i}; ${block(0)} }`;
      },
      () => `p[(n + ${below(8)}) & 7].${type === "float" ? "f" : "d"} = ${expression(type, 1, 0)};`,
      () => `if (p[n & 7].d > 1e9) break_off(&p[n & 7]);`,
    ])();
  };

  const body = (number: number): string => {
    const lines = Array.from({ length: STATEMENTS + below(STATEMENTS) }, () => statement(DEPTH, Math.min(number, 6)));
    const result = pick(TYPES);
    return `static __attribute__((noinline)) ${result} function${number}(double d0, float f0, struct pair *p, unsigned n) {
  double d1 = d0 + 1, d2 = p[1].d, d3 = 0; float f1 = f0 * 2, f2 = p[2].f, f3 = 1;
  if (++depth > 3) { depth--; return (${result})d0; }
  ${lines.join("\n  ")}
  depth--;
  return (${result})(d0 + d1 - d2 * d3 + f0 - f1 * f2 + f3);
}`;
  };
  const bodies = Array.from({ length: FUNCTIONS }, (_, i) => body(i));
  return `#include <stdio.h>
#include <string.h>
struct pair { double d; float f; };
static int depth;
static __attribute__((noinline)) void break_off(struct pair *pair) { pair->d = 0.5; pair->f = (float)pair->d; }
${bodies.join("\n")}
static void print(double value) { unsigned long bits; memcpy(&bits, &value, 8); printf(" %016lx", bits); }
int main(void) {
  struct pair pairs[8];
  for (int round = 0; round < 30; round++) {
    for (int i = 0; i < 8; i++) pairs[i] = (struct pair){ round * 0.37 - i, i * 1.5f - round };
${bodies.map((_, i) => `    printf("%d ${i}:", round), print(function${i}(round * 0.11, round - 2.5f, pairs, round)), printf("\\n");`).join("\n")}
    for (int i = 0; i < 8; i++) print(pairs[i].d), print(pairs[i].f);
    printf("\\n");
  }
  return 0;
}
`;
}
