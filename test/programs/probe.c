/* Holds a pattern in every register that a thread has while it waits, beside one of most things that a process can have
 * (threads that sleep and wait, handlers, an alternate stack, masks, pipes and sockets with bytes in them, a zombie), and
 * checks all of it when told to go on: `probe READY GO`. It prints "ready" and later "ok" or what was lost. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;
#define CHECK(what) do { if (!(what)) { failures++; printf("lost: %s (errno %d)\n", #what, errno); } } while (0)

static atomic_int go, waiter_done, handled;
static int wake_word;
static char alternate_stack[65536];
static _Alignas(64) uint8_t vector_in[32][64], vector_out[32][64];
static uint64_t mask_in[8], mask_out[8];
static double x87_in[8], x87_out[8];
static uint64_t gpr_out[16];
static uint32_t mxcsr_out;

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)context;
    char here;
    if (number == SIGUSR1 && info->si_code == SI_USER && &here >= alternate_stack && &here < alternate_stack + sizeof alternate_stack) handled++;
}

static void *sleeper(void *path) {
    for (;;) {
        struct timespec pause = {0, 50000000};
        /* criu lets a sleep that it interrupts fail. */
        if (nanosleep(&pause, NULL) != 0 && errno != EINTR) { failures++; printf("lost: the sleep failed with %d\n", errno); }
        if (access(path, F_OK) == 0) break;
    }
    go = 1;
    return NULL;
}

static void *waiter(void *unused) {
    (void)unused;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    long result;
    do { result = syscall(202 /* futex */, &wake_word, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0); } while (result == 0 && wake_word == 0);
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGHUP) && sigismember(&now, SIGUSR2));
    waiter_done = 1;
    return NULL;
}

/* Waits for `go` with patterns in all vector, mask and x87 registers, then stores them. */
#define WAIT "1: pause\n cmpl $0, %[go]\n je 1b\n"
static void hold_512(void) {
    __asm__ volatile(
        "kmovq 8(%[ki]), %%k1\n kmovq 16(%[ki]), %%k2\n kmovq 24(%[ki]), %%k3\n kmovq 32(%[ki]), %%k4\n"
        "kmovq 40(%[ki]), %%k5\n kmovq 48(%[ki]), %%k6\n kmovq 56(%[ki]), %%k7\n"
#define LOAD(n) "vmovdqu64 64*" #n "(%[vi]), %%zmm" #n "\n"
#define SAVE(n) "vmovdqu64 %%zmm" #n ", 64*" #n "(%[vo])\n"
#define EACH16(m, t) m(t##0) m(t##1) m(t##2) m(t##3) m(t##4) m(t##5) m(t##6) m(t##7) m(t##8) m(t##9)
        EACH16(LOAD, ) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15) LOAD(16) LOAD(17) LOAD(18) LOAD(19) EACH16(LOAD, 2) LOAD(30) LOAD(31)
        "fldl 0(%[fi])\n fldl 8(%[fi])\n fldl 16(%[fi])\n fldl 24(%[fi])\n fldl 32(%[fi])\n"
        WAIT
        "fstpl 32(%[fo])\n fstpl 24(%[fo])\n fstpl 16(%[fo])\n fstpl 8(%[fo])\n fstpl 0(%[fo])\n"
        EACH16(SAVE, ) SAVE(10) SAVE(11) SAVE(12) SAVE(13) SAVE(14) SAVE(15) SAVE(16) SAVE(17) SAVE(18) SAVE(19) EACH16(SAVE, 2) SAVE(30) SAVE(31)
        "kmovq %%k1, 8(%[ko])\n kmovq %%k2, 16(%[ko])\n kmovq %%k3, 24(%[ko])\n kmovq %%k4, 32(%[ko])\n"
        "kmovq %%k5, 40(%[ko])\n kmovq %%k6, 48(%[ko])\n kmovq %%k7, 56(%[ko])\n vzeroupper\n"
        :: [ki] "r"(mask_in), [ko] "r"(mask_out), [vi] "r"(vector_in), [vo] "r"(vector_out), [fi] "r"(x87_in), [fo] "r"(x87_out), [go] "m"(go)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)");
}
static void hold_256(void) {
    __asm__ volatile(
#undef LOAD
#undef SAVE
#define LOAD(n) "vmovdqu 64*" #n "(%[vi]), %%ymm" #n "\n"
#define SAVE(n) "vmovdqu %%ymm" #n ", 64*" #n "(%[vo])\n"
        EACH16(LOAD, ) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
        "fldl 0(%[fi])\n fldl 8(%[fi])\n fldl 16(%[fi])\n fldl 24(%[fi])\n fldl 32(%[fi])\n"
        WAIT
        "fstpl 32(%[fo])\n fstpl 24(%[fo])\n fstpl 16(%[fo])\n fstpl 8(%[fo])\n fstpl 0(%[fo])\n"
        EACH16(SAVE, ) SAVE(10) SAVE(11) SAVE(12) SAVE(13) SAVE(14) SAVE(15) "vzeroupper\n"
        :: [vi] "r"(vector_in), [vo] "r"(vector_out), [fi] "r"(x87_in), [fo] "r"(x87_out), [go] "m"(go)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)");
}

static void check_registers(void) {
    int wide = __builtin_cpu_supports("avx512bw");
    for (unsigned i = 0; i < sizeof vector_in; i++) ((uint8_t *)vector_in)[i] = (uint8_t)(i * 7 + i / 64 + 1);
    for (int i = 0; i < 8; i++) mask_in[i] = 0x0123456789abcdefull * (unsigned)(i + 3), x87_in[i] = 1.5 * i - 3.25;
    uint32_t rounding = 0x7f80; /* towards zero */
    __asm__ volatile("ldmxcsr %0" :: "m"(rounding));
    if (wide) hold_512(); else hold_256();
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr_out));
    CHECK((mxcsr_out & 0xffc0) == rounding);
    for (int i = 0; i < (wide ? 32 : 16); i++) CHECK(memcmp(vector_in[i], vector_out[i], wide ? 64 : 32) == 0);
    if (wide) CHECK(memcmp(mask_in + 1, mask_out + 1, 56) == 0);
    CHECK(memcmp(x87_in, x87_out, 5 * sizeof(double)) == 0);
    (void)gpr_out;
}

static int local_pair(int pair[2]) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &size)) return -1;
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(pair[0], (struct sockaddr *)&address, size)) return -1;
    pair[1] = accept(listener, NULL, NULL);
    return close(listener), pair[1] < 0 ? -1 : 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    stack_t stack = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGHUP, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);

    int pipes[2], tcp[2] = {-1, -1}, unix_pair[2], directory = open("/", O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    CHECK(pipe2(pipes, O_NONBLOCK) == 0 && write(pipes[1], "in the pipe", 11) == 11);
    int has_tcp = argc > 2 && local_pair(tcp) == 0;
    if (has_tcp) CHECK(write(tcp[0], "on the way", 10) == 10);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, unix_pair) == 0 && write(unix_pair[0], "datagram", 8) == 8);
    int event = eventfd(41, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = {.events = EPOLLIN, .data.u64 = 0x1122334455667788ull};
    CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, pipes[0], &interest) == 0);
    int memory = memfd_create("probe", 0);
    CHECK(write(memory, "shared", 6) == 6);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(shared, "shared page");
    pid_t zombie = fork();
    if (zombie == 0) _exit(7);
    siginfo_t ended;
    waitid(P_PID, zombie, &ended, WEXITED | WNOWAIT);

    pthread_t threads[2];
    pthread_create(&threads[0], NULL, sleeper, argv[1]);
    pthread_create(&threads[1], NULL, waiter, NULL);
    printf("ready\n");
    check_registers();

    CHECK(kill(getpid(), SIGUSR1) == 0 && handled == 1);
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    struct sigaction found;
    CHECK(sigaction(SIGHUP, NULL, &found) == 0 && found.sa_handler == SIG_IGN);
    char bytes[32] = {0};
    CHECK(read(pipes[0], bytes, 32) == 11 && memcmp(bytes, "in the pipe", 11) == 0);
    CHECK(read(pipes[0], bytes, 32) == -1 && errno == EAGAIN);
    if (has_tcp) CHECK(read(tcp[1], bytes, 32) == 10 && memcmp(bytes, "on the way", 10) == 0);
    CHECK(read(unix_pair[1], bytes, 32) == 8 && memcmp(bytes, "datagram", 8) == 0);
    uint64_t count = 0;
    CHECK(read(event, &count, 8) == 8 && count == 41);
    CHECK(read(timer, &count, 8) == -1 && errno == EAGAIN);
    CHECK(write(pipes[1], "x", 1) == 1);
    struct epoll_event happened;
    CHECK(epoll_wait(poller, &happened, 1, 1000) == 1 && happened.data.u64 == 0x1122334455667788ull);
    CHECK((fcntl(directory, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND | O_DIRECT)) == O_NONBLOCK);
    CHECK(pread(memory, bytes, 6, 0) == 6 && memcmp(bytes, "shared", 6) == 0 && strcmp(shared, "shared page") == 0);
    int status = 0;
    CHECK(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 7);
    wake_word = 1;
    while (!waiter_done) { syscall(202, &wake_word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0); usleep(1000); }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf(failures == 0 ? "ok\n" : "%d failures\n", failures);
    return failures != 0;
}
