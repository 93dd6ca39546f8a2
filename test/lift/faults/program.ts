// Makes assembly programs of random instruction sequences that fault somewhere, for handler.c. Registers are random; rbx
// points to memory, r12 to the end of what can be written, rbp to what can only be read, r13 to what cannot be accessed,
// r14 is null, r15 where nothing is mapped.

import { randomFrom } from "../../../src/base/index.ts";

const FREE = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10"];
const FREE_32 = ["eax", "ecx", "edx", "esi", "edi", "r8d", "r9d", "r10d"];
const FREE_16 = ["ax", "cx", "dx", "si", "di", "r8w", "r9w", "r10w"];
const FREE_8 = ["al", "cl", "dl", "sil", "dil", "r8b", "r9b", "r10b"];
const SIZES = [FREE, FREE_32, FREE_16, FREE_8];
const NAMES = ["qword", "dword", "word", "byte"];
const BASES = ["rbx", "rbx", "rbx", "rbx", "rbx", "rbx", "rbp", "rbp", "r12", "r12", "r13", "r14", "r15"];

type Next = (below: number) => number;

function memory(next: Next): string {
  const base = BASES[next(BASES.length)]!;
  return base === "r12" ? `[r12 - ${next(12)}]` : `[${base} + ${next(200)}]`;
}

const KINDS: readonly ((next: Next, label: () => string) => string)[] = [
  (n) => `mov ${FREE[n(8)]}, ${FREE[n(8)]}`,
  (n) =>
    `${["add", "sub", "xor", "and", "or", "adc", "sbb", "cmp", "test", "imul"][n(10)]} ${FREE[n(8)]}, ${FREE[n(8)]}`,
  (n) => `lea ${FREE[n(8)]}, [${FREE[n(8)]} + ${FREE[n(8)]} * 4 + ${n(100)}]`,
  (n) => `${["shl", "shr", "sar", "rol"][n(4)]} ${FREE[n(8)]}, ${n(64)}`,
  (n) => `${["setc", "sets", "setp", "seto", "setz"][n(5)]} ${FREE_8[n(8)]}`,
  (n) => `cmovc ${FREE[n(8)]}, ${FREE[n(8)]}`,
  (n) => `movq xmm${n(16)}, ${FREE[n(8)]}`,
  (n) => `${["paddd", "pxor", "psubb", "pmuludq"][n(4)]} xmm${n(16)}, xmm${n(16)}`,
  (n) => `push ${FREE[n(8)]}`,
  (n) => `pop ${FREE[n(8)]}`,
  (n) => `mov [rsp + ${8 * n(20)}], ${FREE[n(8)]}`,
  (n) => `mov ${FREE[n(8)]}, [rsp + ${8 * n(20)}]`,
  (n) => {
    const size = n(4);
    return `mov ${SIZES[size]![n(8)]}, ${NAMES[size]} ptr ${memory(n)}`;
  },
  (n) => {
    const size = n(4);
    return `mov ${NAMES[size]} ptr ${memory(n)}, ${SIZES[size]![n(8)]}`;
  },
  (n) => {
    const size = n(4);
    return `${["add", "sub", "xor", "adc"][n(4)]} ${NAMES[size]} ptr ${memory(n)}, ${SIZES[size]![n(8)]}`;
  },
  (n) => {
    const size = n(4);
    return `${["add", "cmp", "sbb", "or"][n(4)]} ${SIZES[size]![n(8)]}, ${NAMES[size]} ptr ${memory(n)}`;
  },
  (n) => `movzx ${FREE_32[n(8)]}, byte ptr ${memory(n)}`,
  (n) => `movsx ${FREE[n(8)]}, word ptr ${memory(n)}`,
  (n) => `movups xmm${n(16)}, ${memory(n)}`,
  (n) => `movups ${memory(n)}, xmm${n(16)}`,
  (n) => `movsd xmm${n(16)}, ${memory(n)}`,
  (n) => `lock xadd ${memory(n)}, ${FREE[n(8)]}`,
  (n) => `lock cmpxchg ${memory(n)}, ${FREE_32[n(8)]}`,
  (n) => `xchg ${memory(n)}, ${FREE_16[n(8)]}`,
  (n) => `push qword ptr ${memory(n)}`,
  (n) => `pop qword ptr ${memory(n)}`,
  (n) => `inc dword ptr ${memory(n)}`,
  (n) => `cmovs ${FREE[n(8)]}, ${memory(n)}`,
  (n) => `call [${["r13", "r14"][n(2)]} + ${n(200)}]`,
  (n) => `div ${FREE_32[n(8)]}`,
  (n) => ["ud2", "int3", "hlt", "nop", "cld", "jmp r14", "call r14"][n(7)]!,
  (n) => `lea rdi, ${memory(n)}\n  lea rsi, ${memory(n)}\n  mov ecx, ${n(30)}\n  rep movsb`,
  (n, label) => {
    const loop = label();
    return `mov r9d, ${1 + n(40)}\n  mov r10, r12\n${loop}:\n  add rax, [r10 - 64]\n  add r10, 8\n  dec r9d\n  jnz ${loop}`;
  },
];

/** What leaves flags undefined: there each maker's CPUs do as they like, and ours does as AMD's Zen. */
const LEAVES_UNDEFINED = /^(imul|div|shl|shr|sar|rol)\b/;

export interface FaultingProgram {
  /** For the GNU assembler. */
  readonly text: string;
  /** Numbers of sequences with loops and calls, where translated code drops flags and vectors that nothing will read. */
  readonly loops: ReadonlySet<number>;
}

/** Makes a program of so many sequences; `settles`: no flag that is undefined stays so. */
export function faultingProgram(seed: number, count: number, settles: boolean): FaultingProgram {
  const next = randomFrom(seed);
  const random = (): string => `0x${next(0x80000000).toString(16)}${next(0x80000000).toString(16).padStart(8, "0")}`;
  let labels = 0;
  const loops = new Set<number>();
  // A handler finds what is read later: so all is.
  const readAll = Array.from({ length: 16 }, (_, x) => `  movups [rip + vectors + ${16 * x}], xmm${x}`).join("\n");
  let text = `.intel_syntax noprefix
.bss
.balign 4096
.globl arena
arena: .skip 4 * 4096
stack: .skip 65536
stack_end: .skip 4096
kept_rsp: .skip 8
vectors: .skip 256
.text
.globl _start, hc_restorer, run_sequence
_start:
  lea rsp, [rip + stack_end]
  call run_all
hc_restorer:
  mov eax, 15
  syscall
run_sequence:
  push rbx
  push rbp
  push r12
  push r13
  push r14
  push r15
  mov [rip + kept_rsp], rsp
  sub rsp, 256
  call rdi
finish_sequence:
  lahf
  seto al
${readAll}
  mov rsp, [rip + kept_rsp]
  cld
  pop r15
  pop r14
  pop r13
  pop r12
  pop rbp
  pop rbx
  ret
`;
  for (let i = 0; i < count; i++) {
    text += `sequence_${i}:\n`;
    for (const name of FREE) text += `  movabs ${name}, ${random()}\n`;
    for (let x = 0; x < 16; x++) text += `  movq xmm${x}, ${FREE[x % 8]}\n`;
    for (let slot = 0; slot < 20; slot++) text += `  mov [rsp + ${8 * slot}], ${FREE[next(8)]}\n`;
    text +=
      "  mov r11, 0x1111\n  lea rbx, [rip + arena + 8]\n  lea r12, [rip + arena + 4096]\n  lea rbp, [rip + arena + 4096]\n";
    text += "  lea r13, [rip + arena + 8192]\n  mov r14, 8\n  movabs r15, 0x333333331234\n";
    const length = 4 + next(24);
    text += "  cmp rax, rcx\n";
    for (let j = 0; j < length; j++) {
      const instruction = KINDS[next(KINDS.length)]!(next, () => `loop_${labels++}`);
      if (/rep|loop|call/.test(instruction)) loops.add(i);
      text += `  ${instruction}\n`;
      if (settles && LEAVES_UNDEFINED.test(instruction)) text += "  cmp r11, rax\n";
    }
    text += "  jmp finish_sequence\n";
  }
  text += ".data\n.globl sequences, sequence_count\nsequence_count: .quad ";
  text += `${count}\nsequences:\n`;
  for (let i = 0; i < count; i++) text += `  .quad sequence_${i}, finish_sequence, ${next(2)}\n`;
  return { text, loops };
}
