// The string comparisons of SSE4.2 (pcmpestri, pcmpestrm, pcmpistri, pcmpistrm). The first operand is a set, a list of
// ranges or a needle; the second one is the text. The steps and their names are those of the SDM, Vol. 1, section 4.9.

import { full } from "./rows.ts";
import { bitwise, choose, every, range } from "./simd-operands.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

interface Strings<V> {
  /** Operands 0 and 1. */
  readonly set: V;
  readonly text: V;
  /** Lengths in EAX and EDX (or RAX and RDX) if they are explicit. */
  readonly lengths: readonly [V, V] | undefined;
  readonly immediate: V;
}

/** One bit for each element before the end of a string. */
function validity<V>(s: Sem<V>, value: V, length: V | undefined, elementBits: number): V {
  const count = 128 / elementBits;
  if (length === undefined) {
    const zeros = s.signMask(s.lanes("eq", elementBits, value, s.int(128, 0)), elementBits);
    return s.sub(s.and(zeros, s.neg(zeros)), s.int(count, 1));
  }
  const width = s.w(length);
  const magnitude = s.select(s.slt(length, s.int(width, 0)), s.neg(length), length);
  const limited = s.select(s.ult(s.int(width, count), magnitude), s.int(width, count), magnitude);
  return s.trunc(s.sub(s.shl(s.int(32, 1), s.trunc(s.zext(limited, 128), 32)), s.int(32, 1)), count);
}

/** IntRes1 for the four aggregations. All comparisons are made on lanes, and become bits at the end. */
function aggregate<V>(s: Sem<V>, strings: Strings<V>, elementBits: number, validSet: V, validText: V): V {
  const count = 128 / elementBits;
  const { set, text, immediate } = strings;
  const matches = (lanes: V) => s.and(s.signMask(lanes, elementBits), validText);
  const splat = (value: V, lane: number) => s.splat(s.lane(value, elementBits, lane), 128);
  const every128 = s.not(s.int(128, 0));
  /** The set with what is not valid replaced by its first `unit` bits: nothing more can match. */
  const repeated = (valid: V, unit: number) => bitwise(s, valid, set, s.splat(s.bits(set, 0, unit), 128));
  const unlessEmpty = (bits: V, element: number) => s.and(bits, s.sext(s.bits(validSet, element, 1), count));

  const equalAny = () => {
    const safe = repeated(s.expandMask(validSet, elementBits), elementBits);
    const found = range(count, (i) => s.lanes("eq", elementBits, text, splat(safe, i)));
    return unlessEmpty(matches(found.reduce((some, more) => s.or(some, more))), 0);
  };

  const ranges = () => {
    // Signed comparison is unsigned comparison with the top bits flipped.
    const top = every(s, 128, elementBits, 1n << BigInt(elementBits - 1));
    const bias = s.and(top, s.sext(s.bits(immediate, 1, 1), 128));
    const valid = s.expandMask(validSet, elementBits);
    const validPairs = s.shuffle(
      elementBits,
      valid,
      valid,
      range(count, (i) => i | 1),
    );
    const safe = s.xor(repeated(validPairs, 2 * elementBits), bias);
    const biased = s.xor(text, bias);
    const found = range(count / 2, (i) =>
      s.and(
        s.lanes("uge", elementBits, biased, splat(safe, 2 * i)),
        s.lanes("ule", elementBits, biased, splat(safe, 2 * i + 1)),
      ),
    );
    return unlessEmpty(matches(found.reduce((some, more) => s.or(some, more))), 1);
  };

  const equalEach = () => {
    const equal = s.and(matches(s.lanes("eq", elementBits, text, set)), validSet);
    return s.or(equal, s.not(s.or(validSet, validText)));
  };

  const equalOrdered = () => {
    const validLanes = s.expandMask(validText, elementBits);
    const beyond = s.not(s.expandMask(validSet, elementBits));
    const agree = range(count, (i) => {
      // Element i of the needle against text element j + i; behind the end of the register everything matches.
      const equal = s.and(s.lanes("eq", elementBits, text, splat(set, i)), validLanes);
      const order = range(count, (lane) => lane + i);
      return s.or(s.shuffle(elementBits, equal, every128, order), splat(beyond, i));
    });
    return s.signMask(
      agree.reduce((all, more) => s.and(all, more)),
      elementBits,
    );
  };

  return choose(s, s.bits(immediate, 2, 2), [equalAny, ranges, equalEach, equalOrdered]);
}

interface Outcome<V> {
  /** IntRes2, zero-extended to 16 bits. */
  readonly result: V;
  /** Index by the immediate's choice, 32 bits. */
  readonly index: V;
  /** The mask as lanes, 128 bits. */
  readonly lanes: V;
  readonly setEnds: V;
  readonly textEnds: V;
}

function compareElements<V>(s: Sem<V>, strings: Strings<V>, elementBits: number): Outcome<V> {
  const count = 128 / elementBits;
  const { immediate } = strings;
  const validSet = validity(s, strings.set, strings.lengths?.[0], elementBits);
  const validText = validity(s, strings.text, strings.lengths?.[1], elementBits);
  const first = aggregate(s, strings, elementBits, validSet, validText);
  const everything = s.not(s.int(count, 0));
  const flip = choose(s, s.bits(immediate, 4, 2), [
    () => s.int(count, 0),
    () => everything,
    () => s.int(count, 0),
    () => validText,
  ]);
  const result = s.zext(s.xor(first, flip), 32);
  const lowest = s.select(s.eq(result, s.int(32, 0)), s.int(32, count), s.ctz(result));
  const highest = s.select(s.eq(result, s.int(32, 0)), s.int(32, count), s.sub(s.int(32, 31), s.clz(result)));
  return {
    result: s.trunc(result, 16),
    index: choose(s, s.bits(immediate, 6, 1), [() => lowest, () => highest]),
    lanes: s.expandMask(s.trunc(result, count), elementBits),
    setEnds: s.ne(validSet, everything),
    textEnds: s.ne(validText, everything),
  };
}

/** Explicit lengths are in registers of 32 or 64 bits; 0: strings end at a zero. */
function compareStrings(lengthBits: 0 | 32 | 64, output: "index" | "mask"): Semantic {
  return <V>(s: Sem<V>, insn: Insn<V>) => {
    const text = insn.read(1);
    const immediate = insn.immediate(2, 8);
    const lengths: [V, V] | undefined = lengthBits === 0 ? undefined : [s.gpr(0, lengthBits), s.gpr(2, lengthBits)];
    const strings: Strings<V> = { set: insn.read(0), text, lengths, immediate };
    const isWords = s.bits(immediate, 0, 1);
    const known = s.constantOf(isWords);
    const outcomes = ([8, 16] as const).map((bits, words) =>
      known === undefined || known === BigInt(words) ? compareElements(s, strings, bits) : undefined,
    );
    const pick = (key: keyof Outcome<V>): V => {
      const [bytes, words] = outcomes;
      if (!bytes) return words![key];
      return words ? s.select(isWords, words[key], bytes[key]) : bytes[key];
    };
    const result = pick("result");
    if (output === "index") {
      s.setGpr(1, pick("index"));
    } else {
      const bits = s.zext(result, 128);
      const value = choose(s, s.bits(immediate, 6, 1), [() => bits, () => pick("lanes")]);
      s.setVector(0, value, insn.encoding === "legacy" ? "merge" : "zero");
    }
    const [setEnds, textEnds] = [pick("setEnds"), pick("textEnds")];
    s.setFlag("cf", () => s.ne(result, s.int(16, 0)));
    s.setFlag("zf", () => textEnds);
    s.setFlag("sf", () => setEnds);
    s.setFlag("of", () => s.bits(result, 0, 1));
    s.setFlag("af", () => s.int(1, 0));
    s.setFlag("pf", () => s.int(1, 0));
  };
}

export const SIMD_STRING: readonly Row[] = ["P", "Vp"].flatMap((prefix) => [
  full(`${prefix}cmpistri`, compareStrings(0, "index")),
  full(`${prefix}cmpistrm`, compareStrings(0, "mask")),
  full(`${prefix}cmpestri`, compareStrings(32, "index")),
  full(`${prefix}cmpestrm`, compareStrings(32, "mask")),
  full(`${prefix}cmpestri64`, compareStrings(64, "index")),
  full(`${prefix}cmpestrm64`, compareStrings(64, "mask")),
]);
