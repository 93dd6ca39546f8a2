/* A tool of the node's, in the runtime's own file: `runtime --park-stopped PID MILLISECONDS`. A process that a signal has
 * stopped takes no request to quiesce until it is continued, which it and its parent would see. But a tracer may let its
 * threads run while the stop lasts: they take the request and park, and are stopped as before when the tracer leaves.
 * Everything else that is pending stays pending meanwhile. What a thread had taken before it was stopped, it would act upon
 * at its next safepoint: so one goes on alone until it has taken the request for the process, then the others. */
#include "runtime.h"

enum { PTRACE_CONT = 7, PTRACE_DETACH = 17, PTRACE_SEIZE = 0x4206, PTRACE_INTERRUPT = 0x4207, PTRACE_GETSIGMASK = 0x420a, PTRACE_SETSIGMASK = 0x420b };
enum { WNOHANG_ = 1, WALL_ = 0x40000000, PAUSE_NANOSECONDS = 1000000, LEAVE_MILLISECONDS = 10000, ALONE_MILLISECONDS = 500 };

struct tracee { int32_t tid; uint16_t has_mask, stands; uint64_t mask; };
struct tracees {
    int64_t pid, memory; /* memory: a descriptor of /proc/PID/mem */
    int64_t end;         /* when patience ends, in milliseconds of the monotonic clock */
    int64_t next;        /* when one more thread goes on, should the request not be taken by then */
    uint64_t own_mask;   /* what threads have blocked while they are traced */
    uint32_t count;
    struct tracee all[MAX_THREADS];
};

static int64_t trace(int request, int32_t tid, uint64_t address, void *data) { return HOST4(ptrace, request, tid, address, data); }

static int64_t now_milliseconds(void) {
    struct timespec now;
    HOST2(clock_gettime, CLOCK_MONOTONIC_, &now);
    return now.seconds * 1000 + now.nanoseconds / 1000000;
}

static int is_late(const struct tracees *tracees) { return now_milliseconds() > tracees->end; }

static void pause_shortly(void) {
    struct timespec wait = { 0, PAUSE_NANOSECONDS };
    HOST2(nanosleep, &wait, 0);
}

static int64_t number_of(const char *text) {
    int64_t value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
    return value;
}

static int64_t open_of(int64_t pid, const char *name) {
    char path[64], *end = path + sizeof path;
    text_append(text_append_number(text_append(path, end, "/proc/"), end, (uint64_t)pid, 10), end, name);
    return HOST4(openat, AT_CURRENT_DIRECTORY, path, O_RDONLY_ | O_CLOEXEC_, 0);
}

static void seize_threads(struct tracees *tracees) {
    struct entry { uint64_t inode, offset; uint16_t bytes; uint8_t type; char name[]; };
    _Alignas(8) char buffer[4096];
    int64_t directory = open_of(tracees->pid, "/task"), bytes;
    while (directory >= 0 && (bytes = HOST3(getdents64, directory, buffer, sizeof buffer)) > 0) {
        for (int64_t at = 0; at < bytes; at += ((struct entry *)(buffer + at))->bytes) {
            int32_t tid = (int32_t)number_of(((struct entry *)(buffer + at))->name);
            if (tid == 0 || tracees->count == MAX_THREADS || trace(PTRACE_SEIZE, tid, 0, 0) < 0) continue;
            tracees->all[tracees->count++] = (struct tracee){ .tid = tid };
        }
    }
    HOST1(close, directory);
}

/** Whether the process has taken the request and, with `all`, all its threads are parked. */
static int has_taken(const struct tracees *tracees, int all) {
    struct { uint64_t magic; uint32_t abi_version, quiesce, threads, parked; } state;
    _Static_assert(__builtin_offsetof(struct proc_state, parked) == 20, "the first fields of ProcState");
    if (HOST4(pread64, tracees->memory, &state, sizeof state, base_address() + PROC_AREA_OFFSET) != sizeof state) return 0;
    return state.magic == PROC_MAGIC && state.quiesce && (!all || state.parked == state.threads);
}

/** A thread has ended or stands: takes it off the list, notes that it stands, or hands on the signal that it was to get. */
static int settle(struct tracees *tracees, int32_t tid, uint32_t status) {
    uint32_t index = 0;
    while (index < tracees->count && tracees->all[index].tid != tid) index++;
    if (index == tracees->count) return 0;
    struct tracee *tracee = &tracees->all[index];
    if ((status & 0xff) != 0x7f) {
        *tracee = tracees->all[--tracees->count];
        return 1;
    }
    if (!tracee->has_mask) {
        tracee->has_mask = trace(PTRACE_GETSIGMASK, tid, 8, &tracee->mask) == 0;
        trace(PTRACE_SETSIGMASK, tid, 8, &tracees->own_mask);
    }
    tracee->stands = status >> 16 != 0;
    if (!tracee->stands) trace(PTRACE_CONT, tid, 0, (void *)(uint64_t)(status >> 8 & 0xff));
    return tracee->stands;
}

static void go_on(struct tracees *tracees) {
    int64_t now = now_milliseconds();
    int alone = !has_taken(tracees, 0);
    for (uint32_t index = 0; index < tracees->count; index++) {
        struct tracee *tracee = &tracees->all[index];
        if (!tracee->stands || (alone && now < tracees->next)) continue;
        tracees->next = now + ALONE_MILLISECONDS;
        tracee->stands = 0;
        trace(PTRACE_CONT, tracee->tid, 0, 0);
    }
}

static void let_park(struct tracees *tracees) {
    while (tracees->count > 0 && !is_late(tracees)) {
        uint32_t status;
        int32_t tid = (int32_t)HOST4(wait4, -1, &status, WNOHANG_ | WALL_, 0);
        if (tid > 0) {
            settle(tracees, tid, status);
            continue;
        }
        if (has_taken(tracees, 1)) return;
        go_on(tracees);
        pause_shortly();
    }
}

/** Gives a thread its signal mask back, unless it has set one itself, and leaves it, stopped as it was. */
static void leave(struct tracees *tracees, struct tracee *tracee) {
    int32_t tid = tracee->tid;
    uint64_t mask = 0;
    uint32_t status;
    if (!tracee->stands) trace(PTRACE_INTERRUPT, tid, 0, 0);
    while (!tracee->stands) {
        int64_t got = HOST4(wait4, tid, &status, WNOHANG_ | WALL_, 0);
        if (got < 0 || (got == 0 && is_late(tracees))) return;
        if (got == 0) pause_shortly();
        else if (settle(tracees, tid, status)) break;
    }
    trace(PTRACE_GETSIGMASK, tid, 8, &mask);
    if (mask == tracees->own_mask && tracee->has_mask) trace(PTRACE_SETSIGMASK, tid, 8, &tracee->mask);
    trace(PTRACE_DETACH, tid, 0, 0);
}

/** Ends with 0 when all threads of the process are parked. The request has been sent to it before. */
_Noreturn void park_stopped(const char *pid, const char *milliseconds) {
    struct tracees tracees = { .pid = number_of(pid), .own_mask = ~SIGNAL_BIT(quiesce_signal()) };
    tracees.end = now_milliseconds() + number_of(milliseconds);
    tracees.memory = open_of(tracees.pid, "/mem");
    seize_threads(&tracees);
    let_park(&tracees);
    int parked = has_taken(&tracees, 1);
    tracees.end = now_milliseconds() + LEAVE_MILLISECONDS;
    for (uint32_t left = tracees.count; left > 0; left--) leave(&tracees, &tracees.all[left - 1]);
    HOST1(exit_group, !parked);
    __builtin_unreachable();
}
