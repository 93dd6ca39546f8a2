/* Pointers that lead nowhere, above the program's addresses and to where a translated process keeps what is not the program's:
 * every call must give what the x86-64 kernel gives, and must neither read nor write there. */
#include "../check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <linux/futex.h>
#include <stdarg.h>

static const uint64_t addresses[] = {
    1, 0x7fffffffeffd, 0x7ffffffff000, 0x100000000000, 0x100100000000, 0x900000000000, 0x900100000000, 0x900110000000,
    0xfffffffff000, 0x8000000000000000, 0xffffffffffffff00, ~0ull,
};
enum { COUNT = sizeof addresses / sizeof addresses[0] };

/** The end of the heap, which differs from run to run. */
static long heap;

static long call(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* One line a call: the errors for all addresses. */
#define EACH(name, ...) do { \
        printf("%s:", name); \
        for (int at_ = 0; at_ < COUNT; at_++) { \
            uint64_t P = addresses[at_]; \
            errno = 0; \
            long result_ = call(__VA_ARGS__, 0l, 0l, 0l, 0l, 0l, 0l); \
            if (result_ == heap) result_ = 0; \
            if (result_ == -1) printf(" %d", errno); else printf(" =%ld", result_); \
        } \
        printf("\n"); \
        fflush(stdout); \
    } while (0)

static void plain_calls(int file, int pipe_end, int other_end) {
    EACH("read", SYS_read, file, P, 16l);
    EACH("read closed", SYS_read, 99, P, 16l);
    EACH("read none", SYS_read, file, P, 0l);
    EACH("write", SYS_write, other_end, P, 16l);
    EACH("pread64", SYS_pread64, file, P, 16l, 0l);
    EACH("open", SYS_open, P, 0l, 0l);
    EACH("openat", SYS_openat, AT_FDCWD, P, 0l, 0l);
    EACH("stat", SYS_stat, P, P);
    EACH("stat to", SYS_stat, "/", P);
    EACH("fstat", SYS_fstat, file, P);
    EACH("fstat closed", SYS_fstat, 99, P);
    EACH("statx", SYS_statx, AT_FDCWD, "/", 0l, 0xfffl, P);
    EACH("statfs", SYS_statfs, "/", P);
    EACH("access", SYS_access, P, 0l);
    EACH("readlink", SYS_readlink, "/proc/self/cwd", P, 16l);
    EACH("readlink path", SYS_readlink, P, P, 16l);
    EACH("getcwd", SYS_getcwd, P, 4096l);
    EACH("chdir", SYS_chdir, P);
    EACH("rename", SYS_rename, P, P);
    EACH("unlink", SYS_unlink, P);
    EACH("mkdir", SYS_mkdir, P, 0l);
    EACH("pipe", SYS_pipe, P);
    EACH("pipe2", SYS_pipe2, P, 0l);
    EACH("poll", SYS_poll, P, 1l, 0l);
    EACH("poll none", SYS_poll, P, 0l, 0l);
    EACH("ppoll timeout", SYS_ppoll, 0l, 0l, P, 0l, 8l);
    EACH("select", SYS_select, 1l, P, 0l, 0l, 0l);
    EACH("select timeout", SYS_select, 0l, 0l, 0l, 0l, P);
    EACH("pselect6 mask", SYS_pselect6, 0l, 0l, 0l, 0l, 0l, P);
    EACH("getdents", SYS_getdents, file, P, 4096l);
    EACH("getdents64", SYS_getdents64, file, P, 4096l);
    EACH("ioctl", SYS_ioctl, pipe_end, 0x541bl, P);
    EACH("fcntl lock", SYS_fcntl, file, F_GETLK, P);
    EACH("uname", SYS_uname, P);
    EACH("gettimeofday", SYS_gettimeofday, P, 0l);
    EACH("time", SYS_time, P);
    EACH("times", SYS_times, P) ;
    EACH("clock_gettime", SYS_clock_gettime, 0l, P);
    EACH("clock_gettime bad clock", SYS_clock_gettime, 77l, P);
    EACH("nanosleep", SYS_nanosleep, P, P);
    EACH("clock_nanosleep", SYS_clock_nanosleep, 1l, 0l, P, P);
    EACH("getrlimit", SYS_getrlimit, 7l, P);
    EACH("prlimit64 set", SYS_prlimit64, 0l, 7l, P, 0l);
    EACH("getrusage", SYS_getrusage, 0l, P);
    EACH("sysinfo", SYS_sysinfo, P);
    EACH("getresuid", SYS_getresuid, P, P, P);
    EACH("rt_sigaction", SYS_rt_sigaction, SIGUSR1, P, 0l, 8l);
    EACH("rt_sigaction old", SYS_rt_sigaction, SIGUSR1, 0l, P, 8l);
    EACH("rt_sigaction size", SYS_rt_sigaction, SIGUSR1, P, 0l, 7l);
    EACH("rt_sigprocmask", SYS_rt_sigprocmask, SIG_BLOCK, P, 0l, 8l);
    EACH("rt_sigprocmask old", SYS_rt_sigprocmask, SIG_BLOCK, 0l, P, 8l);
    EACH("rt_sigpending", SYS_rt_sigpending, P, 8l);
    EACH("rt_sigtimedwait", SYS_rt_sigtimedwait, P, 0l, 0l, 8l);
    EACH("rt_sigsuspend", SYS_rt_sigsuspend, P, 8l);
    EACH("sigaltstack", SYS_sigaltstack, P, 0l);
    EACH("sigaltstack old", SYS_sigaltstack, 0l, P);
    EACH("rt_sigqueueinfo", SYS_rt_sigqueueinfo, (long)getpid(), 0l, P);
    EACH("wait4", SYS_wait4, -1l, P, WNOHANG, P);
    EACH("waitid", SYS_waitid, 0l, 0l, P, 4l | WNOHANG, P);
    EACH("futex wait", SYS_futex, P & ~3ull, FUTEX_WAIT, 7l, 0l, 0l, 0l);
    EACH("futex wait unaligned", SYS_futex, P | 1, FUTEX_WAIT, 7l, 0l, 0l, 0l);
    EACH("futex wake", SYS_futex, P & ~3ull, FUTEX_WAKE_PRIVATE, 1l, 0l, 0l, 0l);
    EACH("futex requeue", SYS_futex, P & ~3ull, FUTEX_CMP_REQUEUE, 1l, 1l, P & ~3ull, 0l);
    EACH("set_robust_list size", SYS_set_robust_list, P, 23l);
    EACH("get_robust_list", SYS_get_robust_list, 0l, P, P);
    EACH("getrandom", SYS_getrandom, P, 16l, 0l);
    EACH("memfd_create", SYS_memfd_create, P, 0l);
    EACH("socketpair", SYS_socketpair, 1l, 1l, 0l, P);
    EACH("getcpu", SYS_getcpu, P, 0l, 0l);
    EACH("capget", SYS_capget, P, P);
    EACH("getxattr", SYS_getxattr, "/", P, P, 16l);
    EACH("sched_getaffinity", SYS_sched_getaffinity, 0l, 128l, P);
    EACH("sched_getparam", SYS_sched_getparam, 0l, P);
    EACH("timer_create", SYS_timer_create, 0l, P, P);
    EACH("getitimer", SYS_getitimer, 0l, P);
    EACH("setitimer", SYS_setitimer, 0l, P, 0l);
    EACH("prctl name", SYS_prctl, 15l, P);
    EACH("prctl get", SYS_prctl, 16l, P);
    EACH("execve", SYS_execve, P, 0l, 0l);
    EACH("execve arguments", SYS_execve, "/nothing", P, 0l);
    EACH("inotify_add_watch", SYS_inotify_add_watch, 99l, P, 1l);
    EACH("sendfile", SYS_sendfile, other_end, file, P, 16l);
    EACH("splice", SYS_splice, file, P, other_end, 0l, 16l, 0l);
    EACH("copy_file_range", SYS_copy_file_range, file, P, file, 0l, 16l, 0l);
    EACH("utimensat", SYS_utimensat, AT_FDCWD, "/tmp", P, 0l);
    EACH("arch_prctl get", SYS_arch_prctl, 0x1003l, P);
    EACH("clone3", SYS_clone3, P, 64l);
    EACH("openat2", SYS_openat2, AT_FDCWD, "/", P, 24l);
    EACH("truncate", SYS_truncate, P, 0l);
    EACH("mount", SYS_mount, P, P, P, 0l, P);
}

static void memory_calls(void) {
    unsigned char vector[4];
    EACH("mmap fixed", SYS_mmap, P & ~4095ull, 4096l, 3l, 0x32l, -1l, 0l);
    EACH("mmap fixed noreplace", SYS_mmap, 0x7ffffffff000 + (P & 0), 4096l, 3l, 0x100022l, -1l, 0l);
    EACH("mmap absurd", SYS_mmap, 0l, P + 0x7fffffffffff, 3l, 0x22l, -1l, 0l);
    EACH("munmap", SYS_munmap, P & ~4095ull, 4096l);
    EACH("munmap unaligned", SYS_munmap, P | 1, 4096l);
    EACH("munmap across", SYS_munmap, 0x7fffffffe000, P & ~4095ull);
    EACH("mprotect", SYS_mprotect, P & ~4095ull, 4096l, 0l);
    EACH("mprotect none", SYS_mprotect, P & ~4095ull, 0l, 0l);
    EACH("madvise", SYS_madvise, P & ~4095ull, 4096l, 4l);
    EACH("msync", SYS_msync, P & ~4095ull, 4096l, 4l);
    EACH("mincore", SYS_mincore, P & ~4095ull, 4096l, vector);
    EACH("mlock", SYS_mlock, P & ~4095ull, 4096l);
    EACH("munlock", SYS_munlock, P & ~4095ull, 4096l);
    EACH("mremap", SYS_mremap, P & ~4095ull, 4096l, 8192l, 1l, 0l);
    EACH("mremap to", SYS_mremap, vector, 4096l, 4096l, 3l, P & ~4095ull);
    EACH("brk", SYS_brk, P);
}

static void nested_calls(int file, int socket_end, int other_end) {
    char text[32] = "abcdefgh";
    for (int at = 0; at < COUNT; at++) {
        uint64_t bad = addresses[at];
        struct iovec vectors[2] = { { text, 4 }, { (void *)bad, 4 } }, second[2] = { { (void *)bad, 4 }, { text, 4 } };
        struct iovec huge[2] = { { text, ~0ul }, { text, 4 } };
        printf("address %d\n", at);
        SHOW(writev(other_end, vectors, 2));
        SHOW(writev(other_end, second, 2));
        SHOW(writev(other_end, huge, 2));
        SHOW(readv(file, vectors, 2));
        SHOW(readv(file, second, 2));
        SHOW(syscall(SYS_readv, file, bad, 1l));
        SHOW(syscall(SYS_readv, file, bad, 2000l));
        SHOW(syscall(SYS_readv, 99, bad, 1l));
        SHOW(syscall(SYS_preadv, file, vectors, 2l, 0l, 0l));
        SHOW(syscall(SYS_process_vm_readv, (long)getpid(), vectors, 1l, second, 2l, 0l));
        SHOW(syscall(SYS_process_vm_readv, (long)getpid(), vectors, 1l, vectors, 2l, 0l));
        SHOW(syscall(SYS_process_vm_writev, (long)getpid(), vectors, 1l, second, 2l, 0l));
        struct msghdr message = { .msg_iov = vectors, .msg_iovlen = 2 };
        SHOW(sendmsg(socket_end, &message, MSG_DONTWAIT));
        message.msg_iov = (struct iovec *)bad;
        SHOW(sendmsg(socket_end, &message, MSG_DONTWAIT));
        message = (struct msghdr){ .msg_name = (void *)bad, .msg_namelen = 16, .msg_iov = vectors, .msg_iovlen = 1 };
        SHOW(sendmsg(socket_end, &message, MSG_DONTWAIT));
        message = (struct msghdr){ .msg_control = (void *)bad, .msg_controllen = 24, .msg_iov = vectors, .msg_iovlen = 1 };
        SHOW(sendmsg(socket_end, &message, MSG_DONTWAIT));
        SHOW(syscall(SYS_sendmsg, socket_end, bad, 0l));
        SHOW(syscall(SYS_recvmsg, socket_end, bad, MSG_DONTWAIT));
        struct mmsghdr many[2] = { { .msg_hdr = { .msg_iov = vectors, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = second, .msg_iovlen = 1 } } };
        SHOW(sendmmsg(socket_end, many, 2, MSG_DONTWAIT));
        SHOW(syscall(SYS_sendmmsg, socket_end, bad, 2l, 0l));
        struct iovec arguments[2] = { { (void *)bad, 0 }, { 0, 0 } };
        SHOW(syscall(SYS_execve, "/etc/passwd", arguments, 0l));
        struct epoll_event event = { .events = EPOLLIN };
        int set = epoll_create1(0);
        SHOW(syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, socket_end, bad));
        SHOW(epoll_ctl(set, EPOLL_CTL_ADD, socket_end, &event));
        SHOW(syscall(SYS_epoll_wait, set, bad, 1l, 0l));
        char drain[64];
        while (recv(other_end, drain, sizeof drain, MSG_DONTWAIT) > 0) {}
        SHOW(syscall(SYS_epoll_wait, set, bad, 1l, 0l));
        close(set);
        lseek(file, 0, SEEK_SET);
    }
}

static void own_memory(void) {
    int fd = open("/proc/self/mem", O_RDWR);
    char text[16] = "own memory text";
    char got[16] = "";
    WORKS(fd);
    SHOW(pread(fd, got, 16, (off_t)text));
    printf("%s\n", got);
    for (int at = 2; at < COUNT; at++) {
        char byte = 0;
        SHOW(pread(fd, &byte, 1, (off_t)addresses[at]));
        SHOW(pwrite(fd, &byte, 1, (off_t)addresses[at]));
        struct iovec one = { &byte, 1 };
        SHOW(syscall(SYS_preadv, fd, &one, 1l, addresses[at], 0l));
        printf("%d\n", (uint64_t)lseek(fd, (off_t)addresses[at], SEEK_SET) == addresses[at]);
        SHOW(read(fd, &byte, 1));
        SHOW(write(fd, &byte, 1));
        lseek(fd, 0, SEEK_SET);
        printf("%d\n", (uint64_t)lseek(fd, (off_t)addresses[at], SEEK_CUR) == addresses[at]);
        SHOW(read(fd, &byte, 1));
    }
    close(fd);
}

int main(void) {
    int file = open("/etc/passwd", O_RDONLY), pipes[2], sockets[2];
    WORKS(file);
    SHOW(pipe(pipes));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets));
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGPIPE, &ignore, 0);
    plain_calls(file, pipes[0], pipes[1]);
    heap = syscall(SYS_brk, 0l);
    memory_calls();
    nested_calls(file, sockets[0], sockets[1]);
    own_memory();
    return 0;
}
