/* Signals: handlers in the middle of computing, queued values, nested handlers, jumps out of handlers, repaired faults. */
#include "moves.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile uint64_t ticks, busy;

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags, const int *masked) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    sigemptyset(&action.sa_mask);
    for (; masked && *masked; masked++) sigaddset(&action.sa_mask, *masked);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void on_tick(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    CHECK(number == SIGALRM);
    int error = errno;
    uint64_t seed = ticks + 1, x = 0;
    for (int i = 0; i < 2000; i++) x += draw(&seed);
    busy += x & 1;
    ticks++;
    errno = error;
}

/* A timer interrupts a computation whose result must not depend on it. */
void round_handlers(int round) {
    static int ready;
    static char stack[65536];
    if (!ready) {
        stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
        CHECK(sigaltstack(&alternate, NULL) == 0);
        install(SIGALRM, on_tick, SA_RESTART | SA_ONSTACK, NULL);
        struct itimerval each = { { 0, 3000 }, { 0, 3000 } };
        CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0);
        ready = 1;
    }
    uint64_t seed = seed_of(round), sum = 0, before = ticks;
    for (int i = 0; i < 60000; i++) sum = sum * 31 + draw(&seed);
    for (int i = 0; i < 5000 && ticks == before; i++) usleep(1000);
    CHECK(ticks != before);
    note(sum);
}

enum { QUEUED = 40 };
static volatile int queued_next, queued_wrong;
static void on_queued(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (info->si_code != SI_QUEUE || info->si_pid != getpid() || info->si_value.sival_int != queued_next) queued_wrong = 1;
    queued_next++;
}

/* Blocked real-time signals stay queued, in order, with their values; then they all come. */
void round_queued(int round) {
    static int ready;
    if (!ready) install(SIGRTMIN + 3, on_queued, 0, NULL), ready = 1;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    queued_next = queued_wrong = 0;
    for (int i = 0; i < QUEUED; i++) {
        CHECK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = i }) == 0);
        if (i % 8 == 0) pause_ms(10);
    }
    CHECK(queued_next == 0);
    /* Some are taken by waiting, in order. */
    struct timespec limit = { 5, 0 };
    for (int i = 0; i < 5; i++) {
        siginfo_t info;
        CHECK(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 3 && info.si_value.sival_int == i);
        queued_next++;
    }
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(queued_next == QUEUED && !queued_wrong);
    note((uint64_t)round);
}

static volatile int depth, deepest;
static void on_nested(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    volatile uint64_t pattern[64];
    uint64_t seed = (uint64_t)number;
    for (int i = 0; i < 64; i++) pattern[i] = draw(&seed);
    if (++depth > deepest) deepest = depth;
    if (number < SIGRTMIN + 9) CHECK(raise(number + 1) == 0);
    pause_ms(2);
    seed = (uint64_t)number;
    for (int i = 0; i < 64; i++) CHECK(pattern[i] == draw(&seed));
    depth--;
}

void round_nested(int round) {
    for (int number = SIGRTMIN + 5; number <= SIGRTMIN + 9; number++) install(number, on_nested, 0, NULL);
    deepest = 0;
    CHECK(raise(SIGRTMIN + 5) == 0);
    CHECK(depth == 0 && deepest == 5);
    note((uint64_t)round);
}

static sigjmp_buf place;
static void on_jump(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    siglongjmp(place, number);
}

void round_jumps(int round) {
    install(SIGUSR1, on_jump, 0, NULL);
    for (int i = 0; i < 20; i++) {
        volatile uint64_t seed = seed_of(round) + (uint64_t)i, sum = 0;
        int from = sigsetjmp(place, 1);
        if (from == 0) {
            uint64_t s = seed;
            for (int k = 0; k < 500; k++) sum += draw(&s);
            CHECK(raise(SIGUSR1) == 0);
            CHECK(0);
        }
        CHECK(from == SIGUSR1);
        sigset_t now;
        sigprocmask(SIG_SETMASK, NULL, &now);
        CHECK(!sigismember(&now, SIGUSR1));
        note(sum);
        if (i % 5 == 0) pause_ms(2);
    }
}

static char *guarded;
static volatile int repaired;
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~4095ul);
    CHECK(page >= guarded && page < guarded + 16 * 4096);
    CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
    repaired++;
}

/* A fault whose handler makes the page writable; the store then goes through. In a function of its own with live registers. */
void round_faults(int round) {
    if (!guarded) guarded = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, on_fault, 0, NULL);
    CHECK(mprotect(guarded, 16 * 4096, PROT_NONE) == 0);
    repaired = 0;
    uint64_t seed = seed_of(round), sum = 0;
    for (int i = 0; i < 16; i++) {
        for (int k = 0; k < 200; k++) sum += draw(&seed);
        *(volatile uint64_t *)(guarded + i * 4096 + 8 * (seed % 500)) = sum;
        pause_ms(1);
    }
    CHECK(repaired == 16);
    note(sum);
}

/* POSIX timers and a signal mask around a wait. */
void round_timers(int round) {
    static timer_t timer;
    static int ready;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 4);
    if (!ready) {
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4, .sigev_value.sival_int = 77 };
        CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
        ready = 1;
    }
    struct itimerspec once = { { 0, 0 }, { 0, 20000000 } };
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
    siginfo_t info;
    struct timespec limit = { 30, 0 };
    CHECK(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 4 && info.si_value.sival_int == 77 && info.si_code == SI_TIMER);
    note((uint64_t)round);
}
