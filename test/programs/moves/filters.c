/* Seccomp filters, set at home and abroad, by a process and by its children, which hand them on across an exec. */
#include "moves.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Each makes getpriority fail in its own way where the first argument is one that means nothing. */
enum { FIRST = 1000, CHILD = 5000, MOST = 24, EVERY = 8 };
static int filters;

static int error_of(int which) { return 1 + which % 100; }

static void add_filter(int which) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)which, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error_of(which)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void ask(int which, int expected) {
    errno = 0;
    CHECK(syscall(SYS_getpriority, which, 0) == -1 && errno == expected);
    note((uint64_t)errno);
}

static void check_all(int count) {
    for (int i = 0; i < count; i++) ask(FIRST + i, error_of(FIRST + i));
    ask(FIRST + count, EINVAL);
}

/** What a child does after its exec. */
int filtered_child(int count, int which) {
    check_all(count);
    ask(which, error_of(which));
    return 7;
}

void round_filters(int round) {
    if (round == 0) CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (round % EVERY == 0 && filters < MOST) add_filter(FIRST + filters++);
    pause_ms(15);
    check_all(filters);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char words[2][16];
        snprintf(words[0], sizeof words[0], "%d", filters), snprintf(words[1], sizeof words[1], "%d", CHILD + round % 70);
        add_filter(CHILD + round % 70);
        ask(CHILD + round % 70, error_of(CHILD + round % 70));
        execl("/proc/self/exe", "moves", "--filtered", words[0], words[1], (char *)NULL);
        _exit(126);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
