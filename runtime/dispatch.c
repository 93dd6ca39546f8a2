/* The loop that every guest thread lives in: deliver what is pending, then go on at the guest's pc by translated code if
 * its module has an entry there, else by interpreting up to where control goes elsewhere. */
#include "runtime.h"
#include "interp.h"

static volatile struct lookup_entry *lookup_slot(struct cpu_state *cpu, uint64_t pc) {
    return (struct lookup_entry *)((char *)cpu + LOOKUP_OFFSET) + ((pc ^ pc >> LOOKUP_SHIFT) & (LOOKUP_ENTRIES - 1));
}

/** Empties the lookup cache. Runs in signal handlers too: only the key of a slot changes (see hc_lookup). */
void lookup_clear(struct cpu_state *cpu) {
    volatile struct lookup_entry *entries = (struct lookup_entry *)((char *)cpu + LOOKUP_OFFSET);
    for (unsigned i = 0; i < LOOKUP_ENTRIES; i++) entries[i].guest = ~0ull;
    /* The slot of ~0 itself, a wild jump's target, holds an address that has its slot elsewhere. */
    lookup_slot(cpu, ~0ull)->guest = 1;
}

static volatile struct lookup_entry *second_slot(struct cpu_state *cpu, uint64_t pc) {
    return (struct lookup_entry *)((char *)cpu + SECOND_LOOKUP_OFFSET) + ((pc ^ pc >> SECOND_LOOKUP_SHIFT) & (SECOND_LOOKUP_ENTRIES - 1));
}

/** Forgets all translations: the cache is emptied, and what it would be filled from again. */
void lookup_forget(struct cpu_state *cpu) {
    volatile struct lookup_entry *entries = (struct lookup_entry *)((char *)cpu + SECOND_LOOKUP_OFFSET);
    /* Pages that nobody has written to are not to be made. */
    for (unsigned i = 0; i < SECOND_LOOKUP_ENTRIES; i++) if (entries[i].guest) entries[i].guest = 0;
    lookup_clear(cpu);
}

/** The fields of CpuState that are the runtime's, before a thread's first entry. */
void cpu_prepare(struct cpu_state *cpu) {
    cpu->exit_fn = (uint64_t)hc_exit_stub;
    cpu->dispatch_fn = (uint64_t)hc_dispatch_stub;
    cpu->decode_cache = (uint64_t)cpu + DECODE_CACHE_OFFSET;
    cpu->home_cpu = (uint64_t)&PROC->home_cpu;
    private_of(cpu)->host_mxcsr = ~0u;
    private_of(cpu)->executing = EXECUTING_RUNTIME;
    lookup_clear(cpu);
}

/** Host address of the translation of rip, or 0. Enters it into the cache; a signal handler may empty that at any moment. */
uint64_t hc_lookup(struct cpu_state *cpu) {
    uint64_t pc = cpu->rip;
    volatile struct lookup_entry *entry = lookup_slot(cpu, pc);
    if (entry->guest == pc) return entry->host;
    uint64_t host = translation_lookup(pc);
    if (host) {
        entry->guest = ~0ull;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        entry->host = host;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        entry->guest = pc;
        second_slot(cpu, pc)->guest = 0;
        second_slot(cpu, pc)->host = host;
        second_slot(cpu, pc)->guest = pc;
    }
    return host;
}

uint64_t guest_rflags(struct cpu_state *cpu) {
    return 0x202u | cpu->rflags_rest | (uint64_t)cpu->cf | (uint64_t)cpu->pf << 2 | (uint64_t)cpu->af << 4 |
           (uint64_t)cpu->zf << 6 | (uint64_t)cpu->sf << 7 | (uint64_t)cpu->df << 10 | (uint64_t)cpu->of << 11;
}

/** NT (14), AC (18) and ID (21) live in rflags_rest; TF would ask for single steps, which the runtime does not make. */
void set_guest_rflags(struct cpu_state *cpu, uint64_t rflags) {
    cpu->cf = rflags & 1;
    cpu->pf = rflags >> 2 & 1;
    cpu->af = rflags >> 4 & 1;
    cpu->zf = rflags >> 6 & 1;
    cpu->sf = rflags >> 7 & 1;
    cpu->df = rflags >> 10 & 1;
    cpu->of = rflags >> 11 & 1;
    cpu->rflags_rest = rflags & (1u << 14 | 1u << 18 | 1u << 21);
}

/** The host's rounding and flushing follow mxcsr; the semantics keep them so themselves once the guest's code runs. */
static void mirror_mxcsr(struct cpu_state *cpu) {
    struct thread_private *priv = private_of(cpu);
    uint32_t modes = cpu->mxcsr & 0xe040;
    if (priv->host_mxcsr == modes) return;
    if (priv->host_mxcsr != ~0u) hc_helper_mxcsr_flags(cpu, 0);
    hc_helper_mxcsr(cpu, 0);
    priv->host_mxcsr = modes;
}

/** Whether rip is in the home vdso, whose functions are mostly answered before they are executed. */
static int in_vdso(const struct cpu_state *cpu) { return cpu->rip >= PROC->vdso_start && cpu->rip < PROC->vdso_end; }

/** Answers a call of one of the home vdso's functions in its place, and returns to its caller. */
static int vdso_call(struct cpu_state *cpu) {
    struct proc_state *proc = PROC;
    if (!in_vdso(cpu)) return 0;
    uint64_t a = kernel_pointer(cpu->gpr[7], 0), b = kernel_pointer(cpu->gpr[6], 0), c = cpu->gpr[2], back;
    int64_t result;
    unsigned which = 0;
    while (which < 8 && (proc->vdso_entry[which] == 0 || proc->vdso_entry[which] != cpu->rip)) which++;
    switch (which) {
    case VDSO_CLOCK_GETTIME: result = HOST2(clock_gettime, a, b); break;
    case VDSO_CLOCK_GETRES: result = HOST2(clock_getres, a, b); break;
    case VDSO_GETTIMEOFDAY: result = HOST2(gettimeofday, a, b); break;
    case VDSO_GETCPU: result = HOST3(getcpu, a, b, 0); break;
    case VDSO_TIME: {
        struct timespec now;
        HOST2(clock_gettime, CLOCK_REALTIME_COARSE_, &now);
        result = now.seconds;
        if (a && guest_write(a, &now.seconds, 8) < 0) return 0;
        break;
    }
    case VDSO_GETRANDOM:
        /* With an opaque state the caller expects a generator in its memory; the vdso's own code falls back by itself. */
        if (cpu->gpr[10] || cpu->gpr[8]) return 0;
        result = HOST3(getrandom, a, b, c);
        break;
    default: return 0;
    }
    if (guest_read(&back, cpu->gpr[4], 8) < 0) return 0;
    cpu->gpr[0] = (uint64_t)result;
    cpu->gpr[4] += 8;
    cpu->rip = back;
    return 1;
}

/** An x86 exception that translated code or the interpreter raised, as the signal that Linux makes of it. */
static void guest_trap(struct cpu_state *cpu, uint32_t vector) {
    uint64_t pc = cpu->rip;
    switch (vector) {
    case 0: deliver_fault(cpu, SIGFPE, FPE_INTDIV, pc, 0, 0); return;
    case 1: deliver_fault(cpu, SIGTRAP, TRAP_TRACE, pc, 1, 0); return;
    case 3: {
        uint8_t opcode = 0;
        guest_read(&opcode, pc, 1);
        cpu->rip += opcode == 0xcc ? 1 : 2; /* int3 or int 3: a trap, reported after the instruction */
        deliver_fault(cpu, SIGTRAP, SI_KERNEL, 0, 3, 0);
        return;
    }
    case 4: deliver_fault(cpu, SIGSEGV, SI_KERNEL, 0, 4, 0); return;
    case 5: deliver_fault(cpu, SIGSEGV, SI_KERNEL, 0, 5, 0); return;
    case 6: deliver_fault(cpu, SIGILL, ILL_ILLOPN, pc, 6, 0); return;
    case 12: deliver_fault(cpu, SIGBUS, SI_KERNEL, 0, 12, 0); return;
    case 16:
    case 19: {
        uint32_t raised = vector == 16 ? (uint32_t)(cpu->fsw & ~cpu->fcw & 0x3f) : (cpu->mxcsr & ~(cpu->mxcsr >> 7) & 0x3f);
        int code = raised & 1 ? FPE_FLTINV : raised & 4 ? FPE_FLTDIV : raised & 8 ? FPE_FLTOVF : raised & 0x12 ? FPE_FLTUND : FPE_FLTRES;
        deliver_fault(cpu, SIGFPE, code, pc, vector, 0);
        return;
    }
    case 17: deliver_fault(cpu, SIGBUS, BUS_ADRALN, 0, 17, 0); return;
    default: deliver_fault(cpu, SIGSEGV, SI_KERNEL, 0, vector, 0); return;
    }
}

static void guest_fault(struct cpu_state *cpu) {
    struct thread_private *priv = private_of(cpu);
    int number = (int)priv->fault_number;
    priv->fault_number = 0;
    deliver_fault(cpu, number, priv->fault_info.code, priv->fault_info.address, priv->fault_trap, priv->fault_error);
}

/** Never returns; a thread leaves it by exiting. */
_Noreturn void hc_run(struct cpu_state *cpu) {
    struct thread_private *priv = private_of(cpu);
    const uint32_t *age = &PROC_PRIVATE->code_age;
    for (;;) {
        if (*(volatile uint32_t *)&cpu->pending) safepoint(cpu);
        struct hc_leash leash = { .age = age, .vouched = 1 + __atomic_load_n(age, __ATOMIC_ACQUIRE) };
        int is_looked_up = !hc_float_traps(cpu);
        uint64_t code = is_looked_up ? hc_lookup(cpu) : 0;
        if (!code && vdso_call(cpu)) continue;
        if (!code && !may_execute(cpu, cpu->rip)) {
            deliver_fault(cpu, SIGSEGV, SEGV_ACCERR, cpu->rip, 14, 0x15);
            continue;
        }
        if (!code && under_qemu()) log_executed(cpu->rip);
        if (!is_looked_up || in_vdso(cpu)) leash.vouched = 0;
        mirror_mxcsr(cpu);
        priv->executing = code ? EXECUTING_TRANSLATION : EXECUTING_INTERPRETER;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        uint32_t reason = code ? hc_enter(cpu, code) : hc_interpret_guarded(cpu, &leash);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        priv->executing = EXECUTING_RUNTIME;
        if (reason == EXIT_INTERPRET) {
            /* Translated code asks for one instruction that it has no code for. */
            priv->executing = EXECUTING_INTERPRETER;
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            reason = hc_interpret_guarded(cpu, 0);
            priv->executing = EXECUTING_RUNTIME;
        }
        /* Not written to at every system call: threads share the line. */
        if (leash.executed) PROC_PRIVATE->interpreted += leash.executed;
        switch (reason) {
        case EXIT_SYSCALL: guest_syscall(cpu); break;
        case EXIT_TRAP: guest_trap(cpu, cpu->exit_detail); break;
        case EXIT_FAULT: guest_fault(cpu); break;
        default: break;
        }
    }
}
