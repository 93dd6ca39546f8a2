// Operations that aarch64 has as instructions and that LLVM would not find in what they are composed of: the one place
// where the vocabulary is bound to a host's own instructions. They need the extensions AES (with PMULL), SHA1, SHA2 and
// CRC32, which every core of Armv8.2 that servers use has. The other host has no bindings: its build of the interpreter
// composes, so that the tests hold both ways against the same CPU.

import { IrOps } from "./ops.ts";
import { type IrValue, laneType, mangle } from "./value.ts";

/** The vocabulary's NativeOp. */
export type IrNativeOp =
  | "aesEncrypt"
  | "aesDecrypt"
  | "aesMix"
  | "aesInverseMix"
  | "carrylessMultiply"
  | "crc32c"
  | "sha1Choice"
  | "sha1Parity"
  | "sha1Majority"
  | "sha256Rounds"
  | "sha256Message1"
  | "sha256Message2"
  | "lookUpBytes"
  | "sumDifferences"
  | "multiplyAddWords"
  | "multiplyUnsignedHalves"
  | "multiplySignedHalves";

type Binding = (ops: IrNativeOps, operands: readonly IrValue[]) => IrValue;

const BYTES = "<16 x i8>";
const WORDS = "<4 x i32>";

/** Calls an intrinsic whose operands and result have the types given. */
function call(ops: IrOps, name: string, type: string, operands: readonly (readonly [IrValue, string])[]): IrValue {
  const width = type.startsWith("<") ? 128 : Number(type.slice(1));
  const parameters = operands.map(([value, operandType]) => ops.fn.typed(value, operandType));
  return ops.fn.named(width, type, ops.fn.intrinsic(name, type, parameters));
}

const onBytes =
  (name: string, withZeroKey: boolean): Binding =>
  (ops, [state]) =>
    call(ops, `llvm.aarch64.crypto.${name}`, BYTES, [
      [state!, BYTES],
      ...(withZeroKey ? [[ops.int(128, 0), BYTES] as const] : []),
    ]);

const onWords =
  (name: string): Binding =>
  (ops, operands) =>
    call(
      ops,
      `llvm.aarch64.crypto.${name}`,
      WORDS,
      operands.map((operand) => [operand, WORDS] as const),
    );

/** x86 keeps the first word of SHA-1's state on top, Arm at the bottom. */
const sha1 =
  (name: string): Binding =>
  (ops, [state, words]) => {
    const reverse = (value: IrValue): IrValue => ops.shuffle(32, value, value, [3, 2, 1, 0]);
    const result = call(ops, `llvm.aarch64.crypto.${name}`, WORDS, [
      [reverse(state!), WORDS],
      [ops.int(32, 0), "i32"],
      [reverse(words!), WORDS],
    ]);
    return reverse(result);
  };

/**
 * Two rounds. Arm's instructions do four: what the first two of them make is in the upper halves of the results, whatever the
 * other two words are. So where x86 code does the next two with the upper words, they are done already.
 */
const sha256Rounds: Binding = (ops, [cdgh, abef, words]) => {
  const before = ops.sha256Steps.get(abef!);
  if (before?.isHalf && before.abef === cdgh && ops.isUpperHalf(words!, before.words)) {
    const { abcd, efgh } = before;
    const result = ops.shuffle(32, efgh, abcd, [1, 0, 5, 4]);
    ops.sha256Steps.set(result, { isHalf: false, abef: abef!, words: words!, abcd, efgh });
    return result;
  }
  const isNext = before?.isHalf === false && before.abef === cdgh;
  const abcd = isNext ? before.abcd : ops.shuffle(32, abef!, cdgh!, [3, 2, 7, 6]);
  const efgh = isNext ? before.efgh : ops.shuffle(32, abef!, cdgh!, [1, 0, 5, 4]);
  const upper = onWords("sha256h")(ops, [abcd, efgh, words!]);
  const lower = onWords("sha256h2")(ops, [efgh, abcd, words!]);
  const result = ops.shuffle(32, lower, upper, [3, 2, 7, 6]);
  ops.sha256Steps.set(result, { isHalf: true, abef: abef!, words: words!, abcd: upper, efgh: lower });
  return result;
};

/** What is known of the result of two rounds of SHA-256. */
interface Sha256Step {
  /** Whether it is in the middle of four rounds; else it is their end. */
  readonly isHalf: boolean;
  /** The operand that holds A, B, E and F before them: C, D, G and H afterwards. */
  readonly abef: IrValue;
  readonly words: IrValue;
  /** The state after four rounds, as Arm keeps it. */
  readonly abcd: IrValue;
  readonly efgh: IrValue;
}

/** With zeros for the words that x86 has had added before. */
const sha256Message2: Binding = (ops, [sums, last]) =>
  onWords("sha256su1")(ops, [sums!, ops.int(128, 0), ops.setLane(last!, 32, 0, ops.int(32, 0))]);

const crc32c: Binding = (ops, [crc, data]) => {
  const letter = { 8: "b", 16: "h", 32: "w", 64: "x" }[data!.width]!;
  const type = data!.width === 64 ? "i64" : "i32";
  return call(ops, `llvm.aarch64.crc32c${letter}`, "i32", [
    [crc!, "i32"],
    [ops.zext(data!, data!.width === 64 ? 64 : 32), type],
  ]);
};

const sumDifferences: Binding = (ops, operands) => {
  let sum = call(
    ops,
    "llvm.aarch64.neon.uabd.v16i8",
    BYTES,
    operands.map((operand) => [operand, BYTES] as const),
  );
  for (const from of [8, 16, 32]) {
    const [source, target] = [laneType(128, from), laneType(128, from * 2)];
    sum = call(ops, `llvm.aarch64.neon.uaddlp.${mangle(target)}.${mangle(source)}`, target, [[sum, source]]);
  }
  return sum;
};

const multiplyAddWords: Binding = (ops, [a, b]) => {
  const half = (lanes: readonly number[]): IrValue => {
    const [x, y] = [a!, b!].map((value) => ops.widen(ops.shuffle(16, value, value, lanes), 16, 32, true));
    return ops.lanes("mul", 32, x!, y!);
  };
  const pair = [half([0, 1, 2, 3]), half([4, 5, 6, 7])].map((value) => [value, WORDS] as const);
  return call(ops, "llvm.aarch64.neon.addp.v4i32", WORDS, pair);
};

const multiplyHalves =
  (name: string): Binding =>
  (ops, operands) => {
    const halves = operands.map((value) => [ops.narrow(value, 64, 32, "truncate"), "<2 x i32>"] as const);
    return call(ops, `llvm.aarch64.neon.${name}.v2i64`, "<2 x i64>", halves);
  };

const AARCH64: Readonly<Record<IrNativeOp, Binding>> = {
  aesEncrypt: onBytes("aese", true),
  aesDecrypt: onBytes("aesd", true),
  aesMix: onBytes("aesmc", false),
  aesInverseMix: onBytes("aesimc", false),
  carrylessMultiply: (ops, [a, b]) =>
    call(ops, "llvm.aarch64.neon.pmull64", BYTES, [
      [a!, "i64"],
      [b!, "i64"],
    ]),
  crc32c,
  sha1Choice: sha1("sha1c"),
  sha1Parity: sha1("sha1p"),
  sha1Majority: sha1("sha1m"),
  sha256Rounds,
  sha256Message1: onWords("sha256su0"),
  sha256Message2,
  lookUpBytes: (ops, operands) =>
    call(
      ops,
      "llvm.aarch64.neon.tbl1.v16i8",
      BYTES,
      operands.map((operand) => [operand, BYTES] as const),
    ),
  sumDifferences,
  multiplyAddWords,
  multiplyUnsignedHalves: multiplyHalves("umull"),
  multiplySignedHalves: multiplyHalves("smull"),
};

/** All operations, with those that the host has itself. */
export class IrNativeOps extends IrOps {
  readonly sha256Steps = new WeakMap<IrValue, Sha256Step>();
  readonly #upperHalves = new WeakMap<IrValue, IrValue>();

  override shuffle(laneBits: number, a: IrValue, b: IrValue, indices: readonly number[]): IrValue {
    const result = super.shuffle(laneBits, a, b, indices);
    if (laneBits === 32 && a.width === 128 && indices.length === 4 && indices[0] === 2 && indices[1] === 3)
      this.#upperHalves.set(result, a);
    return result;
  }

  /** Whether the lower half of `value` is the upper half of `of`, as far as is known. */
  isUpperHalf(value: IrValue, of: IrValue): boolean {
    return this.#upperHalves.get(value) === of;
  }

  native(op: IrNativeOp, operands: readonly IrValue[], compose: () => IrValue): IrValue {
    return this.target === "aarch64" ? AARCH64[op](this, operands) : compose();
  }
}
