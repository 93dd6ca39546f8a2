/* Entry, and what stands around the cases of translated.c: states in and out. A case is
 *     call load_state; popfq; the instruction; pushfq; jmp store_state
 * so that the instruction and its flags are in one piece of translated code. Vector states are as wide as the CPU's, which
 * -DAVX512 tells. */
    .text
#define FUNCTION(name) .globl name; .type name, @function; .p2align 4; name: .cfi_startproc
#define END(name) .cfi_endproc; .size name, . - name

FUNCTION(_start)
    mov %rsp, %rdi
    and $-16, %rsp
    call start
    hlt
END(_start)

FUNCTION(on_signal)
    mov $15, %eax
    syscall
END(on_signal)

/* int run_case(void (*run)(void)): 0, or 1 after a signal */
FUNCTION(run_case)
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, saved_stack(%rip)
    call *%rdi
    xor %eax, %eax
leave_case:
    cld
    ldmxcsr usual_mxcsr(%rip)
    vzeroupper
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
END(run_case)

FUNCTION(restore_after_signal)
    mov saved_stack(%rip), %rsp
    mov $1, %eax
    jmp leave_case
END(restore_after_signal)

/* Leaves the flags to load on top of the stack, above the return address. */
FUNCTION(load_state)
    ldmxcsr state_in+200(%rip)
#ifdef AVX512
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq state_in+136+8*\n(%rip), %k\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 state_in+256+64*\n(%rip), %zmm\n
    .endr
#else
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu state_in+256+64*\n(%rip), %ymm\n
    .endr
#endif
    pop %rax
    pushq state_in+128(%rip)
    push %rax
    mov state_in+0(%rip), %rax
    mov state_in+8(%rip), %rcx
    mov state_in+16(%rip), %rdx
    mov state_in+24(%rip), %rbx
    mov state_in+40(%rip), %rbp
    mov state_in+48(%rip), %rsi
    mov state_in+56(%rip), %rdi
    mov state_in+64(%rip), %r8
    mov state_in+72(%rip), %r9
    mov state_in+80(%rip), %r10
    mov state_in+88(%rip), %r11
    mov state_in+96(%rip), %r12
    mov state_in+104(%rip), %r13
    mov state_in+112(%rip), %r14
    mov state_in+120(%rip), %r15
    ret
END(load_state)

/* Flags are on top of the stack, then the return address of the case. */
FUNCTION(store_state)
    mov %rax, state_out+0(%rip)
    pop %rax
    mov %rax, state_out+128(%rip)
    mov %rcx, state_out+8(%rip)
    mov %rdx, state_out+16(%rip)
    mov %rbx, state_out+24(%rip)
    mov %rbp, state_out+40(%rip)
    mov %rsi, state_out+48(%rip)
    mov %rdi, state_out+56(%rip)
    mov %r8, state_out+64(%rip)
    mov %r9, state_out+72(%rip)
    mov %r10, state_out+80(%rip)
    mov %r11, state_out+88(%rip)
    mov %r12, state_out+96(%rip)
    mov %r13, state_out+104(%rip)
    mov %r14, state_out+112(%rip)
    mov %r15, state_out+120(%rip)
#ifdef AVX512
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq %k\n, state_out+136+8*\n(%rip)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 %zmm\n, state_out+256+64*\n(%rip)
    .endr
#else
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu %ymm\n, state_out+256+64*\n(%rip)
    .endr
#endif
    ret
END(store_state)

    .data
    .p2align 3
saved_stack: .quad 0
usual_mxcsr: .long 0x1f80
    .section .note.GNU-stack, "", @progbits
