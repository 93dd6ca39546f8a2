/* Programs that are executed by a descriptor, removed ones, scripts by a descriptor, and what such a program sees. */
#include "../check.h"
#include <sys/mman.h>
#include <sys/stat.h>

extern char **environ;

static int copy_to(int to, const char *path) {
    char bytes[65536];
    int from = open(path, O_RDONLY);
    long count;
    while ((count = read(from, bytes, sizeof bytes)) > 0) write(to, bytes, count);
    close(from);
    return to;
}

static void run(const char *what, int fd, const char *path, int flags, char *argument) {
    char *arguments[] = { "name", argument, NULL };
    printf("%s: ", what);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execveat(fd, path, arguments, environ, flags);
        printf("%s\n", strerror(errno));
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status) printf("status %x\n", status);
}

static int see(const char *what) {
    char link[256] = "";
    readlink("/proc/self/exe", link, sizeof link - 1);
    int first = dup(0);
    printf("%s sees %s, first free %d\n", what, strrchr(link, '/'), first);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2) return see(argv[1]);
    int memory = syscall(SYS_memfd_create, "program", 0), closing = syscall(SYS_memfd_create, "program", 1);
    copy_to(memory, "/proc/self/exe");
    copy_to(closing, "/proc/self/exe");
    run("memory", memory, "", AT_EMPTY_PATH, "memory");
    run("memory that closes", closing, "", AT_EMPTY_PATH, "closing");
    run("memory by /proc", AT_FDCWD, "/proc/self/fd/3", 0, "proc");
    close(copy_to(open("removed", O_CREAT | O_WRONLY, 0755), "/proc/self/exe"));
    int removed = open("removed", O_RDONLY | O_CLOEXEC), directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    run("in a directory", directory, "removed", 0, "there");
    symlink("removed", "link");
    run("by a link", directory, "link", 0, "link");
    run("by a link, not followed", directory, "link", AT_SYMLINK_NOFOLLOW, "link");
    unlink("removed");
    run("removed", removed, "", AT_EMPTY_PATH, "removed");
    run("not there", directory, "removed", 0, "x");
    run("no directory", memory, "removed", 0, "x");
    run("no descriptor", 99, "", AT_EMPTY_PATH, "x");
    run("nothing", directory, "", 0, "x");
    run("a directory", directory, "", AT_EMPTY_PATH, "x");
    run("flags", directory, "x", 0x4000, "x");
    int script = syscall(SYS_memfd_create, "script", 0);
    write(script, "#!/bin/sh\necho script $# $1\n", 28);
    run("script", script, "", AT_EMPTY_PATH, "argument");
    fcntl(script, F_SETFD, FD_CLOEXEC);
    run("script that closes", script, "", AT_EMPTY_PATH, "argument");
    return 0;
}
