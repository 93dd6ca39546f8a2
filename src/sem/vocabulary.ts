// The vocabulary in which the meaning of every instruction is written, once. A semantic is a function over some value
// type V: `ops` computes, `machine` reads and changes the guest's state, `insn` is the instruction at hand. Two users
// bind it: the lifter (registers are SSA values, operands known, V is an LLVM value) and the interpreter generator
// (registers live in CpuState, operands are decoded at run time, V is an LLVM value too).
//
// Every operation is total and deterministic: no poison, no undef, whatever the operands. A vector is just a wide
// integer; lane operations say how they cut it. Widths are in bits.

/** Constants to look up, under a name that no other has. */
export interface LookupTable {
  readonly name: string;
  readonly entries: readonly number[];
}

/** Pure integer and floating-point operations. `w(v)` is a value's width; binary operations want equal widths. */
export interface Ops<V> {
  w(value: V): number;
  /** A constant, taken modulo 2^width: negative numbers are all right. */
  int(width: number, value: number | bigint): V;
  /** The unsigned value if this binding knows it now (an immediate in the translator), so that a semantic can be shorter. */
  constantOf(value: V): bigint | undefined;

  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  /** Division by zero, and the overflow of the signed forms, give 0: the caller has raised #DE before. */
  udiv(a: V, b: V): V;
  urem(a: V, b: V): V;
  sdiv(a: V, b: V): V;
  srem(a: V, b: V): V;
  and(a: V, b: V): V;
  or(a: V, b: V): V;
  xor(a: V, b: V): V;
  not(a: V): V;
  neg(a: V): V;
  /** Shifts: `count` has a's width and is unsigned; counts >= width give 0 (ashr: copies of the sign). */
  shl(a: V, count: V): V;
  lshr(a: V, count: V): V;
  ashr(a: V, count: V): V;
  /** Rotations and funnel shift of hi:lo (result: the high half of the shifted pair); counts are taken modulo width. */
  rotl(a: V, count: V): V;
  rotr(a: V, count: V): V;
  fshl(hi: V, lo: V, count: V): V;
  fshr(hi: V, lo: V, count: V): V;

  /** Comparisons give one bit. */
  eq(a: V, b: V): V;
  ne(a: V, b: V): V;
  ult(a: V, b: V): V;
  ule(a: V, b: V): V;
  slt(a: V, b: V): V;
  sle(a: V, b: V): V;
  select(condition: V, ifOne: V, ifZero: V): V;

  zext(a: V, width: number): V;
  sext(a: V, width: number): V;
  trunc(a: V, width: number): V;
  /** `width` bits of a from bit `low` (static). */
  bits(a: V, low: number, width: number): V;
  /** Concatenation, most significant first. */
  concat(...parts: V[]): V;
  popcount(a: V): V;
  /** Leading/trailing zeros; the width for 0. Result has a's width. */
  clz(a: V): V;
  ctz(a: V): V;
  bswap(a: V): V;

  /** The entry of a constant table, of `width` bits; there are as many entries as `index` has values. */
  lookup(table: LookupTable, width: 8 | 16, index: V): V;

  /** Number of lanes is w(a) / laneBits. Per-lane integer operations; comparisons give lanes of all ones or zeros. */
  lanes(op: LaneOp, laneBits: number, a: V, b: V): V;
  /** Unary lane operations. */
  lanes1(op: LaneOp1, laneBits: number, a: V): V;
  lane(a: V, laneBits: number, index: number): V;
  setLane(a: V, laneBits: number, index: number, value: V): V;
  /** Lane by dynamic index (any width), taken modulo the number of lanes. */
  laneAt(a: V, laneBits: number, index: V): V;
  /**
   * result[i] = concat(b, a)[indices[i]] with static indices over the lanes of a (0..n-1) and b (n..2n-1). The result has
   * as many lanes as there are indices.
   */
  shuffle(laneBits: number, a: V, b: V, indices: readonly number[]): V;
  /** result lane i = a's lane indices[i] (dynamic, taken modulo lane count); `indices` has a's width. */
  permute(laneBits: number, a: V, indices: V): V;
  splat(value: V, width: number): V;
  /** Lane-wise choice: `mask` has one bit a lane (width = lane count). */
  blend(laneBits: number, mask: V, ifOne: V, ifZero: V): V;
  /** The top bit of each lane, as an integer with one bit a lane. */
  signMask(a: V, laneBits: number): V;
  /** One bit a lane → lanes of all ones or zeros. */
  expandMask(mask: V, laneBits: number): V;
  /**
   * Lane-wise widening / narrowing: lanes of `from` bits become lanes of `to` bits; total width changes likewise. Both
   * saturating forms take signed lanes (packss, packus).
   */
  widen(a: V, from: number, to: number, signed: boolean): V;
  narrow(a: V, from: number, to: number, how: "truncate" | "saturateSigned" | "saturateUnsigned"): V;

  /**
   * IEEE operations on lanes of 32 or 64 bits, in the current rounding mode (mxcsr's, or that of the instruction's EVEX
   * prefix: the binding sees to it around the semantic), denormals as mxcsr says, with the results that x86 SSE gives, NaNs
   * included: a NaN operand is returned quieted (the first one if both are; for min/max the second operand if either is
   * NaN or both are zero, and the operand chosen as it is, denormal or not), invalid operations give the negative default NaN.
   */
  fp(op: FpOp, laneBits: 32 | 64, a: V, b: V): V;
  fsqrt(laneBits: 32 | 64, a: V): V;
  /**
   * a * b + c with one rounding, the product negated or c negated in some lanes; NaNs are never negated, and their priority is a, b, c as
   * the VEX 132/213/231 semantics order their operands.
   */
  fma(laneBits: 32 | 64, a: V, b: V, c: V, negateProduct: boolean, addend: Negation): V;
  /** Lane comparisons: all ones or zeros. */
  fcmp(predicate: FpPredicate, laneBits: 32 | 64, a: V, b: V): V;
  /**
   * Lanes of 32 or 64 bits to lanes of signed or unsigned integers of `to` bits; out of range and NaN give the integer indefinite
   * (1 << to-1; unsigned: all ones).
   */
  fpToInt(laneBits: 32 | 64, a: V, to: number, rounding: Rounding, signed: boolean): V;
  /** Lanes of integers of 32 or 64 bits to lanes of `to` bits, current rounding mode. */
  intToFp(laneBits: number, a: V, to: 32 | 64, signed: boolean): V;
  /** Lanes of one size to lanes of another; a signalling NaN is quieted, payload kept. */
  fpConvert(laneBits: 16 | 32 | 64, a: V, to: 16 | 32 | 64): V;
  /** Rounds each lane to an integral value. */
  fpRound(laneBits: 32 | 64, a: V, rounding: Rounding): V;

  /**
   * What `compose` gives, which a binding may instead have from its host's own instructions. Operands and result are 128 bits wide
   * unless said otherwise below.
   */
  native(op: NativeOp, operands: readonly V[], compose: () => V): V;
}

export type NativeOp =
  | "aesEncrypt" // SubBytes(ShiftRows(a))
  | "aesDecrypt" // the inverse
  | "aesMix" // MixColumns(a)
  | "aesInverseMix"
  | "carrylessMultiply" // 64 bits by 64 bits
  | "crc32c" // of 32 bits (also the result's) and data of 8, 16, 32 or 64 bits
  | "sha1Choice" // four rounds as sha1rnds4 has them, on state and words with their constant added
  | "sha1Parity"
  | "sha1Majority"
  | "sha256Rounds" // sha256rnds2: (operand 0, operand 1, xmm0)
  | "sha256Message1"
  | "sha256Message2"
  | "lookUpBytes" // (table, indices): 0 for indices from 16 on
  | "sumDifferences" // psadbw
  | "multiplyAddWords" // pmaddwd
  | "multiplyUnsignedHalves" // pmuludq
  | "multiplySignedHalves"; // pmuldq

export type LaneOp =
  | "add"
  | "sub"
  | "mul"
  | "and"
  | "or"
  | "xor"
  | "eq"
  | "ne"
  | "ugt"
  | "sgt"
  | "ult"
  | "slt"
  | "uge"
  | "sge"
  | "ule"
  | "sle"
  | "umin"
  | "umax"
  | "smin"
  | "smax"
  | "uaddSat"
  | "saddSat"
  | "usubSat"
  | "ssubSat"
  | "uavg" // (a + b + 1) >> 1 without overflow
  | "umulHigh"
  | "smulHigh"
  | "shl"
  | "lshr"
  | "ashr"
  | "rotl"
  | "rotr"; // counts lane by lane; >= laneBits gives 0 / sign copies
export type LaneOp1 = "abs" | "neg" | "not" | "popcount" | "clz";
/** Which lanes are negated. */
export type Negation = "none" | "all" | "even" | "odd";
export type FpOp = "add" | "sub" | "mul" | "div" | "min" | "max";
export type FpPredicate = "eq" | "lt" | "le" | "unord" | "ne" | "nlt" | "nle" | "ord"; // x86 order 0..7: n* are true for NaN
export type Rounding = "nearest" | "down" | "up" | "zero" | "current";

/** Arithmetic flags. Values are one bit wide. */
export type Flag = "cf" | "pf" | "af" | "zf" | "sf" | "of";

/** Guest state other than explicit operands, memory, and control. */
export interface Machine<V> {
  /** General register by encoding number 0..15, low `width` bits (8: low byte; for ah..bh use bits). */
  gpr(number: number, width: 8 | 16 | 32 | 64): V;
  /** Write: 32 bits zero-extend, 8 and 16 merge. */
  setGpr(number: number, value: V): void;
  /** The full 512 bits, or the low `width`, of a vector register 0..31. */
  vector(number: number, width: number): V;
  /** Writes the low bits and keeps (`merge`) or zeroes the bits above. */
  setVector(number: number, value: V, above: "merge" | "zero"): void;
  mask(number: number): V; // 64 bits
  setMask(number: number, value: V): void;
  /** Any other scalar field of CpuState by its name (mxcsr, fs_base, df, fcw, fsw, …), in the field's own width. */
  field(name: string): V;
  setField(name: string, value: V): void;

  /** x87 physical register R0..R7 (dynamic index of any width, modulo 8): 80 bits. Tags and top of stack are the caller's. */
  x87(index: V): V;
  setX87(index: V, value: V): void;

  flag(flag: Flag): V;
  /** Flags are lazy: the function runs when, and if, the flag is needed; it must use only values, never read state. */
  setFlag(flag: Flag, value: () => V): void;

  /** Guest memory; addr is 64 bits. Little endian, any alignment. May fault: then no later effect of the instruction happens. */
  load(width: number, addr: V): V;
  store(addr: V, value: V): void;
  /** The same where the condition is 1; else memory is not touched, and the value is 0. */
  loadIf(condition: V, width: number, addr: V): V;
  storeIf(condition: V, addr: V, value: V): void;
  /** Atomic read-modify-write on naturally or otherwise aligned memory; gives the old value. Full barrier. */
  atomicRmw(op: "add" | "sub" | "and" | "or" | "xor" | "xchg", addr: V, value: V): V;
  atomicCas(addr: V, expected: V, desired: V): V;
  fence(kind: "full" | "load" | "store"): void;

  /** Address of this instruction and of the next one, as 64-bit values. */
  pc(): V;
  nextPc(): V;
  /** Control transfers end the semantic. `call` has pushed already, `ret` has popped already. */
  jump(target: V, kind: "jump" | "call" | "ret"): void;
  /** Taken: go to target; else to the next instruction. */
  branch(condition: V, target: V): void;
  /** When the condition is 1 the instruction is complete here (string instructions with count 0). */
  skipIf(condition: V): void;
  /**
   * When the condition is 1 the instruction is executed once more, with the state as it is by now: repeated string instructions, and
   * compare-and-swap that has failed (where rareIf has not been taken). Else the semantic goes on.
   */
  againIf(condition: V): void;
  /**
   * Offers to leave the case that `condition` is 1 to the interpreter, since doing it here is long and the case is rare. True: the
   * binding does (nothing has changed by then), and the semantic may go on as if the condition were 0. Else false.
   */
  rareIf(condition: V): boolean;
  /** Raise x86 exception `vector` (0 #DE, 6 #UD, 13 #GP, …) with state as before the instruction, when the condition is 1. */
  trapIf(condition: V, vector: number): void;
  syscall(): void;
  /**
   * Runs the runtime's C function `void hc_helper_<name>(struct cpu_state *, uint64_t argument)` on the canonical state:
   * for what is rare and long (cpuid, rdtsc, x87 arithmetic, fxsave). May change any state. The argument is 64 bits.
   */
  helper(name: string, argument: V): void;
}

/** The instruction at hand. Facts are static (known for a form); values may be dynamic. */
export interface Insn<V> {
  /** Names of iced-x86's Mnemonic and Code, such as "Leave" and "Leavew". */
  readonly mnemonic: string;
  readonly code: string;
  readonly opCount: number;
  readonly encoding: "legacy" | "vex" | "evex";
  /**
   * Operand size in bits (memory: the accessed size; EVEX broadcast: the full vector's; immediate: after the extension that the
   * instruction asks for; branch: 64; segment: 16).
   */
  width(operand: number): number;
  kind(
    operand: number,
  ): "gpr" | "vector" | "mask" | "mm" | "st" | "segment" | "memory" | "immediate" | "branch" | "other";
  /**
   * The operand's value. Branch: the target address. Segment register: its number (es cs ss ds fs gs are 0..5), since CpuState keeps
   * no selectors. Mask register: the low bits of `width`.
   */
  read(operand: number): V;
  /** The number of a register operand as an 8-bit value; for st(i) it is i. */
  registerNumber(operand: number): V;
  /**
   * Writes the operand by the rules of its kind: gpr as Machine.setGpr, vector registers merge above for legacy
   * encodings and zero above for VEX/EVEX. `value` may be narrower than a vector register, then rules apply above it.
   * mm: the low 64 bits of the physical register, all ones above them. mask: zero-extended.
   */
  write(operand: number, value: V): void;
  /** Writes the low bits of a vector register; up to 128 bits it becomes what register operand `above` is there, and 0 beyond. */
  writeScalar(operand: number, value: V, above: number): void;
  /** `write` to a general register where the condition is 1; else it keeps all its bits (no zero extension of 32-bit forms). */
  writeIf(condition: V, operand: number, value: V): void;
  /** Immediate operand extended (by the instruction's rule) or cut to `width`. */
  immediate(operand: number, width: number): V;
  /**
   * Effective address of the memory operand, segment base added, 64 bits. `withoutSegment` for lea. From the registers as they are at the
   * first call: pop has moved rsp by then.
   */
  address(operand: number, withoutSegment?: boolean): V;
  /** The address at `bytes` (64 bits) from the memory operand, where the address size cuts the sum (bt m, r). */
  addressPlus(operand: number, bytes: V): V;
  /** Address of lane `lane` of a vsib memory operand, whose index lanes have `indexBits`. */
  laneAddress(operand: number, lane: number, indexBits: 32 | 64): V;
  /** Base of the segment that an fs: or gs: prefix selects, else 0; for implicit memory operands ([rsi], [rbx + al]). */
  segmentBase(): V;
  /** The lock prefix. */
  readonly locked: boolean;
  /** Repetition prefix; F2 before movs, stos and lods counts as `repne`. */
  readonly rep: "none" | "rep" | "repne";
  /** Address size in bits: 64 or 32. */
  readonly addressSize: 32 | 64;
  /** EVEX opmask as one bit a lane, or null when the form has none (k0): every lane is written. */
  opmask(lanes: number): V | null;
  /** Writes the EVEX opmask register (zero-extended): gathers and scatters clear it. */
  setOpmask(value: V): void;
  /** EVEX zeroing-masking: a bit. */
  zeroing(): V;
  /**
   * EVEX write under the opmask: lanes of `laneBits` not selected keep their old value (merging) or become 0 (zeroing);
   * memory destinations store only the selected lanes. Without a mask it is `write`. There are w(value) / laneBits lanes;
   * above them rules apply as for `write`.
   */
  writeMasked(operand: number, laneBits: number, value: V): void;
  /**
   * Reads under the opmask: lanes not selected are 0 and, in memory, are not touched (fault suppression). Without a mask,
   * and for other operands than memory if the binding likes, it is `read`.
   */
  readMasked(operand: number, laneBits: number): V;
  /** The same for who does not look at lanes that are not selected: these may be anything. */
  readSelected(operand: number, laneBits: number): V;
}

/** All that a semantic gets. */
export interface Sem<V> extends Ops<V>, Machine<V> {}

export type Semantic = <V>(sem: Sem<V>, insn: Insn<V>) => void;

/** How well an instruction is supported. `partial` and `refused` carry a reason that users read. */
export type Support = "full" | "partial" | "refused";

/** One line of the table. */
export interface Row {
  readonly mnemonic: string;
  readonly support: Support;
  readonly semantic: Semantic;
  readonly reason?: string;
}
