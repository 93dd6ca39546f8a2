/* What shares memory with its parent until it execs. qemu user mode forks instead; there the runtime brings home what counts. */
#include "check.h"
#include <spawn.h>

extern char **environ;

static void handler(int number) { SHOW(number); }

int main(void) {
    char *none[] = { "x", NULL }, *shell[] = { "sh", "-c", "exit 5", NULL };
    pid_t child;
    int status;
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("%s\n", strerror(posix_spawn(&child, "/nowhere/x", NULL, NULL, none, environ)));
    SHOW(posix_spawn(&child, "/bin/sh", NULL, NULL, shell, environ));
    waitpid(child, &status, 0);
    printf("exit %d\n", WEXITSTATUS(status));
    volatile int shared = 1;
    child = vfork();
    if (child == 0) {
        shared = 2;
        signal(SIGUSR1, SIG_IGN); /* the child's own */
        _exit(0);
    }
    waitpid(child, &status, 0);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    printf("shared %d, action kept %d\n", shared, action.sa_handler == SIG_DFL);
    signal(SIGUSR1, handler);
    uint64_t arguments[11] = { 0x100000000ull, 0, 0, 0, SIGCHLD }; /* CLONE_CLEAR_SIGHAND */
    child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) {
        raise(SIGUSR1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("without handlers: signal %d\n", WTERMSIG(status));
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    printf("system %d\n", WEXITSTATUS(system("exit 7")));
    for (int i = 0; i < 16; i++) SHOW(i);
    return 0;
}
