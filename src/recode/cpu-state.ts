// A home thread's machine state as CRIU keeps it (ThreadInfoX86) ⇄ the CpuState that translated code works on. CRIU's
// floating-point part is the kernel's XSAVE area in its standard format: legacy registers (x87 in stack order), then per
// component, where a component whose bit in xstate_bv is clear is in its initial state whatever its bytes say
// (Intel SDM Vol. 1, chapter 13).

import { create } from "@bufbuild/protobuf";
import { CpuState } from "../abi/index.ts";
import {
  type ThreadInfoX86,
  ThreadInfoX86Schema,
  type X86FloatRegisters,
  X86FloatRegistersSchema,
  type X86Registers,
  X86RegistersSchema,
  type X86Xsave,
  X86XsaveSchema,
} from "../image/index.ts";
import { StructView } from "./struct-view.ts";

/** Names of the registers in CRIU's message, in the order of CpuState.gpr. */
const GPR_FIELDS = [
  "ax",
  "cx",
  "dx",
  "bx",
  "sp",
  "bp",
  "si",
  "di",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
] as const;

/** Bits of rflags that have a byte each in CpuState. */
const FLAG_BITS = { cf: 0, pf: 2, af: 4, zf: 6, sf: 7, df: 10, of: 11 } as const;
/** TF, NT, AC and ID: what else user code can change. */
const FLAG_REST = 0x24_4100n;
/** Bit 1 is always set, and interrupts are on in user code. */
const FLAG_FIXED = 0x202n;

/** Components of the XSAVE area by bit of xstate_bv. */
const COMPONENT = { x87: 0, sse: 1, ymm: 2, opmask: 5, zmmHigh: 6, zmm16: 7 } as const;

const INITIAL_MXCSR = 0x1f80;
const INITIAL_FCW = 0x37f;
const DEFAULT_MXCSR_MASK = 0x2ffff;
const USER_CS = 0x33n;
const USER_SS = 0x2bn;
/** X86Registers.mode of a 64-bit thread. */
const NATIVE = 1;

/** CpuState bytes for a home thread. */
export function encodeCpuState(info: ThreadInfoX86): Uint8Array<ArrayBuffer> {
  const state = new StructView(CpuState, new Uint8Array(CpuState.sizeBytes));
  const registers = info.gpregs ?? create(X86RegistersSchema);
  GPR_FIELDS.forEach((name, index) => {
    state.set("gpr", registers[name], index);
  });
  state.set("rip", registers.ip);
  state.set("fs_base", registers.fsBase);
  state.set("gs_base", registers.gsBase);
  for (const [name, bit] of Object.entries(FLAG_BITS)) state.set(name, (registers.flags >> BigInt(bit)) & 1n);
  state.set("rflags_rest", registers.flags & FLAG_REST);
  encodeFloats(state, info.fpregs);
  return state.bytes as Uint8Array<ArrayBuffer>;
}

function encodeFloats(state: StructView, floats: X86FloatRegisters | undefined): void {
  state.set("mxcsr", floats?.mxcsr ?? INITIAL_MXCSR);
  state.set("fcw", floats?.cwd ?? INITIAL_FCW);
  if (!floats) return;
  state.set("fsw", floats.swd);
  state.set("ftw", floats.twd);
  state.set("fop", floats.fop);
  state.set("fip", floats.rip);
  state.set("fdp", floats.rdp);
  const top = (floats.swd >>> 11) & 7;
  for (let index = 0; index < 8; index++) {
    putWords32(state.slice("st", (top + index) & 7), floats.stSpace, index * 4, 4);
  }
  const { xsave } = floats;
  const has = (bit: number): boolean => xsave !== undefined && ((xsave.xstateBv >> BigInt(bit)) & 1n) === 1n;
  for (let index = 0; index < 32; index++) {
    const zmm = state.slice("zmm", index);
    if (index < 16) {
      putWords32(zmm, floats.xmmSpace, index * 4, 4);
      if (has(COMPONENT.ymm)) putWords32(zmm.subarray(16), xsave!.ymmhSpace, index * 4, 4);
      if (has(COMPONENT.zmmHigh)) putWords64(zmm.subarray(32), xsave!.zmmUpper, index * 4, 4);
    } else if (has(COMPONENT.zmm16)) {
      putWords64(zmm, xsave!.hi16Zmm, (index - 16) * 8, 8);
    }
  }
  if (has(COMPONENT.opmask)) putWords64(state.slice("k"), xsave!.opmaskReg, 0, 8);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Stores words `from`… of `words`, which may be missing (then the bytes stay zero). */
function putWords32(target: Uint8Array, words: readonly number[], from: number, count: number): void {
  const view = viewOf(target);
  for (let i = 0; i < count; i++) view.setUint32(i * 4, words[from + i] ?? 0, true);
}

function putWords64(target: Uint8Array, words: readonly bigint[], from: number, count: number): void {
  const view = viewOf(target);
  for (let i = 0; i < count; i++) view.setBigUint64(i * 8, words[from + i] ?? 0n, true);
}

function words32(bytes: Uint8Array): number[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true));
}

function words64(bytes: Uint8Array): bigint[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigUint64(i * 8, true));
}

/** A home thread as the kernel starts one: what a thread that began abroad has beside its CpuState. */
function freshThreadInfo(): ThreadInfoX86 {
  const info = create(ThreadInfoX86Schema);
  info.clearTidAddr = 0n;
  const gpregs = create(X86RegistersSchema, { cs: USER_CS, ss: USER_SS, ds: 0n, es: 0n, fs: 0n, gs: 0n, mode: NATIVE });
  gpregs.flags = FLAG_FIXED;
  info.gpregs = gpregs;
  info.fpregs = create(X86FloatRegistersSchema, { mxcsrMask: DEFAULT_MXCSR_MASK, xsave: create(X86XsaveSchema) });
  info.fpregs.xsave!.xstateBv = 3n;
  for (let index = 0; index < 3; index++) {
    info.tls.push({
      $typeName: "hcontainer.criu.X86TlsDescriptor",
      entryNumber: 12 + index,
      baseAddr: 0,
      limit: 0,
      seg32bit: false,
      contentsH: false,
      contentsL: false,
      readExecOnly: true,
      limitInPages: false,
      segNotPresent: true,
      usable: false,
    });
  }
  return info;
}

/**
 * The home form of a CpuState. `home` is the thread's machine state from before it left (changed in place), or
 * undefined for a thread that began abroad. Nothing of `home` but what CpuState does not hold stays.
 */
export function decodeCpuState(bytes: Uint8Array, home: ThreadInfoX86 | undefined): ThreadInfoX86 {
  const state = new StructView(CpuState, bytes);
  const info = home ?? freshThreadInfo();
  info.gpregs ??= create(X86RegistersSchema);
  const registers: X86Registers = info.gpregs;
  GPR_FIELDS.forEach((name, index) => {
    registers[name] = state.get("gpr", index);
  });
  registers.ip = state.get("rip");
  registers.fsBase = state.get("fs_base");
  registers.gsBase = state.get("gs_base");
  let flags = (state.get("rflags_rest") & FLAG_REST) | FLAG_FIXED;
  for (const [name, bit] of Object.entries(FLAG_BITS)) flags |= (state.get(name) & 1n) << BigInt(bit);
  registers.flags = flags;
  // Not in a system call: the kernel at home must not restart anything.
  registers.origAx = 0xffff_ffff_ffff_ffffn;
  info.fpregs ??= create(X86FloatRegistersSchema);
  decodeFloats(state, info.fpregs);
  return info;
}

function decodeFloats(state: StructView, floats: X86FloatRegisters): void {
  floats.cwd = state.number("fcw");
  floats.swd = state.number("fsw");
  floats.twd = state.number("ftw");
  floats.fop = state.number("fop");
  floats.rip = state.get("fip");
  floats.rdp = state.get("fdp");
  floats.mxcsr = state.number("mxcsr");
  const top = (floats.swd >>> 11) & 7;
  floats.stSpace = [];
  for (let index = 0; index < 8; index++) floats.stSpace.push(...words32(state.slice("st", (top + index) & 7)));
  const [xmm, ymm, high, upper]: [number[], number[], bigint[], bigint[]] = [[], [], [], []];
  for (let index = 0; index < 32; index++) {
    const zmm = state.slice("zmm", index);
    if (index < 16) {
      xmm.push(...words32(zmm.subarray(0, 16)));
      ymm.push(...words32(zmm.subarray(16, 32)));
      high.push(...words64(zmm.subarray(32, 64)));
    } else {
      upper.push(...words64(zmm));
    }
  }
  floats.xmmSpace = xmm;
  floats.xsave ??= create(X86XsaveSchema);
  const { xsave } = floats;
  let present = xsave.xstateBv | (1n << BigInt(COMPONENT.x87)) | (1n << BigInt(COMPONENT.sse));
  present = put(xsave, "ymmhSpace", ymm, COMPONENT.ymm, present);
  present = put(xsave, "opmaskReg", words64(state.slice("k")), COMPONENT.opmask, present);
  present = put(xsave, "zmmUpper", high, COMPONENT.zmmHigh, present);
  present = put(xsave, "hi16Zmm", upper, COMPONENT.zmm16, present);
  xsave.xstateBv = present;
}

type Component = "ymmhSpace" | "opmaskReg" | "zmmUpper" | "hi16Zmm";

/** Stores one component, present or in its initial state, and gives xstate_bv. A CPU without it gets none. */
function put<K extends Component>(xsave: X86Xsave, name: K, words: X86Xsave[K], bit: number, present: bigint): bigint {
  const mask = 1n << BigInt(bit);
  const isInitial = words.every((word: number | bigint) => BigInt(word) === 0n);
  if (isInitial && xsave[name].length === 0) return present & ~mask;
  xsave[name] = words;
  return isInitial ? present & ~mask : present | mask;
}
