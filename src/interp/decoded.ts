// What runtime/decode.c leaves for the functions of the interpreter: the parts of one instruction whose values are known
// only at run time. One table for both sides, like those of src/abi.

import { defineStruct, type Struct } from "../abi/index.ts";

export const Decoded: Struct = defineStruct("hc_decoded", [
  ["next_rip", "u64", "address of the next instruction"],
  ["address", "u64", "effective address, segment base added; vsib: without the index"],
  ["linear", "u64", "effective address without the segment base"],
  ["segment_base", "u64", "base of fs or gs if the prefix is there, else 0"],
  ["immediate", "u64", "first immediate or branch displacement, sign-extended"],
  ["second_immediate", "u64", "second immediate, zero-extended"],
  ["length", "u8", "bytes of the instruction"],
  ["reg", "u8", "modrm.reg with its extension bits"],
  ["rm", "u8", "modrm.rm or the opcode's register with their extension bits"],
  ["vvvv", "u8", "VEX and EVEX vvvv"],
  ["is4", "u8", "register in the high half of the immediate"],
  ["reg8", "u8", "byte offset in CpuState of modrm.reg as a byte register"],
  ["rm8", "u8", "the same of rm"],
  ["opmask", "u8", "EVEX aaa"],
  ["zeroing", "u8", "EVEX z, 0 or 1"],
  ["index", "u8", "vsib index register"],
  ["scale", "u8", "vsib: shift of the index, 0..3"],
  ["address32", "u8", "1 with an address size prefix"],
  ["rounding", "u8", "EVEX static rounding, which suppresses exceptions: 1 + rounding control, 0 = mxcsr's"],
  ["suppressed", "u8", "1: raises no floating-point exceptions, and rounds as mxcsr says"],
]);
