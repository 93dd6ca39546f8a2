// Recognises the tables behind indirect jumps, from the instructions before the jump:
//
//   jmp [table + i*8]                                   absolute words (non-PIE), also loaded into a register first
//   lea b, table; movslq x, [b + i*4]; add x, b; jmp x  32-bit words relative to the table (PIE); also `lea x, [x + b]`,
//                                                       and words relative to another address than the table's
//
// The number of entries comes from the comparison that guards the jump; without one the table ends where other data that
// something refers to begins, or an entry is no plausible target. Too many entries do no harm but to the size of the code:
// the translated jump falls back on the real target for all others.

import { type ElfFile, fileOffset, PF, PT } from "../elf/index.ts";
import type { Instruction, Operand } from "../x86/index.ts";
import type { CodeMap, JumpTable } from "./code-map.ts";

const MAX_ENTRIES = 8192;
const MAX_UNGUARDED_ENTRIES = 1024;
const BASE_SEARCH_BYTES = 8192;

const isRegister = (o: Operand | undefined, register: number): boolean =>
  o?.kind === "gpr" && o.register === register && !o.isHighByte;

/** Instructions whose first general-register operand is only read. */
const READ_ONLY = new Set(["Cmp", "Test", "Push", "Bt", "Jmp", "Call"]);

/** Whether the instruction writes the register, by its first operand (what else writes is treated so, too). */
function writes(insn: Instruction, register: number): boolean {
  if (READ_ONLY.has(insn.mnemonic) || insn.mnemonic.startsWith("J")) return false;
  if (isRegister(insn.operands[0], register)) return true;
  if (insn.mnemonic === "Xchg" || insn.mnemonic === "Xadd") return isRegister(insn.operands[1], register);
  const implicit = ["Mul", "Imul", "Div", "Idiv", "Cdq", "Cqo", "Cpuid", "Rdtsc"];
  return implicit.includes(insn.mnemonic) && (register === 0 || register === 2);
}

/** Index of the last instruction before `before` that writes `register`, or -1. */
function lastWrite(trail: readonly Instruction[], before: number, register: number): number {
  for (let i = before - 1; i >= 0; i--) if (writes(trail[i]!, register)) return i;
  return -1;
}

interface Load {
  readonly at: number;
  readonly insn: Instruction;
  readonly entryBytes: 4 | 8;
  /** For 4-byte entries: where in the trail the origin is added, and the register that holds it. */
  readonly addAt: number;
  readonly origin: number;
}

/** The two registers that an instruction adds to the first of its operands' register, or null. */
function sumOf(insn: Instruction): [number, number] | null {
  const [first, second] = insn.operands;
  if (insn.mnemonic === "Add" && first?.kind === "gpr" && second?.kind === "gpr") {
    return [first.register, second.register];
  }
  const memory = insn.memory;
  if (insn.mnemonic !== "Lea" || !memory || memory.base < 0 || memory.index < 0) return null;
  return memory.scale === 1 && memory.displacement === 0n ? [memory.base, memory.index] : null;
}

/** Finds the instruction of `trail` that reads the table; the last of the trail is the jump. */
function findLoad(trail: readonly Instruction[]): Load | null {
  const last = trail.length - 1;
  const jump = trail[last]!;
  const target = jump.operands[0]!;
  const absolute = { entryBytes: 8, addAt: -1, origin: -1 } as const;
  if (target.kind === "memory") return { at: last, insn: jump, ...absolute };
  if (target.kind !== "gpr") return null;
  const at = lastWrite(trail, last, target.register);
  const insn = trail[at];
  if (!insn) return null;
  if (insn.mnemonic === "Mov" && insn.operands[1]!.kind === "memory" && insn.operands[0]!.width === 64) {
    return { at, insn, ...absolute };
  }
  const sum = sumOf(insn);
  if (!sum) return null;
  for (const [word, origin] of [sum, [sum[1], sum[0]] as const]) {
    const loadAt = lastWrite(trail, at, word);
    const load = trail[loadAt];
    if (load?.mnemonic !== "Movsxd" || load.operands[1]!.kind !== "memory") continue;
    if (word === origin) continue;
    return { at: loadAt, insn: load, entryBytes: 4, addAt: at, origin };
  }
  return null;
}

/** The address that `register` holds before instruction `before`: from a lea in the trail or in the bytes before it. */
function findBase(map: CodeMap, trail: readonly Instruction[], before: number, register: number): number {
  const at = lastWrite(trail, before, register);
  if (at >= 0) {
    const insn = trail[at]!;
    return insn.mnemonic === "Lea" && insn.memory?.isRipRelative ? Number(insn.memory.displacement) : -1;
  }
  const first = trail[0]!.pc;
  const segment = map.segmentOf(first)!;
  const lowest = Math.max(segment.start, first - BASE_SEARCH_BYTES);
  for (let pc = first - 1; pc >= lowest; pc--) {
    if (segment.lengths[pc - segment.start] === 0) continue;
    // 48/4C 8D /r with mod 0 and rm 5: lea r64, [rip + disp32].
    const offset = pc - segment.start;
    if ((segment.bytes[offset]! & 0xf8) !== 0x48 || segment.bytes[offset + 1] !== 0x8d) continue;
    segment.scanner.decode(pc);
    const insn = segment.scanner.instruction();
    if (isRegister(insn.operands[0], register) && insn.memory?.isRipRelative) return Number(insn.memory.displacement);
  }
  return -1;
}

/** Number of entries that the comparison before the load allows, or 0. */
function findBound(trail: readonly Instruction[], before: number, index: number): number {
  let register = index;
  for (let i = before - 1; i >= 0; i--) {
    const insn = trail[i]!;
    const [first, second] = insn.operands;
    if (insn.mnemonic === "Cmp" && isRegister(first, register) && second?.kind === "immediate") {
      const guard = trail[i + 1]?.mnemonic;
      const limit = Number(second.value);
      if (guard === "Ja" || guard === "Jbe") return limit + 1;
      if (guard === "Jae" || guard === "Jb") return limit;
      return 0;
    }
    if (!writes(insn, register)) continue;
    if (insn.mnemonic === "And" && second?.kind === "immediate") return Number(second.value) + 1;
    const isCopy = insn.mnemonic === "Mov" || insn.mnemonic === "Movzx" || insn.mnemonic === "Movsxd";
    if (isCopy && second?.kind === "gpr" && !second.isHighByte) {
      // movzx r, r8 bounds by itself; a comparison of the source before it is tighter.
      register = second.register;
      continue;
    }
    return 0;
  }
  return 0;
}

/** Whether the program cannot write [vaddr, vaddr + size) once relocations are done. */
export function isConstantMemory(elf: ElfFile, vaddr: number, size: number): boolean {
  const inside = (s: { vaddr: number; memSize: number }): boolean =>
    vaddr >= s.vaddr && vaddr + size <= s.vaddr + s.memSize;
  if (elf.segments.some((s) => s.type === PT.relro && inside(s))) return true;
  return elf.segments.some((s) => s.type === PT.load && (s.flags & PF.write) === 0 && inside(s));
}

/** What is known beside the instructions. */
export interface TableSurroundings {
  /** The function's range, if unwind tables tell it: there the targets of an unguarded table are. */
  readonly range: { readonly start: number; readonly end: number } | null;
  /** Where the next data begins behind an address; null as long as the data is not known. */
  readonly nextData: ((address: number) => number) | null;
}

/**
 * The jump table used by the last instruction of `trail` (the instructions that lead to it without another way in), or
 * null. "unguarded": there may be one, to be looked for when all data is known.
 */
export function findJumpTable(
  elf: ElfFile,
  map: CodeMap,
  trail: readonly Instruction[],
  { range, nextData }: TableSurroundings,
): JumpTable | "unguarded" | null {
  const load = findLoad(trail);
  const memory = load?.insn.memory;
  if (!load || !memory || memory.index < 0 || memory.segment !== null || memory.addressSize !== 64) return null;
  if (memory.scale !== load.entryBytes) return null;
  const base = memory.base < 0 ? 0 : findBase(map, trail, load.at, memory.base);
  if (base < 0) return null;
  const table = base + Number(memory.displacement);
  const isOwnOrigin = load.origin === memory.base && lastWrite(trail, load.addAt, memory.base) < load.at;
  const origin = load.entryBytes === 8 ? 0 : isOwnOrigin ? base : findBase(map, trail, load.addAt, load.origin);
  if (origin < 0) return null;
  const bound = findBound(trail, load.at, memory.index);
  if (bound === 0 && !nextData) return "unguarded";
  const room = bound > 0 ? bound : Math.floor((nextData!(table) - table) / load.entryBytes);
  const most = Math.min(room, bound > 0 ? MAX_ENTRIES : MAX_UNGUARDED_ENTRIES);
  const targets: number[] = [];
  for (let i = 0; i < most; i++) {
    const at = fileOffset(elf, table + i * load.entryBytes, load.entryBytes);
    if (at < 0) break;
    const target =
      load.entryBytes === 4 ? origin + elf.cursor.i32(at, "jump table") : elf.cursor.word(at, "jump table");
    if (!map.segmentOf(target)) break;
    if (bound === 0) {
      if (map.isInsideInstruction(target)) break;
      if (range && (target < range.start || target >= range.end)) break;
    }
    targets.push(target);
  }
  if (targets.length === 0) return null;
  return {
    pc: trail[trail.length - 1]!.pc,
    loadPc: load.insn.pc,
    table,
    indexRegister: memory.index,
    baseRegister: memory.base,
    targets,
    // What the lifter checks is the table's address: it must be the origin as well.
    isConstant:
      (load.entryBytes === 8 || isOwnOrigin) && isConstantMemory(elf, table, targets.length * load.entryBytes),
  };
}
