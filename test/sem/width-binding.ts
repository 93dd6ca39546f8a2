// A binding of the vocabulary whose values know only their width. It checks what every binding may rely on: widths fit, operands exist,
// nothing follows a control transfer. It knows nothing of meaning: that is for the tests against the real CPU.

import assert from "node:assert/strict";
import { CpuState } from "../../src/abi/index.ts";
import type { Insn, Sem } from "../../src/sem/index.ts";
import type { Form } from "../../src/x86/index.ts";

export interface Width {
  readonly bits: number;
}

const width = (bits: number): Width => {
  assert.ok(Number.isInteger(bits) && bits > 0, `a width of ${bits}`);
  return { bits };
};

const same = (...values: readonly Width[]): Width => {
  for (const value of values) assert.equal(value.bits, values[0]!.bits, "operands of one width");
  return values[0]!;
};

const bit = (...values: readonly Width[]): Width => {
  if (values.length) same(...values);
  return { bits: 1 };
};

const is = (value: Width, bits: number): void => assert.equal(value.bits, bits);

function isLanes(value: Width, laneBits: number): number {
  assert.equal(value.bits % laneBits, 0, `${value.bits} bits in lanes of ${laneBits}`);
  return value.bits / laneBits;
}

/** Counts what a semantic did. */
export interface Trace {
  effects: number;
  ended: boolean;
}

function fieldBits(name: string): number {
  const field = CpuState.fields.find((f) => f.name === name);
  assert.ok(field && field.count === 0, `CpuState has a scalar ${name}`);
  return field.sizeBytes * 8;
}

/** The binding; what it does is written into `trace`. */
export function widthSem(trace: Trace): Sem<Width> {
  const effect = (): void => {
    assert.ok(!trace.ended, "nothing after a control transfer");
    trace.effects++;
  };
  const binary = (a: Width, b: Width): Width => same(a, b);
  const unary = (a: Width): Width => a;
  const condition = (value: Width): void => is(value, 1);
  return {
    w: (value) => value.bits,
    int: (bits) => width(bits),
    constantOf: () => undefined,
    lookup: (table, bits, index) => {
      assert.equal(table.entries.length, 2 ** index.bits, "an entry for each index");
      return width(bits);
    },
    add: binary,
    sub: binary,
    mul: binary,
    udiv: binary,
    urem: binary,
    sdiv: binary,
    srem: binary,
    and: binary,
    or: binary,
    xor: binary,
    not: unary,
    neg: unary,
    shl: binary,
    lshr: binary,
    ashr: binary,
    rotl: binary,
    rotr: binary,
    fshl: (a, b, count) => same(a, b, count),
    fshr: (a, b, count) => same(a, b, count),
    eq: bit,
    ne: bit,
    ult: bit,
    ule: bit,
    slt: bit,
    sle: bit,
    select: (c, a, b) => {
      condition(c);
      return same(a, b);
    },
    zext: (a, bits) => {
      assert.ok(bits >= a.bits);
      return width(bits);
    },
    sext: (a, bits) => {
      assert.ok(bits >= a.bits);
      return width(bits);
    },
    trunc: (a, bits) => {
      assert.ok(bits <= a.bits);
      return width(bits);
    },
    bits: (a, low, bits) => {
      assert.ok(low >= 0 && low + bits <= a.bits, `bits ${low}+${bits} of ${a.bits}`);
      return width(bits);
    },
    concat: (...parts) => width(parts.reduce((sum, part) => sum + part.bits, 0)),
    popcount: unary,
    clz: unary,
    ctz: unary,
    bswap: (a) => {
      assert.equal(a.bits % 16, 0);
      return a;
    },
    lanes: (_op, laneBits, a, b) => {
      isLanes(a, laneBits);
      return same(a, b);
    },
    lanes1: (_op, laneBits, a) => {
      isLanes(a, laneBits);
      return a;
    },
    lane: (a, laneBits, index) => {
      assert.ok(index < isLanes(a, laneBits));
      return width(laneBits);
    },
    setLane: (a, laneBits, index, value) => {
      assert.ok(index < isLanes(a, laneBits));
      is(value, laneBits);
      return a;
    },
    laneAt: (a, laneBits) => {
      isLanes(a, laneBits);
      return width(laneBits);
    },
    shuffle: (laneBits, a, b, indices) => {
      const count = isLanes(same(a, b), laneBits);
      for (const index of indices) assert.ok(index >= 0 && index < 2 * count);
      return width(indices.length * laneBits);
    },
    permute: (laneBits, a, indices) => {
      isLanes(a, laneBits);
      return same(a, indices);
    },
    splat: (value, bits) => {
      assert.equal(bits % value.bits, 0);
      return width(bits);
    },
    blend: (laneBits, mask, a, b) => {
      is(mask, isLanes(same(a, b), laneBits));
      return a;
    },
    signMask: (a, laneBits) => width(isLanes(a, laneBits)),
    expandMask: (mask, laneBits) => width(mask.bits * laneBits),
    widen: (a, from, to) => width(isLanes(a, from) * to),
    narrow: (a, from, to) => width(isLanes(a, from) * to),
    fp: (_op, laneBits, a, b) => {
      isLanes(a, laneBits);
      return same(a, b);
    },
    fsqrt: (laneBits, a) => {
      isLanes(a, laneBits);
      return a;
    },
    fma: (laneBits, a, b, c) => {
      isLanes(a, laneBits);
      return same(a, b, c);
    },
    fcmp: (_predicate, laneBits, a, b) => {
      isLanes(a, laneBits);
      return same(a, b);
    },
    fpToInt: (laneBits, a, to) => width(isLanes(a, laneBits) * to),
    intToFp: (laneBits, a, to) => width(isLanes(a, laneBits) * to),
    fpConvert: (laneBits, a, to) => width(isLanes(a, laneBits) * to),
    fpRound: (laneBits, a) => {
      isLanes(a, laneBits);
      return a;
    },
    native: (op, operands, compose) => {
      const bits = op === "carrylessMultiply" ? 64 : 128;
      if (op !== "crc32c") for (const operand of operands) is(operand, bits);
      const value = compose();
      is(value, op === "crc32c" ? 32 : 128);
      return value;
    },

    gpr: (number, bits) => {
      assert.ok(number >= 0 && number < 16);
      return width(bits);
    },
    setGpr: (number, value) => {
      assert.ok(number >= 0 && number < 16 && [8, 16, 32, 64].includes(value.bits));
      effect();
    },
    vector: (number, bits) => {
      assert.ok(number >= 0 && number < 32 && bits <= 512);
      return width(bits);
    },
    setVector: (number, value) => {
      assert.ok(number >= 0 && number < 32 && value.bits <= 512);
      effect();
    },
    mask: () => width(64),
    setMask: (_number, value) => {
      assert.ok(value.bits <= 64);
      effect();
    },
    field: (name) => width(fieldBits(name)),
    setField: (name, value) => {
      is(value, fieldBits(name));
      effect();
    },
    x87: () => width(80),
    setX87: (_index, value) => {
      is(value, 80);
      effect();
    },
    flag: () => width(1),
    setFlag: (_flag, value) => {
      is(value(), 1);
      effect();
    },
    load: (bits, address) => {
      is(address, 64);
      effect();
      return width(bits);
    },
    store: (address) => {
      is(address, 64);
      effect();
    },
    loadIf: (c, bits, address) => {
      condition(c);
      is(address, 64);
      effect();
      return width(bits);
    },
    storeIf: (c, address) => {
      condition(c);
      is(address, 64);
      effect();
    },
    atomicRmw: (_op, address, value) => {
      is(address, 64);
      effect();
      return value;
    },
    atomicCas: (address, expected, desired) => {
      is(address, 64);
      effect();
      return same(expected, desired);
    },
    fence: effect,
    pc: () => width(64),
    nextPc: () => width(64),
    jump: (target) => {
      is(target, 64);
      effect();
      trace.ended = true;
    },
    branch: (c, target) => {
      condition(c);
      is(target, 64);
      effect();
      trace.ended = true;
    },
    skipIf: (c) => {
      condition(c);
      effect();
    },
    againIf: (c) => {
      condition(c);
      effect();
    },
    rareIf: (c) => {
      condition(c);
      return trace.effects % 2 === 0;
    },
    trapIf: (c) => {
      condition(c);
      effect();
    },
    syscall: effect,
    helper: (name, argument) => {
      assert.match(name, /^[a-z][a-z0-9_]*$/);
      is(argument, 64);
      effect();
    },
  };
}

/** How a form is used: with memory or registers, with which prefixes. */
export interface Use {
  readonly withMemory: boolean;
  readonly locked: boolean;
  readonly rep: Insn<Width>["rep"];
  readonly addressSize: 32 | 64;
}

/** An instruction of a form; operands check what is written to them. */
export function widthInsn(form: Form, use: Use, trace: Trace): Insn<Width> {
  const operand = (index: number) => {
    const found = form.operands[index];
    assert.ok(found, `operand ${index} of ${form.operands.length}`);
    return found;
  };
  const kind = (index: number) => {
    const { kind: kindOf, source } = operand(index);
    return source === "rm" && form.takesMemory && use.withMemory ? "memory" : kindOf;
  };
  const bits = (index: number): number => {
    const o = operand(index);
    if (kind(index) === "memory") return form.memoryBits;
    if (o.kind === "branch") return 64;
    return o.kind === "immediate" ? o.extendedWidth : o.width;
  };
  const effect = (): void => {
    assert.ok(!trace.ended, "nothing after a control transfer");
    trace.effects++;
  };
  const written = (index: number, value: Width): void => {
    const what = kind(index);
    if (what === "gpr" || what === "memory") is(value, bits(index));
    else assert.ok(value.bits <= 512 && what !== "immediate" && what !== "branch");
    effect();
  };
  return {
    mnemonic: form.mnemonic,
    code: form.code,
    opCount: form.operands.length,
    encoding: form.encoding,
    width: bits,
    kind,
    read: (index) => width(bits(index)),
    registerNumber: () => width(8),
    write: written,
    writeScalar: (index, value, above) => {
      assert.ok(kind(index) === "vector" && kind(above) === "vector" && value.bits < 128);
      written(index, value);
    },
    writeIf: (c, index, value) => {
      is(c, 1);
      assert.equal(kind(index), "gpr");
      written(index, value);
    },
    immediate: (index, to) => {
      assert.equal(operand(index).kind, "immediate");
      return width(to);
    },
    address: (index) => {
      assert.equal(kind(index), "memory");
      return width(64);
    },
    addressPlus: (index, bytes) => {
      assert.equal(kind(index), "memory");
      is(bytes, 64);
      return width(64);
    },
    laneAddress: () => width(64),
    segmentBase: () => width(64),
    locked: use.locked,
    rep: use.rep,
    addressSize: use.addressSize,
    opmask: (lanes) => (form.canMask ? width(lanes) : null),
    setOpmask: effect,
    zeroing: () => width(1),
    writeMasked: (index, laneBits, value) => {
      isLanes(value, laneBits);
      written(index, value);
    },
    readMasked: (index) => width(bits(index)),
    readSelected: (index) => width(bits(index)),
  };
}

/** Every way to use a form that its encoding allows. */
export function* usesOf(form: Form): Generator<Use> {
  const memories = form.hasModrm ? [form.takesRegister ? [false] : [], form.takesMemory ? [true] : []].flat() : [false];
  for (const withMemory of memories)
    for (const locked of form.canLock && withMemory ? [false, true] : [false])
      for (const rep of form.isString ? (["none", "rep", "repne"] as const) : (["none"] as const))
        for (const addressSize of [64, 32] as const) yield { withMemory, locked, rep, addressSize };
}
