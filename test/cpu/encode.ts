// Makes test instructions: random encodings of a form, with what the harness must know to aim memory operands at its
// window. Independent of iced-x86's encoder: the bytes are put together from the form's own fields, so that a wrong
// field shows as an instruction that means something else.

import type { Form, FormOperand } from "../../src/x86/index.ts";

/** xorshift32 with a seed that can be printed. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 1;
  }
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
  below(limit: number): number {
    return this.next() % limit;
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** A memory operand as the harness must prepare it; registers are -1 for none. */
export interface Aim {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: number;
  /** Bits of the vector index register (vsib), else 0. */
  readonly vsibWidth: number;
  /** Bits of an index lane. */
  readonly vsibLane: number;
  /** 1: addresses are computed modulo 2^32. */
  readonly address32: boolean;
  /** rip-relative: the displacement is patched by the harness at this offset of the instruction, else -1. */
  readonly patchOffset: number;
}

export interface Case {
  readonly code: string;
  readonly bytes: readonly number[];
  readonly aim: Aim | null;
  readonly memoryBytes: number;
}

const REGISTER = { isMemory: false } as const;
type Shape = { readonly isMemory: boolean };

function littleEndian(value: number, count: number): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < count; i++) bytes.push(i < 4 ? (value >>> (8 * i)) & 0xff : value < 0 ? 0xff : 0);
  return bytes;
}

const LIMIT: Readonly<Record<string, number>> = { mask: 8, mm: 8, st: 8, segment: 6 };

/** A register number that the operand's place can encode. */
function registerNumber(random: Random, operand: FormOperand, isEvex: boolean): number {
  const limit = LIMIT[operand.kind] ?? (operand.kind === "vector" && isEvex ? 32 : 16);
  return random.below(limit);
}

/** Lane width of a vsib index, from the form's name (Vgatherdps: d, Vpgatherqd: q). */
function vsibLane(form: Form): number {
  return /(?:gather|scatter)(?:pf[01])?q/i.test(form.mnemonic) ? 64 : 32;
}

interface Memory {
  readonly modrmMod: number;
  readonly modrmRm: number;
  readonly sib: number | null;
  readonly displacementBytes: readonly number[];
  readonly b: number;
  readonly x: number;
  readonly vPrime: number;
  readonly aim: Omit<Aim, "patchOffset">;
  readonly isRip: boolean;
}

function memoryOperand(random: Random, form: Form, scaleOfDisplacement: number, address32: boolean): Memory {
  const isVsib = form.vsibWidth > 0;
  if (!isVsib && !address32 && random.chance(8)) {
    const aim = { base: -1, index: -1, scale: 1, displacement: 0, vsibWidth: 0, vsibLane: 0, address32 };
    return {
      modrmMod: 0,
      modrmRm: 5,
      sib: null,
      displacementBytes: [0, 0, 0, 0],
      b: 0,
      x: 0,
      vPrime: 0,
      aim,
      isRip: true,
    };
  }
  const base = random.below(16);
  const hasIndex = isVsib || random.chance(3);
  const indexLimit = isVsib && form.encoding === "evex" ? 32 : 16;
  let index = hasIndex ? random.below(indexLimit) : -1;
  if (!isVsib && (index === 4 || index === base)) index = -1;
  const scaleLog = random.below(4);
  const short = random.chance(2);
  const stored = short ? (random.below(256) << 24) >> 24 : random.below(4096) - 2048;
  const displacement = short ? stored * scaleOfDisplacement : stored;
  const needsSib = index >= 0 || (base & 7) === 4;
  const sib = needsSib ? (scaleLog << 6) | ((index < 0 ? 4 : index & 7) << 3) | (base & 7) : null;
  return {
    modrmMod: short ? 1 : 2,
    modrmRm: needsSib ? 4 : base & 7,
    sib,
    displacementBytes: littleEndian(stored, short ? 1 : 4),
    b: base >> 3,
    x: index < 0 ? 0 : (index >> 3) & 1,
    vPrime: index < 0 ? 0 : (index >> 4) & 1,
    aim: {
      base,
      index,
      scale: index < 0 ? 1 : 1 << scaleLog,
      displacement,
      vsibWidth: form.vsibWidth,
      vsibLane: isVsib ? vsibLane(form) : 0,
      address32,
    },
    isRip: false,
  };
}

const PP = { none: 0, any: 0, "66": 1, f3: 2, f2: 3 } as const;

/** One random encoding of `form`; `wantsMemory` chooses between its register and memory forms. */
export function encode(random: Random, form: Form, wantsMemory: boolean): Case {
  const shape: Shape = wantsMemory ? { isMemory: true } : REGISTER;
  const isEvex = form.encoding === "evex";
  const isBroadcast = isEvex && shape.isMemory && form.broadcastBits > 0 && random.chance(2);
  const isRounding = isEvex && !shape.isMemory && (form.canRound || form.canSuppressExceptions) && random.chance(3);
  const address32 = form.addressSize === 32 || (form.addressSize === null && shape.isMemory && random.chance(16));
  const scale = isBroadcast ? form.broadcastBits / 8 : form.displacementScale;
  const memory = shape.isMemory ? memoryOperand(random, form, scale, address32) : null;
  const numbers = form.operands.map((operand) => registerNumber(random, operand, isEvex));
  const at = (source: FormOperand["source"]): number => {
    const index = form.operands.findIndex((o) => o.source === source && o.kind !== "memory");
    return index < 0 ? -1 : numbers[index]!;
  };
  if (form.vsibWidth > 0) {
    // The destination, the mask and the index of a gather must differ.
    const index = memory!.aim.index;
    const limit = isEvex ? 32 : 16;
    form.operands.forEach((operand, i) => {
      if (operand.kind !== "vector") return;
      numbers[i] = operand.source === "reg" ? (index + 1) % limit : (index + 2) % limit;
    });
  }
  const reg = form.reg ?? Math.max(at("reg"), 0);
  const rm = form.rm ?? Math.max(at("rm"), 0);
  const bytes: number[] = [];
  if (form.canLock && shape.isMemory && random.chance(3)) bytes.push(0xf0);
  if (address32) bytes.push(0x67);
  const touchesMemory = shape.isMemory || form.hasImplicitMemory || form.operands.some((o) => o.source === "moffs");
  if (touchesMemory && random.chance(12)) bytes.push(0x65);
  let patchBase: number;
  if (form.encoding === "legacy") {
    if (form.isString && random.chance(2)) bytes.push(random.chance(2) ? 0xf3 : 0xf2);
    if (form.operandSize === 16 || form.prefix === "66") bytes.push(0x66);
    if (form.prefix === "f3") bytes.push(0xf3);
    if (form.prefix === "f2") bytes.push(0xf2);
    const opcodeRegister = at("opcode");
    const b = memory ? memory.b : form.hasModrm ? rm >> 3 : opcodeRegister >= 0 ? opcodeRegister >> 3 : 0;
    let rex = (form.operandSize === 64 ? 8 : 0) | ((reg >> 3) << 2) | ((memory?.x ?? 0) << 1) | (b & 1);
    if (form.isWithoutRexB) rex &= ~1;
    const hasByteRegister = form.operands.some((o) => o.kind === "gpr" && o.width === 8);
    if (rex !== 0 || (hasByteRegister && random.chance(2))) bytes.push(0x40 | rex);
    if (form.map > 0) bytes.push(0x0f);
    if (form.map === 2) bytes.push(0x38);
    if (form.map === 3) bytes.push(0x3a);
    bytes.push(opcodeRegister >= 0 ? (form.opcode & 0xf8) | (opcodeRegister & 7) : form.opcode);
  } else {
    const vvvv = at("vvvv");
    const w = form.w ?? (random.chance(2) ? 1 : 0);
    const l = form.l ?? 0;
    const pp = PP[form.prefix];
    const rBit = ((reg >> 3) & 1) ^ 1;
    const xBit = (memory ? memory.x : isEvex ? (rm >> 4) & 1 : 0) ^ 1;
    const bBit = ((memory ? memory.b : (rm >> 3) & 1) & 1) ^ 1;
    const v = Math.max(vvvv, 0);
    if (isEvex) {
      const isMasked = form.mustMask || (form.canMask && random.chance(2));
      const mask = isMasked ? 1 + random.below(7) : 0;
      const z =
        isMasked && form.canZero && !(form.operands[0]!.kind === "memory" && shape.isMemory) && random.chance(2);
      const isZeroing = z && !(shape.isMemory && form.operands[0]!.source === "rm") ? 1 : 0;
      const ll = isRounding && form.canRound ? random.below(4) : isRounding ? 2 : l;
      const vPrime = memory && form.vsibWidth > 0 ? memory.vPrime : vvvv < 0 ? 0 : v >> 4;
      const rPrime = ((reg >> 4) & 1) ^ 1;
      bytes.push(0x62, (rBit << 7) | (xBit << 6) | (bBit << 5) | (rPrime << 4) | form.map);
      bytes.push((w << 7) | ((~v & 15) << 3) | 4 | pp);
      bytes.push(
        (isZeroing << 7) | (ll << 5) | ((isBroadcast || isRounding ? 1 : 0) << 4) | ((vPrime ^ 1) << 3) | mask,
      );
    } else if (form.map === 1 && xBit && bBit && w === 0 && random.chance(2)) {
      bytes.push(0xc5, (rBit << 7) | ((~v & 15) << 3) | (l << 2) | pp);
    } else {
      bytes.push(0xc4, (rBit << 7) | (xBit << 6) | (bBit << 5) | form.map, (w << 7) | ((~v & 15) << 3) | (l << 2) | pp);
    }
    bytes.push(form.opcode);
  }
  if (form.hasModrm) {
    bytes.push(
      memory ? (memory.modrmMod << 6) | ((reg & 7) << 3) | memory.modrmRm : 0xc0 | ((reg & 7) << 3) | (rm & 7),
    );
    if (memory?.sib != null) bytes.push(memory.sib);
  }
  patchBase = memory?.isRip ? bytes.length : -1;
  if (memory) bytes.push(...memory.displacementBytes);
  let hasMoffs = false;
  for (const [i, operand] of form.operands.entries()) {
    if (operand.source === "immediate" || operand.source === "secondImmediate") {
      for (let n = 0; n < operand.width / 8; n++)
        bytes.push(random.chance(4) ? random.pick([0, 1, 0x7f, 0x80, 0xff]) : random.below(256));
    } else if (operand.source === "branch") bytes.push(...littleEndian(random.below(64), operand.width / 8));
    else if (operand.source === "is4") bytes.push((numbers[i]! & 15) << 4);
    else if (operand.source === "moffs") {
      hasMoffs = true;
      patchBase = bytes.length;
      bytes.push(...littleEndian(0, address32 ? 4 : 8));
    }
  }
  const none = { base: -1, index: -1, scale: 1, displacement: 0, vsibWidth: 0, vsibLane: 0, address32 };
  const aim = memory || hasMoffs ? { ...(memory?.aim ?? none), patchOffset: patchBase } : null;
  return { code: form.code, bytes, aim, memoryBytes: Math.max(form.memoryBits / 8, 1) };
}
