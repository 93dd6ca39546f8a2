/* Seccomp filters that a program sets itself: what each action does, which of several filters counts, who inherits them. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))
#define SKIP_UNLESS(value, lines) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, lines)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define FILTER(name, ...) \
    static struct sock_filter name##_lines[] = { __VA_ARGS__ }; \
    static struct sock_fprog name = { sizeof name##_lines / sizeof *name##_lines, name##_lines }

/* One call is answered, everything else goes on. */
#define ON(number, value) LOAD(nr), SKIP_UNLESS(number, 1), RETURN(value), RETURN(SECCOMP_RET_ALLOW)
FILTER(deny, LOAD(arch), SKIP_UNLESS(AUDIT_ARCH_X86_64, 5), LOAD(nr), SKIP_UNLESS(SYS_getppid, 1), RETURN(SECCOMP_RET_ERRNO | 77),
       RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS));
FILTER(deny_more, ON(SYS_getppid, SECCOMP_RET_ERRNO | 78));
FILTER(deny_all_errors, ON(SYS_getppid, SECCOMP_RET_ERRNO | 0xffff));
FILTER(succeed, ON(SYS_getppid, SECCOMP_RET_ERRNO));
FILTER(trap, ON(SYS_getppid, SECCOMP_RET_TRAP | 1234));
FILTER(trace, ON(SYS_getppid, SECCOMP_RET_TRACE | 5));
FILTER(log_it, ON(SYS_getpgrp, SECCOMP_RET_LOG));
FILTER(kill_thread, ON(SYS_getppid, SECCOMP_RET_KILL_THREAD));
FILTER(kill_process, ON(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
FILTER(unknown, ON(SYS_getppid, 0x00060000));
FILTER(unknown_number, ON(3000, SECCOMP_RET_ERRNO | 99));
FILTER(no_unix, LOAD(nr), SKIP_UNLESS(SYS_socket, 3), ARGUMENT(0), SKIP_UNLESS(AF_UNIX, 1), RETURN(SECCOMP_RET_ERRNO | EACCES), RETURN(SECCOMP_RET_ALLOW));
FILTER(pointer, LOAD(nr), SKIP_UNLESS(SYS_getppid, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
       SKIP_UNLESS(0, 1), RETURN(SECCOMP_RET_ERRNO | 70), RETURN(SECCOMP_RET_ALLOW));
/* All sorts of instructions: the errno is computed of the arguments of getppid. */
FILTER(computes, LOAD(nr), SKIP_UNLESS(SYS_getppid, 24), ARGUMENT(0), BPF_STMT(BPF_ST, 3), ARGUMENT(1), BPF_STMT(BPF_MISC | BPF_TAX, 0),
       BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 7), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3),
       BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x55), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
       BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_STX, 15), BPF_STMT(BPF_LDX | BPF_MEM, 15), BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0),
       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 1), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 100),
       BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 60, 1, 0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 0, 0), BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0),
       BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0), RETURN(SECCOMP_RET_ALLOW));
/* What lets too little through even to end a process. */
FILTER(only_exit, LOAD(nr), SKIP_UNLESS(SYS_exit_group, 1), RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS));

static long set(struct sock_fprog *filter, unsigned flags) { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter); }
static long parent(void) { return syscall(SYS_getppid) > 1 ? 1 : -1; }

/** Runs statements in a child of its own, since filters stay, and tells how it ended. */
#define CHILD(name, ...) do { \
        pid_t made = fork(); \
        int status; \
        if (made == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
        waitpid(made, &status, 0); \
        if (WIFSIGNALED(status)) printf("%s: signal %d\n", name, WTERMSIG(status)); \
        else printf("%s: status %d\n", name, WEXITSTATUS(status)); \
        fflush(stdout); \
    } while (0)

static void trapped(int number, siginfo_t *info, void *context) {
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d: code %d errno %d syscall %d arch %x, behind the call: %d, rax %lld, rcx %d\n", number, info->si_code, info->si_errno, info->si_syscall,
           info->si_arch, (greg_t)info->si_call_addr == regs[REG_RIP] && *(uint16_t *)(regs[REG_RIP] - 2) == 0x050f, regs[REG_RAX], regs[REG_RCX] == regs[REG_RIP]);
    regs[REG_RAX] = 4321;
}

static void *ask(void *argument) {
    pthread_barrier_t *barrier = argument;
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    long result = parent();
    return (void *)(result < 0 ? (long)errno : result);
}

/** Has a thread that is there already look at a filter set with `flags`, and one that comes later. */
static void with_threads(unsigned flags) {
    pthread_barrier_t barrier;
    pthread_t early, late;
    void *result;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&early, NULL, ask, &barrier);
    pthread_barrier_wait(&barrier);
    SHOW(set(&deny, flags));
    pthread_barrier_wait(&barrier);
    pthread_join(early, &result);
    printf("early thread: %ld\n", (long)result);
    pthread_create(&late, NULL, ask, &barrier);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    pthread_join(late, &result);
    printf("late thread: %ld\n", (long)result);
}

static void *die(void *argument) {
    set(argument, 0);
    syscall(SYS_getppid);
    printf("not reached\n");
    return NULL;
}
static void with_dying_thread(struct sock_fprog *filter) {
    pthread_t thread;
    pthread_create(&thread, NULL, die, filter);
    usleep(100000);
    printf("still here\n");
}

int main(int argc, char **argv) {
    if (argc > 1) {
        SHOW(parent());
        SHOW(prctl(PR_GET_SECCOMP));
        if (argv[1][0] == '1') execl("/proc/self/exe", argv[0], "2", (char *)NULL);
        return 3;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    SHOW(prctl(PR_GET_SECCOMP));
    CHILD("errno", SHOW(set(&deny, 0)); SHOW(parent()); SHOW(prctl(PR_GET_SECCOMP)); SHOW(set(&deny_more, 0)); SHOW(parent()));
    CHILD("by prctl", SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &deny_more)); SHOW(set(&deny, 0)); SHOW(parent()));
    CHILD("largest errno", SHOW(set(&deny_all_errors, 0)); errno = 0; printf("%ld %d\n", syscall(SYS_getppid), errno));
    CHILD("no errno", SHOW(set(&succeed, 0)); SHOW(syscall(SYS_getppid)));
    CHILD("log", SHOW(set(&log_it, SECCOMP_FILTER_FLAG_LOG)); WORKS(getpgrp()));
    CHILD("trace", SHOW(set(&trace, 0)); SHOW(parent()));
    CHILD("unknown action", SHOW(set(&unknown, 0)); parent());
    CHILD("unknown number", SHOW(syscall(3000)); SHOW(set(&unknown_number, 0)); SHOW(syscall(3000)));
    CHILD("arguments", SHOW(set(&no_unix, 0)); SHOW(socket(AF_UNIX, SOCK_STREAM, 0)); WORKS(socket(AF_INET, SOCK_STREAM, 0)));
    CHILD("pointer", SHOW(set(&pointer, 0)); WORKS(syscall(SYS_getppid)));
    CHILD("computes", SHOW(set(&computes, 0)); for (int i = 0; i < 40; i++) { syscall(SYS_getppid, i * 37L, i * 1001L); printf("%d ", errno); });
    CHILD("trap", struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO };
          sigaction(SIGSYS, &action, NULL); SHOW(set(&trap, 0)); SHOW(syscall(SYS_getppid)));
    CHILD("trap without a handler", SHOW(set(&trap, 0)); parent());
    CHILD("trap ignored", signal(SIGSYS, SIG_IGN); SHOW(set(&trap, 0)); parent());
    CHILD("trap before errno", SHOW(set(&trap, 0)); SHOW(set(&deny, 0)); parent());
    CHILD("kill thread", SHOW(set(&kill_thread, 0)); parent());
    CHILD("kill process", SHOW(set(&kill_process, 0)); parent());
    CHILD("one of two threads", with_dying_thread(&kill_thread));
    CHILD("both of two threads", with_dying_thread(&kill_process));
    CHILD("threads", with_threads(0));
    CHILD("all threads", with_threads(SECCOMP_FILTER_FLAG_TSYNC));
    CHILD("children", SHOW(set(&deny, 0)); CHILD("child", SHOW(parent()); SHOW(set(&kill_process, 0))); SHOW(parent()));
    CHILD("across exec", SHOW(set(&deny, 0)); SHOW(set(&no_unix, 0)); execl("/proc/self/exe", argv[0], "1", (char *)NULL));
    CHILD("vfork", SHOW(set(&deny, 0)); fflush(stdout); pid_t pid = vfork(); if (pid == 0) execl("/proc/self/exe", argv[0], "1", (char *)NULL); waitpid(pid, NULL, 0));
    CHILD("only exit", set(&only_exit, 0); syscall(SYS_exit_group, 5));
    unsigned action = SECCOMP_RET_TRAP, none = 0x00060000;
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &none));
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 16));
    SHOW(set(NULL, 0));
    SHOW(set((void *)16, SECCOMP_FILTER_FLAG_TSYNC));
    SHOW(set(&deny, 0x8000));
    struct sock_fprog empty = { 0, deny_lines }, wild = { 3, (void *)16 };
    SHOW(set(&empty, 0));
    SHOW(set(&wild, 0));
    SHOW(syscall(SYS_seccomp, 77, 0, NULL));
    return 0;
}
