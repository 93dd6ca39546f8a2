/* Signals that look like faults but were sent, and others that carry what a program put into them. */
#include "../check.h"

static volatile int code, value;
static void handler(int number, siginfo_t *info, void *context) {
    code = info->si_code;
    value = info->si_value.sival_int;
    (void)context;
    SHOW(number);
}

int main(void) {
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGUSR1, 34, 63, 64 }, codes[] = { 1, 2, 0x80, 0, -1, -6, -60 };
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
        sigaction(numbers[i], &action, 0);
        for (unsigned k = 0; k < sizeof codes / sizeof codes[0]; k++) {
            siginfo_t info = { .si_code = codes[k] };
            info.si_value.sival_int = 42;
            SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), numbers[i], &info));
            printf("code %d value %d\n", code, value);
            SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), numbers[i], &info));
            printf("code %d value %d\n", code, value);
        }
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, numbers[i]);
        sigprocmask(SIG_BLOCK, &set, 0);
        siginfo_t info = { .si_code = 1 };
        SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), numbers[i], &info));
        sigset_t pending;
        sigpending(&pending);
        SHOW(sigismember(&pending, numbers[i]));
        sigprocmask(SIG_UNBLOCK, &set, 0);
    }
    return 0;
}
