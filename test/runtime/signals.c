/* Signals: frames, masks, restarting, alternate stacks, faults. */
#include "check.h"
#include <sys/time.h>

/* qemu user mode does not tell the runtime whether a fault was a write. */
#define WRITE_ERROR 2ll

static volatile int count;
static sigjmp_buf back;

static void note(int number) { count++; printf("handler %d\n", number); }

static void detail(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    printf("info %d code %d pid %d value %d, mask of frame %lx\n", number, info->si_code, info->si_pid == getpid(),
           info->si_code == SI_QUEUE ? info->si_value.sival_int : 0, *(unsigned long *)&uc->uc_sigmask);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("mask in handler %lx\n", *(unsigned long *)&now);
    count++;
}

static void fault(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    printf("fault %d code %d address %p trap %lld error %llx\n", number, info->si_code,
           info->si_code == SI_TKILL ? NULL : number == SIGSEGV ? info->si_addr : (void *)(long)(info->si_addr == (void *)uc->uc_mcontext.gregs[REG_RIP]),
           (long long)uc->uc_mcontext.gregs[REG_TRAPNO], (long long)uc->uc_mcontext.gregs[REG_ERR] & ~WRITE_ERROR);
    siglongjmp(back, 1);
}

static void skip(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *uc = context;
    printf("skip %d\n", number);
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    uc->uc_mcontext.gregs[REG_RAX] = 77;
}

static void on_stack(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *uc = context;
    char *low = uc->uc_stack.ss_sp, here;
    stack_t now;
    sigaltstack(NULL, &now);
    printf("on stack %d: %d flags %d frame flags %d\n", number, &here >= low && &here < low + uc->uc_stack.ss_size, now.ss_flags, uc->uc_stack.ss_flags);
}

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(number, &action, NULL);
}

static void timer(int milliseconds) {
    struct itimerval value = { { 0, 0 }, { 0, milliseconds * 1000 } };
    setitimer(ITIMER_REAL, &value, NULL);
}

static void masks(void) {
    sigset_t set, old, pending;
    install(SIGUSR1, detail, 0);
    SHOW(raise(SIGUSR1));
    SHOW(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 42 }));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("pending %lx count %d\n", *(unsigned long *)&pending, count);
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("after unblocking %d\n", count);
}

static void queued(void) {
    sigset_t set, all;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i });
    for (int i = 0; i < 3; i++) {
        siginfo_t info;
        struct timespec wait = { 1, 0 };
        int got = sigtimedwait(&set, &info, &wait);
        printf("waited for %d value %d\n", got - SIGRTMIN, info.si_value.sival_int);
    }
    struct timespec zero = { 0, 20000000 };
    SHOW(sigtimedwait(&set, NULL, &zero));
    install(SIGRTMIN + 1, detail, 0);
    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 9 });
    sigfillset(&all);
    sigdelset(&all, SIGRTMIN + 1);
    SHOW(sigsuspend(&all));
}

static void restarting(void) {
    int ends[2];
    char byte;
    pipe(ends);
    struct sigaction action = { .sa_handler = note };
    sigaction(SIGALRM, &action, NULL);
    timer(30);
    SHOW(read(ends[0], &byte, 1));
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    timer(30);
    if (fork() == 0) {
        usleep(150000);
        write(ends[1], "x", 1);
        _exit(0);
    }
    SHOW(read(ends[0], &byte, 1));
    wait(NULL);
    timer(30);
    SHOW(pause());
    timer(30);
    struct timespec time = { 0, 200000000 }, left = { 0, 0 };
    SHOW(nanosleep(&time, &left));
    printf("left %d\n", left.tv_nsec > 100000000 && left.tv_nsec < 200000000);
    timer(30);
    SHOW(syscall(SYS_poll, NULL, 0, 500));
    pid_t child = fork();
    if (child == 0) {
        usleep(300000);
        _exit(0);
    }
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    timer(30);
    SHOW(wait(NULL));
    SHOW(wait(NULL) == child);
}

/** The signals of faults, sent as others are: the runtime cannot have them blocked. */
static void fault_signals(void) {
    sigset_t set, old, pending;
    struct sigaction action = { .sa_handler = note };
    int ends[2];
    char byte;
    pipe(ends);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    raise(SIGSEGV);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigaddset(&set, SIGFPE);
    sigaddset(&set, SIGILL);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGILL);
    raise(SIGFPE);
    sigpending(&pending);
    printf("pending ill %d fpe %d\n", sigismember(&pending, SIGILL), sigismember(&pending, SIGFPE));
    SHOW(sigtimedwait(&set, NULL, NULL) > 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    sigpending(&pending);
    printf("pending ill %d fpe %d\n", sigismember(&pending, SIGILL), sigismember(&pending, SIGFPE));
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        usleep(50000);
        kill(parent, SIGSEGV);
        usleep(50000);
        _exit(0);
    }
    SHOW(read(ends[0], &byte, 1));
    waitpid(child, NULL, 0);
    sigprocmask(SIG_BLOCK, &set, &old);
    child = fork();
    if (child == 0) {
        usleep(50000);
        kill(parent, SIGSEGV);
        usleep(50000);
        write(ends[1], "x", 1);
        _exit(0);
    }
    SHOW(read(ends[0], &byte, 1));
    waitpid(child, NULL, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGSEGV, SIG_IGN);
    SHOW(raise(SIGSEGV));
    signal(SIGSEGV, SIG_DFL);
    signal(SIGFPE, SIG_DFL);
}

static void once(void) {
    struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESETHAND | SA_NODEFER };
    struct sigaction now;
    sigaction(SIGUSR2, &action, NULL);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &now);
    printf("reset %d flags %x\n", now.sa_handler == SIG_DFL, now.sa_flags & ~0x04000000);
    signal(SIGUSR2, SIG_IGN);
    SHOW(raise(SIGUSR2));
}

static void faults(void) {
    install(SIGSEGV, fault, SA_NODEFER);
    install(SIGBUS, fault, SA_NODEFER);
    install(SIGFPE, fault, SA_NODEFER);
    install(SIGILL, fault, SA_NODEFER);
    install(SIGTRAP, fault, SA_NODEFER);
    volatile int zero = 0;
    if (!sigsetjmp(back, 1)) *(volatile int *)0x1234 = 1;
    if (!sigsetjmp(back, 1)) printf("%d\n", *(volatile int *)0x2345);
    if (!sigsetjmp(back, 1)) ((void (*)(void))0x5000)();
    if (!sigsetjmp(back, 1)) printf("%d\n", 5 / zero);
    if (!sigsetjmp(back, 1)) __asm__ volatile("ud2");
    if (!sigsetjmp(back, 1)) __asm__ volatile("int3");
    if (!sigsetjmp(back, 1)) __asm__ volatile("hlt");
    if (!sigsetjmp(back, 1)) raise(SIGSEGV);
    install(SIGILL, skip, 0);
    int result = 1;
    __asm__ volatile("ud2" : "=a"(result));
    printf("skipped, rax %d\n", result);
}

static void stacks(void) {
    static char room[65536];
    stack_t stack = { .ss_sp = room, .ss_size = sizeof room }, old;
    SHOW(sigaltstack(&stack, &old));
    printf("old flags %d\n", old.ss_flags);
    install(SIGUSR1, on_stack, SA_ONSTACK);
    raise(SIGUSR1);
    stack.ss_size = 100;
    SHOW(sigaltstack(&stack, NULL));
    stack.ss_flags = SS_DISABLE;
    SHOW(sigaltstack(&stack, NULL));
    raise(SIGUSR1);
}

static void clobber(int number) {
    (void)number;
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0\n\tvpxor %%ymm9, %%ymm9, %%ymm9\n\tfninit\n\txor %%eax, %%eax\n\tcmp $1, %%eax" ::: "xmm0", "xmm9", "eax", "cc");
    unsigned control = 0x7f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(control));
}

static void registers(void) {
    signal(SIGUSR1, clobber);
    unsigned long in[4] = { 1, 2, 3, 4 }, out0[4], out9[4];
    long double pi = 3.14159265358979323846L, after;
    unsigned control;
    __asm__ volatile(
        "vmovdqu %[in], %%ymm0\n\tvmovdqu %[in], %%ymm9\n\tfldt %[pi]\n\t"
        "mov $39, %%eax\n\tsyscall\n\tmov %%eax, %%edi\n\tmov $10, %%esi\n\tmov $62, %%eax\n\tstc\n\tsyscall\n\t"
        "fstpt %[after]\n\tvmovdqu %%ymm0, %[out0]\n\tvmovdqu %%ymm9, %[out9]\n\tstmxcsr %[control]"
        : [out0] "=m"(out0), [out9] "=m"(out9), [after] "=m"(after), [control] "=m"(control)
        : [in] "m"(in), [pi] "m"(pi)
        : "rax", "rdi", "rsi", "rcx", "r11", "xmm0", "xmm9", "memory");
    printf("kept %d %d %d mxcsr modes %x\n", !memcmp(in, out0, 32), !memcmp(in, out9, 32), after == pi, control & 0xffc0);
}

static void statuses(void) {
    static const int numbers[] = { SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGPIPE, SIGUSR2 };
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            signal(numbers[i], SIG_DFL);
            kill(getpid(), numbers[i]);
            _exit(3);
        }
        waitpid(child, &status, 0);
        printf("child of %d: signal %d exit %d\n", numbers[i], WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile int *)8 = 1;
        _exit(3);
    }
    waitpid(child, &status, 0);
    printf("child that faults: %d\n", WTERMSIG(status));
    child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        _exit(4);
    }
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    printf("went on to %d\n", WEXITSTATUS(status));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    masks();
    queued();
    restarting();
    fault_signals();
    once();
    stacks();
    registers();
    statuses();
    faults();
    return 0;
}
