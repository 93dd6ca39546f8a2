/* Signals. The host's handler only records: a signal is delivered to the guest at the next safepoint, where the state is
 * canonical (signal-frame.c makes the frame). Invariants:
 *   - while ThreadState.signal_number is 0 the host's mask is the guest's, but for what set_host_mask leaves unblocked;
 *   - while it is not 0, everything is blocked but the quiesce signal and the signals of faults.
 * Dispositions SIG_DFL and SIG_IGN are the kernel's to carry out, except for the quiesce signal and those of faults, whose
 * host action is always the handler. */
#include "runtime.h"

#define FAULT_SIGNALS \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGTRAP))
#define UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

static uint64_t never_blocked(void) { return FAULT_SIGNALS | SIGNAL_BIT(quiesce_signal()); }
static int always_handled(int number) { return (never_blocked() & SIGNAL_BIT(number)) != 0; }

static uint64_t host_mask_for(struct cpu_state *cpu, uint64_t guest_mask) {
    struct thread_private *priv = private_of(cpu);
    priv->held_mask &= guest_mask;
    return (guest_mask & ~never_blocked()) | priv->held_mask;
}

/** Makes the host's mask that of the guest, as far as the runtime can do without the signals. */
void set_host_mask(struct cpu_state *cpu, uint64_t guest_mask) {
    uint64_t mask = host_mask_for(cpu, guest_mask);
    HOST4(rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}

static uint64_t mask_in_force(struct cpu_state *cpu) {
    struct thread_private *priv = private_of(cpu);
    return priv->has_temporary_mask ? priv->temporary_mask : thread_of(cpu)->sigmask;
}

/** For a call that waits under another mask: reads it, and gives the host's form. Ends with end_temporary_mask. */
int64_t with_temporary_mask(struct cpu_state *cpu, uint64_t mask_pointer, uint64_t mask_bytes, uint64_t *host_mask) {
    struct thread_private *priv = private_of(cpu);
    if (!mask_pointer) return 0;
    if (mask_bytes != 8) return -EINVAL;
    uint64_t mask;
    if (guest_read(&mask, mask_pointer, 8) < 0) return -EFAULT;
    mask &= ~UNBLOCKABLE;
    *host_mask = (mask & ~never_blocked()) | (priv->held_mask & mask);
    priv->temporary_mask = mask;
    priv->has_temporary_mask = 1;
    return 0;
}

/** If a signal ended the call, its handler still runs under the temporary mask, and the frame restores the old one. */
int64_t end_temporary_mask(struct cpu_state *cpu, int64_t result) {
    if (result != -EINTR || !thread_of(cpu)->signal_number) private_of(cpu)->has_temporary_mask = 0;
    return result;
}

/** By number - 1. A vfork child has a table of its own, as the kernel gives it one. */
struct guest_sigaction *signal_actions(struct cpu_state *cpu) {
    return private_of(cpu)->vfork_child ? private_of(cpu)->own_actions : PROC->sigactions;
}

/** Gives the kernel the action that belongs to the guest's action for this signal. */
void install_signal(struct cpu_state *cpu, int number) {
    const struct guest_sigaction *guest = &signal_actions(cpu)[number - 1];
    uint64_t kept = guest->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART);
    struct kernel_sigaction host = { guest->handler, SA_RESTORER | kept, (uint64_t)hc_signal_restorer, 0 };
    if (guest->handler > SIG_IGN || always_handled(number)) {
        if (guest->handler <= SIG_IGN) host.flags |= SA_RESTART;
        host.handler = (uint64_t)hc_signal_handler;
        host.flags |= SA_SIGINFO | SA_ONSTACK;
        host.mask = ~never_blocked();
    }
    HOST4(rt_sigaction, number, &host, 0, 8);
}

/** All of them, for a process that has just started or been restored. */
void install_signals(struct cpu_state *cpu) {
    for (int number = 1; number <= (under_qemu() ? 62 : SIGNAL_LIMIT); number++) {
        int plain = signal_actions(cpu)[number - 1].handler <= SIG_IGN && signal_actions(cpu)[number - 1].flags == 0;
        if (number == SIGKILL || number == SIGSTOP) continue;
        if (!plain || always_handled(number)) install_signal(cpu, number);
    }
}

void use_signal_stack(struct cpu_state *cpu) {
    struct kernel_stack stack = { (uint64_t)cpu + THREAD_SIGNAL_STACK_OFFSET, 0, 0, THREAD_SIGNAL_STACK_BYTES };
    HOST2(sigaltstack, &stack, 0);
}

/** Ends the process as the signal's default action would, so that its parent sees the right status. */
_Noreturn void die_by_signal(int number) {
    struct kernel_sigaction action = { SIG_DFL, SA_RESTORER, (uint64_t)hc_signal_restorer, 0 };
    uint64_t none = 0;
    HOST4(rt_sigaction, number, &action, 0, 8);
    for (;;) {
        HOST3(tgkill, HOST0(getpid), HOST0(gettid), number);
        HOST4(rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
        HOST1(exit_group, 128 + number);
    }
}

/** Makes the guest leave its code, and a system call that has not begun not begin. */
static void interrupt_guest(struct cpu_state *cpu, struct host_ucontext *context) {
    uint64_t pc = context->pc;
    *(volatile uint32_t *)&cpu->pending = 1;
    lookup_clear(cpu);
    /* Loops look there; nothing else that may be interrupted then uses the register (see COMMON in build-runtime.ts). */
    if (private_of(cpu)->executing == EXECUTING_TRANSLATION) context->regs[18] = 1;
    if (pc >= (uint64_t)hc_window_start && pc < (uint64_t)hc_window_end) context->pc = (uint64_t)hc_window_abort;
    if (pc >= (uint64_t)hc_call_start && pc < (uint64_t)hc_call_end) context->pc = (uint64_t)hc_call_abort;
}

/** A fault of this thread's own. Gives 0 if it is not the guest's and nothing is prepared for it. */
static int take_fault(struct cpu_state *cpu, int number, const struct siginfo *info, struct host_ucontext *context) {
    struct thread_private *priv = private_of(cpu);
    uint64_t pc = context->pc;
    if (pc >= (uint64_t)hc_copy_start && pc < (uint64_t)hc_copy_end) {
        context->pc = (uint64_t)hc_copy_fault;
        return 1;
    }
    if (priv->executing == EXECUTING_TRANSLATION) {
        /* The landing leaves for the interpreter, which does the instruction again and meets the fault itself. */
        if (fault_in_translation(number, info->code, context)) return 1;
        /* Plain code: the guest's registers are anywhere in the host's, so only the default action can be carried out. */
        if (signal_actions(cpu)[number - 1].handler > SIG_IGN)
            message("a fault cannot be handed to the program's handler, as there is no precise translation of its code; it ends", "");
        die_by_signal(number);
    }
    if (priv->executing != EXECUTING_INTERPRETER) return 0;
    priv->fault_number = (uint32_t)number;
    priv->fault_info = *info;
    priv->fault_trap = number == SIGSEGV || number == SIGBUS ? 14 : number == SIGFPE ? 0 : 6;
    priv->fault_error = priv->fault_trap == 14 ? page_fault_error(cpu, info, context) : 0;
    uint64_t address = info->address;
    if (number == SIGSEGV && address >= 0x800000000000ull && address < 0xffff800000000000ull) {
        /* Not canonical: a general protection fault, which names no address. */
        priv->fault_info.code = SI_KERNEL;
        priv->fault_info.address = 0;
        priv->fault_trap = 13;
        priv->fault_error = 0;
    }
    priv->executing = EXECUTING_RUNTIME;
    context->regs[0] = EXIT_FAULT;
    context->regs[20] = (uint64_t)cpu;
    context->pc = (uint64_t)hc_leave;
    return 1;
}

/** A signal of never_blocked() that the guest has blocked or that comes while another waits: kept until it may come. */
static void hold_signal(struct cpu_state *cpu, int number, struct siginfo *info, struct host_ucontext *context) {
    struct thread_private *priv = private_of(cpu);
    priv->quiesce_hit = 1;
    if (number == quiesce_signal()) {
        priv->held_quiesce_info = *info;
        priv->held_quiesce = 1;
        return;
    }
    priv->held_mask |= SIGNAL_BIT(number);
    context->sigmask |= SIGNAL_BIT(number);
    HOST4(rt_tgsigqueueinfo, HOST0(getpid), HOST0(gettid), number, info);
}

/** A program may send itself what looks like a fault: it comes when some system call of the runtime's returns, where none can be. */
static int is_behind_call(uint64_t pc) {
    enum { SVC = 0xd4000001 };
    return pc > (uint64_t)hc_text_start && pc < (uint64_t)hc_text_end && *(const uint32_t *)(pc - 4) == SVC;
}

void hc_signal_handler(int number, struct siginfo *info, struct host_ucontext *context) {
    struct cpu_state *cpu = current_cpu();
    struct thread_state *thread = thread_of(cpu);
    int fault = (SIGNAL_BIT(number) & FAULT_SIGNALS) && info->code > 0 && info->code != SI_KERNEL;
    if ((SIGNAL_BIT(number) & FAULT_SIGNALS) && info->code == SI_KERNEL) fault = 1;
    if (fault && is_behind_call(context->pc)) fault = 0;
    if (fault) {
        if (take_fault(cpu, number, info, context)) return;
        char where[40], *at = text_append(where, where + sizeof where, "0x");
        text_append_number(at, where + sizeof where, context->pc, 16);
        message("the runtime itself met a fault at ", where);
        die_by_signal(number);
    }
    if (is_quiesce_request(number, info)) {
        private_of(cpu)->quiesce_hit = 1;
        quiesce_requested(cpu);
        interrupt_guest(cpu, context);
        return;
    }
    int blocked = (mask_in_force(cpu) & SIGNAL_BIT(number)) != 0;
    if (blocked || thread->signal_number) {
        hold_signal(cpu, number, info, context);
    } else {
        memory_copy(thread->signal_info, info, sizeof *info);
        thread->signal_number = (uint32_t)number;
        unpark(cpu);
        context->sigmask = ~never_blocked() | private_of(cpu)->held_mask;
    }
    interrupt_guest(cpu, context);
}

static int ignored_by_default(int number) { return number == SIGCHLD || number == 18 || number == 23 || number == 28; }

/** At a safepoint: makes the guest enter its handler, or does what else its action says. */
void deliver_signal(struct cpu_state *cpu, int number, const struct siginfo *info) {
    struct thread_state *thread = thread_of(cpu);
    struct thread_private *priv = private_of(cpu);
    struct guest_sigaction action = signal_actions(cpu)[number - 1];
    uint64_t mask = mask_in_force(cpu);
    if (action.handler <= SIG_IGN) {
        priv->has_temporary_mask = 0;
        if (action.handler == SIG_DFL && number >= 20 && number <= 22) {
            HOST3(tgkill, HOST0(getpid), HOST0(gettid), number); /* stops: the kernel's action is SIG_DFL by now */
        } else if (action.handler == SIG_DFL && !ignored_by_default(number)) {
            die_by_signal(number);
        }
        set_host_mask(cpu, thread->sigmask);
        return;
    }
    if (push_signal_frame(cpu, number, info, &action, thread->sigmask) < 0) die_by_signal(SIGSEGV);
    if (action.flags & SA_RESETHAND) {
        signal_actions(cpu)[number - 1].handler = SIG_DFL;
        install_signal(cpu, number);
    }
    mask |= action.mask;
    if (!(action.flags & SA_NODEFER)) mask |= SIGNAL_BIT(number);
    thread->sigmask = mask & ~UNBLOCKABLE;
    priv->has_temporary_mask = 0;
    set_host_mask(cpu, thread->sigmask);
}

/** A fault of the guest's instruction at rip. As in Linux, one that is blocked or ignored kills. */
void deliver_fault(struct cpu_state *cpu, int number, int code, uint64_t address, uint64_t trap, uint64_t error) {
    struct thread_private *priv = private_of(cpu);
    struct siginfo info = { .number = number, .code = code };
    info.address = address;
    priv->fault_trap = trap;
    priv->fault_error = error;
    if (trap == 14) priv->fault_address = address;
    if ((thread_of(cpu)->sigmask & SIGNAL_BIT(number)) || signal_actions(cpu)[number - 1].handler <= SIG_IGN) die_by_signal(number);
    /* Set where the instruction is to be done again: not behind traps. */
    priv->resume_flag = trap == 1 || trap == 3 || trap == 4 ? 0 : 1u << 16;
    deliver_signal(cpu, number, &info);
    priv->resume_flag = 0;
}

int64_t hc_sys_rt_sigaction(struct cpu_state *cpu, const uint64_t *args) {
    struct guest_sigaction action, old;
    int number = (int)args[0];
    if (args[3] != 8) return -EINVAL;
    if (args[1] && guest_read(&action, args[1], sizeof action) < 0) return -EFAULT;
    if (number < 1 || number > SIGNAL_LIMIT) return -EINVAL;
    if (args[1] && (number == SIGKILL || number == SIGSTOP)) return -EINVAL;
    old = signal_actions(cpu)[number - 1];
    if (args[1]) {
        action.mask &= ~UNBLOCKABLE;
        signal_actions(cpu)[number - 1] = action;
        install_signal(cpu, number);
        if (action.handler > SIG_IGN && FAULT_SIGNALS & SIGNAL_BIT(number)) need_variant(VARIANT_PRECISE);
    }
    return args[2] ? guest_write(args[2], &old, sizeof old) : 0;
}

int64_t hc_sys_rt_sigprocmask(struct cpu_state *cpu, const uint64_t *args) {
    struct thread_state *thread = thread_of(cpu);
    uint64_t old = thread->sigmask, change;
    if (args[3] != 8) return -EINVAL;
    if (args[1]) {
        if (guest_read(&change, args[1], 8) < 0) return -EFAULT;
        change &= ~UNBLOCKABLE;
        switch ((int)args[0]) {
        case SIG_BLOCK: change |= old; break;
        case SIG_UNBLOCK: change = old & ~change; break;
        case SIG_SETMASK: break;
        default: return -EINVAL;
        }
        if (thread->signal_number) return HC_RESTART; /* it came just now: before this call */
        thread->sigmask = change;
        set_host_mask(cpu, change);
        if (private_of(cpu)->held_quiesce) cpu->pending = 1;
    }
    return args[2] ? guest_write(args[2], &old, 8) : 0;
}

static int on_signal_stack(const struct thread_state *thread, uint64_t sp) {
    if (thread->sas_flags & SS_AUTODISARM) return 0;
    return thread->sas_size && sp > thread->sas_sp && sp - thread->sas_sp <= thread->sas_size;
}

int64_t hc_sys_sigaltstack(struct cpu_state *cpu, const uint64_t *args) {
    struct thread_state *thread = thread_of(cpu);
    struct kernel_stack stack, old = { thread->sas_sp, 0, 0, thread->sas_size };
    int on = on_signal_stack(thread, cpu->gpr[4]);
    old.flags = (thread->sas_size == 0 ? SS_DISABLE : on ? SS_ONSTACK : 0) | (thread->sas_flags & SS_AUTODISARM);
    if (args[0]) {
        if (guest_read(&stack, args[0], sizeof stack) < 0) return -EFAULT;
        int32_t mode = stack.flags & ~SS_AUTODISARM;
        if (on) return -EPERM;
        if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK) return -EINVAL;
        if (stack.sp == thread->sas_sp && stack.size == thread->sas_size && stack.flags == thread->sas_flags)
            return args[1] ? guest_write(args[1], &old, sizeof old) : 0;
        if (mode == SS_DISABLE) stack.sp = stack.size = 0;
        else if (stack.size < 2048) return -ENOMEM;
        thread->sas_sp = stack.sp;
        thread->sas_size = stack.size;
        thread->sas_flags = stack.flags;
    }
    return args[1] ? guest_write(args[1], &old, sizeof old) : 0;
}

int64_t hc_sys_rt_sigreturn(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t mask;
    (void)args;
    if (pop_signal_frame(cpu, &mask) < 0) {
        deliver_fault(cpu, SIGSEGV, SI_KERNEL, 0, 0, 0);
        return HC_STATE_SET;
    }
    /* First ours, then the host's: what that lets in at once must not look blocked. */
    thread_of(cpu)->sigmask = mask & ~UNBLOCKABLE;
    if (thread_of(cpu)->signal_number == 0) set_host_mask(cpu, mask & ~UNBLOCKABLE);
    return HC_STATE_SET;
}

/** The kernel does not know of the guest's own use of the quiesce signal. */
int64_t hc_sys_rt_sigpending(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t set = 0;
    if (args[1] > sizeof set) return -EINVAL;
    int64_t result = guest_call_2(cpu, HOST_rt_sigpending, (uint64_t)&set, sizeof set);
    if (result < 0) return result;
    if (private_of(cpu)->held_quiesce) set |= SIGNAL_BIT(quiesce_signal());
    return guest_write(args[0], &set, args[1]);
}
