// What each instruction of a file does to the variables of which liveness is computed (liveness.ts), and which of them are left
// to the interpreter. Instructions of one shape are tried once.

import { TABLE, Unsupported } from "../sem/index.ts";
import type { Instruction } from "../x86/index.ts";
import type { CodeMap, Shape } from "./code-map.ts";
import type { Effects } from "./liveness.ts";
import { LiftInsn } from "./operands.ts";
import { ProbeSem } from "./probe.ts";
import type { LiftOptions, LiftSem } from "./sem.ts";
import {
  ALL_LIVE,
  bitsOf,
  HIGH_FIRST,
  type Live,
  LOW_FIRST,
  MASK_FIRST,
  MID_FIRST,
  NOTHING_LIVE,
  or,
  REGISTERS_LIVE,
  VARIABLES,
} from "./variables.ts";

export interface UnsupportedShape {
  readonly mnemonic: string;
  readonly count: number;
  readonly reason: string;
}

/** Tries the semantic of every shape once, on the first instruction that has it. */
export function probeShapes(
  map: CodeMap,
  options: LiftOptions,
): { effects: (Effects | null)[]; unsupported: UnsupportedShape[] } {
  const unsupported: UnsupportedShape[] = [];
  const effects = map.shapes.map((shape) => {
    const result = probe(map, shape, options);
    if (typeof result !== "string") return result;
    unsupported.push({ mnemonic: shape.mnemonic, count: shape.count, reason: result });
    return null;
  });
  return { effects, unsupported };
}

function probe(map: CodeMap, shape: Shape, options: LiftOptions): Effects | string {
  const semantic = TABLE.get(shape.mnemonic)?.semantic;
  if (!semantic) return "not in the table";
  if (shape.key === "") return "too many kinds of instructions";
  const sem = new ProbeSem(options);
  const instruction = instructionAt(map, shape.pc);
  sem.startInstruction(instruction);
  try {
    semantic(sem, new LiftInsn(sem, instruction));
  } catch (error) {
    if (error instanceof Unsupported) return error.message;
    throw new Error(`internal error: ${instruction.code} at 0x${shape.pc.toString(16)}: ${String(error)}`, {
      cause: error,
    });
  }
  // Flags that the semantic reads but the CPU does not are handed through (a shift by 0): neither used nor killed.
  const through = sem.flagsRead & ~shape.flagsRead;
  const flagsUsed = sem.control?.kind === "syscall" ? 0 : shape.flagsRead;
  const { read, isConditional } = sem.seen;
  const written = isConditional ? NOTHING_LIVE : writtenRegisters(sem);
  // What is made zero by a register and itself is not made of it.
  const used = sem.makesConstants() ? NOTHING_LIVE : { ...read, rare: read.rare & REGISTERS_LIVE };
  const isLoad = LOADS.test(shape.mnemonic) && instruction.opmask === 0 && instruction.operands[1]?.kind === "memory";
  const isPlain = isLoad && used.rare === 0 && used.vectors === 0;
  const restored = isPlain ? written : NOTHING_LIVE;
  const upper = sem.upperEffects();
  return {
    uses: { rare: flagsUsed | used.rare, vectors: used.vectors, upper: upper.uses },
    kills: { rare: (sem.flagsSet & ~through) | written.rare, vectors: written.vectors, upper: upper.kills },
    restores: FLAG_LOADS.test(shape.mnemonic) ? { ...NOTHING_LIVE, rare: sem.flagsSet } : restored,
    flows: upper.flows,
  };
}

/** The bits of a whole vector register. */
const bitsOfVector = (register: number): Live =>
  or(bitsOf(LOW_FIRST + register), or(bitsOf(MID_FIRST + register), bitsOf(HIGH_FIRST + register)));

const LOADS = /^(?:Kmov|V?[Mm]ov)/;
const FLAG_LOADS = /^Popfq?$/;

function instructionAt(map: CodeMap, pc: number): Instruction {
  const { scanner } = map.segmentOf(pc)!;
  scanner.decode(pc);
  return scanner.instruction();
}

/** The registers of which liveness is computed that the current instruction has wholly overwritten; nothing in `upper`. */
function writtenRegisters(sem: LiftSem): Live {
  let [written, kept] = [NOTHING_LIVE, NOTHING_LIVE];
  for (let v = LOW_FIRST; v < VARIABLES.length; v++) {
    if (sem.state[v] === undefined) kept = or(kept, bitsOf(v));
    else written = or(written, bitsOf(v));
  }
  return { rare: written.rare & ~kept.rare & REGISTERS_LIVE, vectors: written.vectors & ~kept.vectors, upper: 0 };
}

/** Whether an instruction may have to do with registers of which liveness is computed. */
function touchesRegisters(instruction: Instruction): boolean {
  return (
    instruction.encoding !== "legacy" || instruction.operands.some(({ kind }) => kind === "mask" || kind === "vector")
  );
}

const SAVES_STATE = /^(?:F?X(?:save|rstor))/;
/** What a handler comes back from as if nothing had been. */
const BREAKPOINT = /^Int\d?$/;
const READS_ALL: Effects = { uses: ALL_LIVE, kills: NOTHING_LIVE, restores: NOTHING_LIVE, flows: [] };

/** What an instruction does that the interpreter does: what its operands name, it may read. */
function interpretedEffects(instruction: Instruction, flagsRead: number): Effects {
  let uses: Live = SAVES_STATE.test(instruction.mnemonic) ? { ...ALL_LIVE, rare: REGISTERS_LIVE } : NOTHING_LIVE;
  // Some read the first vector register without naming it.
  uses = or(uses, or({ ...NOTHING_LIVE, rare: flagsRead }, bitsOfVector(0)));
  if (instruction.opmask !== 0) uses = or(uses, bitsOf(MASK_FIRST + instruction.opmask));
  for (const { kind, register } of instruction.operands) {
    if (kind === "mask") uses = or(uses, bitsOf(MASK_FIRST + register));
    if (kind === "vector") uses = or(uses, bitsOfVector(register));
  }
  const { memory } = instruction;
  if (memory && memory.vsibWidth > 0) uses = or(uses, bitsOfVector(memory.index));
  return { uses, kills: NOTHING_LIVE, restores: NOTHING_LIVE, flows: [] };
}

/** What each instruction does. Those of a shape do the same, but for the registers: which these are is no part of a shape. */
export function makeEffects(
  map: CodeMap,
  ofShapes: readonly (Effects | null)[],
  options: LiftOptions,
): (pc: number) => Effects {
  const touching = map.shapes.map((shape) => shape.key === "" || touchesRegisters(instructionAt(map, shape.pc)));
  const known = new Map<string, Effects>();
  return (pc) => {
    const common = map.byShape(pc, ofShapes);
    const shape = map.byShape(pc, map.shapes);
    if (BREAKPOINT.test(shape.mnemonic)) return READS_ALL;
    if (common && !map.byShape(pc, touching)) return common;
    const instruction = instructionAt(map, pc);
    if (!common) return interpretedEffects(instruction, shape.flagsRead);
    const registers = instruction.operands.map(({ kind, register }) => `${kind}${register}`).join();
    const key = `${shape.key} ${registers} ${instruction.memory?.index} ${instruction.opmask} ${instruction.isZeroing}`;
    let effects = known.get(key);
    if (!effects) {
      const probed = probe(map, { ...shape, pc }, options);
      effects = typeof probed === "string" ? interpretedEffects(instruction, shape.flagsRead) : probed;
      known.set(key, effects);
    }
    return effects;
  };
}
