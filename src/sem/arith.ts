// Addition, subtraction, logic, comparison, multiplication and division of integers.

import {
  clearFlags,
  isZero,
  setAddCarryFlags,
  setAddFlags,
  setAddFlagsButCarry,
  setLogicFlags,
  setSubBorrowFlags,
  setSubFlags,
  setSubFlagsButCarry,
} from "./flags.ts";
import { gprWidth } from "./operands.ts";
import { updateOperand } from "./update.ts";
import type { Sem, Semantic } from "./vocabulary.ts";

function setAluFlags<V>(sem: Sem<V>, op: "add" | "sub" | "and" | "or" | "xor", a: V, b: V): void {
  if (op === "add") setAddFlags(sem, a, b, sem.add(a, b));
  else if (op === "sub") setSubFlags(sem, a, b, sem.sub(a, b));
  else setLogicFlags(sem, sem[op](a, b));
}

/** Destination = destination op source. */
export function alu(op: "add" | "sub" | "and" | "or" | "xor"): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    if (insn.locked) {
      setAluFlags(sem, op, sem.atomicRmw(op, insn.address(0), source), source);
      return;
    }
    const old = insn.read(0);
    insn.write(0, sem[op](old, source));
    setAluFlags(sem, op, old, source);
  };
}

/** cmp and test: the flags of an operation whose result is dropped. */
export function compare(op: "sub" | "and"): Semantic {
  return (sem, insn) => setAluFlags(sem, op, insn.read(0), insn.read(1));
}

/** adc and sbb. */
export function withCarry(op: "add" | "sub"): Semantic {
  return (sem, insn) => {
    const source = insn.read(1);
    const carry = sem.flag("cf");
    const wide = sem.zext(carry, insn.width(0));
    const old = updateOperand(sem, insn, (value) => sem[op](sem[op](value, source), wide));
    const result = sem[op](sem[op](old, source), wide);
    if (op === "add") setAddCarryFlags(sem, old, source, carry, result);
    else setSubBorrowFlags(sem, old, source, carry, result);
  };
}

/** adcx and adox: an addition whose carry goes through one flag and leaves the others alone. */
export function addThrough(flag: "cf" | "of"): Semantic {
  return (sem, insn) => {
    const [a, b, carry] = [insn.read(0), insn.read(1), sem.flag(flag)];
    const result = sem.add(sem.add(a, b), sem.zext(carry, insn.width(0)));
    insn.write(0, result);
    sem.setFlag(flag, () => sem.or(sem.ult(result, a), sem.and(carry, sem.eq(result, a))));
  };
}

/** inc and dec: they leave cf alone. */
export function step(op: "add" | "sub"): Semantic {
  return (sem, insn) => {
    const one = sem.int(insn.width(0), 1);
    const old = insn.locked ? sem.atomicRmw(op, insn.address(0), one) : insn.read(0);
    if (!insn.locked) insn.write(0, sem[op](old, one));
    if (op === "add") setAddFlagsButCarry(sem, old, one, sem.add(old, one));
    else setSubFlagsButCarry(sem, old, one, sem.sub(old, one));
  };
}

export function negate(): Semantic {
  return (sem, insn) => {
    const old = updateOperand(sem, insn, (value) => sem.neg(value));
    setSubFlags(sem, sem.int(insn.width(0), 0), old, sem.neg(old));
  };
}

export function invert(): Semantic {
  return (sem, insn) => {
    const ones = sem.int(insn.width(0), (1n << BigInt(insn.width(0))) - 1n);
    if (insn.locked) sem.atomicRmw("xor", insn.address(0), ones);
    else insn.write(0, sem.not(insn.read(0)));
  };
}

/** cf = of = overflow; the other flags are undefined and stay. */
function setMultiplyFlags<V>(sem: Sem<V>, overflow: () => V): void {
  sem.setFlag("cf", overflow);
  sem.setFlag("of", overflow);
}

/** mul and the one-operand imul: accumulator times operand into ax or (r)dx:(r)ax. */
export function multiplyWide(how: "zext" | "sext"): Semantic {
  return (sem, insn) => {
    const width = gprWidth(insn.width(0));
    const product = sem.mul(sem[how](sem.gpr(0, width), 2 * width), sem[how](insn.read(0), 2 * width));
    const low = sem.trunc(product, width);
    if (width === 8) {
      sem.setGpr(0, product);
    } else {
      sem.setGpr(0, low);
      sem.setGpr(2, sem.bits(product, width, width));
    }
    setMultiplyFlags(sem, () => sem.ne(sem[how](low, 2 * width), product));
  };
}

/** imul: one, two or three operands. */
export function multiply(): Semantic {
  const wide = multiplyWide("sext");
  return (sem, insn) => {
    if (insn.opCount === 1) {
      wide(sem, insn);
      return;
    }
    const width = insn.width(0);
    const last = insn.opCount - 1;
    const [a, b] = [insn.read(last - 1), insn.read(last)];
    const low = sem.mul(a, b);
    insn.write(0, low);
    setMultiplyFlags(sem, () =>
      sem.ne(sem.mul(sem.sext(a, 2 * width), sem.sext(b, 2 * width)), sem.sext(low, 2 * width)),
    );
  };
}

/** The undefined flags of a division; cf and of stay. */
function setDivideFlags<V>(sem: Sem<V>): void {
  clearFlags(sem, "pf", "zf", "sf");
  sem.setFlag("af", () => sem.int(1, 1));
}

/** div: (r)dx:(r)ax or ax by the operand. 128 by 64 bits is rare: rdx is nearly always 0. */
export function divideUnsigned(): Semantic {
  return (sem, insn) => {
    const width = gprWidth(insn.width(0));
    const divisor = insn.read(0);
    const low = sem.gpr(0, width);
    const high = width === 8 ? sem.bits(sem.gpr(0, 16), 8, 8) : sem.gpr(2, width);
    let [quotient, remainder] = [low, low];
    if (width === 64 && sem.rareIf(sem.not(isZero(sem, high)))) {
      sem.trapIf(isZero(sem, divisor), 0);
      [quotient, remainder] = [sem.udiv(low, divisor), sem.urem(low, divisor)];
    } else {
      // Also true for a divisor of 0.
      sem.trapIf(sem.ule(divisor, high), 0);
      const [dividend, wide] = [sem.concat(high, low), sem.zext(divisor, 2 * width)];
      quotient = sem.trunc(sem.udiv(dividend, wide), width);
      remainder = sem.trunc(sem.urem(dividend, wide), width);
    }
    writeDivision(sem, quotient, remainder);
  };
}

/** idiv. The rare case of 64 bits is a dividend that does not come from cqo. */
export function divideSigned(): Semantic {
  return (sem, insn) => {
    const width = gprWidth(insn.width(0));
    const divisor = insn.read(0);
    const low = sem.gpr(0, width);
    const high = width === 8 ? sem.bits(sem.gpr(0, 16), 8, 8) : sem.gpr(2, width);
    let [quotient, remainder] = [low, low];
    const signs = sem.ashr(low, sem.int(width, width - 1));
    if (width === 64 && sem.rareIf(sem.ne(high, signs))) {
      const overflow = sem.and(sem.eq(low, sem.int(64, 1n << 63n)), isZero(sem, sem.not(divisor)));
      sem.trapIf(sem.or(isZero(sem, divisor), overflow), 0);
      [quotient, remainder] = [sem.sdiv(low, divisor), sem.srem(low, divisor)];
    } else {
      const [dividend, wide] = [sem.concat(high, low), sem.sext(divisor, 2 * width)];
      const wideQuotient = sem.sdiv(dividend, wide);
      quotient = sem.trunc(wideQuotient, width);
      remainder = sem.trunc(sem.srem(dividend, wide), width);
      // The least dividend overflows with every divisor, and its division by -1 does even in the double width.
      const least = sem.eq(dividend, sem.int(2 * width, 1n << BigInt(2 * width - 1)));
      const overflow = sem.or(least, sem.ne(sem.sext(quotient, 2 * width), wideQuotient));
      sem.trapIf(sem.or(isZero(sem, divisor), overflow), 0);
    }
    writeDivision(sem, quotient, remainder);
  };
}

function writeDivision<V>(sem: Sem<V>, quotient: V, remainder: V): void {
  if (sem.w(quotient) === 8) {
    sem.setGpr(0, sem.concat(remainder, quotient));
  } else {
    sem.setGpr(0, quotient);
    sem.setGpr(2, remainder);
  }
  setDivideFlags(sem);
}

/** mulx: rdx times operand 2 into high operand 0 and low operand 1; the high half wins if they are the same register. */
export function multiplyWithoutFlags(): Semantic {
  return (sem, insn) => {
    const width = gprWidth(insn.width(0));
    const product = sem.mul(sem.zext(sem.gpr(2, width), 2 * width), sem.zext(insn.read(2), 2 * width));
    insn.write(1, sem.trunc(product, width));
    insn.write(0, sem.bits(product, width, width));
  };
}
