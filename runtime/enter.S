/* Crossing between C and the guest's code. Translated code holds the guest's registers as preserve_nonecc arguments in
 * the order of ARCHITECTURE.md: x20 state, x21 rsp, x22 rbx, x23 rbp, x24..x27 r12..r15, x28 rax, x0 rdi, x1 rsi, x2 rdx,
 * x3 rcx, x4 r8, x5 r9, x6 r10, x7 r11, x10 an entry of the lookup cache, x11 the pc that is entered (where nothing but the cache and this
 * file lead to), v0..v7 xmm0..7. x18 is 0 until the handler of a signal wants loops to leave. It preserves nothing of its caller, so what C wants kept is saved here. */
#include "abi.h"

#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RSP 32
#define RBP 40
#define RSI 48
#define RDI 56
#define R8 64
#define R10 80
#define R12 96
#define R14 112
#define ZMM(n) (CPU_STATE_ZMM + 64 * (n))
#define FRAME 160

.macro function name
    .globl \name
    .type \name, %function
    .p2align 4
\name:
.endm

.macro save_callee_saved
    sub sp, sp, #FRAME
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
.endm

.macro store_guest
    stp x28, x3, [x20, #RAX]
    stp x2, x22, [x20, #RDX]
    stp x21, x23, [x20, #RSP]
    stp x1, x0, [x20, #RSI]
    stp x4, x5, [x20, #R8]
    stp x6, x7, [x20, #R10]
    stp x24, x25, [x20, #R12]
    stp x26, x27, [x20, #R14]
    str q0, [x20, #ZMM(0)]
    str q1, [x20, #ZMM(1)]
    str q2, [x20, #ZMM(2)]
    str q3, [x20, #ZMM(3)]
    str q4, [x20, #ZMM(4)]
    str q5, [x20, #ZMM(5)]
    str q6, [x20, #ZMM(6)]
    str q7, [x20, #ZMM(7)]
.endm

    .text

/* uint32_t hc_enter(struct cpu_state *cpu, uint64_t code): runs translated code until it leaves; gives the reason. A signal
 * that arrives inside the window ends at hc_window_abort with the state untouched. */
function hc_enter
    save_callee_saved
    mov x20, x0
    mov x17, x1
    mov x9, sp
    str x9, [x20, #CPU_STATE_HOST_SP]
    mov w18, #0
    .globl hc_window_start, hc_window_end, hc_window_abort
hc_window_start:
    ldr w16, [x20, #CPU_STATE_PENDING]
    cbnz w16, hc_window_abort
    ldp x28, x3, [x20, #RAX]
    ldp x2, x22, [x20, #RDX]
    ldp x21, x23, [x20, #RSP]
    ldp x1, x0, [x20, #RSI]
    ldp x4, x5, [x20, #R8]
    ldp x6, x7, [x20, #R10]
    ldp x24, x25, [x20, #R12]
    ldp x26, x27, [x20, #R14]
    ldr q0, [x20, #ZMM(0)]
    ldr q1, [x20, #ZMM(1)]
    ldr q2, [x20, #ZMM(2)]
    ldr q3, [x20, #ZMM(3)]
    ldr q4, [x20, #ZMM(4)]
    ldr q5, [x20, #ZMM(5)]
    ldr q6, [x20, #ZMM(6)]
    ldr q7, [x20, #ZMM(7)]
    add x10, x20, #LOOKUP_OFFSET
    ldr x11, [x20, #CPU_STATE_RIP]
    br x17
hc_window_end:
hc_window_abort:
    mov w0, #EXIT_POLL
    b hc_leave

/* Where translated code jumps to in order to leave (cpu_state.exit_fn). */
function hc_exit_stub
    store_guest
    ldr w0, [x20, #CPU_STATE_EXIT_REASON]
    b hc_leave

/* Ends hc_enter and hc_interpret_guarded from wherever they got to: x20 cpu, w0 the reason. */
function hc_leave
    ldr x9, [x20, #CPU_STATE_HOST_SP]
    mov sp, x9
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #FRAME
    ret

/* Where translated code jumps to when the lookup cache misses (cpu_state.dispatch_fn); rip is stored. */
function hc_dispatch_stub
    ldr w8, [x20, #CPU_STATE_PENDING]
    ldr x11, [x20, #CPU_STATE_RIP]
    cbnz w8, 1f
    eor x8, x11, x11, lsr #SECOND_LOOKUP_SHIFT
    and x8, x8, #(SECOND_LOOKUP_ENTRIES - 1)
    add x9, x20, #SECOND_LOOKUP_OFFSET
    add x9, x9, x8, lsl #4
    ldp x12, x17, [x9]
    cmp x12, x11
    b.ne 1f
    cbz x17, 1f
    eor x8, x11, x11, lsr #LOOKUP_SHIFT
    bfi x10, x8, #4, #LOOKUP_BITS
    stp x11, x17, [x10]
    /* A signal may have emptied the cache just before the slot was filled. */
    ldr w8, [x20, #CPU_STATE_PENDING]
    cbnz w8, 1f
    br x17
1:  store_guest
    ldr x9, [x20, #CPU_STATE_HOST_SP]
    mov sp, x9
    mov x0, x20
    bl hc_lookup
    mov x17, x0
    cbnz x17, hc_window_start
    mov w0, #EXIT_DISPATCH
    b hc_leave

/* uint32_t hc_interpret_guarded(struct cpu_state *cpu, struct hc_leash *leash): the interpreter, which a fault may leave by
 * hc_leave. Without a leash it executes one instruction. */
function hc_interpret_guarded
    save_callee_saved
    mov x20, x0
    mov x9, sp
    str x9, [x20, #CPU_STATE_HOST_SP]
    cbz x1, 1f
    bl hc_interpret_block
    b hc_leave
1:  bl hc_interpret_one
    b hc_leave

/* int64_t hc_guest_call(cpu, number, const uint64_t args[6]): a system call of the guest. When a signal is recorded before it
 * begins, or the kernel has rewound to restart it, the result is HC_RESTART. */
function hc_guest_call
    mov x9, x0
    mov x8, x1
    mov x10, x2
    ldp x0, x1, [x10, #0]
    ldp x2, x3, [x10, #16]
    ldp x4, x5, [x10, #32]
    .globl hc_call_start, hc_call_end, hc_call_abort
hc_call_start:
    ldr w11, [x9, #CPU_STATE_PENDING]
    cbnz w11, hc_call_abort
    svc #0
hc_call_end:
    ret
hc_call_abort:
    mov x0, #-512
    ret

/* int64_t hc_copy_bytes(to, from, bytes): 0, or -EFAULT when either side faults. */
function hc_copy_bytes
    .globl hc_copy_start, hc_copy_end, hc_copy_fault
hc_copy_start:
    cmp x2, #8
    b.lo 2f
1:  ldr x3, [x1], #8
    str x3, [x0], #8
    sub x2, x2, #8
    cmp x2, #8
    b.hs 1b
2:  cbz x2, 4f
3:  ldrb w3, [x1], #1
    strb w3, [x0], #1
    subs x2, x2, #1
    b.ne 3b
4:
hc_copy_end:
    mov x0, #0
    ret
hc_copy_fault:
    mov x0, #-14
    ret

/* int64_t hc_clone(flags, stack, ptid, tls, ctid). A child with a stack of its own goes to hc_thread_main. */
function hc_clone
    mov x9, x1
    mov x8, #220
    svc #0
    cbnz x0, 1f
    cbz x9, 1f
    mov x29, #0
    mov x30, #0
    mrs x0, tpidr_el0
    b hc_thread_main
1:  ret

/* void hc_run_on(cpu, stack): leaves the present stack for good. */
function hc_run_on
    mov sp, x1
    mov x29, #0
    mov x30, #0
    b hc_run

/* Where the kernel starts the runtime's file. */
function _start
    mov x29, #0
    mov x30, #0
    mov x0, sp
    b hc_start

/* Where a restored thread starts: tpidr_el0 is its CpuState, sp the end of its area. */
function hc_resume
    mov x29, #0
    mov x30, #0
    mrs x0, tpidr_el0
    b hc_resume_main

function hc_signal_restorer
    mov x8, #139
    svc #0

    .section .hc_header, "a"
    .quad RUNTIME_MAGIC
    .word ABI_VERSION
    .word 0
    .quad hc_base
    .quad hc_resume
    .quad hc_signal_handler
    .quad hc_signal_restorer
    .section .note.GNU-stack, "", %progbits
