/* Calls that wait with a timeout or under another signal mask. Timeouts are kept by timed_call_begin, so that quiescing
 * shortens none; masks never block what the runtime needs (with_temporary_mask). */
#include "runtime.h"

#define SECOND 1000000000ll
/** Events that one epoll_wait gives at most: they have room on the stack. */
#define EVENTS 4096

static int64_t to_nanoseconds(const struct timespec *time) {
    if (time->seconds > 9000000000ll) return 9000000000ll * SECOND;
    return time->seconds * SECOND + time->nanoseconds;
}
static struct timespec from_nanoseconds(int64_t time) { return (struct timespec){ time / SECOND, time % SECOND }; }
static int valid(const struct timespec *time) { return time->seconds >= 0 && time->nanoseconds >= 0 && time->nanoseconds < SECOND; }

/** Reads an optional relative timeout; *use is what to hand to the kernel: 0 for none, else `left`. */
static int64_t take_timeout(struct cpu_state *cpu, uint64_t pointer, struct timespec *left, struct timespec **use) {
    *use = 0;
    if (!pointer) return 0;
    if (guest_read(left, pointer, sizeof *left) < 0) return -EFAULT;
    if (!valid(left)) return -EINVAL;
    *left = from_nanoseconds(timed_call_begin(cpu, to_nanoseconds(left)));
    *use = left;
    return 0;
}

/** poll and select tell how much of the timeout is left. Linux ignores a fault here. */
static void give_left(struct cpu_state *cpu, uint64_t pointer, int64_t result) {
    if (!pointer || result == HC_RESTART) return;
    struct timespec left = from_nanoseconds(timed_call_left(cpu));
    guest_write(pointer, &left, sizeof left);
}

static int64_t poll_milliseconds(struct cpu_state *cpu, int32_t timeout, struct timespec *left, struct timespec **use) {
    *use = 0;
    if (timeout < 0) return 0;
    *left = from_nanoseconds(timed_call_begin(cpu, (int64_t)timeout * 1000000));
    *use = left;
    return 0;
}

int64_t hc_sys_poll(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    poll_milliseconds(cpu, (int32_t)args[2], &left, &use);
    return guest_call_6(cpu, HOST_ppoll, args[0], args[1], (uint64_t)use, 0, 0, 0);
}

int64_t hc_sys_ppoll(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    uint64_t mask = 0;
    int64_t result = take_timeout(cpu, args[2], &left, &use);
    if (result < 0) return result;
    result = with_temporary_mask(cpu, args[3], args[4], &mask);
    if (result < 0) return result;
    result = guest_call_6(cpu, HOST_ppoll, args[0], args[1], (uint64_t)use, args[3] ? (uint64_t)&mask : 0, 8, 0);
    give_left(cpu, args[2], result);
    return end_temporary_mask(cpu, result);
}

int64_t hc_sys_pause(struct cpu_state *cpu, const uint64_t *args) {
    (void)args;
    return guest_call_6(cpu, HOST_ppoll, 0, 0, 0, 0, 0, 0);
}

int64_t hc_sys_select(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use = 0;
    struct timeval value;
    if (args[4]) {
        if (guest_read(&value, args[4], sizeof value) < 0) return -EFAULT;
        left.seconds = value.seconds + value.microseconds / 1000000;
        left.nanoseconds = value.microseconds % 1000000 * 1000;
        if (!valid(&left)) return -EINVAL;
        left = from_nanoseconds(timed_call_begin(cpu, to_nanoseconds(&left)));
        use = &left;
    }
    int64_t result = guest_call_6(cpu, HOST_pselect6, args[0], args[1], args[2], args[3], (uint64_t)use, 0);
    if (args[4] && result != HC_RESTART) {
        int64_t nanoseconds = timed_call_left(cpu);
        value = (struct timeval){ nanoseconds / SECOND, nanoseconds % SECOND / 1000 };
        guest_write(args[4], &value, sizeof value);
    }
    return result;
}

int64_t hc_sys_pselect6(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    uint64_t mask = 0, guest_mask[2] = { 0, 0 };
    if (args[5] && guest_read(guest_mask, args[5], sizeof guest_mask) < 0) return -EFAULT;
    int64_t result = take_timeout(cpu, args[4], &left, &use);
    if (result < 0) return result;
    result = with_temporary_mask(cpu, guest_mask[0], guest_mask[1], &mask);
    if (result < 0) return result;
    uint64_t host_mask[2] = { guest_mask[0] ? (uint64_t)&mask : 0, 8 };
    result = guest_call_6(cpu, HOST_pselect6, args[0], args[1], args[2], args[3], (uint64_t)use, (uint64_t)host_mask);
    give_left(cpu, args[4], result);
    return end_temporary_mask(cpu, result);
}

/** Hands over events, which become packed where they are: no packed one reaches beyond its own place. */
static int64_t give_events(uint64_t to, struct host_epoll_event *events, int64_t count) {
    enum { PACKED = sizeof(struct guest_epoll_event) };
    for (int64_t i = 0; i < count; i++) {
        struct guest_epoll_event packed = { events[i].events, events[i].data };
        memory_copy((char *)events + i * PACKED, &packed, PACKED);
    }
    if (count > 0 && guest_write(to, events, (uint64_t)count * PACKED) < 0) return -EFAULT;
    return count;
}

/** The three forms of epoll_wait. More than EVENTS events are left for the next call, as the interface allows. */
static int64_t wait_events(struct cpu_state *cpu, const uint64_t *args, struct timespec *timeout, int precise, uint64_t mask_pointer, uint64_t mask_bytes) {
    uint64_t mask = 0;
    int32_t most = (int32_t)args[2];
    int64_t result = with_temporary_mask(cpu, mask_pointer, mask_bytes, &mask);
    if (result < 0) return result;
    if (most <= 0 || most > 0x7fffffff / 12) return end_temporary_mask(cpu, -EINVAL);
    if (!is_guest_memory(args[1], (uint64_t)most * sizeof(struct guest_epoll_event))) return end_temporary_mask(cpu, -EFAULT);
    if (most > EVENTS) most = EVENTS;
    struct host_epoll_event *events = __builtin_alloca((uint64_t)most * sizeof *events);
    uint64_t wait = ~0ull, use_mask = mask_pointer ? (uint64_t)&mask : 0;
    if (precise) wait = (uint64_t)timeout;
    else if (timeout) wait = (uint64_t)((to_nanoseconds(timeout) + 999999) / 1000000);
    long number = precise ? HOST_epoll_pwait2 : HOST_epoll_pwait;
    result = guest_call_6(cpu, (uint64_t)number, args[0], (uint64_t)events, (uint64_t)most, wait, use_mask, 8);
    return end_temporary_mask(cpu, give_events(args[1], events, result));
}

int64_t hc_sys_epoll_wait(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    poll_milliseconds(cpu, (int32_t)args[3], &left, &use);
    return wait_events(cpu, args, use, 0, 0, 0);
}

int64_t hc_sys_epoll_pwait(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    poll_milliseconds(cpu, (int32_t)args[3], &left, &use);
    return wait_events(cpu, args, use, 0, args[4], args[5]);
}

int64_t hc_sys_epoll_pwait2(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    int64_t result = take_timeout(cpu, args[3], &left, &use);
    return result < 0 ? result : wait_events(cpu, args, use, 1, args[4], args[5]);
}

static int64_t sleep_relative(struct cpu_state *cpu, uint64_t clock, uint64_t request, uint64_t remain) {
    struct timespec left;
    /* What is wrong with the clock comes first: the kernel knows. */
    if (guest_read(&left, request, sizeof left) < 0 || !valid(&left)) return guest_call_4(cpu, HOST_clock_nanosleep, clock, 0, request, 0);
    left = from_nanoseconds(timed_call_begin(cpu, to_nanoseconds(&left)));
    int64_t result = guest_call_4(cpu, HOST_clock_nanosleep, clock, 0, (uint64_t)&left, (uint64_t)&left);
    /* When only quiescing interrupts it the guest sees nothing; but where the rest may overwrite the request it does, so
     * that a migration does not make the sleep longer. */
    int hidden = private_of(cpu)->quiesce_hit && !thread_of(cpu)->signal_number;
    if (result == -EINTR && remain && (!hidden || remain == request)) {
        if (guest_write(remain, &left, sizeof left) < 0) return -EFAULT;
    }
    return result;
}

int64_t hc_sys_nanosleep(struct cpu_state *cpu, const uint64_t *args) {
    return sleep_relative(cpu, CLOCK_MONOTONIC_, args[0], args[1]);
}

int64_t hc_sys_clock_nanosleep(struct cpu_state *cpu, const uint64_t *args) {
    if (args[1] & TIMER_ABSTIME_) return guest_call_4(cpu, HOST_clock_nanosleep, args[0], args[1], args[2], 0);
    return sleep_relative(cpu, args[0], args[2], args[3]);
}

int64_t hc_sys_futex(struct cpu_state *cpu, const uint64_t *args) {
    enum { FUTEX_WAIT_ = 0, FUTEX_COMMANDS = 0x7f };
    struct timespec left, *use;
    if ((args[1] & FUTEX_COMMANDS) != FUTEX_WAIT_) return hc_guest_call(cpu, HOST_futex, args);
    int64_t result = take_timeout(cpu, args[3], &left, &use);
    if (result < 0) return result;
    return guest_call_6(cpu, HOST_futex, args[0], args[1], args[2], (uint64_t)use, args[4], args[5]);
}

int64_t hc_sys_rt_sigtimedwait(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec left, *use;
    uint64_t set;
    if (args[3] == 8 && guest_read(&set, args[0], sizeof set) < 0) return -EFAULT;
    int64_t result = args[3] == 8 ? take_timeout(cpu, args[2], &left, &use) : -EINVAL;
    if (result < 0) return result;
    return guest_call_4(cpu, HOST_rt_sigtimedwait, args[0], args[1], (uint64_t)use, args[3]);
}

int64_t hc_sys_rt_sigsuspend(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t mask = 0;
    if (!args[0]) return -EFAULT;
    int64_t result = with_temporary_mask(cpu, args[0], args[1], &mask);
    if (result < 0) return result;
    return end_temporary_mask(cpu, guest_call_2(cpu, HOST_rt_sigsuspend, (uint64_t)&mask, 8));
}

int64_t hc_sys_time(struct cpu_state *cpu, const uint64_t *args) {
    struct timespec now;
    (void)cpu;
    HOST2(clock_gettime, CLOCK_REALTIME_COARSE_, &now);
    if (args[0] && guest_write(args[0], &now.seconds, 8) < 0) return -EFAULT;
    return now.seconds;
}

int64_t hc_sys_alarm(struct cpu_state *cpu, const uint64_t *args) {
    struct timeval value[2] = { { 0, 0 }, { (int64_t)(uint32_t)args[0], 0 } }, old[2] = { { 0, 0 }, { 0, 0 } };
    int64_t result = guest_call_4(cpu, HOST_setitimer, 0, (uint64_t)value, (uint64_t)old, 0);
    if (result < 0) return result;
    int up = old[1].microseconds >= 500000 || (old[1].seconds == 0 && old[1].microseconds > 0);
    return old[1].seconds + up;
}
