// x87 arithmetic on 80-bit numbers. It is done by runtime/helpers-x87.c, which works on the registers of the canonical
// state, sets the status word and never touches memory: loads come before (the helper gets the bits), and stores are made
// here between a helper that gives the converted value and one that records what the conversion did.

import { partial } from "./rows.ts";
import { Unsupported } from "./unsupported.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";
import { lastIndex, loadRegisterOrExtended, MASKED, storeRegisterOrExtended, x87 } from "./x87-control.ts";
import { pop } from "./x87-stack.ts";

/** How a memory operand holds a number. */
type MemoryKind = "f32" | "f64" | "i16" | "i32" | "i64";

function memoryKind<V>(insn: Insn<V>): MemoryKind {
  const kind = /_m(16|32|64)(fp|int)$/.exec(insn.code);
  if (!kind) throw new Unsupported(`${insn.code}: not an x87 memory form`);
  return `${kind[2] === "fp" ? "f" : "i"}${kind[1]}` as MemoryKind;
}

/** Loads a memory operand's bits, zero-extended to 64. */
function loadBits<V>(s: Sem<V>, insn: Insn<V>): V {
  const value = insn.read(0);
  return s.w(value) === 64 ? value : s.zext(value, 64);
}

/** fadd and the like: dst = dst op src for registers (operand 0 is dst), st(0) = st(0) op memory. */
function arithmetic(name: string, pops: boolean): Semantic {
  return (s, insn) => {
    if (insn.kind(0) === "memory") {
      s.helper(`x87_${name}_${memoryKind(insn)}`, loadBits(s, insn));
      return;
    }
    const target = s.zext(insn.registerNumber(0), 64);
    const other = s.shl(s.zext(insn.registerNumber(1), 64), s.int(64, 8));
    s.helper(`x87_${name}_st`, s.or(target, other));
    if (pops) pop(s);
  };
}

/** fcom, fucom and the like. The helper compares st(0); without an operand, with st(1). */
function compare(name: "com" | "ucom" | "comi" | "ucomi", pops: 0 | 1 | 2): Semantic {
  return (s, insn) => {
    if (insn.opCount > 0 && insn.kind(0) === "memory") {
      s.helper(`x87_${name}_${memoryKind(insn)}`, loadBits(s, insn));
    } else {
      s.helper(`x87_${name}_st`, insn.opCount === 0 ? s.int(64, 1) : s.zext(lastIndex(insn), 64));
    }
    for (let i = 0; i < pops; i++) pop(s);
  };
}

/** fld, fild. */
const load: Semantic = (s, insn) => {
  if (insn.kind(0) !== "memory" || /m80fp/.test(insn.code)) return loadRegisterOrExtended(s, insn);
  s.helper(`x87_load_${memoryKind(insn)}`, loadBits(s, insn));
};

/** Runs a helper that has a result. */
function ask<V>(s: Sem<V>, name: string, argument: V): V {
  s.helper(name, argument);
  return s.field("helper_result");
}

/** fst, fstp, fist, fistp, fisttp; `truncates` rounds towards 0 whatever the control word says. */
function store(pops: boolean, truncates = false): Semantic {
  return (s, insn) => {
    if (insn.kind(0) !== "memory" || /m80fp/.test(insn.code)) return storeRegisterOrExtended(pops)(s, insn);
    const kind = memoryKind(insn);
    const argument = s.int(64, truncates ? 1 : 0);
    const value = ask(s, `x87_value_${kind}`, argument);
    const width = Number(kind.slice(1));
    insn.write(0, width === 64 ? value : s.trunc(value, width));
    s.helper(`x87_stored_${kind}`, argument);
    if (pops) pop(s);
  };
}

/** fbld: 18 decimal digits and a sign. */
const loadDecimal: Semantic = (s, insn) => {
  const address = insn.address(0);
  const digits = s.load(64, address);
  const top = s.load(16, s.add(address, s.int(64, 8)));
  const all = s.concat(top, digits);
  let magnitude = s.int(64, 0);
  for (let digit = 17; digit >= 0; digit--) {
    magnitude = s.add(s.mul(magnitude, s.int(64, 10)), s.zext(s.bits(all, digit * 4, 4), 64));
  }
  const sign = s.shl(s.zext(s.bits(all, 79, 1), 64), s.int(64, 63));
  s.helper("x87_load_decimal", s.or(magnitude, sign));
};

/** fbstp: the helper gives sign (bit 63) and magnitude, or all ones for the indefinite. */
const storeDecimal: Semantic = (s, insn) => {
  const value = ask(s, "x87_value_decimal", s.int(64, 0));
  const isIndefinite = s.eq(value, s.not(s.int(64, 0)));
  let magnitude = s.and(value, s.int(64, (1n << 63n) - 1n));
  const digits: (typeof value)[] = [];
  for (let digit = 0; digit < 18; digit++) {
    digits.unshift(s.trunc(s.urem(magnitude, s.int(64, 10)), 4));
    magnitude = s.udiv(magnitude, s.int(64, 10));
  }
  const number = s.concat(s.bits(value, 63, 1), s.int(7, 0), ...digits);
  const image = s.select(isIndefinite, s.int(80, 0xffff_c000_0000_0000_0000n), number);
  const address = insn.address(0);
  s.store(address, s.trunc(image, 64));
  s.store(s.add(address, s.int(64, 8)), s.bits(image, 64, 16));
  s.helper("x87_stored_decimal", s.int(64, 0));
  pop(s);
};

const byHelper =
  (name: string): Semantic =>
  (s) =>
    s.helper(`x87_${name}`, s.int(64, 0));

const OPERATIONS = ["add", "mul", "sub", "subr", "div", "divr"] as const;
const INEXACT = `${MASKED}; the last bit may differ from a CPU's, as CPUs' do from each other`;
const TRANSCENDENTAL = ["f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos"] as const;
const capital = (name: string): string => name[0]!.toUpperCase() + name.slice(1);

export const X87_ARITHMETIC: readonly Row[] = [
  ...OPERATIONS.flatMap((name) => [
    x87(`F${name}`, arithmetic(name, false)),
    x87(`F${name}p`, arithmetic(name, true)),
    x87(`Fi${name}`, arithmetic(name, false)),
  ]),
  x87("Fcom", compare("com", 0)),
  x87("Fcomp", compare("com", 1)),
  x87("Fcompp", compare("com", 2)),
  x87("Ficom", compare("com", 0)),
  x87("Ficomp", compare("com", 1)),
  x87("Fucom", compare("ucom", 0)),
  x87("Fucomp", compare("ucom", 1)),
  x87("Fucompp", compare("ucom", 2)),
  x87("Fcomi", compare("comi", 0)),
  x87("Fcomip", compare("comi", 1)),
  x87("Fucomi", compare("ucomi", 0)),
  x87("Fucomip", compare("ucomi", 1)),
  x87("Fld", load),
  x87("Fild", load),
  x87("Fst", store(false)),
  x87("Fstp", store(true)),
  x87("Fist", store(false)),
  x87("Fistp", store(true)),
  x87("Fisttp", store(true, true)),
  x87("Fbld", loadDecimal),
  x87("Fbstp", storeDecimal),
  ...["ftst", "fsqrt", "frndint", "fscale", "fxtract", "fprem", "fprem1"].map((name) =>
    x87(capital(name), byHelper(name.slice(1))),
  ),
  ...TRANSCENDENTAL.map((name) => partial(capital(name), byHelper(name.slice(1)), INEXACT)),
];
