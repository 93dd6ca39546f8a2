// Which flags and registers count as live where a function returns or calls: what nobody can read is not kept, and what code
// that is no compiler's agrees on with its callers is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readElf } from "../../src/elf/index.ts";
import { discover, liftFile } from "../../src/lift/index.ts";
import {
  flagVariable,
  isLive,
  type Live,
  LOW_FIRST,
  MASK_FIRST,
  MID_FIRST,
  upperBit,
} from "../../src/lift/variables.ts";
import { FLOW, type Flow } from "../../src/x86/index.ts";
import { elfOf } from "../cpu/one-instruction.ts";

/** What is live after the last block that goes on so, in a file of these instructions. */
function allAfter(flow: Flow, ...instructions: readonly string[]): Live {
  const bytes = Buffer.from(instructions.join("").replaceAll(" ", ""), "hex");
  const { context } = liftFile(discover(readElf(elfOf(bytes), "liveness")).map);
  const blocks = [...context.graph.blocks.values()].filter((block) => block.flow === flow);
  assert.ok(blocks.length > 0, "the code is found");
  return context.liveAfter.get(blocks.at(-1)!)!;
}

function liveAfter(flow: Flow, ...instructions: readonly string[]): (variable: number) => boolean {
  const live = allAfter(flow, ...instructions);
  return (variable) => isLive(variable, live);
}

const mask = (number: number): number => MASK_FIRST + number;
const vector = (number: number): number => LOW_FIRST + number;
const RET = "c3";

test("what a function computes in mask and upper vector registers is not kept where it returns to other files", () => {
  const load = "62 e1 fe 48 6f 06"; // vmovdqu64 zmm16, [rsi]
  const compare = "62 f3 7d 40 3f 0f 04"; // vpcmpneqb k1, zmm16, [rdi]
  const kept = liveAfter(FLOW.ret, load, compare, "c4 e1 fb 93 c1" /* kmovq rax, k1 */, RET);
  assert.equal(kept(mask(1)), false);
  assert.equal(kept(vector(16)), false);
  assert.equal(kept(vector(0)), true, "results of functions are in the first vector registers");
});

test("a caller that is known may read what its callee has left in a mask register", () => {
  const caller = ["e8 05 00 00 00" /* call behind the ret */, "c5 fb 93 c1" /* kmovd eax, k1 */, RET];
  const kept = liveAfter(
    FLOW.ret,
    ...caller,
    "c5 fb 92 c9" /* kmovd k1, ecx */,
    "c5 fb 92 d1" /* kmovd k2, ecx */,
    RET,
  );
  assert.equal(kept(mask(1)), true);
  assert.equal(kept(mask(2)), false);
});

test("registers that are loaded and not read are kept at returns, as they are restored for whoever was interrupted", () => {
  const kept = liveAfter(FLOW.ret, "c4 e1 f8 90 0f" /* kmovq k1, [rdi] */, "62 e1 fe 48 6f 06", RET);
  assert.equal(kept(mask(1)), true);
  assert.equal(kept(vector(16)), true);
});

test("so are flags that are taken from the stack", () => {
  const kept = liveAfter(FLOW.ret, "9d" /* popfq */, "5d" /* pop rbp */, RET);
  for (const name of ["cf", "pf", "af", "zf", "sf", "of"] as const) assert.equal(kept(flagVariable(name)), true, name);
  const overwritten = liveAfter(FLOW.ret, "9d", "39 c8" /* cmp eax, ecx */, RET);
  assert.equal(overwritten(flagVariable("zf")), false);
});

test("a masked load reads the mask and the lanes that it leaves", () => {
  const branch = "75 00"; // jne to what follows
  const kept = liveAfter(FLOW.branch, branch, "62 e1 7f 4b 6f 0e" /* vmovdqu8 zmm17 {k3}, [rsi] */, RET);
  assert.equal(kept(mask(3)), true);
  assert.equal(kept(vector(17)), true);
  assert.equal(kept(vector(18)), false);
});

test("a call of unknown code leaves mask registers alone, as some does by agreement", () => {
  const kept = liveAfter(FLOW.indirectCall, "ff d0" /* call rax */, "c5 fb 93 c4" /* kmovd eax, k4 */, RET);
  assert.equal(kept(mask(4)), true);
  assert.equal(kept(mask(5)), false);
});

test("functions of other files return no flags, so what lies behind a call that does not return counts for nothing", () => {
  const reader = ["74 00" /* je to what follows */, RET];
  const taken = ["39 c8" /* cmp eax, ecx */, RET];
  const stub = "ff 25 e2 07 00 00"; // jmp [rip + 0x7e2]
  const lea = "48 8d 05"; // lea rax, [taken]
  const imported = liveAfter(FLOW.ret, lea, "08 00 00 00", "e8 06 00 00 00" /* call stub */, ...reader, ...taken, stub);
  assert.equal(imported(flagVariable("zf")), false);
  const pointed = liveAfter(FLOW.ret, lea, "05 00 00 00", "ff d0" /* call rax */, ...reader, ...taken);
  assert.equal(pointed(flagVariable("zf")), true, "functions of the same file may");
});

test("vector registers are kept as the psABI has them: arguments at calls, results at returns", () => {
  const load = (x: number): string => `f3 0f 10 ${(0x07 + 8 * (x & 7)).toString(16).padStart(2, "0")}`; // movss xmm, [rdi]
  const add = (x: number): string => `0f 58 ${(0xc0 + 9 * x).toString(16)}`; // addps xmm, itself
  const atReturn = liveAfter(FLOW.ret, load(1), add(1), load(2), add(2), RET);
  assert.deepEqual(
    [0, 1, 2, 8].map((n) => atReturn(vector(n))),
    [true, true, false, false],
  );
  const atCall = liveAfter(FLOW.indirectCall, load(7), "ff d0" /* call rax */, RET);
  assert.deepEqual(
    [0, 7, 8].map((n) => atCall(vector(n))),
    [true, true, false],
  );
});

test("upper parts that vzeroupper clears are not live before it, and what a register and itself make zero is not read", () => {
  const upper = (number: number): number => MID_FIRST + number;
  const branch = "75 00"; // jne to the next instruction
  const kept = liveAfter(FLOW.branch, branch, "0f 57 c9" /* xorps xmm1, xmm1 */, "c5 f8 77" /* vzeroupper */, RET);
  assert.deepEqual([upper(0), vector(0), vector(1)].map(kept), [false, true, false]);
});

test("vector registers that are loaded and not read are kept at returns", () => {
  const kept = liveAfter(FLOW.ret, "0f 10 1f" /* movups xmm3, [rdi] */, RET);
  assert.equal(kept(vector(3)), true);
  assert.equal(kept(vector(4)), false);
});

test("upper parts of vector registers are live where what they end up in is read", () => {
  const before = (...instructions: readonly string[]): number =>
    allAfter(FLOW.branch, "75 00" /* jne to the next instruction */, ...instructions, RET).upper;
  const high = (number: number): number => upperBit(vector(number), "high");
  const middle = (number: number): number => upperBit(vector(number), "middle");
  const copy = "0f 28 da"; // movaps xmm3, xmm2
  const [storeLow, storeAll] = ["f2 0f 11 1f" /* movsd [rdi], xmm3 */, "0f 11 1f" /* movups [rdi], xmm3 */];
  assert.equal(before(copy, storeLow) & (high(2) | middle(2)), middle(2));
  assert.equal(before(copy, storeAll) & (high(2) | middle(2)), high(2) | middle(2));
  assert.equal(before(copy, storeAll) & (high(3) | middle(3)), 0);
  const add = "f2 0f 58 da"; // addsd xmm3, xmm2
  assert.equal(before(add, storeAll) & (high(2) | high(3)), high(3));
  assert.equal(before("66 0f ef da" /* pxor xmm3, xmm2 */, storeLow) & (high(2) | high(3)), 0);
  assert.equal(before("66 0f 58 da" /* addpd xmm3, xmm2: may raise exceptions */, storeLow) & high(2), high(2));
  assert.equal(before("0f 12 da" /* movhlps xmm3, xmm2 */, storeLow) & (high(2) | high(3)), high(2));
});
