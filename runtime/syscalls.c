/* The guest's system calls: dispatch by the table of src/abi/syscalls.ts, and what several handlers need. */
#define SYSCALL_TABLE
#include "runtime.h"

int64_t guest_call_6(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    uint64_t args[6] = { a, b, c, d, e, f };
    return hc_guest_call(cpu, number, args);
}
int64_t guest_call_4(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    return guest_call_6(cpu, number, a, b, c, d, 0, 0);
}
int64_t guest_call_2(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b) {
    return guest_call_6(cpu, number, a, b, 0, 0, 0, 0);
}

uint32_t open_flags_to_host(uint32_t flags) {
    uint32_t result = flags & ~(GUEST_O_DIRECT | GUEST_O_LARGEFILE | GUEST_O_DIRECTORY | GUEST_O_NOFOLLOW);
    if (flags & GUEST_O_DIRECT) result |= HOST_O_DIRECT;
    if (flags & GUEST_O_LARGEFILE) result |= HOST_O_LARGEFILE;
    if (flags & GUEST_O_DIRECTORY) result |= HOST_O_DIRECTORY;
    if (flags & GUEST_O_NOFOLLOW) result |= HOST_O_NOFOLLOW;
    return result;
}

uint32_t open_flags_to_guest(uint32_t flags) {
    uint32_t result = flags & ~(HOST_O_DIRECT | HOST_O_LARGEFILE | HOST_O_DIRECTORY | HOST_O_NOFOLLOW);
    if (flags & HOST_O_DIRECT) result |= GUEST_O_DIRECT;
    if (flags & HOST_O_LARGEFILE) result |= GUEST_O_LARGEFILE;
    if (flags & HOST_O_DIRECTORY) result |= GUEST_O_DIRECTORY;
    if (flags & HOST_O_NOFOLLOW) result |= GUEST_O_NOFOLLOW;
    return result;
}

static uint64_t monotonic_now(void) {
    struct timespec now;
    HOST2(clock_gettime, CLOCK_MONOTONIC_, &now);
    return (uint64_t)now.seconds * 1000000000ull + (uint64_t)now.nanoseconds;
}

/**
 * Begins a call with a relative timeout: gives the nanoseconds to wait, fewer than asked for when the guest is back at the
 * very call that quiescing interrupted before. (What a migration interrupts starts anew: this lives in the runtime alone.)
 */
int64_t timed_call_begin(struct cpu_state *cpu, int64_t nanoseconds) {
    struct thread_private *priv = private_of(cpu);
    uint64_t now = monotonic_now();
    if (priv->restart_deadline && priv->restart_rip == cpu->rip && priv->restart_rsp == cpu->gpr[4]) {
        priv->deadline = priv->restart_deadline;
    } else {
        priv->deadline = now + (uint64_t)nanoseconds;
        if (priv->deadline < now) priv->deadline = ~0ull >> 1;
    }
    return timed_call_left(cpu);
}

/** Nanoseconds left of the call that timed_call_begin began. */
int64_t timed_call_left(struct cpu_state *cpu) {
    uint64_t now = monotonic_now(), deadline = private_of(cpu)->deadline;
    return deadline > now ? (int64_t)(deadline - now) : 0;
}

static int64_t moved_call(struct cpu_state *cpu, const struct syscall_row *row, const uint64_t *args) {
    uint64_t moved[6] = { 0 };
    for (unsigned i = 0; i < row->count; i++) {
        uint8_t from = row->from[i];
        if (from >= 0x20) moved[i] = (uint64_t)syscall_constants[from - 0x20];
        else if (from >= 0x10) moved[i] = open_flags_to_host((uint32_t)args[from - 0x10]);
        else moved[i] = args[from];
    }
    return hc_guest_call(cpu, row->host, moved);
}

static int64_t perform(struct cpu_state *cpu, uint32_t number, const uint64_t *given) {
    if (number < GUEST_SYSCALL_LIMIT) {
        const struct syscall_row *row = &syscall_rows[number];
        uint64_t args[6];
        check_pointers(row, given, args);
        switch (row->way) {
        case WAY_SAME: return row->nested ? nested_call(cpu, row, args) : hc_guest_call(cpu, row->host, args);
        case WAY_MOVED: return moved_call(cpu, row, args);
        case WAY_OWN: return row->handler(cpu, args);
        default: break;
        }
    }
    uint32_t *counts = PROC_PRIVATE->unsupported;
    __atomic_fetch_add(&counts[number < 511 ? number : 511], 1, __ATOMIC_RELAXED);
    return -ENOSYS;
}

/** The guest has executed `syscall`; rip is behind it. */
void guest_syscall(struct cpu_state *cpu) {
    struct thread_private *priv = private_of(cpu);
    uint64_t args[6] = { cpu->gpr[7], cpu->gpr[6], cpu->gpr[2], cpu->gpr[10], cpu->gpr[8], cpu->gpr[9] };
    priv->quiesce_hit = 0;
    priv->deadline = 0;
    int64_t result;
    if (!priv->filter || seccomp_admits(cpu, args, &result)) result = perform(cpu, (uint32_t)cpu->gpr[0], args);
    if (result == HC_STATE_SET) return;
    /* What interrupted the call may be nothing that the guest can see: then it has not begun. */
    int hidden = result == -EINTR && priv->quiesce_hit && !thread_of(cpu)->signal_number;
    if (result == HC_RESTART || hidden) {
        if (hidden) {
            priv->restart_rip = cpu->rip;
            priv->restart_rsp = cpu->gpr[4];
            priv->restart_deadline = priv->deadline;
            priv->has_temporary_mask = 0;
        }
        cpu->rip -= 2;
        return;
    }
    priv->restart_deadline = 0;
    cpu->gpr[0] = (uint64_t)result;
    cpu->gpr[1] = cpu->rip;
    cpu->gpr[11] = guest_rflags(cpu);
}
