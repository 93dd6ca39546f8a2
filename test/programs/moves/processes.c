/* Processes and threads that come and go: inside fork, between fork and exec, at a program's start, in its loader. */
#include "moves.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

extern char **environ;

void round_forks(int round) {
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            uint64_t seed = seed_of(round + i), sum = 0;
            for (int k = 0; k < 3000; k++) sum += draw(&seed);
            pid_t inner = i % 2 ? fork() : -1;
            if (inner == 0) _exit((int)(sum & 0x3f));
            int status = 0;
            if (inner > 0) CHECK(waitpid(inner, &status, 0) == inner && WEXITSTATUS(status) == (int)(sum & 0x3f));
            _exit((int)(sum >> 8 & 0x7f));
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status));
        note((uint64_t)WEXITSTATUS(status));
    }
}

/* Reads what a child prints; it must end with this status. */
static void expect_child(pid_t pid, int fd, int number) {
    char text[64], want[64];
    size_t done = 0;
    ssize_t n;
    while ((n = read(fd, text + done, sizeof text - 1 - done)) > 0) done += (size_t)n;
    CHECK(n == 0);
    text[done] = 0;
    snprintf(want, sizeof want, "child %d\n", number);
    CHECK(strcmp(text, want) == 0);
    close(fd);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == (number & 0x7f));
    note((uint64_t)number);
}

static pid_t start_child(int number, int out, int how) {
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    char *words[] = { (char *)"moves", (char *)"--child", text, NULL };
    pid_t pid;
    if (how == 2) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out, 1);
        CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, words, environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
    }
    pid = how ? vfork() : fork();
    if (pid == 0) {
        dup2(out, 1);
        execv("/proc/self/exe", words);
        _exit(126);
    }
    CHECK(pid > 0);
    return pid;
}

static void run_children(int round, int how, int count) {
    for (int i = 0; i < count; i++) {
        int ends[2], number = round * count + i;
        CHECK(pipe2(ends, O_CLOEXEC) == 0);
        pid_t pid = start_child(number, ends[1], how);
        close(ends[1]);
        expect_child(pid, ends[0], number);
    }
}

void round_execs(int round) { run_children(round, 0, 2); }
void round_vforks(int round) { run_children(round, 1 + round % 2, 2); }

/* Threads that compute, sum up under a mutex and meet at a barrier. */
enum { WORKERS = 4 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static uint64_t total;
static int round_of_threads;
static __thread uint64_t own;

static void *work(void *argument) {
    uint64_t seed = seed_of(round_of_threads + (int)(intptr_t)argument * 7);
    for (int pass = 0; pass < 20; pass++) {
        own = 0;
        for (int i = 0; i < 300; i++) own += draw(&seed);
        pthread_mutex_lock(&mutex);
        total += own;
        pthread_mutex_unlock(&mutex);
        if (pass % 10 == 0) pthread_barrier_wait(&barrier);
    }
    return NULL;
}

void round_threads(int round) {
    pthread_t threads[WORKERS];
    round_of_threads = round;
    total = 0;
    pthread_barrier_init(&barrier, NULL, WORKERS);
    for (intptr_t i = 0; i < WORKERS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&barrier);
    uint64_t want = 0;
    for (int t = 0; t < WORKERS; t++) {
        uint64_t seed = seed_of(round + t * 7);
        for (int i = 0; i < 20 * 300; i++) want += draw(&seed);
    }
    CHECK(total == want);
    note(total);
}

/* Two threads hand a number to each other by condition variables; the third's timed wait never comes true. */
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER, never = PTHREAD_COND_INITIALIZER;
static int turn, passes;
static void *player(void *argument) {
    int mine = (int)(intptr_t)argument;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != mine) pthread_cond_wait(&turn_changed, &mutex);
        turn = 1 - mine;
        passes++;
        pthread_cond_broadcast(&turn_changed);
        pthread_mutex_unlock(&mutex);
        if (i % 20 == 0) pause_ms(2);
    }
    return NULL;
}
static void *timed_waiter(void *argument) {
    (void)argument;
    struct timespec until;
    double begin = seconds_now();
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 60000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&mutex);
    int result;
    do result = pthread_cond_timedwait(&never, &mutex, &until); while (result == 0);
    pthread_mutex_unlock(&mutex);
    CHECK(result == ETIMEDOUT && seconds_now() - begin > 0.04);
    return NULL;
}
void round_conditions(int round) {
    pthread_t threads[3];
    turn = passes = 0;
    CHECK(pthread_create(&threads[0], NULL, player, (void *)0) == 0 && pthread_create(&threads[1], NULL, player, (void *)1) == 0);
    CHECK(pthread_create(&threads[2], NULL, timed_waiter, NULL) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(passes == 100);
    note((uint64_t)round);
}

/* Threads that end as soon as they began, and one that is cancelled in a read. */
static void *brief(void *argument) { return (void *)((intptr_t)argument * 3); }
static void *reader(void *argument) {
    char byte;
    return (void *)read(*(int *)argument, &byte, 1);
}
void round_short_threads(int round) {
    for (intptr_t i = 0; i < 12; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, brief, (void *)i) == 0 && pthread_join(thread, &result) == 0);
        CHECK((intptr_t)result == i * 3);
    }
    int ends[2];
    pthread_t thread;
    void *result;
    CHECK(pipe(ends) == 0 && pthread_create(&thread, NULL, reader, &ends[0]) == 0);
    pause_ms(10);
    CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    close(ends[0]), close(ends[1]);
    note((uint64_t)round);
}

/* One thread begins others all the time, beside many that stand: where it arrives, it is often the first that runs. */
static int doors[2];
void round_crowds(int round) {
    enum { STANDING = 24 };
    static pthread_t standing[STANDING];
    if (doors[0] == doors[1]) {
        CHECK(pipe(doors) == 0);
        for (int i = 0; i < STANDING; i++) CHECK(pthread_create(&standing[i], NULL, reader, &doors[0]) == 0);
    }
    for (intptr_t i = 0; i < 6; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, brief, (void *)i) == 0 && pthread_join(thread, &result) == 0);
        CHECK((intptr_t)result == i * 3);
    }
    for (int i = 0; i < STANDING; i++) CHECK(pthread_tryjoin_np(standing[i], NULL) == EBUSY);
    note((uint64_t)round);
}

/* A server's shape: threads wait in epoll_wait for work that the main thread hands out by eventfds. */
static int poller, answers[2];
static void *serve(void *argument) {
    (void)argument;
    for (;;) {
        struct epoll_event happened;
        int n = epoll_wait(poller, &happened, 1, -1);
        CHECK(n == 1);
        uint64_t count;
        CHECK(read((int)(happened.data.u64 >> 32), &count, 8) == 8);
        if (count == 1000000) return NULL;
        uint64_t answer = count * 3 + (happened.data.u64 & 0xffffffff);
        CHECK(write(answers[1], &answer, 8) == 8);
    }
}
void round_epoll_threads(int round) {
    pthread_t threads[3];
    int events[3];
    poller = epoll_create1(EPOLL_CLOEXEC);
    CHECK(poller >= 0 && pipe(answers) == 0);
    for (int i = 0; i < 3; i++) {
        events[i] = eventfd(0, 0);
        struct epoll_event interest = { EPOLLIN | EPOLLET | EPOLLONESHOT, { .u64 = (uint64_t)events[i] << 32 | (unsigned)i } };
        CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, events[i], &interest) == 0);
        CHECK(pthread_create(&threads[i], NULL, serve, NULL) == 0);
    }
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= 12; i++) {
        int which = (int)(i % 3);
        uint64_t answer;
        CHECK(write(events[which], &i, 8) == 8);
        CHECK(read(answers[0], &answer, 8) == 8 && answer == i * 3 + (unsigned)which);
        sum += answer;
        struct epoll_event interest = { EPOLLIN | EPOLLET | EPOLLONESHOT, { .u64 = (uint64_t)events[which] << 32 | (unsigned)which } };
        CHECK(epoll_ctl(poller, EPOLL_CTL_MOD, events[which], &interest) == 0);
        if (i % 4 == 0) pause_ms(5);
    }
    uint64_t stop = 1000000;
    for (int i = 0; i < 3; i++) CHECK(write(events[i], &stop, 8) == 8);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 3; i++) close(events[i]);
    close(poller), close(answers[0]), close(answers[1]);
    note(sum + (uint64_t)round);
}
