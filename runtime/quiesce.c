/* Safepoints: the only places where a signal reaches the guest and where a thread may be stopped for a dump. A node
 * asks by the quiesce signal from outside the process's pid namespace (so that si_pid is 0); every thread then parks with
 * canonical state until the node clears ProcState.quiesce. */
#include "runtime.h"

/** A request by the node, or one passed on by another thread of this process. */
int is_quiesce_request(int number, const struct siginfo *info) {
    if (number != quiesce_signal()) return 0;
    if (info->code == SI_USER) return info->sender.pid == 0 || under_qemu();
    return info->code == SI_TKILL && info->sender.pid == (int32_t)HOST0(getpid) && PROC->quiesce;
}

/** From the signal handler: marks the process and wakes its other threads. */
void quiesce_requested(struct cpu_state *cpu) {
    struct proc_state *proc = PROC;
    if (__atomic_exchange_n(&proc->quiesce, 1, __ATOMIC_SEQ_CST)) return;
    int64_t pid = HOST0(getpid);
    for (uint32_t slot = 0; slot < PROC_PRIVATE->thread_slots; slot++) {
        struct cpu_state *other = thread_area(slot);
        if (other == cpu || thread_of(other)->in_use != 1 || private_of(other)->vfork_child) continue;
        HOST3(tgkill, pid, thread_of(other)->host_tid, quiesce_signal());
    }
}

/** Called by the owner of the thread only, signal handler included. */
void unpark(struct cpu_state *cpu) {
    if (__atomic_exchange_n(&thread_of(cpu)->parked, 0, __ATOMIC_SEQ_CST)) __atomic_fetch_sub(&PROC->parked, 1, __ATOMIC_SEQ_CST);
}

static void park(struct cpu_state *cpu) {
    struct thread_state *thread = thread_of(cpu);
    volatile uint32_t *quiesce = &PROC->quiesce, *parked = &thread->parked;
    hc_helper_mxcsr_flags(cpu, 0);
    /* No need to be in the dump. */
    HOST3(madvise, cpu->decode_cache, DECODE_CACHE_BYTES, MADV_DONTNEED);
    /* A signal from here on finds parked set, or is seen below. */
    __atomic_store_n(&thread->parked, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&PROC->parked, 1, __ATOMIC_SEQ_CST);
    if (*(volatile uint32_t *)&thread->signal_number) unpark(cpu);
    /* Looks ever more seldom: many threads that look often would take the node's time from those that do not stand yet. */
    for (int64_t pause = 1000000; *quiesce && *parked;) {
        struct timespec wait = { 0, pause };
        HOST2(nanosleep, &wait, 0);
        if (pause < 64000000) pause *= 2;
    }
    unpark(cpu);
}

/** Between two guest instructions, when CpuState.pending is set. */
void safepoint(struct cpu_state *cpu) {
    struct thread_state *thread = thread_of(cpu);
    struct thread_private *priv = private_of(cpu);
    for (;;) {
        *(volatile uint32_t *)&cpu->pending = 0;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&priv->forget_lookups, 0, __ATOMIC_SEQ_CST)) lookup_forget(cpu);
        int number = (int)*(volatile uint32_t *)&thread->signal_number;
        if (number) {
            struct siginfo info;
            memory_copy(&info, thread->signal_info, sizeof info);
            thread->signal_number = 0;
            deliver_signal(cpu, number, &info);
        } else if (priv->held_quiesce && !(thread->sigmask & SIGNAL_BIT(quiesce_signal()))) {
            struct siginfo info = priv->held_quiesce_info;
            priv->held_quiesce = 0;
            deliver_signal(cpu, quiesce_signal(), &info);
        } else if (*(volatile uint32_t *)&PROC->quiesce && !priv->vfork_child) {
            park(cpu);
        } else {
            break;
        }
    }
}

/** Sends a signal with what the program tells of its sender, which must not look like the node's request to quiesce. */
static int64_t queue_signal(struct cpu_state *cpu, uint64_t call, const uint64_t *args, unsigned number_at) {
    struct siginfo info;
    uint64_t own[6];
    memory_copy(own, args, sizeof own);
    if ((int)args[number_at] == quiesce_signal() && guest_read(&info, args[number_at + 1], sizeof info) == 0 && info.code == SI_USER && info.sender.pid == 0) {
        info.sender.pid = -1;
        own[number_at + 1] = (uint64_t)&info;
    }
    return hc_guest_call(cpu, call, own);
}

int64_t hc_sys_rt_sigqueueinfo(struct cpu_state *cpu, const uint64_t *args) { return queue_signal(cpu, HOST_rt_sigqueueinfo, args, 1); }

int64_t hc_sys_rt_tgsigqueueinfo(struct cpu_state *cpu, const uint64_t *args) { return queue_signal(cpu, HOST_rt_tgsigqueueinfo, args, 2); }

int64_t hc_sys_pidfd_send_signal(struct cpu_state *cpu, const uint64_t *args) { return queue_signal(cpu, HOST_pidfd_send_signal, args, 1); }
