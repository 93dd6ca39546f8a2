// tier: cpu
// The operations fold constants themselves; what they fold to is held against LLVM, which computes the same operations on
// values that it cannot see, on this machine. Counts and divisors beyond the width are among them: operations are total.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../src/host/index.ts";
import { IrFunction, IrModule, IrOps, type IrValue } from "../../src/llvm/index.ts";
import { Random } from "./encode.ts";

const BINARY = [
  "add",
  "sub",
  "mul",
  "udiv",
  "urem",
  "sdiv",
  "srem",
  "and",
  "or",
  "xor",
  "shl",
  "lshr",
  "ashr",
] as const;
const MORE_BINARY = ["rotl", "rotr", "eq", "ne", "ult", "ule", "slt", "sle"] as const;
const UNARY = ["not", "neg", "popcount", "clz", "ctz"] as const;
const WIDTHS = [1, 5, 8, 9, 16, 17, 32, 33, 64, 65, 80, 128, 256];

/** A value that is likely to lie at an edge of its width. */
function edge(random: Random, width: number): bigint {
  const all = (1n << BigInt(width)) - 1n;
  const choices = [0n, 1n, all, all >> 1n, (all >> 1n) + 1n, BigInt(random.below(2 * width + 2))];
  if (random.chance(2)) return random.pick(choices) & all;
  let value = 0n;
  for (let at = 0; at < width; at += 32) value = (value << 32n) | BigInt(random.next());
  return value & all;
}

/** A case: the operation's name and how to apply it to constants or to values that are not known. */
interface Case {
  readonly name: string;
  readonly inputs: readonly IrValue[];
  readonly apply: (ops: IrOps, inputs: readonly IrValue[]) => IrValue;
}

function makeCases(ops: IrOps, random: Random): Case[] {
  const cases: Case[] = [];
  const inputs = (width: number, count: number): IrValue[] =>
    Array.from({ length: count }, () => ops.int(width, edge(random, width)));
  for (const width of WIDTHS) {
    for (let round = 0; round < 6; round++) {
      for (const op of [...BINARY, ...MORE_BINARY]) {
        // The support library has no division of more than 128 bits, and no instruction has one.
        if (width > 128 && (op === "udiv" || op === "urem" || op === "sdiv" || op === "srem")) continue;
        cases.push({ name: `${op} i${width}`, inputs: inputs(width, 2), apply: (o, [a, b]) => o[op](a!, b!) });
      }
      for (const op of UNARY) {
        cases.push({ name: `${op} i${width}`, inputs: inputs(width, 1), apply: (o, [a]) => o[op](a!) });
      }
      const low = random.below(width);
      const size = 1 + random.below(width - low);
      cases.push({
        name: `bits i${width} ${low} ${size}`,
        inputs: inputs(width, 1),
        apply: (o, [a]) => o.bits(a!, low, size),
      });
      cases.push({ name: `zext i${width}`, inputs: inputs(width, 1), apply: (o, [a]) => o.zext(a!, 2 * width) });
      cases.push({ name: `sext i${width}`, inputs: inputs(width, 1), apply: (o, [a]) => o.sext(a!, 2 * width) });
      cases.push({ name: `concat i${width}`, inputs: inputs(width, 3), apply: (o, [a, b, c]) => o.concat(a!, b!, c!) });
      cases.push({ name: `fshl i${width}`, inputs: inputs(width, 3), apply: (o, [a, b, c]) => o.fshl(a!, b!, c!) });
      cases.push({ name: `fshr i${width}`, inputs: inputs(width, 3), apply: (o, [a, b, c]) => o.fshr(a!, b!, c!) });
    }
  }
  return cases;
}

/** The operation's result on constants: as folded, or computed by LLVM where IrOps does not fold it whole. */
function writeCase(module: IrModule, number: number, { inputs, apply }: Case): void {
  const fn = new IrFunction(module, `define i32 @case${number}() nounwind`);
  const ops = new IrOps(fn);
  const unknown = inputs.map((input, i) => {
    const type = `i${input.width}`;
    module.append(`@in${number}.${i} = global ${type} ${input.constant}`);
    return fn.value(input.width, type, `load volatile ${type}, ptr @in${number}.${i}`);
  });
  const computed = apply(ops, unknown);
  const folded = apply(ops, inputs);
  fn.end(`ret i32 ${fn.emit(`zext i1 ${fn.text(ops.ne(computed, folded), "i1")} to i32`)}`);
  fn.finish();
}

test("constants fold to what LLVM computes", { timeout: 300_000 }, async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const module = new IrModule("x86_64");
  const scratch = new IrFunction(new IrModule("x86_64"), "define void @scratch()");
  const cases = makeCases(new IrOps(scratch), new Random(seed));
  cases.forEach((one, number) => {
    writeCase(module, number, one);
  });
  const main = new IrFunction(module, "define i32 @main()");
  module.declare("declare i32 @printf(ptr, ...)");
  module.append('@format = constant [4 x i8] c"%d\\0A\\00"');
  cases.forEach((_, number) => {
    const [wrong, next] = [main.newLabel(), main.newLabel()];
    const result = main.emit(`call i32 @case${number}()`);
    main.end(`br i1 ${main.emit(`icmp ne i32 ${result}, 0`)}, label %${wrong}, label %${next}`);
    main.begin(wrong);
    main.effect(`call i32 (ptr, ...) @printf(ptr @format, i32 ${number})`);
    main.jump(next);
    main.begin(next);
  });
  main.end("ret i32 0");
  main.finish();
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-fold-"));
  try {
    const file = join(directory, "fold.ll");
    writeFileSync(file, module.toString());
    const { status, stdout, stderr } = await run("lli-19", ["-O0", file]);
    assert.equal(status, 0, stderr);
    const wrong = stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => cases[Number(line)]!);
    const told = wrong.map(({ name, inputs }) => `${name} of ${inputs.map((v) => v.constant).join(", ")}`);
    assert.deepEqual(told, [], `seed ${seed}`);
    assert.ok(cases.length > 2000);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
