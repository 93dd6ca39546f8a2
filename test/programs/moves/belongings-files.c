/* Files, pipes, terminals and process groups. */
#include "belongings.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>

static int file_with(const char *path, const char *text) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}
static int reads(int fd, const char *text) {
    char got[256];
    ssize_t n = read(fd, got, sizeof got);
    return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

void item_files(void) {
    int fd = file_with("/w/file", "0123456789"), twin = dup(fd), other = open("/w/file", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CHECK(lseek(fd, 4, SEEK_SET) == 4 && lseek(other, 7, SEEK_SET) == 7 && fcntl(twin, F_SETFD, FD_CLOEXEC) == 0);
    CHECK(dup2(fd, 200) == 200);
    int sparse = open("/w/sparse", O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(sparse, 1 << 20) == 0 && pwrite(sparse, "end", 3, (1 << 20) - 3) == 3);
    wait_for_go();
    CHECK(lseek(twin, 0, SEEK_CUR) == 4 && reads(200, "456789") && lseek(fd, 0, SEEK_CUR) == 10);
    CHECK(reads(other, "789") && fcntl(other, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFD) == 0);
    CHECK((fcntl(other, F_GETFL) & O_NOFOLLOW) && (fcntl(other, F_GETFL) & O_ACCMODE) == O_RDONLY);
    char end[3];
    CHECK(pread(sparse, end, 3, (1 << 20) - 3) == 3 && memcmp(end, "end", 3) == 0);
}

void item_deleted(void) {
    int fd = file_with("/w/gone", "still here"), tmp = file_with("/tmp/gone", "in memory");
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && unlink("/w/gone") == 0 && unlink("/tmp/gone") == 0);
    wait_for_go();
    struct stat s;
    CHECK(fstat(fd, &s) == 0 && s.st_nlink == 0 && s.st_size == 10 && memcmp(map, "still here", 10) == 0);
    map[0] = 'S';
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && reads(fd, "Still here"));
    CHECK(lseek(tmp, 0, SEEK_SET) == 0 && reads(tmp, "in memory"));
}

void item_directories(void) {
    CHECK(mkdir("/w/dir", 0755) == 0 && mkdir("/w/dir/sub", 0755) == 0);
    close(file_with("/w/dir/a", "a"));
    int fd = open("/w/dir", O_RDONLY | O_DIRECTORY), path = open("/w/dir/sub", O_PATH);
    CHECK(fd >= 0 && path >= 0);
    wait_for_go();
    struct stat s;
    CHECK(openat(fd, "a", O_RDONLY) >= 0 && fstatat(fd, "sub", &s, 0) == 0 && S_ISDIR(s.st_mode));
    CHECK((fcntl(fd, F_GETFL) & O_DIRECTORY) && (fcntl(path, F_GETFL) & O_PATH) && openat(path, ".", O_RDONLY) >= 0);
    int found = 0;
    DIR *dir = fdopendir(fd);
    for (struct dirent *e; (e = readdir(dir));) found++;
    CHECK(found == 4);
}

void item_append(void) {
    int fd = open("/w/log", O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0600), sync = open("/w/sync", O_WRONLY | O_CREAT | O_DSYNC, 0600);
    CHECK(write(fd, "one", 3) == 3 && sync >= 0);
    wait_for_go();
    CHECK((fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK) && (fcntl(sync, F_GETFL) & O_DSYNC));
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "two", 3) == 3);
    int back = open("/w/log", O_RDONLY);
    CHECK(reads(back, "onetwo"));
}

void item_pipes(void) {
    int a[2], b[2], c[2];
    CHECK(pipe2(a, O_NONBLOCK) == 0 && pipe(b) == 0 && pipe(c) == 0);
    CHECK(fcntl(b[0], F_SETPIPE_SZ, 1 << 17) >= 1 << 17);
    static char big[100000], got[100000];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 7 + i / 256);
    CHECK(write(a[1], "few", 3) == 3 && write(b[1], big, sizeof big) == sizeof big && write(c[1], "x", 1) == 1);
    close(c[1]);
    wait_for_go();
    CHECK(reads(a[0], "few") && read(a[0], got, 1) == -1 && errno == EAGAIN);
    for (size_t done = 0; done < sizeof got;) {
        ssize_t n = read(b[0], got + done, sizeof got - done);
        CHECK(n > 0);
        done += (size_t)n;
    }
    CHECK(memcmp(big, got, sizeof big) == 0 && fcntl(b[0], F_GETPIPE_SZ) >= 1 << 17);
    CHECK(reads(c[0], "x") && read(c[0], got, 1) == 0);
}

/* A pipe in packet mode: O_DIRECT, whose bit differs between the architectures. */
void item_packets(void) {
    int a[2];
    CHECK(pipe2(a, O_DIRECT) == 0);
    wait_for_go();
    CHECK((fcntl(a[1], F_GETFL) & O_DIRECT) && write(a[1], "first", 5) == 5 && write(a[1], "second", 6) == 6);
    CHECK(reads(a[0], "first") && reads(a[0], "second"));
}

void item_fifos(void) {
    CHECK(mkfifo("/w/fifo", 0600) == 0);
    int fd = open("/w/fifo", O_RDWR), reader = open("/w/fifo", O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0 && reader >= 0 && write(fd, "in the fifo", 11) == 11);
    wait_for_go();
    CHECK(reads(reader, "in the fifo") && write(fd, "more", 4) == 4 && reads(reader, "more"));
}

/* A session on a terminal of its own, with unread input and output. */
void item_terminal(void) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), ends[2];
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && pipe(ends) == 0);
    struct winsize size = { 33, 77, 0, 0 };
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
    const char *name = ptsname(master);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        int tty = open(name, O_RDWR);
        CHECK(tty >= 0 && ioctl(tty, TIOCSCTTY, 0) >= 0);
        struct termios t;
        CHECK(tcgetattr(tty, &t) == 0);
        t.c_lflag &= ~(tcflag_t)ECHO;
        t.c_cc[VINTR] = 7;
        CHECK(tcsetattr(tty, TCSANOW, &t) == 0);
        CHECK(write(ends[1], "x", 1) == 1);
        while (access("/w/go", F_OK) != 0) pause_ms(50);
        CHECK(tcgetattr(tty, &t) == 0 && !(t.c_lflag & ECHO) && (t.c_lflag & ICANON) && t.c_cc[VINTR] == 7);
        CHECK(tcgetpgrp(tty) == getpgrp() && tcgetsid(tty) == getsid(0));
        int own = open("/dev/tty", O_RDWR);
        CHECK(own >= 0 && write(own, "answer", 6) == 6);
        CHECK(reads(tty, "typed\n"));
        _exit(0);
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    wait_for_go();
    CHECK(ioctl(master, TIOCGWINSZ, &size) == 0 && size.ws_row == 33 && size.ws_col == 77);
    CHECK(write(master, "typed\n", 6) == 6 && reads(master, "answer"));
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

void item_groups(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        pid_t member = fork();
        if (member == 0) for (;;) pause();
        CHECK(write(ends[1], &member, sizeof member) == sizeof member);
        for (;;) pause();
    }
    pid_t member, orphan = fork();
    CHECK(read(ends[0], &member, sizeof member) == sizeof member);
    if (orphan == 0) {
        if (fork()) _exit(0);
        setsid();
        while (access("/w/go", F_OK) != 0) pause_ms(50);
        CHECK(getppid() == 1 && getsid(0) == getpid());
        _exit(0);
    }
    CHECK(waitpid(orphan, NULL, 0) == orphan);
    wait_for_go();
    CHECK(getpgid(member) == leader && getpgid(leader) == leader && getsid(member) == getsid(0));
    CHECK(kill(-leader, SIGTERM) == 0);
    int status;
    CHECK(waitpid(leader, &status, 0) == leader && WTERMSIG(status) == SIGTERM);
}

void item_stopped(void) {
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(5);
    }
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    wait_for_go();
    pause_ms(100);
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
}

void item_zombies(void) {
    pid_t ended = fork(), killed;
    if (ended == 0) _exit(7);
    killed = fork();
    if (killed == 0) for (;;) pause();
    kill(killed, SIGUSR1);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT) == 0 && waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT) == 0);
    wait_for_go();
    int status;
    CHECK(waitpid(ended, &status, 0) == ended && WEXITSTATUS(status) == 7);
    CHECK(waitpid(killed, &status, 0) == killed && WTERMSIG(status) == SIGUSR1);
}

static pid_t holder(void (*take)(int fd, int shared), const char *path, int fd) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        take(open(path, O_RDWR), fd);
        CHECK(write(ends[1], "x", 1) == 1);
        for (;;) pause();
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    return pid;
}
static void end(pid_t pid) {
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void take_flock(int fd, int shared) { CHECK(flock(fd, LOCK_EX) == 0 && flock(shared, LOCK_SH) == 0); }
void item_flocks(void) {
    int fd = file_with("/w/flock", "x"), other = file_with("/w/flock2", "x");
    pid_t pid = holder(take_flock, "/w/flock", other);
    wait_for_go();
    CHECK(flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    int fresh = open("/w/flock2", O_RDWR);
    CHECK(flock(fresh, LOCK_EX | LOCK_NB) == -1 && flock(fresh, LOCK_SH | LOCK_NB) == 0);
    end(pid);
    CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
}

static void lock_range(int fd, int command, short type, off_t from, off_t length) {
    struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = length };
    CHECK(fcntl(fd, command, &range) == 0);
}
static void take_ranges(int fd, int shared) {
    (void)shared;
    lock_range(fd, F_SETLK, F_WRLCK, 10, 5);
    lock_range(fd, F_SETLK, F_RDLCK, 100, 0);
}
void item_ranges(void) {
    int fd = file_with("/w/ranges", "x");
    pid_t pid = holder(take_ranges, "/w/ranges", fd);
    wait_for_go();
    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 50 };
    CHECK(fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type == F_WRLCK && probe.l_start == 10 && probe.l_len == 5 && probe.l_pid == pid);
    probe = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 200, .l_len = 1 };
    CHECK(fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type == F_RDLCK && probe.l_start == 100);
    end(pid);
    lock_range(fd, F_SETLK, F_WRLCK, 0, 0);
}
static void take_ofd(int fd, int shared) {
    (void)shared;
    lock_range(fd, F_OFD_SETLK, F_WRLCK, 3, 4);
}
void item_ofds(void) {
    int fd = file_with("/w/ofd", "x");
    pid_t pid = holder(take_ofd, "/w/ofd", fd);
    wait_for_go();
    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 50 };
    CHECK(fcntl(fd, F_OFD_GETLK, &probe) == 0 && probe.l_type == F_WRLCK && probe.l_start == 3 && probe.l_len == 4 && probe.l_pid == -1);
    end(pid);
}
void item_leases(void) {
    int fd = file_with("/w/lease", "x");
    close(fd);
    fd = open("/w/lease", O_RDONLY);
    CHECK(fcntl(fd, F_SETLEASE, F_RDLCK) == 0);
    wait_for_go();
    CHECK(fcntl(fd, F_GETLEASE) == F_RDLCK);
}
