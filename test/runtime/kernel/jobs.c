/* Job control on a pseudo-terminal as a shell does it, a changed root directory, and alternate signal stacks that are too small. */
#include "../check.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <termios.h>

static int terminal;
static volatile int seen;

static void note(int number) { seen = number; }

static pid_t start(void (*work)(void), int foreground) {
    int ready[2];
    char one;
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL), signal(SIGTTIN, SIG_DFL), signal(SIGTSTP, SIG_DFL);
        close(ready[0]), close(ready[1]);
        work();
        _exit(0);
    }
    close(ready[1]);
    read(ready[0], &one, 1);
    close(ready[0]);
    if (foreground) printf("foreground %d\n", tcsetpgrp(terminal, child));
    return child;
}

static void told(const char *what, pid_t child) {
    int status;
    pid_t got = waitpid(child, &status, WUNTRACED | WCONTINUED);
    printf("%s: %s", what, got == child ? "" : "nobody ");
    if (WIFEXITED(status)) printf("exit %d\n", WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    else if (WIFCONTINUED(status)) printf("continued\n");
    else printf("stopped by %d\n", WSTOPSIG(status));
}

static void read_terminal(void) {
    char text[20];
    ssize_t n = read(terminal, text, sizeof text);
    _exit(n > 0 ? text[0] : errno);
}

static void write_terminal(void) {
    struct termios modes;
    tcgetattr(terminal, &modes);
    modes.c_lflag |= TOSTOP;
    _exit(tcsetattr(terminal, TCSANOW, &modes) == 0 ? 4 : errno);
}

static void wait_forever(void) {
    for (;;) pause();
}

/* In a session of its own whose terminal is the pair's second half. */
static void control_jobs(int other) {
    setsid();
    printf("controlling %d\n", ioctl(terminal, TIOCSCTTY, 0));
    printf("session is ours %d, group is ours %d\n", tcgetsid(terminal) == getpid(), tcgetpgrp(terminal) == getpid());
    signal(SIGTTOU, SIG_IGN), signal(SIGTTIN, SIG_IGN), signal(SIGTSTP, SIG_IGN), signal(SIGCHLD, note);

    pid_t reader = start(read_terminal, 0);
    told("reads in the background", reader);
    printf("child seen %d\n", seen == SIGCHLD);
    tcsetpgrp(terminal, reader);
    kill(-reader, SIGCONT);
    told("goes on", reader);
    write(other, "x\n", 2);
    told("has read", reader);
    tcsetpgrp(terminal, getpid());

    pid_t writer = start(write_terminal, 0);
    told("sets modes in the background", writer);
    tcsetpgrp(terminal, writer);
    kill(-writer, SIGCONT);
    told("goes on", writer);
    told("has set them", writer);
    tcsetpgrp(terminal, getpid());

    pid_t waiter = start(wait_forever, 1);
    write(other, "\032", 1); /* ^Z */
    told("suspended by its key", waiter);
    kill(-waiter, SIGCONT);
    told("goes on", waiter);
    write(other, "\003", 1); /* ^C */
    told("interrupted by its key", waiter);
    tcsetpgrp(terminal, getpid());

    /* A group that nobody can continue any more is told by SIGHUP and SIGCONT. */
    int pipe_ends[2];
    char one;
    pipe(pipe_ends);
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        pid_t orphan = fork();
        if (orphan == 0) {
            signal(SIGHUP, note);
            raise(SIGSTOP);
            write(pipe_ends[1], seen == SIGHUP ? "h" : "-", 1);
            _exit(0);
        }
        int status;
        waitpid(orphan, &status, WUNTRACED);
        _exit(WIFSTOPPED(status) ? 3 : 9);
    }
    told("leader", leader);
    close(pipe_ends[1]);
    SHOW(read(pipe_ends[0], &one, 1));
    printf("orphan %c\n", one);
    struct winsize size = { 24, 80, 0, 0 };
    signal(SIGWINCH, note);
    printf("size %d\n", ioctl(other, TIOCSWINSZ, &size));
    printf("winch %d\n", seen == SIGWINCH);
}

static void change_root(void) {
    char path[100];
    int outside = open(".", O_RDONLY | O_DIRECTORY);
    mkdir("jail", 0755), mkdir("jail/inner", 0755);
    close(open("jail/inner/file", O_CREAT | O_WRONLY, 0644));
    printf("chroot %d\n", chroot("jail"));
    printf("outside %s, ", getcwd(path, sizeof path) ? "a path" : strerror(errno));
    SHOW(syscall(SYS_getcwd, path, sizeof path) > 0 && strncmp(path, "(unreachable)", 13) == 0);
    chdir("/inner");
    printf("inside %s\n", getcwd(path, sizeof path));
    SHOW(access("/inner/file", F_OK));
    SHOW(access("/../../inner/file", F_OK));
    SHOW(access("/proc/self/exe", F_OK));
    char *none[] = { "x", NULL };
    SHOW(execve("/bin/sh", none, none));
    fchdir(outside);
    SHOW(access("jail/inner/file", F_OK));
    SHOW(chroot("."));
    SHOW(access("/jail", F_OK));
}

static void deep(int number) {
    volatile char room[3000];
    room[0] = (char)number;
    seen = number + room[0];
}

/* A frame does not fit on a stack of the least size where the CPU has large registers; more of it there is than a kernel asks for. */
static void small_stacks(void) {
    static char memory[1 << 16];
    stack_t stack = { .ss_sp = memory, .ss_size = 2047 };
    SHOW(sigaltstack(&stack, NULL));
    stack.ss_size = sizeof memory, stack.ss_flags = 99;
    SHOW(sigaltstack(&stack, NULL));
    stack.ss_flags = 0;
    SHOW(sigaltstack(&stack, NULL));
    struct sigaction action = { .sa_handler = deep, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    SHOW(seen);
    /* Below it there is nothing. */
    char *end = mmap(NULL, 3 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(end + (1 << 16), 1 << 16, PROT_READ | PROT_WRITE);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        stack.ss_sp = end + (1 << 16) - (1 << 15), stack.ss_size = (1 << 15) + 64;
        sigaltstack(&stack, NULL);
        raise(SIGUSR1);
        _exit(seen);
    }
    told("no room for a frame", child);
}

int main(void) {
    int other, status;
    setvbuf(stdout, NULL, _IONBF, 0);
    small_stacks();
    pid_t child = fork();
    if (child == 0) {
        change_root();
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%x\n", status);
    SHOW(openpty(&other, &terminal, NULL, NULL, NULL));
    child = fork();
    if (child == 0) {
        control_jobs(other);
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%x\n", status);
    return 0;
}
