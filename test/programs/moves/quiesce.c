/* For the foreign node: `quiesce PID MILLISECONDS` asks the process and all its descendants to quiesce and waits until
 * every thread is parked; it prints a line for each process: pid, threads, microseconds from the first request until it
 * was found parked, and the microseconds of CPU time that each of its threads took meanwhile. `quiesce --resume PID` lets
 * them go on. What it must know of the runtime's state is given when it is compiled (-D). */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 1024, THREADS = 64 };
struct task { int tid; uint64_t before, after; };
static struct process { int pid, parked, tasks; uint64_t signalled, parked_at; char name[20]; struct task task[THREADS]; } list[PROCESSES];
static int count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static int read_text(const char *path, char *text, int size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int n = (int)read(fd, text, (size_t)size - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    return n;
}

/* State, parent and name of a process; 0 when it has ended. */
static char look(int pid, int *parent, char *name) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    char *open = strchr(text, '('), *close = strrchr(text, ')'), state = 0;
    if (!open || !close || sscanf(close + 1, " %c %d", &state, parent) != 2) return 0;
    *close = 0;
    if (name) snprintf(name, 20, "%s", open + 1);
    return state == 'Z' || state == 'X' ? 0 : state;
}

static uint64_t cpu_time(int pid, int tid) {
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
    return read_text(path, text, sizeof text) > 0 ? strtoull(text, NULL, 10) / 1000 : 0;
}

static struct process *known(int pid) {
    for (int i = 0; i < count; i++) if (list[i].pid == pid) return &list[i];
    return NULL;
}

static int state_file(int pid, int flags) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    return open(path, flags | O_CLOEXEC);
}

static int is_parked(int pid, int *quiesce) {
    union { uint32_t words[PARKED_OFFSET / 4 + 1]; uint64_t magic; } state;
    int fd = state_file(pid, O_RDONLY);
    if (fd < 0) return 0;
    int whole = pread(fd, &state, sizeof state, (off_t)STATE_ADDRESS) == sizeof state;
    close(fd);
    if (!whole || state.magic != PROC_MAGIC) return 0;
    *quiesce = (int)state.words[QUIESCE_OFFSET / 4];
    return *quiesce && state.words[PARKED_OFFSET / 4] == state.words[THREADS_OFFSET / 4];
}

static void note_tasks(struct process *p, int first) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", p->pid);
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int tid = atoi(entry->d_name), i = 0;
        if (tid <= 0) continue;
        while (i < p->tasks && p->task[i].tid != tid) i++;
        if (i == THREADS) continue;
        if (i == p->tasks) p->task[p->tasks++] = (struct task){ tid, first ? cpu_time(p->pid, tid) : 0, 0 };
        if (!first) p->task[i].after = cpu_time(p->pid, tid);
    }
    if (dir) closedir(dir);
}

/* Finds the tree below `root`; gives how many processes there are. */
static int scan(int root, int *pids) {
    static struct { int pid, parent; } all[8192];
    int n = 0, found = 0;
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(dir)) && n < 8192) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && look(pid, &all[n].parent, NULL)) all[n++].pid = pid;
    }
    closedir(dir);
    for (int i = 0; i < n; i++) if (all[i].pid == root) pids[found++] = root;
    for (int at = 0; at < found; at++)
        for (int i = 0; i < n && found < PROCESSES; i++) if (all[i].parent == pids[at]) pids[found++] = all[i].pid;
    return found;
}

/* A process that a signal has stopped: the runtime's tool lets it park. */
static void park_stopped(int pid) {
    char digits[16];
    snprintf(digits, sizeof digits, "%d", pid);
    pid_t tool = fork();
    if (tool == 0) {
        execl(RUNTIME, RUNTIME, PARK_STOPPED, digits, "20000", NULL);
        _exit(127);
    }
    waitpid(tool, NULL, 0);
}

/* Waits until all that were asked are parked or gone. Gives one that is not when it is too late, else 0. */
static int watch(uint64_t end) {
    for (;;) {
        int waiting = 0, parent, quiesce;
        for (int i = 0; i < count; i++) {
            struct process *p = &list[i];
            quiesce = 0;
            if (is_parked(p->pid, &quiesce)) {
                if (!p->parked) p->parked_at = now(), note_tasks(p, 0), p->parked = 1;
                continue;
            }
            char state = look(p->pid, &parent, NULL);
            if (!state) continue;
            p->parked = 0, waiting = p->pid;
            if (state == 'T') park_stopped(p->pid);
            /* An execve forgets the request. */
            if (!quiesce && now() - p->signalled > 100000) p->signalled = now(), kill(p->pid, QUIESCE_SIGNAL);
        }
        if (!waiting || now() > end) return waiting;
        usleep(300);
    }
}

int main(int argc, char **argv) {
    static int pids[PROCESSES];
    if (argc < 3) return 2;
    if (strcmp(argv[1], "--resume") == 0) {
        int n = scan(atoi(argv[2]), pids);
        for (int i = 0; i < n; i++) {
            uint32_t none = 0;
            int fd = state_file(pids[i], O_RDWR);
            if (pwrite(fd, &none, 4, (off_t)(STATE_ADDRESS + QUIESCE_OFFSET)) != 4) perror("resume");
            close(fd);
        }
        return 0;
    }
    int root = atoi(argv[1]), before = -1;
    uint64_t end = now() + strtoull(argv[2], NULL, 10) * 1000;
    for (;;) {
        /* Who is new is asked; then all that were asked are watched, without looking around again. */
        int n = scan(root, pids), fresh = 0;
        for (int i = 0; i < n; i++) {
            int parent, quiesce;
            if (known(pids[i]) || count == PROCESSES) continue;
            if (is_parked(pids[i], &quiesce) && before >= 0) continue; /* inherited from its parent */
            struct process *p = &list[count++];
            p->pid = pids[i], look(pids[i], &parent, p->name);
            fresh++;
        }
        for (int i = count - fresh; i < count; i++) {
            /* What a thread ran before it was asked does not count: reading of it takes long where processors are emulated. */
            note_tasks(&list[i], 1);
            list[i].signalled = now(), kill(list[i].pid, QUIESCE_SIGNAL);
        }
        int waiting = watch(end);
        if (waiting > 0) {
            printf("timeout: process %d does not park\n", waiting);
            return 1;
        }
        if (!fresh && n == before) break;
        before = n;
    }
    for (int i = 0; i < count; i++) {
        struct process *p = &list[i];
        printf("%d %s %d %lld", p->pid, p->name, p->tasks, p->parked ? (long long)(p->parked_at - p->signalled) : -1LL);
        for (int t = 0; t < p->tasks; t++) printf(" %lld", p->task[t].after ? (long long)(p->task[t].after - p->task[t].before) : -1LL);
        printf("\n");
    }
    return 0;
}
