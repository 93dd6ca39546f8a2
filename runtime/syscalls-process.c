/* Processes, threads, and what the machine tells about itself. */
#include "runtime.h"

struct clone_request { uint64_t flags, stack, ptid, ctid, tls; };

/** CLONE_CLEAR_SIGHAND: what has a handler gets its default action. */
void clear_handlers(struct cpu_state *cpu) {
    struct guest_sigaction *actions = signal_actions(cpu);
    for (int number = 1; number <= SIGNAL_LIMIT; number++)
        if (actions[number - 1].handler > SIG_IGN) actions[number - 1] = (struct guest_sigaction){ 0 };
    for (int number = 1; number <= SIGNAL_LIMIT; number++)
        if (number != SIGKILL && number != SIGSTOP) install_signal(cpu, number);
}

/** In the child of a fork: it has this thread only, and none of the parent's signals. */
static void become_child(struct cpu_state *cpu, const struct clone_request *request) {
    struct proc_private *proc = PROC_PRIVATE;
    struct thread_state *thread = thread_of(cpu);
    struct thread_private *priv = private_of(cpu);
    for (uint32_t slot = 0; slot < proc->thread_slots; slot++) {
        if (thread_area(slot) != cpu) thread_release(thread_area(slot));
    }
    proc->thread_lock = proc->module_lock = proc->map_lock = proc->filter_lock = 0;
    memory_set(proc->unsupported, 0, sizeof proc->unsupported);
    PROC->threads = 1;
    PROC->parked = 0;
    thread->host_tid = (int32_t)HOST0(gettid);
    thread->parked = 0;
    thread->signal_number = 0;
    thread->robust_list = thread->robust_len = 0;
    thread->clear_tid = request->flags & CLONE_CHILD_CLEARTID ? request->ctid : 0;
    if (priv->vfork_child) memory_copy(PROC->sigactions, priv->own_actions, sizeof PROC->sigactions);
    priv->vfork_child = 0;
    vfork_forget(cpu);
    if (request->flags & CLONE_CLEAR_SIGHAND) clear_handlers(cpu);
    priv->held_mask = 0;
    priv->held_quiesce = 0;
    if (request->stack) cpu->gpr[4] = request->stack;
    if (request->flags & CLONE_SETTLS) cpu->fs_base = request->tls;
    set_host_mask(cpu, thread->sigmask);
    if (PROC->quiesce) cpu->pending = 1;
}

static int64_t fork_process(struct cpu_state *cpu, const struct clone_request *request) {
    uint64_t flags = request->flags & ~(CLONE_SETTLS | CLONE_CLEAR_SIGHAND);
    int64_t result = hc_clone(flags, 0, request->ptid, 0, request->ctid);
    if (result == 0) become_child(cpu, request);
    return result;
}

/** An area for a new thread that goes on behind this system call with 0 in rax. */
static struct cpu_state *copy_thread(struct cpu_state *cpu, const struct clone_request *request) {
    struct cpu_state *child = thread_create_area();
    if (!child) return 0;
    memory_copy(child, cpu, sizeof *cpu);
    cpu_prepare(child);
    child->pending = 0;
    child->gpr[0] = 0;
    child->gpr[1] = cpu->rip;
    child->gpr[11] = guest_rflags(cpu);
    if (request->stack) child->gpr[4] = request->stack;
    if (request->flags & CLONE_SETTLS) child->fs_base = request->tls;
    inherit_filters(child, cpu);
    thread_of(child)->sigmask = thread_of(cpu)->sigmask;
    thread_of(child)->sas_flags = SS_DISABLE;
    thread_of(child)->clear_tid = request->flags & CLONE_CHILD_CLEARTID ? request->ctid : 0;
    return child;
}

static int64_t create_thread(struct cpu_state *cpu, const struct clone_request *request) {
    need_variant(VARIANT_ORDERED);
    struct cpu_state *child = copy_thread(cpu, request);
    if (!child) return -EAGAIN;
    __atomic_fetch_add(&PROC->threads, 1, __ATOMIC_SEQ_CST);
    int64_t result = hc_clone(request->flags | CLONE_SETTLS, (uint64_t)child + THREAD_AREA_BYTES, request->ptid, (uint64_t)child, request->ctid);
    if (result < 0) {
        __atomic_fetch_sub(&PROC->threads, 1, __ATOMIC_SEQ_CST);
        thread_release(child);
    }
    return result;
}

/** The child shares this process's memory until it execs or ends, and the kernel keeps this thread waiting as long. */
static int64_t vfork_process(struct cpu_state *cpu, const struct clone_request *request) {
    struct cpu_state *child = copy_thread(cpu, request);
    if (!child) return -EAGAIN;
    thread_of(child)->sas_sp = thread_of(cpu)->sas_sp;
    thread_of(child)->sas_size = thread_of(cpu)->sas_size;
    thread_of(child)->sas_flags = thread_of(cpu)->sas_flags;
    private_of(child)->vfork_child = 1;
    memory_copy(private_of(child)->own_actions, signal_actions(cpu), sizeof PROC->sigactions);
    private_of(child)->clear_handlers = (request->flags & CLONE_CLEAR_SIGHAND) != 0;
    uint64_t flags = (request->flags & ~CLONE_CLEAR_SIGHAND) | CLONE_SETTLS;
    if (under_qemu()) vfork_prepare(cpu, child);
    int64_t result = hc_clone(flags, (uint64_t)child + THREAD_AREA_BYTES, request->ptid, (uint64_t)child, request->ctid);
    if (under_qemu()) vfork_follow(child, result > 0);
    thread_release(child);
    return result;
}

static int64_t clone_any(struct cpu_state *cpu, const struct clone_request *request) {
    if (request->flags & CLONE_INTO_CGROUP) return -ENOSYS;
    if (request->flags & CLONE_CLEAR_SIGHAND && request->flags & CLONE_SIGHAND) return -EINVAL;
    if (request->flags & CLONE_THREAD) return create_thread(cpu, request);
    if (!(request->flags & CLONE_VM)) return fork_process(cpu, request);
    return request->flags & CLONE_VFORK && !(request->flags & CLONE_SIGHAND) ? vfork_process(cpu, request) : -EINVAL;
}

int64_t hc_sys_clone(struct cpu_state *cpu, const uint64_t *args) {
    struct clone_request request = { (uint32_t)args[0], args[1], args[2], args[3], args[4] };
    return clone_any(cpu, &request);
}

int64_t hc_sys_fork(struct cpu_state *cpu, const uint64_t *args) {
    struct clone_request request = { .flags = SIGCHLD };
    (void)args;
    return fork_process(cpu, &request);
}

int64_t hc_sys_vfork(struct cpu_state *cpu, const uint64_t *args) {
    struct clone_request request = { .flags = SIGCHLD | CLONE_VM | CLONE_VFORK };
    (void)args;
    return vfork_process(cpu, &request);
}

/** struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup. */
int64_t hc_sys_clone3(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t in[11];
    if (args[1] < 64) return -EINVAL;
    int64_t result = guest_read_sized(in, sizeof in, args[0], args[1]);
    if (result < 0) return result;
    if (in[9]) return -ENOSYS;
    if (in[4] > SIGNAL_LIMIT || in[0] & 0xff) return -EINVAL;
    if ((in[0] & CLONE_PIDFD) && (in[0] & CLONE_PARENT_SETTID)) return -ENOSYS; /* clone has one pointer for both */
    for (unsigned i = 1; i < 4; i++) in[i] = kernel_pointer(in[i], 0);
    struct clone_request request = { in[0] | in[4], in[5] ? in[5] + in[6] : 0, in[0] & CLONE_PIDFD ? in[1] : in[3], in[2], in[7] };
    return clone_any(cpu, &request);
}

int64_t hc_sys_set_tid_address(struct cpu_state *cpu, const uint64_t *args) {
    thread_of(cpu)->clear_tid = args[0];
    return guest_call_2(cpu, HOST_set_tid_address, args[0], 0);
}

int64_t hc_sys_set_robust_list(struct cpu_state *cpu, const uint64_t *args) {
    int64_t result = guest_call_2(cpu, HOST_set_robust_list, args[0], args[1]);
    if (result == 0) {
        thread_of(cpu)->robust_list = args[0];
        thread_of(cpu)->robust_len = args[1];
    }
    return result;
}

int64_t hc_sys_uname(struct cpu_state *cpu, const uint64_t *args) {
    enum { FIELD = 65, MACHINE_FIELD = 4 };
    char name[FIELD * 6];
    int64_t result = guest_call_2(cpu, HOST_uname, (uint64_t)name, 0);
    if (result < 0) return result;
    memory_set(name + FIELD * MACHINE_FIELD, 0, FIELD);
    memory_copy(name + FIELD * MACHINE_FIELD, "x86_64", 6);
    return guest_write(args[0], name, sizeof name);
}

int64_t hc_sys_arch_prctl(struct cpu_state *cpu, const uint64_t *args) {
    enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004, ARCH_GET_CPUID = 0x1011, ARCH_SET_CPUID = 0x1012 };
    switch ((uint32_t)args[0]) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (args[1] >= GUEST_LIMIT) return -EPERM;
        *((uint32_t)args[0] == ARCH_SET_FS ? &cpu->fs_base : &cpu->gs_base) = args[1];
        return 0;
    case ARCH_GET_FS: return guest_write(args[1], &cpu->fs_base, 8);
    case ARCH_GET_GS: return guest_write(args[1], &cpu->gs_base, 8);
    case ARCH_GET_CPUID: return 1;
    case ARCH_SET_CPUID: return -ENODEV;
    default: return -EINVAL;
    }
}

/** Options of arm64 alone, which an x86-64 kernel answers with EINVAL. */
static int foreign_option(uint32_t option) {
    switch (option) {
    case 50: case 51:          /* SVE vector length */
    case 54: case 60: case 61: /* pointer authentication */
    case 55: case 56:          /* tagged addresses */
    case 63: case 64:          /* SME vector length */
    case 74: case 75: case 76: /* shadow stacks */
        return 1;
    default: return 0;
    }
}

int64_t hc_sys_prctl(struct cpu_state *cpu, const uint64_t *args) {
    enum { PR_SET_SYSCALL_USER_DISPATCH_ = 59, PR_TSC_ENABLE_ = 1 };
    uint32_t option = (uint32_t)args[0], tsc = PR_TSC_ENABLE_;
    switch (option) {
    case PR_GET_SECCOMP: return under_qemu() ? seccomp_mode(cpu) : HOST1(prctl, PR_GET_SECCOMP);
    case PR_SET_SECCOMP: return seccomp_by_prctl(cpu, args);
    case PR_SET_MM:
    case PR_SET_SYSCALL_USER_DISPATCH_: return -EINVAL;
    case PR_GET_TSC: return guest_write(args[1], &tsc, 4);
    case PR_SET_TSC: return args[1] == PR_TSC_ENABLE_ ? 0 : -EINVAL;
    default: return foreign_option(option) ? -EINVAL : hc_guest_call(cpu, HOST_prctl, args);
    }
}
