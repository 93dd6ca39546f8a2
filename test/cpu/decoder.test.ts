// tier: cpu
// Holds runtime/decode.c against iced-x86's decoder: random bytes, most of them shaped like instructions. Where iced-x86
// knows an instruction that the interpreter has, ours must find the same code, length, address and immediate, and read not
// a byte more; everything else must be an undefined instruction.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Code, Decoder, DecoderOptions, type Instruction, OpKind, Register } from "iced-x86";
import { CpuState, offsetOf } from "../../src/abi/index.ts";
import { run } from "../../src/host/index.ts";
import { enumerateForms } from "../../src/x86/index.ts";
import { encode, Random } from "./encode.ts";
import { linkWithInterpreter } from "./link.ts";

const ANSWER_BYTES = 40;
const RECORD_BYTES = 16;
const MAX_BYTES = 15;
const PAGE_END = 0x10001000n;
const UNDEFINED = 6;
const TOO_LONG = 13;
const RAN_OUT = 100;

/** Registers with a value each, so that an address tells which of them it was made of. */
function makeState(): Uint8Array {
  const state = new Uint8Array(CpuState.sizeBytes);
  const view = new DataView(state.buffer);
  for (let i = 0; i < 16; i++) view.setBigUint64(offsetOf(CpuState, "gpr", i), registerValue(i), true);
  view.setBigUint64(offsetOf(CpuState, "fs_base"), 0x1111_0000_0000n, true);
  view.setBigUint64(offsetOf(CpuState, "gs_base"), 0x2222_0000_0000n, true);
  return state;
}
const registerValue = (number: number): bigint => BigInt.asUintN(64, BigInt(number + 1) * 0x9e37_79b9_7f4a_7c15n);

const PREFIX_BYTES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];

/** Bytes shaped like an instruction, or not. */
function shapedBytes(random: Random): number[] {
  const bytes: number[] = [];
  const some = (count: number): void => {
    for (let i = 0; i < count; i++) bytes.push(random.below(256));
  };
  if (random.chance(8)) some(MAX_BYTES);
  while (random.chance(3)) bytes.push(random.pick(PREFIX_BYTES));
  const kind = random.below(8);
  if (kind < 3 && random.chance(2)) bytes.push(0x40 + random.below(16));
  if (kind === 1) bytes.push(0x0f);
  else if (kind === 2) bytes.push(0x0f, random.pick([0x38, 0x3a]));
  else if (kind === 3) bytes.push(0xc5, random.below(256));
  else if (kind === 4) bytes.push(0xc4, (random.below(8) << 5) | random.pick([1, 2, 3]), random.below(256));
  else if (kind >= 5) {
    bytes.push(0x62, (random.below(16) << 4) | random.pick([1, 2, 3]), random.below(256) | 4, random.below(256));
    // Without a mask, rounding and zeroing, and with no second source, more of them are instructions.
    if (random.chance(2)) bytes[bytes.length - 1]! &= 0x68;
    if (random.chance(2)) bytes[bytes.length - 2]! |= 0x78;
  }
  some(MAX_BYTES);
  return bytes.slice(0, MAX_BYTES);
}

/** What iced-x86 says of the bytes. */
interface Expectation {
  readonly code: string;
  readonly length: number;
  /** Effective address without the segment base, null if there is no such operand. */
  readonly linear: bigint | null;
  readonly segment: bigint;
  readonly immediate: bigint | null;
}

const wideRegister = (register: Register): bigint => {
  if (register >= Register.RAX && register <= Register.R15) return registerValue(register - Register.RAX);
  if (register >= Register.EAX && register <= Register.R15D) {
    return BigInt.asUintN(32, registerValue(register - Register.EAX));
  }
  return 0n;
};

function expectedLinear(instruction: Instruction): bigint | null {
  let hasMemory = false;
  for (let i = 0; i < instruction.opCount; i++) hasMemory ||= instruction.opKind(i) === OpKind.Memory;
  if (!hasMemory) return null;
  if (instruction.isIpRelMemoryOperand) return instruction.ipRelMemoryAddress;
  const [base, index] = [instruction.memoryBase, instruction.memoryIndex];
  let sum = instruction.memoryDisplacementU64 + wideRegister(base);
  if (!instruction.isVsib) sum += wideRegister(index) * BigInt(instruction.memoryIndexScale);
  const is32 = [base, index].some((register) => register >= Register.EAX && register <= Register.R15D);
  const isPlain32 =
    base === Register.None && (index === Register.None || instruction.isVsib) && instruction.memoryDisplSize === 4;
  return BigInt.asUintN(is32 || isPlain32 ? 32 : 64, sum);
}

function expectedImmediate(instruction: Instruction): bigint | null {
  for (let i = 0; i < instruction.opCount; i++) {
    const kind = instruction.opKind(i);
    if (kind === OpKind.Immediate8) return BigInt.asUintN(64, BigInt.asIntN(8, instruction.immediate(i)));
    if (kind === OpKind.Immediate16) return BigInt.asUintN(64, BigInt.asIntN(16, instruction.immediate(i)));
    if (kind === OpKind.Immediate32) return BigInt.asUintN(64, BigInt.asIntN(32, instruction.immediate(i)));
    if (kind === OpKind.Immediate8to16) return BigInt.asUintN(64, BigInt.asIntN(16, instruction.immediate(i)));
    if (kind === OpKind.Immediate8to32) return BigInt.asUintN(64, BigInt.asIntN(32, instruction.immediate(i)));
    if (kind === OpKind.Immediate8to64 || kind === OpKind.Immediate32to64 || kind === OpKind.Immediate64) {
      return BigInt.asUintN(64, instruction.immediate(i));
    }
    if (kind === OpKind.NearBranch64) return BigInt.asUintN(64, instruction.nearBranchTarget - instruction.nextIP);
  }
  return null;
}

function expectation(bytes: readonly number[], ip: bigint): Expectation | null {
  const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
  decoder.ip = ip;
  const instruction = decoder.decode();
  decoder.free();
  const code = Code[instruction.code]!;
  const segments: Readonly<Record<number, bigint>> = {
    [Register.FS]: 0x1111_0000_0000n,
    [Register.GS]: 0x2222_0000_0000n,
  };
  const result =
    instruction.code === Code.INVALID
      ? null
      : {
          code,
          length: instruction.length,
          linear: expectedLinear(instruction),
          segment: segments[instruction.memorySegment] ?? 0n,
          immediate: expectedImmediate(instruction),
        };
  instruction.free();
  return result;
}

/** One line that tells what is wrong with an answer, or null. */
function judge(
  bytes: readonly number[],
  answer: DataView,
  functions: readonly string[],
  codes: ReadonlySet<string>,
): string | null {
  const ip = PAGE_END - BigInt(bytes.length);
  const vector = answer.getInt32(0, true);
  const wanted = expectation(bytes, ip);
  const name = functions[answer.getUint16(4, true)] ?? "";
  // Which segment and control registers exist is the semantic's business.
  if (/_(Sreg|[cd]r)_/.test(name)) return null;
  if (!wanted || !codes.has(wanted.code)) {
    if (vector === UNDEFINED || vector === TOO_LONG || vector === RAN_OUT) return null;
    return `${name} instead of ${wanted?.code ?? "an undefined instruction"}`;
  }
  // iced-x86 takes every F3 90 for pause; processors exchange registers when REX.B is there.
  if (wanted.code === "Pause" && /^hc_op_Xchg_r\d+_/.test(name)) return null;
  if (vector !== -1) return `vector ${vector} instead of ${wanted.code}`;
  if (!name.startsWith(`hc_op_${wanted.code}_`)) return `${name} instead of ${wanted.code}`;
  const length = answer.getUint16(6, true);
  if (length !== wanted.length) return `${wanted.code}: length ${length} instead of ${wanted.length}`;
  const [address, linear] = [answer.getBigUint64(8, true), answer.getBigUint64(16, true)];
  // pop's address is taken after rsp has moved, and xlat's by the semantic; iced-x86 gives the operand as it is written.
  if (wanted.linear !== null && !/^Pop_|^Xlat/.test(wanted.code)) {
    if (linear !== wanted.linear)
      return `${wanted.code}: address ${linear.toString(16)} instead of ${wanted.linear.toString(16)}`;
    const full = BigInt.asUintN(64, wanted.linear + wanted.segment);
    if (address !== full) return `${wanted.code}: with segment ${address.toString(16)} instead of ${full.toString(16)}`;
  }
  const immediate = answer.getBigUint64(24, true);
  // Shifts by one have no immediate byte; iced-x86 gives a 1.
  if (wanted.code.endsWith("_1")) return null;
  if (wanted.immediate !== null && immediate !== wanted.immediate) {
    return `${wanted.code}: immediate ${immediate.toString(16)} instead of ${wanted.immediate.toString(16)}`;
  }
  return null;
}

test("the decoder finds what iced-x86 finds, and reads no further", { timeout: 600_000 }, async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const directory = mkdtempSync(join(tmpdir(), "hcontainer-decoder-"));
  try {
    const program = join(directory, "decoder");
    const built = await linkWithInterpreter("x86_64", "decoder.c", program);
    const functions = readFileSync(join(built.includeDir, "interp-functions.txt"), "latin1").split("\n");
    const codes = new Set(built.codes);
    const random = new Random(seed);
    const inputs: number[][] = [];
    for (const form of enumerateForms()) {
      if (form.takesRegister || !form.hasModrm) inputs.push([...encode(random, form, false).bytes]);
      if (form.takesMemory) inputs.push([...encode(random, form, true).bytes]);
    }
    for (let i = 0; i < 200_000; i++) {
      const bytes = shapedBytes(random);
      const known = expectation(bytes, 0n);
      // As long as the instruction itself, so that another byte read is a fault.
      inputs.push(known ? bytes.slice(0, known.length) : bytes);
    }
    const state = makeState();
    const input = new Uint8Array(state.length + inputs.length * RECORD_BYTES);
    input.set(state);
    inputs.forEach((bytes, i) => {
      input[state.length + i * RECORD_BYTES] = bytes.length;
      input.set(bytes, state.length + i * RECORD_BYTES + 1);
    });
    const { bytes: output, status } = await run(program, [], { input });
    assert.equal(status, 0);
    assert.equal(output.length, inputs.length * ANSWER_BYTES);
    const wrong = new Map<string, string>();
    inputs.forEach((bytes, i) => {
      const answer = new DataView(output.buffer, output.byteOffset + i * ANSWER_BYTES, ANSWER_BYTES);
      const fault = judge(bytes, answer, functions, codes);
      const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
      if (fault) wrong.set(fault.replace(/:.*/, ""), `${hex}: ${fault}`);
    });
    assert.deepEqual([...wrong.values()], [], `seed ${seed}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
