/* Thread areas, and the beginning and end of threads. Slot 0 is the first thread's. An area stays mapped when its thread
 * ends and serves the next one: only when the kernel no longer knows the old thread is its stack surely unused. */
#include "runtime.h"

enum { SLOT_FREE, SLOT_LIVE, SLOT_ENDING };

static int64_t map_area(uint32_t slot) {
    uint64_t at = (uint64_t)thread_area(slot);
    int64_t got = map_exactly(at, THREAD_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return got == (int64_t)at || got == -EEXIST ? 0 : -EAGAIN;
}

/** Notes that slots below `slots` are or were mapped. */
static void raise_slots(uint32_t slots) {
    uint32_t *known = &PROC_PRIVATE->thread_slots, now = *known;
    while (now < slots && !__atomic_compare_exchange_n(known, &now, slots, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

static int reusable(uint32_t slot) {
    struct thread_state *thread = thread_of(thread_area(slot));
    if (thread->in_use == SLOT_FREE) return 1;
    return thread->in_use == SLOT_ENDING && HOST3(tgkill, HOST0(getpid), thread->host_tid, 0) == -ESRCH;
}

/** A zeroed, prepared area marked live, or 0 when there is no room. */
struct cpu_state *thread_create_area(void) {
    struct proc_private *proc = PROC_PRIVATE;
    while (__atomic_exchange_n(&proc->thread_lock, 1, __ATOMIC_ACQUIRE)) {
        struct timespec wait = { 0, 20000 };
        HOST2(nanosleep, &wait, 0);
    }
    uint32_t slot = 0;
    struct cpu_state *cpu = 0;
    while (slot < proc->thread_slots && !reusable(slot)) slot++;
    if (slot < MAX_THREADS && map_area(slot) == 0) {
        cpu = thread_area(slot);
        memory_set(cpu, 0, sizeof *cpu);
        memory_set(thread_of(cpu), 0, sizeof(struct thread_state));
        memory_set(private_of(cpu), 0, sizeof(struct thread_private));
        thread_of(cpu)->in_use = SLOT_LIVE;
        raise_slots(slot + 1);
        cpu_prepare(cpu);
    }
    __atomic_store_n(&proc->thread_lock, 0, __ATOMIC_RELEASE);
    return cpu;
}

/** The area's thread is known to be gone, or never came to be. */
void thread_release(struct cpu_state *cpu) { __atomic_store_n(&thread_of(cpu)->in_use, SLOT_FREE, __ATOMIC_RELEASE); }

/** Where a new thread, and the child of a vfork, begins: on its own stack, with its area as thread pointer. */
_Noreturn void hc_thread_main(struct cpu_state *cpu) {
    struct thread_state *thread = thread_of(cpu);
    thread->host_tid = (int32_t)HOST0(gettid);
    use_signal_stack(cpu);
    if (private_of(cpu)->clear_handlers) clear_handlers(cpu);
    set_host_mask(cpu, thread->sigmask);
    if (PROC->quiesce) cpu->pending = 1;
    hc_run(cpu);
}

/** glibc reads its CPU from the rseq area, which this kernel does not know: -1 makes it ask. Home's kernel sets it anew. */
static void disown_rseq(const struct thread_state *thread) {
    enum { CPU_ID_OFFSET = 4 };
    int32_t unknown = -1;
    if (thread->rseq_addr) guest_write(thread->rseq_addr + CPU_ID_OFFSET, &unknown, sizeof unknown);
}

/** Where a restored thread goes: everything but what the kernel keeps of the runtime lies in memory already. */
_Noreturn void hc_resume_main(struct cpu_state *cpu) {
    struct thread_state *thread = thread_of(cpu);
    uint32_t slot = (uint32_t)(((uint64_t)cpu - (uint64_t)thread_area(0)) / THREAD_AREA_BYTES);
    if (PROC->magic != PROC_MAGIC || PROC->abi_version != ABI_VERSION) fatal("the restored process is of another version", "");
    /* Restored threads have the first slots. One that does not run yet has its slot, too: this one may begin others at once. */
    uint32_t threads = PROC->threads;
    raise_slots(threads > slot ? threads : slot + 1);
    cpu_prepare(cpu);
    thread->host_tid = (int32_t)HOST0(gettid);
    use_signal_stack(cpu);
    install_signals(cpu);
    if (!thread->signal_number) set_host_mask(cpu, thread->sigmask);
    disown_rseq(thread);
    cpu->pending = 1; /* whatever was recorded or asked for meanwhile */
    hc_run(cpu);
}

int64_t hc_sys_exit(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t all = ~0ull;
    HOST4(rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
    if (private_of(cpu)->vfork_child) {
        vfork_tell(cpu);
    } else {
        __atomic_store_n(&thread_of(cpu)->in_use, SLOT_ENDING, __ATOMIC_RELEASE);
        __atomic_fetch_sub(&PROC->threads, 1, __ATOMIC_SEQ_CST);
    }
    for (;;) HOST1(exit, args[0]);
}

int64_t hc_sys_exit_group(struct cpu_state *cpu, const uint64_t *args) {
    if (private_of(cpu)->vfork_child) vfork_tell(cpu);
    for (;;) HOST1(exit_group, args[0]);
}
