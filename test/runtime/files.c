/* Files and descriptors: converted flags and structures, and the calls that have only a newer form on arm64. */
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <utime.h>

struct old_dirent { unsigned long ino, off; unsigned short length; char name[]; };

static void show_stat(const char *what, const struct stat *stat) {
    printf("%s: mode %o nlink %lu size %ld blksize %ld uid %d mtime %ld.%09ld\n", what, stat->st_mode, (unsigned long)stat->st_nlink,
           (long)stat->st_size, (long)stat->st_blksize, stat->st_uid, (long)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
}

static void names(void) {
    struct stat stat1, stat2;
    SHOW(syscall(SYS_mkdir, "dir", 0751));
    int fd = syscall(SYS_open, "dir/file", O_RDWR | O_CREAT | O_EXCL, 0640);
    SHOW(write(fd, "hello\n", 6));
    SHOW(syscall(SYS_open, "dir/file", O_RDWR | O_CREAT | O_EXCL, 0640));
    SHOW(syscall(SYS_open, "dir/file", O_RDONLY | O_DIRECTORY));
    SHOW(syscall(SYS_symlink, "file", "dir/link"));
    SHOW(syscall(SYS_open, "dir/link", O_RDONLY | O_NOFOLLOW));
    int directory = syscall(SYS_openat, AT_FDCWD, "dir", O_RDONLY | O_DIRECTORY);
    SHOW(directory >= 0);
    printf("flags of file %lo of directory %lo\n", (long)fcntl(fd, F_GETFL) & ~0100000L, (long)fcntl(directory, F_GETFL) & ~0100000L);
    SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    printf("flags now %lo\n", (long)fcntl(fd, F_GETFL) & ~0100000L);
    struct timeval times[2] = { { 100, 5 }, { 200, 7 } };
    SHOW(syscall(SYS_utimes, "dir/file", times));
    SHOW(syscall(SYS_stat, "dir/file", &stat1));
    show_stat("stat", &stat1);
    SHOW(syscall(SYS_fstat, fd, &stat2));
    printf("fstat the same: %d\n", !memcmp(&stat1, &stat2, sizeof stat1));
    struct utimbuf old = { 300, 400 };
    SHOW(syscall(SYS_utime, "dir/file", &old));
    SHOW(fstatat(directory, "file", &stat1, 0));
    show_stat("fstatat", &stat1);
    SHOW(syscall(SYS_lstat, "dir/link", &stat1));
    printf("link: mode %o size %ld\n", stat1.st_mode, (long)stat1.st_size);
    char text[64] = "";
    SHOW(syscall(SYS_readlink, "dir/link", text, sizeof text));
    printf("link to %s\n", text);
    SHOW(syscall(SYS_access, "dir/file", R_OK));
    SHOW(syscall(SYS_access, "dir/none", R_OK));
    SHOW(syscall(SYS_chmod, "dir/file", 0600));
    SHOW(syscall(SYS_link, "dir/file", "dir/other"));
    SHOW(syscall(SYS_rename, "dir/other", "dir/third"));
    SHOW(syscall(SYS_mknod, "dir/fifo", S_IFIFO | 0600, 0));
    SHOW(syscall(SYS_chown, "dir/file", getuid(), getgid()));
    SHOW(syscall(SYS_lchown, "dir/link", getuid(), getgid()));
    char buffer[4096];
    long bytes = syscall(SYS_getdents, directory, buffer, sizeof buffer);
    int files = 0, links = 0, fifos = 0, directories = 0, third = 0;
    for (long at = 0; at < bytes;) {
        struct old_dirent *entry = (struct old_dirent *)(buffer + at);
        int type = buffer[at + entry->length - 1];
        files += type == DT_REG;
        links += type == DT_LNK;
        fifos += type == DT_FIFO;
        directories += type == DT_DIR;
        third += !strcmp(entry->name, "third");
        at += entry->length;
    }
    printf("getdents: %d files %d links %d fifos %d directories, third %d\n", files, links, fifos, directories, third);
    SHOW(syscall(SYS_rmdir, "dir"));
    SHOW(syscall(SYS_unlink, "dir/third") | unlink("dir/fifo") | unlink("dir/link") | unlink("dir/file"));
    SHOW(syscall(SYS_rmdir, "dir"));
    int made = syscall(SYS_creat, "made", 0600);
    printf("creat flags %lo\n", (long)fcntl(made, F_GETFL) & ~0100000L);
    unlink("made");
    struct statfs fs;
    SHOW(statfs("/proc", &fs));
    printf("proc type %lx namelen %ld\n", (long)fs.f_type, (long)fs.f_namelen);
    close(directory), close(fd), close(made);
}

static void bad_pointers(void) {
    char *bad = (char *)0x10;
    struct stat *stat = (void *)0x10;
    int fd = open("/etc/passwd", O_RDONLY), ends[2];
    SHOW(read(fd, bad, 10));
    SHOW(syscall(SYS_open, bad, O_RDONLY));
    SHOW(syscall(SYS_stat, "/", stat));
    SHOW(syscall(SYS_fstat, fd, stat));
    SHOW(syscall(SYS_readlink, bad, bad, 10));
    SHOW(syscall(SYS_nanosleep, bad, NULL));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, 0, bad, NULL, 8));
    SHOW(syscall(SYS_uname, bad));
    SHOW(syscall(SYS_execve, bad, NULL, NULL));
    SHOW(syscall(SYS_select, 1, bad, NULL, NULL, NULL));
    SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, bad));
    SHOW(syscall(SYS_pipe, bad));
    SHOW(syscall(SYS_epoll_ctl, epoll_create(1), EPOLL_CTL_ADD, fd, bad));
    SHOW(syscall(SYS_time, bad));
    SHOW(pipe(ends));
    SHOW(write(ends[1], bad, 4));
    close(fd);
}

static void waiting(void) {
    int ends[2], spare[2];
    SHOW(syscall(SYS_pipe, ends));
    SHOW(syscall(SYS_pipe2, spare, O_CLOEXEC | O_DIRECT));
    printf("packet pipe %lo\n", (long)fcntl(spare[1], F_GETFL) & ~0100000L);
    struct pollfd polls[1] = { { ends[0], POLLIN, 0 } };
    SHOW(syscall(SYS_poll, polls, 1, 10));
    write(ends[1], "x", 1);
    SHOW(syscall(SYS_poll, polls, 1, 1000));
    printf("revents %x\n", polls[0].revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    struct timeval time = { 5, 0 };
    SHOW(syscall(SYS_select, ends[0] + 1, &set, NULL, NULL, &time));
    printf("time left %d\n", time.tv_sec == 4 || time.tv_sec == 5);
    struct timespec precise = { 0, 10000000 };
    FD_ZERO(&set);
    SHOW(syscall(SYS_pselect6, 1, &set, NULL, NULL, &precise, NULL));
    printf("left %ld\n", precise.tv_nsec);
    int epoll = syscall(SYS_epoll_create, 5);
    SHOW(syscall(SYS_epoll_create, 0));
    for (int i = 0; i < 3; i++) {
        int fd = eventfd(i, 0);
        struct epoll_event event = { EPOLLIN, { .u64 = 0x1122334455667700ull + i } };
        SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    }
    struct epoll_event events[10];
    memset(events, 0, sizeof events);
    int got = syscall(SYS_epoll_wait, epoll, events, 10, 100);
    for (int i = 0; i < got; i++) printf("event %x %llx\n", events[i].events, (long long)events[i].data.u64);
    /* Hundreds at once. */
    static struct epoll_event many[600];
    for (int i = 0; i < 500; i++) {
        struct epoll_event event = { EPOLLIN, { .u64 = 0xabcdef0000000000ull + (unsigned)i } };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(1, 0), &event) != 0) perror("epoll_ctl");
    }
    got = syscall(SYS_epoll_wait, epoll, many, 600, 0);
    unsigned long long sum = 0;
    for (int i = 0; i < got; i++) sum += many[i].data.u64 * many[i].events;
    printf("%d of many events, sum %llx\n", got, sum);
    SHOW(syscall(SYS_epoll_wait, epoll, events, 0, 0));
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int sfd = signalfd(-1, &signals, SFD_NONBLOCK);
    raise(SIGUSR1);
    struct signalfd_siginfo info;
    SHOW(read(sfd, &info, sizeof info));
    printf("signalfd %d\n", info.ssi_signo);
    int tfd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec timer = { { 0, 0 }, { 0, 5000000 } };
    uint64_t ticks;
    SHOW(timerfd_settime(tfd, 0, &timer, NULL));
    SHOW(read(tfd, &ticks, 8));
    SHOW(syscall(SYS_eventfd, 7) >= 0);
    SHOW(syscall(SYS_inotify_init) >= 0);
    SHOW(dup2(ends[0], ends[0]) == ends[0]);
    SHOW(dup2(999, 999));
    SHOW(dup2(ends[0], 77));
}

static void moving(void) {
    int file = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600), ends[2];
    char text[32] = { 0 };
    write(file, "0123456789", 10);
    pipe(ends);
    off_t offset = 3;
    SHOW(sendfile(ends[1], file, &offset, 4));
    printf("offset %ld\n", (long)offset);
    SHOW(read(ends[0], text, 31));
    puts(text);
    loff_t from = 5;
    SHOW(splice(file, &from, ends[1], NULL, 5, 0));
    SHOW(lseek(file, -3, SEEK_END));
    struct iovec parts[2] = { { text, 2 }, { text + 10, 2 } };
    SHOW(preadv(file, parts, 2, 1));
    printf("%.2s %.2s\n", text, text + 10);
    SHOW(ftruncate(file, 4));
    SHOW(lseek(file, 0, SEEK_END));
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2 };
    SHOW(fcntl(file, F_SETLK, &lock));
    SHOW(flock(file, LOCK_EX | LOCK_NB));
    SHOW(fallocate(file, 0, 0, 8192));
    unlink("data");
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    umask(022);
    names();
    bad_pointers();
    waiting();
    moving();
    return 0;
}
