/* System calls that wait: each is begun where a move may find it, and must give what it would have given. */
#include "moves.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

/* No handler is installed: nothing here may fail with EINTR, and no wait may end early. */
void round_sleep(int round) {
    double begin = seconds_now();
    struct timespec t = { 0, 120000000 }, rest;
    switch (round % 4) {
    case 0: CHECK(nanosleep(&t, NULL) == 0); break;
    case 1: CHECK(nanosleep(&t, &rest) == 0); break;
    case 2: CHECK(clock_nanosleep(CLOCK_REALTIME, 0, &t, &rest) == 0); break;
    case 3:
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 120000000;
        if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
        CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    }
    CHECK(seconds_now() - begin > 0.119);
    note((uint64_t)round);
}

void round_poll(int round) {
    static int pipes[2] = { -1, -1 }, poller, timer;
    if (pipes[0] < 0) {
        CHECK(pipe(pipes) == 0);
        poller = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
        struct epoll_event interest = { EPOLLIN, { .u64 = 0xfedcba9876543210ull } };
        CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, pipes[0], &interest) == 0);
        interest.data.u64 = 0x0123456789abcdefull;
        CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, timer, &interest) == 0);
    }
    double begin = seconds_now();
    struct pollfd one = { pipes[0], POLLIN, 0 };
    struct timespec t = { 0, 80000000 };
    struct timeval v = { 0, 80000 };
    struct epoll_event happened[4];
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    uint64_t count;
    switch (round % 8) {
    case 0: CHECK(poll(&one, 1, 80) == 0); break;
    case 1: CHECK(ppoll(&one, 1, &t, NULL) == 0); break;
    case 2: CHECK(select(pipes[0] + 1, &set, NULL, NULL, &v) == 0); break;
    case 3: CHECK(pselect(pipes[0] + 1, &set, NULL, NULL, &t, NULL) == 0); break;
    case 4: CHECK(epoll_wait(poller, happened, 4, 80) == 0); break;
    case 5: {
        struct itimerspec once = { { 0, 0 }, { 0, 80000000 } };
        CHECK(timerfd_settime(timer, 0, &once, NULL) == 0);
        CHECK(epoll_wait(poller, happened, 4, -1) == 1 && happened[0].data.u64 == 0x0123456789abcdefull);
        CHECK(read(timer, &count, 8) == 8 && count == 1);
        break;
    }
    case 6: {
        struct itimerspec once = { { 0, 0 }, { 0, 80000000 } };
        CHECK(timerfd_settime(timer, 0, &once, NULL) == 0);
        CHECK(read(timer, &count, 8) == 8 && count == 1);
        break;
    }
    case 7:
        CHECK(write(pipes[1], "x", 1) == 1 && epoll_wait(poller, happened, 4, -1) == 1);
        CHECK(happened[0].data.u64 == 0xfedcba9876543210ull && read(pipes[0], &count, 1) == 1);
        begin -= 1;
    }
    CHECK(seconds_now() - begin > 0.079);
    note((uint64_t)round);
}

/* Runs `child` in another process with an end of a channel; the parent checks what comes. */
static pid_t partner(int fd, int other, int round, void (*child)(int fd, int round)) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(other);
        child(fd, round);
        _exit(0);
    }
    close(fd);
    return pid;
}

static void send_numbers(int fd, int round) {
    uint64_t seed = seed_of(round);
    for (int i = 0; i < 40; i++) {
        uint64_t block[64];
        for (int k = 0; k < 64; k++) block[k] = draw(&seed);
        for (size_t done = 0; done < sizeof block;) {
            ssize_t n = write(fd, (char *)block + done, sizeof block - done);
            CHECK(n > 0);
            done += (size_t)n;
        }
        if (i % 8 == 0) pause_ms(15);
    }
}

static void take_numbers(int fd, int round, pid_t pid) {
    uint64_t seed = seed_of(round), block[64], got = 0;
    for (;;) {
        size_t done = 0;
        while (done < sizeof block) {
            ssize_t n = read(fd, (char *)block + done, sizeof block - done);
            CHECK(n >= 0);
            if (n == 0) break;
            done += (size_t)n;
        }
        if (done == 0) break;
        CHECK(done == sizeof block);
        for (int k = 0; k < 64; k++) CHECK(block[k] == draw(&seed));
        got++;
        if (got == 20) pause_ms(30); /* the channel fills up */
    }
    CHECK(got == 40);
    close(fd);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    note(got);
}

void round_pipes(int round) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    if (round % 2) fcntl(ends[0], F_SETPIPE_SZ, 4096);
    take_numbers(ends[0], round, partner(ends[1], ends[0], round, send_numbers));
}

static int listener(int family, struct sockaddr_storage *address, socklen_t *size) {
    int fd = socket(family, SOCK_STREAM, 0);
    memset(address, 0, sizeof *address);
    address->ss_family = (sa_family_t)family;
    *size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET) ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else ((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
    CHECK(bind(fd, (struct sockaddr *)address, *size) == 0 && listen(fd, 4) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, size) == 0);
    return fd;
}

static struct sockaddr_storage connect_address;
static socklen_t connect_size;
static void send_by_tcp(int fd, int round) {
    (void)fd;
    pause_ms(20); /* the other side waits in accept */
    int to = socket(connect_address.ss_family, SOCK_STREAM, 0);
    CHECK(connect(to, (struct sockaddr *)&connect_address, connect_size) == 0);
    send_numbers(to, round);
    close(to);
}

void round_sockets(int round) {
    int ends[2];
    if (round % 3 == 0) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        take_numbers(ends[0], round, partner(ends[1], ends[0], round, send_numbers));
        return;
    }
    static int listeners[2] = { -1, -1 };
    static struct sockaddr_storage addresses[2];
    static socklen_t sizes[2];
    int which = round % 3 - 1;
    if (listeners[which] < 0) listeners[which] = listener(which ? AF_INET6 : AF_INET, &addresses[which], &sizes[which]);
    connect_address = addresses[which], connect_size = sizes[which];
    CHECK(pipe(ends) == 0);
    pid_t pid = partner(ends[1], ends[0], round, send_by_tcp);
    close(ends[0]);
    int fd = accept(listeners[which], NULL, NULL);
    CHECK(fd >= 0);
    take_numbers(fd, round, pid);
}

static long futex(int *word, int operation, int value, const struct timespec *limit) {
    return syscall(SYS_futex, word, operation, value, limit, NULL, FUTEX_BITSET_MATCH_ANY);
}

void round_futex(int round) {
    static int *word;
    if (!word) word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec t = { 0, 70000000 };
    double begin = seconds_now();
    *word = round;
    switch (round % 3) {
    case 0: CHECK(futex(word, FUTEX_WAIT, round, &t) == -1 && errno == ETIMEDOUT); break;
    case 1:
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 70000000;
        if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
        CHECK(futex(word, FUTEX_WAIT_BITSET, round, &t) == -1 && errno == ETIMEDOUT);
        break;
    case 2: {
        pid_t pid = fork();
        if (pid == 0) {
            pause_ms(70);
            __atomic_store_n(word, -1, __ATOMIC_SEQ_CST);
            futex(word, FUTEX_WAKE, 1, NULL);
            _exit(0);
        }
        while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != -1) {
            long result = futex(word, FUTEX_WAIT, round, NULL);
            CHECK(result == 0 || errno == EAGAIN);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    }
    CHECK(seconds_now() - begin > 0.069);
    note((uint64_t)round);
}

void round_ipc(int round) {
    static int semaphores, queue, memory;
    static volatile uint64_t *shared;
    if (!shared) {
        semaphores = semget(IPC_PRIVATE, 2, 0600), queue = msgget(IPC_PRIVATE, 0600), memory = shmget(IPC_PRIVATE, 8192, 0600);
        CHECK(semaphores >= 0 && queue >= 0 && memory >= 0);
        shared = shmat(memory, NULL, 0);
        CHECK(shared != (void *)-1);
    }
    struct { long type; uint64_t body[4]; } letter;
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(25);
        shared[0] = seed_of(round);
        struct sembuf up = { 0, 1, 0 };
        CHECK(semop(semaphores, &up, 1) == 0);
        pause_ms(25);
        letter.type = 5, letter.body[0] = letter.body[3] = seed_of(round) + 1;
        CHECK(msgsnd(queue, &letter, sizeof letter.body, 0) == 0);
        _exit(0);
    }
    struct sembuf down = { 0, -1, 0 };
    CHECK(semop(semaphores, &down, 1) == 0 && shared[0] == seed_of(round));
    CHECK(msgrcv(queue, &letter, sizeof letter.body, 5, 0) == sizeof letter.body && letter.body[3] == seed_of(round) + 1);
    CHECK(waitpid(pid, NULL, 0) == pid);
    note(shared[0]);
}

/* A lock that another process holds for a while. */
void round_locks(int round) {
    char path[] = "/tmp/lock";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), ends[2];
    CHECK(fd >= 0 && pipe(ends) == 0);
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    pid_t pid = fork();
    if (pid == 0) {
        int own = open(path, O_RDWR);
        CHECK(round % 3 == 0 ? flock(own, LOCK_EX) == 0 : fcntl(own, round % 3 == 1 ? F_SETLK : F_OFD_SETLK, &whole) == 0);
        CHECK(write(ends[1], "x", 1) == 1);
        pause_ms(60);
        _exit(0);
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK(round % 3 == 0 ? flock(fd, LOCK_EX) == 0 : fcntl(fd, round % 3 == 1 ? F_SETLKW : F_OFD_SETLKW, &whole) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(fd), close(ends[0]), close(ends[1]);
    note((uint64_t)round);
}

/* The vdso's calls: time never goes back, and the clocks agree with each other. */
void round_clock(int round) {
    static struct timespec last;
    for (int i = 0; i < 3000; i++) {
        struct timespec now, real;
        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && clock_gettime(CLOCK_REALTIME, &real) == 0);
        CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
        CHECK(last.tv_sec == 0 || now.tv_sec - last.tv_sec < 300);
        CHECK(real.tv_sec > 1600000000);
        last = now;
    }
    pause_ms(5);
    note((uint64_t)round);
}
