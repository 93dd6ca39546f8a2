// Control transfers, and the instructions that programs may not execute.

import { type Condition, condition, isZero } from "./flags.ts";
import { pushValue, topOfStack, USER_CODE_SELECTOR } from "./moves.ts";
import { resize } from "./operands.ts";
import { setFlagsWord } from "./status.ts";
import { Unsupported } from "./unsupported.ts";
import type { Insn, Sem, Semantic } from "./vocabulary.ts";

/** The offset's width of a far pointer operand; null for a near transfer. */
function farWidth<V>(insn: Insn<V>): number | null {
  const found = /_m16(16|32|64)$/.exec(insn.code);
  return found ? Number(found[1]) : null;
}

/** The target of a far pointer in memory; #GP unless it stays in 64-bit user code. */
function farTarget<V>(sem: Sem<V>, insn: Insn<V>, width: number): V {
  const address = insn.address(0);
  const offset = sem.load(width, address);
  requireUserCode(sem, sem.load(16, sem.add(address, sem.int(64, width / 8))));
  return resize(sem, offset, 64);
}

export function jump(): Semantic {
  return (sem, insn) => {
    const width = farWidth(insn);
    sem.jump(width === null ? insn.read(0) : farTarget(sem, insn, width), "jump");
  };
}

export function call(): Semantic {
  return (sem, insn) => {
    const width = farWidth(insn);
    if (width === null) {
      const target = insn.read(0);
      pushValue(sem, sem.nextPc());
      sem.jump(target, "call");
      return;
    }
    const target = farTarget(sem, insn, width);
    const selector = sem.int(width, USER_CODE_SELECTOR);
    pushValue(sem, sem.concat(selector, resize(sem, sem.nextPc(), width)));
    sem.jump(target, "jump");
  };
}

/** ret, with the bytes of arguments to remove. */
export function ret(): Semantic {
  return (sem, insn) => {
    if (insn.code.startsWith("Retnw")) throw new Unsupported("Retnw: 16-bit returns");
    const target = topOfStack(sem, 64);
    const extra = insn.opCount === 0 ? sem.int(64, 0) : sem.zext(insn.immediate(0, 16), 64);
    sem.setGpr(4, sem.add(sem.gpr(4, 64), sem.add(sem.int(64, 8), extra)));
    sem.jump(target, "ret");
  };
}

export function jumpIf(code: Condition): Semantic {
  return (sem, insn) => sem.branch(condition(sem, code), insn.read(0));
}

/** jrcxz and jecxz. */
export function jumpIfCountZero(width: 32 | 64): Semantic {
  return (sem, insn) => sem.branch(isZero(sem, sem.gpr(1, width)), insn.read(0));
}

/** loop, loope, loopne: counts (r)cx down, in the address size. */
export function loop(also: "always" | "e" | "ne"): Semantic {
  return (sem, insn) => {
    const width = insn.addressSize;
    const count = sem.sub(sem.gpr(1, width), sem.int(width, 1));
    sem.setGpr(1, count);
    const more = sem.not(isZero(sem, count));
    sem.branch(also === "always" ? more : sem.and(more, condition(sem, also)), insn.read(0));
  };
}

/** #GP unless the selector is that of 64-bit user code. */
function requireUserCode<V>(sem: Sem<V>, selector: V): void {
  sem.trapIf(sem.ne(sem.trunc(selector, 16), sem.int(16, USER_CODE_SELECTOR)), 13);
}

/** retf within the 64-bit code segment. */
export function farReturn(): Semantic {
  return (sem, insn) => {
    const width = insn.code.startsWith("Retfq") ? 64 : insn.code.startsWith("Retfw") ? 16 : 32;
    const top = sem.gpr(4, 64);
    const target = resize(sem, sem.load(width, top), 64);
    requireUserCode(sem, sem.load(width, sem.add(top, sem.int(64, width / 8))));
    const extra = insn.opCount === 0 ? sem.int(64, 0) : sem.zext(insn.immediate(0, 16), 64);
    sem.setGpr(4, sem.add(top, sem.add(sem.int(64, width / 4), extra)));
    sem.jump(target, "jump");
  };
}

const NESTED_TASK = 14;

/** iretq within user mode: pops rip, cs, rflags, rsp, ss. */
export function interruptReturn(): Semantic {
  return (sem) => {
    const nested = sem.bits(sem.field("rflags_rest"), NESTED_TASK, 1);
    sem.trapIf(nested, 13);
    const top = sem.gpr(4, 64);
    const word = (index: number) => sem.load(64, sem.add(top, sem.int(64, 8 * index)));
    const [target, code, flags, stack] = [word(0), word(1), word(2), word(3)];
    requireUserCode(sem, code);
    sem.setGpr(4, stack);
    setFlagsWord(sem, flags);
    sem.jump(target, "jump");
  };
}

/** An instruction that raises an exception whenever a program executes it. */
export function trap(vector: number): Semantic {
  return (sem) => sem.trapIf(sem.int(1, 1), vector);
}

/** int n: 3 is the breakpoint; the others have no gate for programs, nor has 0x80 on a kernel without 32-bit system calls. */
export function softwareInterrupt(): Semantic {
  return (sem, insn) => {
    const vector = insn.immediate(0, 8);
    sem.trapIf(sem.eq(vector, sem.int(8, 3)), 3);
    sem.trapIf(sem.int(1, 1), 13);
  };
}

/** syscall: rcx and r11 are the runtime's to set. */
export function systemCall(): Semantic {
  return (sem) => sem.syscall();
}

/** xbegin on a CPU whose transactions always abort: eax says no retry, and the fallback runs. */
export function beginTransaction(): Semantic {
  return (sem, insn) => {
    sem.setGpr(0, sem.int(32, 0));
    sem.jump(insn.read(0), "jump");
  };
}
