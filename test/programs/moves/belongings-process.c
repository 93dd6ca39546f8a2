/* Memory, signals and what the kernel keeps with a process. */
#include "belongings.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* A process of threads in all sorts of states is stopped with a signal pending: it takes that signal when it is continued, no
 * sooner, and is continued once; its parent hears of that alone. The signal is for any thread, or not for the first one. */
struct watched { volatile int taken, continued, polls, is_ready, may_end; volatile uint64_t turns; };
static struct watched *watched;
static volatile int parent_heard;
static void count_taken(int number) { number == SIGCONT ? watched->continued++ : watched->taken++; }
static void hear(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (info->si_code == CLD_CONTINUED) parent_heard++;
}
static void *turn(void *argument) {
    (void)argument;
    for (;;) watched->turns++;
}
static void *wait_masked(void *argument) {
    (void)argument;
    sigset_t mask;
    sigfillset(&mask);
    for (;;) sigsuspend(&mask);
}
static void *wait_often(void *argument) {
    (void)argument;
    for (;;) watched->polls++, pause_ms(1);
}
static void stop_threads(int first_takes_signal) {
    struct sigaction hearing = { .sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART };
    int status;
    watched = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(watched != MAP_FAILED && sigaction(SIGCHLD, &hearing, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        signal(SIGUSR1, count_taken), signal(SIGCONT, count_taken);
        pthread_create(&thread, NULL, turn, NULL), pthread_create(&thread, NULL, wait_masked, NULL), pthread_create(&thread, NULL, wait_often, NULL);
        sigset_t set;
        sigemptyset(&set), sigaddset(&set, SIGUSR1);
        if (!first_takes_signal) pthread_sigmask(SIG_BLOCK, &set, NULL);
        watched->is_ready = 1;
        while (!watched->may_end || !watched->taken || !watched->continued) pause_ms(5);
        _exit(watched->taken == 1 && watched->continued == 1 ? 5 : 6);
    }
    while (!watched->is_ready || !watched->turns || !watched->polls) pause_ms(5);
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && kill(pid, SIGUSR1) == 0);
    uint64_t turns = watched->turns;
    int polls = watched->polls;
    wait_for_go();
    pause_ms(100);
    CHECK(waitpid(pid, &status, WNOHANG | WCONTINUED) == 0 && parent_heard == 0);
    CHECK(watched->taken == 0 && watched->continued == 0);
    /* Abroad a thread may have had to go on to its next safepoint, to a call or to the head of its loop. */
    CHECK(watched->turns - turns <= 2 && watched->polls - polls <= 1);
    CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    watched->may_end = 1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}
void item_stoppedthreads(void) { stop_threads(1); }
void item_stoppedworkers(void) { stop_threads(0); }

void item_sysv(void) {
    int memory = shmget(0x4d4f, 12288, IPC_CREAT | 0600), set = semget(0x4d50, 3, IPC_CREAT | 0600), queue = msgget(0x4d51, IPC_CREAT | 0600);
    char *at = shmat(memory, NULL, 0);
    CHECK(memory >= 0 && set >= 0 && queue >= 0 && at != (void *)-1);
    strcpy(at + 8192, "third page");
    CHECK(semctl(set, 1, SETVAL, 5) == 0);
    struct { long type; char text[8]; } letter = { 3, "letter" };
    CHECK(msgsnd(queue, &letter, 8, 0) == 0);
    wait_for_go();
    CHECK(strcmp(at + 8192, "third page") == 0 && semctl(set, 1, GETVAL) == 5 && shmget(0x4d4f, 0, 0) == memory);
    CHECK(msgrcv(queue, &letter, 8, 3, IPC_NOWAIT) == 8 && strcmp(letter.text, "letter") == 0);
    struct shmid_ds info;
    CHECK(shmctl(memory, IPC_STAT, &info) == 0 && info.shm_nattch >= 1 && info.shm_segsz == 12288);
}

void item_posixshm(void) {
    int fd = shm_open("/posix", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
    char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(at + 5000, "posix");
    wait_for_go();
    int again = shm_open("/posix", O_RDWR, 0);
    char text[6];
    CHECK(again >= 0 && pread(again, text, 6, 5000) == 6 && strcmp(text, "posix") == 0);
}

void item_anonymous(void) {
    volatile int *shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[1000] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        while (shared[1000] == 1) pause_ms(20);
        shared[200000] = shared[1000] + 1;
        _exit(0);
    }
    wait_for_go();
    shared[1000] = 41;
    CHECK(waitpid(pid, NULL, 0) == pid && shared[200000] == 42);
}

static volatile int order[8], came;
static void note_signal(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (came < 8) order[came++] = info->si_code == SI_QUEUE || info->si_code == SI_TIMER ? info->si_value.sival_int : number;
}
static void catch(int number, int flags) {
    struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO | flags };
    sigfillset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}
static sigset_t set_of(int a, int b) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, a), sigaddset(&set, b);
    return set;
}

void item_pending(void) {
    sigset_t set = set_of(SIGRTMIN + 2, SIGUSR2), now;
    catch(SIGRTMIN + 2, 0), catch(SIGUSR2, 0);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_int = 100 + i }) == 0);
    CHECK(kill(getpid(), SIGUSR2) == 0);
    wait_for_go();
    CHECK(sigpending(&now) == 0 && sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMIN + 2) && came == 0);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    CHECK(came == 5 && order[0] == SIGUSR2);
    for (int i = 0; i < 4; i++) CHECK(order[1 + i] == 100 + i);
}

static volatile int blocked_and_ready, name_seen;
static void *holds_signal(void *unused) {
    (void)unused;
    sigset_t set = set_of(SIGRTMIN + 2, SIGUSR2), now;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    blocked_and_ready = 1;
    while (access("/w/go", F_OK) != 0) pause_ms(50);
    CHECK(sigpending(&now) == 0 && sigismember(&now, SIGUSR2));
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && sigwaitinfo(&set, &info) == SIGRTMIN + 2 && info.si_value.sival_int == 7);
    while (!name_seen) pause_ms(5);
    return NULL;
}
void item_threadpending(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, holds_signal, NULL) == 0);
    while (!blocked_and_ready) pause_ms(1);
    CHECK(pthread_setname_np(thread, "holder") == 0 && pthread_kill(thread, SIGUSR2) == 0);
    CHECK(pthread_sigqueue(thread, SIGRTMIN + 2, (union sigval){ .sival_int = 7 }) == 0);
    wait_for_go();
    char name[16];
    sigset_t now;
    CHECK(pthread_getname_np(thread, name, 16) == 0 && strcmp(name, "holder") == 0);
    name_seen = 1;
    CHECK(sigpending(&now) == 0 && !sigismember(&now, SIGUSR2));
    CHECK(pthread_join(thread, NULL) == 0);
}

void item_itimers(void) {
    struct itimerval real = { { 3, 0 }, { 4000, 0 } }, virtual = { { 0, 0 }, { 500, 0 } }, now;
    CHECK(setitimer(ITIMER_REAL, &real, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &virtual, NULL) == 0);
    wait_for_go();
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_interval.tv_sec == 3 && now.it_value.tv_sec > 3000 && now.it_value.tv_sec <= 4000);
    CHECK(getitimer(ITIMER_VIRTUAL, &now) == 0 && now.it_value.tv_sec > 400);
}

void item_posixtimers(void) {
    timer_t far, often;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 55 };
    catch(SIGRTMIN + 3, SA_RESTART);
    CHECK(timer_create(CLOCK_REALTIME, &event, &far) == 0 && timer_create(CLOCK_MONOTONIC, &event, &often) == 0);
    struct itimerspec long_time = { { 9, 0 }, { 5000, 0 } }, short_time = { { 0, 0 }, { 0, 0 } }, now;
    CHECK(timer_settime(far, 0, &long_time, NULL) == 0);
    wait_for_go();
    CHECK(timer_gettime(far, &now) == 0 && now.it_interval.tv_sec == 9 && now.it_value.tv_sec > 4000 && now.it_value.tv_sec <= 5000);
    short_time.it_value.tv_nsec = 1000000;
    CHECK(timer_settime(often, 0, &short_time, NULL) == 0);
    for (int i = 0; i < 500 && came == 0; i++) pause_ms(10);
    CHECK(came == 1 && order[0] == 55);
}

static char alternate[65536];
static volatile int was_on_stack;
static void on_stack(int number) {
    char here;
    (void)number;
    was_on_stack = &here > alternate && &here < alternate + sizeof alternate;
}
void item_stacks(void) {
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate }, now;
    struct sigaction action = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0 && signal(SIGHUP, SIG_IGN) != SIG_ERR);
    wait_for_go();
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == alternate && now.ss_size == sizeof alternate);
    CHECK(raise(SIGUSR1) == 0 && was_on_stack && raise(SIGHUP) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == on_stack && (action.sa_flags & SA_ONSTACK));
}

void item_credentials(void) {
    gid_t groups[3] = { 7, 8, 9 }, got[8];
    CHECK(setgroups(3, groups) == 0 && setresgid(1001, 1002, 1003) == 0);
    CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(2001, 0, 2003) == 0 && setfsuid(2003) >= 0);
    wait_for_go();
    uid_t r, e, s;
    CHECK(getresuid(&r, &e, &s) == 0 && r == 2001 && e == 0 && s == 2003);
    CHECK(getresgid(&r, &e, &s) == 0 && r == 1001 && e == 1002 && s == 1003);
    CHECK(getgroups(8, got) == 3 && got[0] == 7 && got[2] == 9 && prctl(PR_GET_KEEPCAPS) == 1);
}

void item_capabilities(void) {
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2], now[2];
    CHECK(syscall(SYS_capget, &head, data) == 0);
    CHECK(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT) == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0);
    data[0].effective &= ~(1u << CAP_NET_RAW), data[0].inheritable = 1u << CAP_KILL;
    CHECK(syscall(SYS_capset, &head, data) == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
    wait_for_go();
    CHECK(syscall(SYS_capget, &head, now) == 0 && memcmp(data, now, sizeof now) == 0);
    CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0 && prctl(PR_CAPBSET_READ, CAP_KILL) == 1 && prctl(PR_GET_SECUREBITS) == SECBIT_NO_SETUID_FIXUP);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 1);
}

void item_nonewprivs(void) {
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    wait_for_go();
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

/* mkdir and mkdirat fail with EXDEV, chroot with ENOTTY, the rest is allowed. */
void item_seccomp(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xc000003e, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chroot, 1, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
    wait_for_go();
    CHECK(mkdir("/w/never", 0700) == -1 && errno == EXDEV && mkdirat(AT_FDCWD, "/w/never", 0700) == -1 && errno == EXDEV);
    CHECK(chroot("/") == -1 && errno == ENOTTY && prctl(PR_GET_SECCOMP) == 2 && access("/w/go", F_OK) == 0);
}

void item_limits(void) {
    struct rlimit files = { 100, 150 }, stack = { 1 << 20, 1 << 22 }, core = { 0, 0 }, now;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_STACK, &stack) == 0 && setrlimit(RLIMIT_CORE, &core) == 0);
    wait_for_go();
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 100 && now.rlim_max == 150);
    CHECK(getrlimit(RLIMIT_STACK, &now) == 0 && now.rlim_cur == 1 << 20 && now.rlim_max == 1 << 22);
    CHECK(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max == 0);
}

void item_priorities(void) {
    struct sched_param parameter = { 0 };
    CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0 && sched_setscheduler(0, SCHED_BATCH, &parameter) == 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    CHECK(write(fd, "321", 3) == 3);
    close(fd);
    wait_for_go();
    char text[8] = { 0 };
    fd = open("/proc/self/oom_score_adj", O_RDONLY);
    CHECK(getpriority(PRIO_PROCESS, 0) == 7 && sched_getscheduler(0) == SCHED_BATCH);
    CHECK(read(fd, text, 7) > 0 && strcmp(text, "321\n") == 0);
}

void item_places(void) {
    CHECK(mkdir("/w/jail", 0755) == 0 && mkdir("/w/jail/inner", 0755) == 0 && umask(0137) != 0137);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(chroot("/w/jail") == 0 && chdir("/inner") == 0);
        for (int i = 0; i < 10000 && access("/inner/look", F_OK) != 0; i++) pause_ms(20);
        char where[64];
        CHECK(getcwd(where, sizeof where) && strcmp(where, "/inner") == 0 && access("/w", F_OK) == -1);
        _exit(0);
    }
    CHECK(chdir("/w/jail") == 0 && personality(ADDR_NO_RANDOMIZE) >= 0);
    wait_for_go();
    char where[64];
    struct stat s;
    CHECK(getcwd(where, sizeof where) && strcmp(where, "/w/jail") == 0 && personality(0xffffffff) == ADDR_NO_RANDOMIZE);
    CHECK(close(open("inner/look", O_CREAT | O_WRONLY, 0777)) == 0 && stat("inner/look", &s) == 0 && (s.st_mode & 0777) == 0640);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

void item_prctls(void) {
    CHECK(prctl(PR_SET_NAME, "renamed", 0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    wait_for_go();
    char name[16];
    int number, reaper;
    CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0 && prctl(PR_GET_PDEATHSIG, &number) == 0 && number == SIGUSR2);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &reaper) == 0 && reaper == 1 && prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
}

/* A mutex whose owner ends without unlocking it. */
static pthread_mutex_t robust;
static volatile int owned;
static void *dies_owning(void *unused) {
    (void)unused;
    pthread_mutex_lock(&robust);
    owned = 1;
    while (access("/w/go", F_OK) != 0) pause_ms(50);
    return NULL;
}
void item_robust(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, dies_owning, NULL) == 0);
    while (!owned) pause_ms(1);
    wait_for_go();
    CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD && pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0);
}

void item_mappings(void) {
    char *none = mmap(NULL, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *locked = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    int fd = open("/w/mapped", O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 8192) == 0);
    char *cow = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), *grows = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    CHECK(mlock(locked, 8192) == 0 && madvise(locked, 4096, MADV_DONTFORK) == 0);
    memcpy(locked, "locked", 7), memcpy(low, "low", 4), memcpy(cow + 4096, "copied", 7), grows[100] = 5;
    void *heap = sbrk(0);
    CHECK(sbrk(100000) == heap);
    memset(heap, 0x5a, 100000);
    wait_for_go();
    CHECK(memcmp(locked, "locked", 7) == 0 && memcmp(low, "low", 4) == 0 && memcmp(cow + 4096, "copied", 7) == 0 && grows[100] == 5);
    CHECK(((char *)heap)[99999] == 0x5a && sbrk(0) == (char *)heap + 100000 && sbrk(4096) == (char *)heap + 100000);
    CHECK(mprotect(none, 4096, PROT_READ | PROT_WRITE) == 0 && pread(fd, none, 7, 4096) == 7 && none[0] == 0);
}
