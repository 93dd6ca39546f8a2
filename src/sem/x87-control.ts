// x87 instructions that move values and state without computing: loads and stores of registers and of 80-bit numbers,
// exchanges, signs, constants, the stack pointer, control and status words, environment and state images.

import { partial } from "./rows.ts";
import { range } from "./simd-operands.ts";
import { Unsupported } from "./unsupported.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";
import {
  C0,
  C1,
  C2,
  C3,
  changeStatus,
  contentOf,
  inUse,
  noteUnderflow,
  noteUnderflowOnly,
  physical,
  pop,
  push,
  setInUse,
  setTop,
} from "./x87-stack.ts";

export const MASKED = "exceptions get the masked response and never trap; the last-instruction pointers are not kept";
export const x87 = (name: string, semantic: Semantic, reason = MASKED): Row => partial(name, semantic, reason);

/** The number of the last register operand, st(i). */
export function lastIndex<V>(insn: Insn<V>): V {
  return insn.registerNumber(insn.opCount - 1);
}

/** fld st(i) and fld m80; the shorter memory forms are in x87-arithmetic.ts. */
export const loadRegisterOrExtended: Semantic = (s, insn) => {
  if (insn.kind(0) === "st") {
    const register = physical(s, lastIndex(insn));
    return push(s, s.x87(register), s.not(inUse(s, register)));
  }
  const address = insn.address(0);
  const low = s.load(64, address);
  push(s, s.concat(s.load(16, s.add(address, s.int(64, 8))), low));
};

/** fst st(i), fstp st(i), fstp m80. */
export function storeRegisterOrExtended(pops: boolean): Semantic {
  return (s, insn) => {
    const top = physical(s, 0);
    const empty = s.not(inUse(s, top));
    const value = contentOf(s, top);
    if (insn.kind(0) === "memory") {
      const address = insn.address(0);
      s.store(address, s.trunc(value, 64));
      s.store(s.add(address, s.int(64, 8)), s.bits(value, 64, 16));
    } else {
      const target = physical(s, lastIndex(insn));
      s.setX87(target, value);
      setInUse(s, target, true);
    }
    noteUnderflow(s, empty);
    if (pops) pop(s);
  };
}

const exchange: Semantic = (s, insn) => {
  const [top, other] = [physical(s, 0), physical(s, lastIndex(insn))];
  const [a, b] = [contentOf(s, top), contentOf(s, other)];
  const empty = s.not(s.and(inUse(s, top), inUse(s, other)));
  s.setX87(top, b);
  s.setX87(other, a);
  setInUse(s, top, true);
  setInUse(s, other, true);
  noteUnderflow(s, empty);
};

/** fchs, fabs: the sign bit, of NaNs too. */
function changeSign(compute: <V>(s: Sem<V>, value: V, sign: V) => V): Semantic {
  return (s) => {
    const top = physical(s, 0);
    const empty = s.not(inUse(s, top));
    const value = s.x87(top);
    s.setX87(top, s.select(empty, contentOf(s, top), compute(s, value, s.int(80, 1n << 79n))));
    setInUse(s, top, true);
    noteUnderflow(s, empty);
  };
}

/**
 * A constant: the number cut to 64 bits, and whether what is cut off rounds up in the modes nearest, down, up, zero (the
 * control word's numbers 0..3).
 */
function constant(truncated: bigint, roundsUp: readonly [boolean, boolean, boolean, boolean]): Semantic {
  const table = roundsUp.reduce((bits, up, mode) => bits | (up ? 1 << mode : 0), 0);
  return (s) => {
    const mode = s.zext(s.bits(s.field("fcw"), 10, 2), 8);
    const up = s.zext(s.trunc(s.lshr(s.int(8, table), mode), 1), 80);
    push(s, s.add(s.int(80, truncated), up));
  };
}
const EXACT = [false, false, false, false] as const;
const ABOVE_HALF = [true, false, true, false] as const;
const BELOW_HALF = [false, false, true, false] as const;

function moveTop(by: 1 | 7): Semantic {
  return (s) => {
    setTop(s, physical(s, by));
    changeStatus(s, C1, s.int(16, 0));
  };
}

const free = (pops: boolean): Semantic => {
  return (s, insn) => {
    setInUse(s, physical(s, lastIndex(insn)), false);
    changeStatus(s, C1, s.int(16, 0));
    // ffreep moves the top without looking at its tag.
    if (pops) pop(s);
  };
};

const loadControl: Semantic = (s, insn) => s.setField("fcw", controlWord(s, insn.read(0)));
/** Bit 6 of the control word always reads as 1, bits 7, 13, 14 and 15 as 0. */
const controlWord = <V>(s: Sem<V>, value: V): V => s.or(s.and(value, s.int(16, 0x1f3f)), s.int(16, 0x40));

const storeControl: Semantic = (s, insn) => insn.write(0, s.field("fcw"));
const storeStatus: Semantic = (s, insn) => insn.write(0, s.field("fsw"));
const clearExceptions: Semantic = (s) => s.setField("fsw", s.and(s.field("fsw"), s.int(16, 0x7f00)));

function initialize<V>(s: Sem<V>): void {
  s.setField("fcw", s.int(16, 0x37f));
  s.setField("fsw", s.int(16, 0));
  s.setField("ftw", s.int(8, 0));
  s.setField("fop", s.int(16, 0));
  s.setField("fip", s.int(64, 0));
  s.setField("fdp", s.int(64, 0));
}

/** The full tag word: 0 valid, 1 zero, 2 special, 3 empty for each physical register. */
function fullTags<V>(s: Sem<V>): V {
  const tags = range(8, (register) => {
    const value = s.x87(s.int(8, register));
    const [exponent, integer] = [s.bits(value, 64, 15), s.bits(value, 63, 1)];
    const isZero = s.eq(s.and(value, s.int(80, (1n << 79n) - 1n)), s.int(80, 0));
    const isSpecial = s.or(s.eq(exponent, s.int(15, 0x7fff)), s.not(integer));
    const kind = s.select(isZero, s.int(2, 1), s.select(isSpecial, s.int(2, 2), s.int(2, 0)));
    return s.select(inUse(s, s.int(8, register)), kind, s.int(2, 3));
  });
  return s.concat(...tags.reverse());
}

function wantLongImage<V>(insn: Insn<V>): void {
  if (/m(?:14|94)byte/.test(insn.code)) throw new Unsupported(`${insn.code}: 16-bit images of the x87 state`);
}

function storeEnvironment<V>(s: Sem<V>, address: V): void {
  const word = (value: V, above = 0xffff) => s.concat(s.int(16, above), value);
  const at = (offset: number) => s.add(address, s.int(64, offset));
  s.store(at(0), s.concat(word(s.field("fsw")), word(s.field("fcw"))));
  s.store(at(8), s.concat(s.trunc(s.field("fip"), 32), word(fullTags(s))));
  const opcode = s.concat(s.and(s.field("fop"), s.int(16, 0x7ff)), s.int(16, 0));
  s.store(at(16), s.concat(s.trunc(s.field("fdp"), 32), opcode));
  s.store(at(24), word(s.int(16, 0)));
}

interface Environment<V> {
  readonly words: readonly V[];
}

function readEnvironment<V>(s: Sem<V>, address: V): Environment<V> {
  return { words: range(7, (i) => s.load(32, s.add(address, s.int(64, 4 * i)))) };
}

function applyEnvironment<V>(s: Sem<V>, { words }: Environment<V>): void {
  const used = range(8, (register) => s.ne(s.bits(words[2]!, register * 2, 2), s.int(2, 3)));
  s.setField("fcw", controlWord(s, s.trunc(words[0]!, 16)));
  s.setField("fsw", s.trunc(words[1]!, 16));
  s.setField("ftw", s.concat(...used.reverse()));
  s.setField("fip", s.zext(words[3]!, 64));
  s.setField("fop", s.and(s.bits(words[4]!, 16, 16), s.int(16, 0x7ff)));
  s.setField("fdp", s.zext(words[5]!, 64));
}

const saveEnvironment: Semantic = (s, insn) => {
  wantLongImage(insn);
  storeEnvironment(s, insn.address(0));
  s.setField("fcw", s.or(s.field("fcw"), s.int(16, 0x3f)));
};

const loadEnvironment: Semantic = (s, insn) => {
  wantLongImage(insn);
  applyEnvironment(s, readEnvironment(s, insn.address(0)));
};

const ENVIRONMENT_BYTES = 28;
const partAddress = <V>(s: Sem<V>, address: V, index: number, part: number): V =>
  s.add(address, s.int(64, ENVIRONMENT_BYTES + 10 * index + part));

/** fnsave: the environment, then st(0) to st(7), 80 bits each. */
const saveState: Semantic = (s, insn) => {
  wantLongImage(insn);
  const address = insn.address(0);
  storeEnvironment(s, address);
  for (let i = 0; i < 8; i++) {
    const value = s.x87(physical(s, i));
    s.store(partAddress(s, address, i, 0), s.trunc(value, 64));
    s.store(partAddress(s, address, i, 8), s.bits(value, 64, 16));
  }
  initialize(s);
};

const restoreState: Semantic = (s, insn) => {
  wantLongImage(insn);
  const address = insn.address(0);
  const environment = readEnvironment(s, address);
  const values = range(8, (i) =>
    s.concat(s.load(16, partAddress(s, address, i, 8)), s.load(64, partAddress(s, address, i, 0))),
  );
  applyEnvironment(s, environment);
  values.forEach((value, i) => {
    s.setX87(physical(s, i), value);
  });
};

type Condition = <V>(s: Sem<V>) => V;

/** fcmov: st(0) becomes st(i) when the condition holds. */
function moveIf(condition: Condition): Semantic {
  return (s, insn) => {
    const [top, other] = [physical(s, 0), physical(s, lastIndex(insn))];
    const empty = s.not(s.and(inUse(s, top), inUse(s, other)));
    const chosen = s.select(condition(s), s.x87(other), s.x87(top));
    s.setX87(top, s.select(empty, s.int(80, 0xffff_c000_0000_0000_0000n), chosen));
    setInUse(s, top, true);
    noteUnderflowOnly(s, empty);
  };
}

/** fxam: C1 is the sign; C3 C2 C0 tell the class: unsupported, NaN, normal, infinity, zero, empty, denormal. */
const examine: Semantic = (s) => {
  const top = physical(s, 0);
  const value = s.x87(top);
  const [exponent, mantissa] = [s.bits(value, 64, 15), s.trunc(value, 64)];
  const integer = s.bits(mantissa, 63, 1);
  const fraction = s.bits(mantissa, 0, 63);
  const is = (a: typeof value, b: number) => s.eq(a, s.int(s.w(a), b));
  const code = (bits: number) => s.int(16, bits);
  const small = s.select(is(mantissa, 0), code(C3), code(C3 | C2));
  const large = s.select(integer, s.select(is(fraction, 0), code(C2 | C0), code(C0)), code(0));
  const middle = s.select(integer, code(C2), code(0));
  const finite = s.select(is(exponent, 0), small, s.select(is(exponent, 0x7fff), large, middle));
  const kind = s.select(inUse(s, top), finite, code(C3 | C0));
  const sign = s.select(s.bits(value, 79, 1), code(C1), code(0));
  changeStatus(s, C0 | C1 | C2 | C3, s.or(kind, sign));
};

const nothing: Semantic = () => {};

const CONDITIONS: readonly (readonly [string, Condition])[] = [
  ["b", (s) => s.flag("cf")],
  ["e", (s) => s.flag("zf")],
  ["be", (s) => s.or(s.flag("cf"), s.flag("zf"))],
  ["u", (s) => s.flag("pf")],
];

export const X87_CONTROL: readonly Row[] = [
  x87("Fxch", exchange),
  x87(
    "Fchs",
    changeSign((s, value, sign) => s.xor(value, sign)),
  ),
  x87(
    "Fabs",
    changeSign((s, value, sign) => s.and(value, s.not(sign))),
  ),
  x87("Fld1", constant(0x3fff_8000_0000_0000_0000n, EXACT)),
  x87("Fldz", constant(0n, EXACT)),
  x87("Fldl2t", constant(0x4000_d49a_784b_cd1b_8afen, BELOW_HALF)),
  x87("Fldl2e", constant(0x3fff_b8aa_3b29_5c17_f0bbn, ABOVE_HALF)),
  x87("Fldpi", constant(0x4000_c90f_daa2_2168_c234n, ABOVE_HALF)),
  x87("Fldlg2", constant(0x3ffd_9a20_9a84_fbcf_f798n, ABOVE_HALF)),
  x87("Fldln2", constant(0x3ffe_b172_17f7_d1cf_79abn, ABOVE_HALF)),
  x87("Fincstp", moveTop(1)),
  x87("Fdecstp", moveTop(7)),
  x87("Ffree", free(false)),
  x87("Ffreep", free(true)),
  x87("Fldcw", loadControl),
  ...["Fnstcw", "Fstcw"].map((name) => x87(name, storeControl)),
  ...["Fnstsw", "Fstsw"].map((name) => x87(name, storeStatus)),
  ...["Fnclex", "Fclex"].map((name) => x87(name, clearExceptions)),
  ...["Fninit", "Finit"].map((name) => x87(name, (s) => initialize(s))),
  ...["Fnstenv", "Fstenv"].map((name) => x87(name, saveEnvironment)),
  x87("Fldenv", loadEnvironment),
  ...["Fnsave", "Fsave"].map((name) => x87(name, saveState)),
  x87("Frstor", restoreState),
  x87("Fnop", nothing),
  x87("Wait", nothing),
  ...CONDITIONS.flatMap(([name, condition]) => [
    x87(`Fcmov${name}`, moveIf(condition)),
    x87(
      `Fcmovn${name}`,
      moveIf((s) => s.not(condition(s))),
    ),
  ]),
  x87("Fxam", examine),
];
