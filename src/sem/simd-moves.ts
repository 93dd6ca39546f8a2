// Vector moves: whole registers, halves, scalars, between register files, non-temporal ones (which are ordinary stores
// here: their weaker order is allowed to be stronger), duplicating ones, and zeroing of upper halves.

import { both, full, partial } from "./rows.ts";
import {
  demandAlignment,
  enterMmxIfUsed,
  extend,
  low,
  maskedScalar,
  range,
  result,
  scalar,
  shuffleBlocks,
  source,
} from "./simd-operands.ts";
import type { Insn, Row, Sem, Semantic } from "./vocabulary.ts";

/** A move of whole registers or memory; `aligned` ones fault unless memory is aligned to the operand's size. */
function move(aligned: "aligned" | "unaligned", laneBits: number): Semantic {
  return (s, insn) => {
    for (const operand of [0, 1]) {
      if (aligned === "aligned" && insn.kind(operand) === "memory") {
        demandAlignment(s, insn, operand, insn.width(operand) / 8, laneBits);
      }
    }
    const value = insn.kind(1) === "memory" ? insn.readSelected(1, laneBits) : insn.read(1);
    insn.writeMasked(0, laneBits, value);
  };
}

/** movd and movq: the low `width` bits into or out of a vector, MMX or general register or memory, zero above. */
function moveLow(width: number): Semantic {
  return (s, insn) => {
    const value = low(s, insn.read(1), width);
    const kind = insn.kind(0);
    if (kind === "vector") insn.write(0, s.zext(value, 128));
    else insn.write(0, kind === "mm" ? extend(s, value, 64) : value);
    // Behind the store, which may fault.
    enterMmxIfUsed(s, insn);
  };
}

/** movss and movsd: memory loads clear the rest of the register, moves between registers keep or merge it. */
function moveScalar(width: number): Semantic {
  return (s, insn) => {
    if (insn.kind(0) === "memory") {
      const value = low(s, insn.read(1), width);
      const mask = insn.opmask(1);
      if (mask === null) insn.write(0, value);
      else s.storeIf(mask, insn.address(0), value);
    } else if (insn.kind(1) === "memory") {
      const value = scalar(s, insn, 1, width);
      insn.write(0, s.zext(maskedScalar(s, insn, value), 128));
    } else if (insn.opCount === 2) {
      insn.write(0, low(s, insn.read(1), width));
    } else {
      const value = maskedScalar(s, insn, low(s, insn.read(2), width));
      insn.writeScalar(0, value, 1);
    }
  };
}

const half = <V>(s: Sem<V>, value: V, which: "low" | "high"): V =>
  s.w(value) === 64 ? value : s.bits(value, which === "low" ? 0 : 64, 64);

/**
 * movlps, movhps, movlhps, movhlps: half `from` of the last operand becomes half `to` of the destination; the other half is
 * the first source's. With a memory destination: half `to` is stored.
 */
function moveHalf(from: "low" | "high", to: "low" | "high"): Semantic {
  return (s, insn) => {
    if (insn.kind(0) === "memory") return insn.write(0, half(s, insn.read(1), to));
    const last = insn.opCount - 1;
    const moved = half(s, insn.read(last), from);
    const kept = insn.read(last - 1);
    const value = to === "low" ? s.concat(half(s, kept, "high"), moved) : s.concat(moved, half(s, kept, "low"));
    insn.write(0, value);
  };
}

function duplicate(laneBits: number, pattern: readonly number[]): Semantic {
  return (s, insn) => {
    const a = source(s, insn, 1);
    result(s, insn, laneBits, shuffleBlocks(s, laneBits, a, a, pattern));
  };
}

/** movddup reads 64 bits of memory in its 128-bit form. */
function duplicateLowQuad(): Semantic {
  return (s, insn) => {
    if (insn.kind(1) === "memory" && insn.width(1) === 64) {
      const value = insn.read(1);
      return result(s, insn, 64, s.concat(value, value));
    }
    const a = insn.kind(1) === "memory" ? insn.read(1) : low(s, insn.read(1), insn.width(0));
    result(s, insn, 64, shuffleBlocks(s, 64, a, a, [0, 0]));
  };
}

/** Zeroes the bits above `kept` of registers 0..15. */
function zeroRegisters(kept: number): Semantic {
  return (s, _insn) => {
    for (let register = 0; register < 16; register++) {
      const value = kept === 0 ? s.int(128, 0) : s.vector(register, kept);
      s.setVector(register, value, "zero");
    }
  };
}

/** The bytes of operand `data` whose mask byte has its top bit set go to [rdi]. */
const maskedByteStore: Semantic = <V>(s: Sem<V>, insn: Insn<V>) => {
  // Operand 0 is [rdi].
  const data = insn.read(1);
  const mask = s.signMask(insn.read(2), 8);
  const rdi = insn.addressSize === 64 ? s.gpr(7, 64) : s.zext(s.gpr(7, 32), 64);
  const base = s.add(rdi, insn.segmentBase());
  range(s.w(data) / 8, (lane) => {
    s.storeIf(s.bits(mask, lane, 1), s.add(base, s.int(64, lane)), s.bits(data, lane * 8, 8));
  });
  enterMmxIfUsed(s, insn);
};

/** vmaskmov: lanes whose mask lane has its top bit set are loaded (else 0) or stored. */
function maskedMove(laneBits: number): Semantic {
  return (s, insn) => {
    const isLoad = insn.kind(2) === "memory";
    const mask = s.signMask(insn.read(1), laneBits);
    const base = insn.address(isLoad ? 2 : 0);
    const count = insn.width(1) / laneBits;
    const data = isLoad ? undefined : insn.read(2);
    const loaded = range(count, (lane) => {
      const address = s.add(base, s.int(64, (lane * laneBits) / 8));
      const selected = s.bits(mask, lane, 1);
      if (data === undefined) return s.loadIf(selected, laneBits, address);
      return s.storeIf(selected, address, s.bits(data, lane * laneBits, laneBits));
    });
    if (isLoad) insn.write(0, s.concat(...(loaded as (typeof mask)[]).reverse()));
  };
}

function moveMask(laneBits: number): Semantic {
  return (s, insn) => {
    const mask = s.signMask(insn.read(1), laneBits);
    enterMmxIfUsed(s, insn);
    insn.write(0, s.zext(mask, insn.width(0)));
  };
}

const EVEX_MOVES: readonly Row[] = [8, 16, 32, 64].flatMap((bits) => [
  full(`Vmovdqu${bits}`, move("unaligned", bits)),
  ...(bits >= 32 ? [full(`Vmovdqa${bits}`, move("aligned", bits))] : []),
]);

const FAULT_ORDER = "a fault in the middle leaves the bytes before it stored";

export const SIMD_MOVES: readonly Row[] = [
  ...both("Movaps", move("aligned", 32)),
  ...both("Movapd", move("aligned", 64)),
  ...both("Movups", move("unaligned", 32)),
  ...both("Movupd", move("unaligned", 64)),
  ...both("Movdqa", move("aligned", 64)),
  ...both("Movdqu", move("unaligned", 64)),
  ...both("Lddqu", move("unaligned", 64)),
  ...both("Movntps", move("aligned", 32)),
  ...both("Movntpd", move("aligned", 64)),
  ...both("Movntdq", move("aligned", 64)),
  ...both("Movntdqa", move("aligned", 64)),
  ...EVEX_MOVES,
  full("Movntss", moveScalar(32)),
  full("Movntsd", moveScalar(64)),
  full("Movntq", moveLow(64)),
  ...both("Movd", moveLow(32)),
  ...both("Movq", moveLow(64)),
  full("Movq2dq", moveLow(64)),
  full("Movdq2q", moveLow(64)),
  ...both("Movss", moveScalar(32)),
  ...both("Movsd", moveScalar(64)),
  ...["Movlps", "Movlpd"].flatMap((name) => both(name, moveHalf("low", "low"))),
  ...["Movhps", "Movhpd"].flatMap((name) => both(name, moveHalf("low", "high"))),
  ...both("Movhlps", moveHalf("high", "low")),
  ...both("Movlhps", moveHalf("low", "high")),
  ...both("Movsldup", duplicate(32, [0, 0, 2, 2])),
  ...both("Movshdup", duplicate(32, [1, 1, 3, 3])),
  ...both("Movddup", duplicateLowQuad()),
  ...both("Movmskps", moveMask(32)),
  ...both("Movmskpd", moveMask(64)),
  ...both("Pmovmskb", moveMask(8)),
  full("Vzeroupper", zeroRegisters(128)),
  full("Vzeroall", zeroRegisters(0)),
  partial("Maskmovq", maskedByteStore, FAULT_ORDER),
  partial("Maskmovdqu", maskedByteStore, FAULT_ORDER),
  partial("Vmaskmovdqu", maskedByteStore, FAULT_ORDER),
  ...["Vmaskmovps", "Vpmaskmovd"].map((name) => full(name, maskedMove(32))),
  ...["Vmaskmovpd", "Vpmaskmovq"].map((name) => full(name, maskedMove(64))),
];
