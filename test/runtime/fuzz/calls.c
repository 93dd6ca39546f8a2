/* Random sequences of system calls with sensible, odd and wild arguments: `calls SEED SEQUENCES [hostile]`. Prints each call's result
 * and what it wrote, without what differs from run to run; so a native run and a translated one must print the same. Each
 * sequence runs in a process of its own, without privileges, in the current directory (a tmpfs). */
#include "../check.h"
#include <poll.h>
#include <grp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int hostile;
static uint64_t state;
static uint64_t next(void) {
    state += 0x9e3779b97f4a7c15ull;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}
static uint64_t below(uint64_t limit) { return next() % limit; }

enum { BUFFERS = 4, BUFFER_BYTES = 4096, LOG = 100, CALLS_A_SEQUENCE = 40 };
/** Each buffer is a page with an unmapped one behind it, at addresses that are the same in every run. */
static uint8_t *buffer[BUFFERS];
#define ARENA 0x30000000ul
static char *paths[] = { "file", "dir", "link", "dir/inner", "none", "file/x", "fifo", "", ".", "dir/../file", "loop", "new" };

static uint64_t bad_pointer(void) {
    static const uint64_t bad[] = { 0, 1, 0x1000, 0x7ffffffff000, 0x800000000000, 0x900000000000, 0x900100000000, 0x900110000000,
        0x901000000000, 0xffff00000000, 0xffffffffff600000, ~0ull, ~4095ull, 1ull << 63, 0x30001000, 0x30001001 };
    return bad[below(sizeof bad / sizeof bad[0])];
}
static uint64_t pointer(void) {
    uint8_t *at = buffer[below(BUFFERS)];
    switch (below(12)) {
    case 0: return bad_pointer();
    case 1: return (uint64_t)at + BUFFER_BYTES - below(40);
    case 2: return (uint64_t)at + below(64);
    default: return (uint64_t)at;
    }
}
static uint64_t size(void) {
    static const uint64_t odd[] = { 0, 1, 4095, 4096, 4097, 8192, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 47, ~0ull, 1ull << 63 };
    return below(6) ? below(128) : odd[below(sizeof odd / sizeof odd[0])];
}
static uint64_t offset(void) {
    static const uint64_t odd[] = { ~0ull, 1ull << 62, 1ull << 47, 0x7fffffffffffffff, 1ull << 63, 4096, 1ull << 31, 1ull << 32 };
    return below(6) ? below(200) : odd[below(8)];
}
static uint64_t descriptor(void) { return below(10) ? below(16) : (uint64_t[]){ ~0ull, 99, 1ull << 31, 0x100000003, -100 }[below(5)]; }
static uint64_t path(void) {
    if (!below(10)) return pointer();
    char *to = (char *)buffer[3] + 2048;
    strcpy(to, paths[below(sizeof paths / sizeof paths[0])]);
    return (uint64_t)to;
}
static uint64_t flags(void) { return below(3) ? 1ull << below(24) : below(2) ? below(256) : next() >> below(64); }
static uint64_t vectors(void) {
    uint64_t *at = (uint64_t *)(buffer[2] + 1024);
    if (!below(10)) return pointer();
    for (int i = 0; i < 4; i++) at[2 * i] = pointer(), at[2 * i + 1] = below(8) ? below(40) : size();
    return (uint64_t)at;
}
static uint64_t timeout(void) {
    int64_t *at = (int64_t *)(buffer[2] + 2048);
    if (!below(8)) return bad_pointer();
    at[0] = below(10) ? 0 : -(int64_t)below(3);
    at[1] = below(10) ? (int64_t)below(2000) : (int64_t)below(3000000000u);
    return (uint64_t)at;
}

/* Letters: f descriptor, p path, b buffer, s size, o offset, O flags of open, F flags, i small number, v vectors and the number of them,
 * t timespec, m mode, w wild, 0 zero, 8 eight, g signal, a page-aligned place in the arena's map, l length of it, P protection,
 * D AT_FDCWD or a descriptor, T milliseconds, W whence, h address of a buffer that is never bad. Result: - as it is, ? only its sign. */
struct call { const char *name; int number; const char *arguments; char result; };
#define CALL(name, arguments, result) { #name, SYS_##name, arguments, result }
static const struct call calls[] = {
    CALL(read, "fbs", '-'), CALL(write, "fbs", '-'), CALL(open, "pOm", '-'), CALL(close, "f", '-'), CALL(stat, "pb", '-'), CALL(fstat, "fb", '-'),
    CALL(lstat, "pb", '-'), CALL(poll, "biT", '-'), CALL(lseek, "foW", '-'), CALL(mmap, "alPFfo", '?'), CALL(mprotect, "alP", '-'),
    CALL(munmap, "al", '-'), CALL(rt_sigaction, "gbb8", '-'), CALL(rt_sigprocmask, "ibb8", '-'), CALL(pread64, "fbso", '-'),
    CALL(pwrite64, "fbso", '-'), CALL(readv, "fvi", '-'), CALL(writev, "fvi", '-'), CALL(access, "pi", '-'), CALL(pipe, "b", '-'),
    CALL(sched_yield, "", '-'), CALL(mremap, "allFa", '?'), CALL(msync, "ali", '-'), CALL(mincore, "alb", '-'), CALL(madvise, "ali", '-'),
    CALL(dup, "f", '-'), CALL(dup2, "ff", '-'), CALL(nanosleep, "tb", '-'), CALL(getitimer, "ib", '?'), CALL(sendfile, "ffbs", '-'),
    CALL(socket, "iFi", '-'), CALL(sendto, "fbsFbs", '-'), CALL(recvfrom, "fbsFbb", '-'), CALL(shutdown, "fi", '-'), CALL(listen, "fi", '-'),
    CALL(getsockname, "fbh", '-'), CALL(getpeername, "fbh", '-'), CALL(socketpair, "iFib", '-'), CALL(setsockopt, "fiibs", '-'),
    CALL(getsockopt, "fiibb", '-'), CALL(uname, "w", '-'), CALL(fcntl, "fiF", '-'), CALL(flock, "fF", '-'), CALL(fsync, "f", '-'), CALL(truncate, "po", '-'),
    CALL(ftruncate, "fo", '-'), CALL(rename, "pp", '-'), CALL(mkdir, "pm", '-'), CALL(rmdir, "p", '-'),
    CALL(creat, "pm", '-'), CALL(link, "pp", '-'), CALL(unlink, "p", '-'), CALL(symlink, "pp", '-'), CALL(readlink, "pbs", '-'), CALL(chmod, "pm", '-'),
    CALL(fchmod, "fm", '-'), CALL(umask, "m", '-'), CALL(getrlimit, "ib", '-'), CALL(getpriority, "ii", '?'), CALL(rt_sigpending, "bs", '-'),
    CALL(rt_sigtimedwait, "bbt8", '-'), CALL(sigaltstack, "bb", '-'), CALL(utime, "pb", '-'), CALL(mknod, "pm0", '-'), CALL(personality, "w", '?'),
    CALL(mlock, "al", '-'), CALL(munlock, "al", '-'), CALL(arch_prctl, "wb", '-'), CALL(setrlimit, "wb", '-'), CALL(setxattr, "ppbsi", '-'),
    CALL(listxattr, "pbs", '-'), CALL(futex, "bitibi", '-'), CALL(futex, "hFttti", '-'), CALL(sched_getaffinity, "wsb", '?'),
    CALL(epoll_create, "i", '-'), CALL(set_tid_address, "w", '?'), CALL(fadvise64, "fooi", '-'), CALL(timer_create, "ibb", '?'), CALL(clock_gettime, "ib", '?'),
    CALL(clock_getres, "ib", '?'), CALL(clock_nanosleep, "i0tb", '-'), CALL(epoll_wait, "fbi0", '-'), CALL(epoll_ctl, "fifb", '-'), CALL(utimes, "pb", '-'),
    CALL(waitid, "iibib", '-'), CALL(inotify_init, "", '-'), CALL(inotify_add_watch, "fpF", '-'), CALL(openat, "DpOm", '-'), CALL(mkdirat, "Dpm", '-'),
    CALL(mknodat, "Dpm0", '-'), CALL(futimesat, "Dpb", '-'), CALL(newfstatat, "DpbF", '-'), CALL(unlinkat, "DpF", '-'), CALL(renameat, "DpDp", '-'),
    CALL(linkat, "DpDpF", '-'), CALL(symlinkat, "pDp", '-'), CALL(readlinkat, "Dpbs", '-'), CALL(fchmodat, "Dpm", '-'), CALL(faccessat, "Dpi", '-'),
    CALL(pselect6, "bbbbtb", '-'), CALL(ppoll, "bitb8", '-'), CALL(set_robust_list, "ws", '-'), CALL(splice, "fbfbsF", '-'), CALL(tee, "ffsF", '-'),
    CALL(sync_file_range, "fooi", '-'), CALL(vmsplice, "fvF", '-'), CALL(utimensat, "DpbF", '-'), CALL(epoll_pwait, "fbi0b8", '-'),
    CALL(signalfd, "fb8", '-'), CALL(signalfd4, "fb8F", '-'), CALL(timerfd_create, "iF", '-'), CALL(eventfd, "i", '-'), CALL(fallocate, "fioo", '-'), CALL(timerfd_settime, "fibb", '-'),
    CALL(timerfd_gettime, "fb", '?'), CALL(accept4, "fbbF", '-'), CALL(eventfd2, "iF", '-'), CALL(epoll_create1, "F", '-'), CALL(dup3, "ffO", '-'),
    CALL(pipe2, "bO", '-'), CALL(inotify_init1, "F", '-'), CALL(preadv, "fvio0", '-'), CALL(pwritev, "fvio0", '-'), CALL(recvmmsg, "fbiF0", '-'),
    CALL(sendmmsg, "fbiF", '-'), CALL(sendmsg, "fbF", '-'), CALL(recvmsg, "fbF", '-'), CALL(prlimit64, "0ibb", '-'), CALL(syncfs, "f", '-'), CALL(renameat2, "DpDpF", '-'), CALL(getrandom, "0sF", '-'), CALL(memfd_create, "pF", '-'),
    CALL(execve, "p00", '-'), CALL(execveat, "Dp00F", '-'), CALL(membarrier, "FF", '-'), CALL(mlock2, "alF", '-'), CALL(copy_file_range, "fbfbsF", '-'), CALL(preadv2, "fvio0F", '-'),
    CALL(pwritev2, "fvio0F", '-'), CALL(statx, "DpFFb", '-'), CALL(rseq, "wwww", '?'), CALL(pidfd_open, "wF", '-'), CALL(clone3, "bs", '?'),
    CALL(close_range, "wwF", '-'), CALL(openat2, "Dpbs", '-'), CALL(faccessat2, "DpiF", '-'), CALL(epoll_pwait2, "fbitb8", '-'), CALL(brk, "w", '?'),
    CALL(getdents, "fbs", '?'), CALL(getdents64, "fbs", '?'),
    CALL(capget, "bb", '-'), CALL(getgroups, "ib", '-'), CALL(times, "w", '?'), CALL(getrusage, "iw", '-'), CALL(sched_getparam, "0b", '-'),
    CALL(sched_setscheduler, "0ib", '-'), CALL(sched_getattr, "0bsF", '-'), CALL(prctl, "wbw", '?'), CALL(rt_sigqueueinfo, "wib", '?'), CALL(ioctl, "fwb", '-'),
    CALL(get_robust_list, "0bb", '-'), CALL(process_vm_readv, "wvivi0", '-'), CALL(kcmp, "wwiii", '?'), CALL(name_to_handle_at, "DpbbF", '-'), CALL(statfs, "pw", '-'),
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static uint64_t argument(char letter) {
    static const int signals[] = { SIGUSR1, SIGUSR2, SIGWINCH, SIGURG, 0, 65, 64, SIGKILL, -1, 33 };
    switch (letter) {
    case 'f': return descriptor();
    case 'p': return path();
    case 'b': return pointer();
    case 'h': return (uint64_t)buffer[0] + 4 * below(4);
    case 's': return size();
    case 'o': return offset();
    case 'O': return (below(4) ? (uint64_t[]){ O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT, O_DIRECTORY, O_PATH, O_RDWR | O_TRUNC | O_NOFOLLOW }[below(7)] : flags()) | O_NONBLOCK;
    case 'F': return below(2) ? 0 : flags();
    case 'i': return below(8) ? below(8) : next() >> below(64);
    case 'v': return vectors();
    case 't': return timeout();
    case 'm': return below(4) ? 0600 | below(0100) : below(0200000);
    case 'w': return below(3) == 0 ? bad_pointer() : next() >> below(64);
    case '8': return below(10) ? 8 : size();
    case 'g': return (uint64_t)signals[below(sizeof signals / sizeof signals[0])];
    case 'a': return below(8) ? ARENA + 0x100000 + 4096 * below(8) : bad_pointer();
    case 'l': return below(6) ? 4096 * below(8) : size();
    case 'P': return below(8);
    case 'D': return below(3) ? (uint64_t)AT_FDCWD : descriptor();
    case 'T': return below(3);
    case 'W': return below(6);
    default: return 0;
    }
}

static void fill(void) {
    for (int i = 0; i < BUFFERS; i++)
        for (unsigned at = 0; at < 128; at += 8) {
            uint64_t value = below(3) ? below(16) : next() >> below(64);
            memcpy(buffer[i] + at, &value, 8);
        }
}

/* What a call has written, as a number; nothing for calls whose structures tell of times, inodes or the machine. These leave no trace
 * for later calls either. */
static uint8_t before[BUFFERS][512];
static void remember(void) { for (int i = 0; i < BUFFERS; i++) memcpy(before[i], buffer[i], 512); }
static uint64_t written(const struct call *call) {
    static const char *const vague[] = { "fstat", "stat", "lstat", "newfstatat", "statx", "getcwd", "timerfd_gettime", "clock_gettime", "clock_getres",
        "sched_getaffinity", "timer_create", "getdents", "getdents64", "recvmsg", "recvmmsg", "sysinfo", "getitimer", "prctl", "fcntl", "ioctl", "waitid",
        "name_to_handle_at", "getsockopt", "capget", "getrlimit", "prlimit64", "mincore", "get_robust_list", "pselect6", "ppoll", "nanosleep", "clock_nanosleep", "sched_getattr", "getsockname", "getpeername" };
    for (unsigned i = 0; i < sizeof vague / sizeof vague[0]; i++) if (!strcmp(call->name, vague[i])) {
        for (int at = 0; at < BUFFERS; at++) memcpy(buffer[at], before[at], 512);
        return 0;
    }
    uint64_t sum = 0;
    for (int i = 0; i < BUFFERS; i++) for (unsigned at = 0; at < 512; at++)
        if (buffer[i][at] != before[i][at]) sum = (sum ^ (i << 20 | at << 8 | buffer[i][at])) * 0x100000001b3ull;
    return sum;
}

static void one_call(void) {
    const struct call *call = &calls[below(CALLS)];
    uint64_t a[6] = { 0 };
    if (!below(4)) fill();
    for (unsigned i = 0; i < 6 && call->arguments[i]; i++) a[i] = argument(call->arguments[i]);
    /* What would end or disturb the run, or wait. */
    if (call->number == SYS_creat && (a[0] & ~4095ull) == (uint64_t)buffer[3] && !strcmp((char *)a[0], "fifo")) return;
    if (call->number == SYS_close_range && (uint32_t)a[1] >= LOG) return;
    if (call->number == SYS_futex && ((a[1] & 0x7f) == 6 || (a[1] & 0x7f) == 13)) return; /* PI: waits for an owner that does not exist */
    if (call->number == SYS_futex) a[1] &= 0xff, a[3] = (uint64_t)(buffer[2] + 2048), ((uint64_t *)(buffer[2] + 2048))[0] = 0, ((uint64_t *)(buffer[2] + 2048))[1] = 1000;
    if (call->number == SYS_clone3 && a[1] >= 64 && a[1] < 0x1000) a[1] = 63; /* makes no process */
    if (call->number == SYS_rt_sigqueueinfo) a[0] = (uint64_t)getpid();
    if (call->number == SYS_process_vm_readv) a[0] = (uint64_t)getpid();
    if (call->number == SYS_kcmp) a[0] = a[1] = (uint64_t)getpid();
    if (call->number == SYS_prctl && ((uint32_t)a[0] > 80 || a[0] == 1 || a[0] == 22 || a[0] == 59 || a[0] == 35)) a[0] = 16;
    if (call->number == SYS_mmap) a[3] = (a[3] & ~(uint64_t)(MAP_FIXED | 0x40)) | (below(2) ? MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED : MAP_PRIVATE);
    if (call->number == SYS_mmap && (a[3] & 3) == 3) a[3] &= ~1ull; /* new checks of anonymous inodes */
    if (call->number == SYS_mmap && !(a[3] & MAP_ANONYMOUS)) a[2] &= 3;
    if (call->number == SYS_fcntl && a[1] == F_DUPFD) return;
    if (call->number == SYS_mmap && a[0] < 0x10000 && a[3] & MAP_FIXED) return;
    if (call->number == SYS_prlimit64) a[1] = a[1] < 2 || a[1] == 9 ? 7 : a[1]; /* processor time, file size, memory */
    if (call->number == SYS_setrlimit) a[0] = a[0] < 2 || a[0] == 9 ? 7 : a[0];
    if (call->number == SYS_clock_nanosleep && (a[0] & 7) - 2 < 2) a[0] = 1; /* those of processor time */
    if (call->number == SYS_execveat || call->number == SYS_name_to_handle_at) a[4] &= 0xfffd; /* flags newer than Linux 6.12 */
    if (call->number == SYS_rseq) a[3] = 0;
    if (call->number == SYS_poll || call->number == SYS_ppoll) a[1] &= 0x7f; /* the limit of descriptors differs */
    if (call->number == SYS_epoll_pwait || call->number == SYS_epoll_pwait2 || call->number == SYS_epoll_wait) a[2] &= 0x7f; /* kernels differ in the order of checks */
    if (call->number == SYS_ioctl) a[1] = (uint64_t[]){ 0x5421, 0x541b, 0x5450, 0x5451, 0x5401, 0x5413, 0x8912, 0x8946, 0xc020aa00, 0x1234, 2 }[below(11)];
    remember();
    alarm(2); /* what would wait for ever fails with EINTR */
    errno = 0;
    long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    int error = call->number == SYS_fchmod && errno == EOPNOTSUPP ? EPERM : errno; /* on anonymous inodes, since Linux 6.15 */
    if (call->number == SYS_process_vm_readv || call->number == SYS_kcmp || call->number == SYS_rt_sigqueueinfo) a[0] = 0;
    if (call->number == SYS_kcmp) a[1] = 0;
    if (result == -1) dprintf(LOG, "%s(%lx,%lx,%lx,%lx,%lx,%lx) error %d %lx\n", call->name, a[0], a[1], a[2], a[3], a[4], a[5], error, written(call));
    else dprintf(LOG, "%s(%lx,%lx,%lx,%lx,%lx,%lx) %ld %lx\n", call->name, a[0], a[1], a[2], a[3], a[4], a[5], call->result == '?' ? 0 : result, written(call));
    if (call->number == SYS_mremap && result != -1 && (uint64_t)result >> 32) munmap((void *)result, 4096);
}

/* Any call, with any arguments: nothing is compared, but the process must end by its own means or by a signal. */
static void hostile_call(void) {
    uint64_t number = below(20) ? below(470) : next() >> below(64), a[6];
    static const uint16_t never[] = { SYS_pause, SYS_rt_sigsuspend, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal,
        SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_exit, SYS_exit_group, SYS_ptrace, SYS_ioperm, SYS_setpgid, SYS_setsid, SYS_munmap, SYS_mmap, SYS_mremap, SYS_mprotect };
    for (int i = 0; i < 6; i++) a[i] = argument("fpbsoOFivtmwalPDh0bwpw"[below(22)]);
    for (unsigned i = 0; i < sizeof never / sizeof never[0]; i++) if (number == never[i] && (i < 18 || below(4))) return;
    if (number == SYS_close_range || number == SYS_prlimit64 || number == SYS_setrlimit) return;
    alarm(1);
    syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    fill();
}

static void taken(int number) { (void)number; }

static void sequence(uint64_t seed) {
    state = seed;
    dup2(1, LOG);
    for (int fd = 0; fd < 16; fd++) close(fd);
    for (int i = 0; i < BUFFERS; i++)
        buffer[i] = mmap((void *)(ARENA + 0x10000ul * i), BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)(ARENA + 0x100000), 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)(ARENA + 0x108000), 0x1000000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    for (int number = 1; number < 65; number++) if (number != SIGCHLD) sigaction(number, &(struct sigaction){ .sa_handler = taken }, 0);
    signal(SIGSEGV, SIG_DFL), signal(SIGBUS, SIG_DFL), signal(SIGILL, SIG_DFL), signal(SIGFPE, SIG_DFL), signal(SIGABRT, SIG_DFL);
    char directory[32];
    sprintf(directory, "s%lu", seed);
    if (mkdir(directory, 0700) || chdir(directory)) _exit(9);
    int pair[2];
    umask(022);
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    open("/dev/null", O_RDWR);                                   /* 0 */
    int file = open("file", O_RDWR | O_CREAT, 0644);             /* 1 */
    for (int i = 0; i < 100; i++) write(file, "0123456789", 10);
    lseek(file, 0, SEEK_SET);
    mkdir("dir", 0755), close(open("dir/inner", O_RDWR | O_CREAT, 0600)), symlink("file", "link"), symlink("loop", "loop"), mkfifo("fifo", 0600);
    open("dir", O_RDONLY | O_DIRECTORY);                         /* 2 */
    pipe2(pair, O_NONBLOCK);                                     /* 3 4 */
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);   /* 5 6 */
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);    /* 7 8 */
    syscall(SYS_eventfd2, 3, O_NONBLOCK);                        /* 9 */
    syscall(SYS_memfd_create, "memory", 2);                      /* 10 */
    epoll_create1(0);                                            /* 11 */
    open("file", O_WRONLY | O_APPEND);                           /* 12 */
    fill();
    for (int i = 0; i < CALLS_A_SEQUENCE; i++) one_call();
    if (hostile) for (int i = 0; i < 400; i++) hostile_call();
    _exit(0);
}

static pid_t child;
static void end_child(int number) { kill(child, SIGKILL); (void)number; }

int main(int argc, char **argv) {
    uint64_t seed = strtoull(argv[1], 0, 0), count = strtoull(argv[2], 0, 0);
    hostile = argc > 3;
    setgroups(0, 0);
    if (chown(".", 65534, 65534) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) return 8;
    for (uint64_t i = 0; i < count; i++) {
        int status = 0;
        printf("sequence %lu\n", seed + i);
        fflush(stdout);
        child = fork();
        if (child == 0) {
            sequence(seed + i);
        }
        signal(SIGALRM, end_child);
        alarm(60);
        waitpid(child, &status, 0);
        alarm(0);
        if (hostile) printf("ended\n");
        else printf("ended %d %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return 0;
}
