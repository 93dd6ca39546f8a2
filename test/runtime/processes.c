/* Processes, execve, threads, sockets, and what the machine says about itself. */
#include "check.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>

static __thread int mine = 5;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sum;

static void *work(void *argument) {
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&lock);
        sum += (long)argument;
        pthread_mutex_unlock(&lock);
    }
    mine += (int)(long)argument;
    return (void *)(long)mine;
}

static volatile sig_atomic_t got;
static void note(int number) { got = number; }
static void *sleeper(void *argument) {
    (void)argument;
    while (!got) usleep(1000);
    return NULL;
}

static void threads(void) {
    pthread_t threads[4];
    void *result;
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        printf("thread %d: %ld\n", i, (long)result);
    }
    printf("sum %ld mine %d\n", sum, mine);
    signal(SIGUSR1, note);
    pthread_create(&threads[0], NULL, sleeper, NULL);
    pthread_kill(threads[0], SIGUSR1);
    SHOW(pthread_join(threads[0], NULL));
    for (int i = 0; i < 20; i++) {
        pthread_create(&threads[0], NULL, work, (void *)1);
        pthread_join(threads[0], NULL);
    }
    printf("sum %ld\n", sum);
}

static int run(const char *path, char *const argv[], char *const envp[]) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        execve(path, argv, envp);
        printf("execve: %s\n", strerror(errno));
        _exit(99);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void write_file(const char *name, const char *text, int mode) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);
    write(fd, text, strlen(text));
    close(fd);
}

static void programs(const char *self) {
    char *arguments[] = { "zero", "child", "two words", NULL }, *environment[] = { "A=1", "B=two", NULL };
    SHOW(run(self, arguments, environment));
    SHOW(run("/proc/self/exe", arguments, environment));
    SHOW(run("nothing", arguments, environment));
    SHOW(run("/etc/passwd", arguments, environment));
    SHOW(run("/tmp", arguments, environment));
    SHOW(run("/etc/passwd/x", arguments, environment));
    SHOW(run("", arguments, environment));
    char line[600];
    snprintf(line, sizeof line, "#!%s child   \nrest\n", self);
    write_file("script1", line, 0755);
    SHOW(run("./script1", arguments, environment));
    write_file("script2", "#! ./script1 more words\n", 0755);
    SHOW(run("./script2", arguments, environment));
    write_file("script3", "#!/nowhere\n", 0755);
    SHOW(run("./script3", arguments, environment));
    write_file("script4", "#!./script4\n", 0755);
    SHOW(run("./script4", arguments, environment));
    write_file("script5", "echo no\n", 0755);
    SHOW(run("./script5", arguments, environment));
    write_file("empty", "", 0755);
    SHOW(run("./empty", arguments, environment));
    write_file("cut", "\177ELF", 0755);
    SHOW(run("./cut", arguments, environment));
    signal(SIGUSR2, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    SHOW(run(self, arguments, environment));
    for (int i = 1; i <= 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "script%d", i);
        unlink(name);
    }
    unlink("empty"), unlink("cut");
}

static int child_program(int argc, char **argv, char **envp) {
    for (int i = 0; i < argc; i++) printf("argv[%d] %s\n", i, i == 0 && argv[0][0] == '/' ? "(path)" : argv[i]);
    int count = 0;
    for (; *envp; envp++) count++;
    printf("environment %d A=%s B=%s\n", count, getenv("A"), getenv("B"));
    struct sigaction action;
    sigaction(SIGUSR2, NULL, &action);
    printf("usr2 ignored %d ", action.sa_handler == SIG_IGN);
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    printf("mask %lx\n", *(unsigned long *)&set);
    char comm[17] = "";
    prctl(PR_GET_NAME, comm);
    printf("comm %s platform %s execfn %d secure %ld base %d pagesize %ld clktck %ld\n", comm, (char *)getauxval(AT_PLATFORM),
           getauxval(AT_EXECFN) != 0, getauxval(AT_SECURE), getauxval(AT_BASE) != 0, getauxval(AT_PAGESZ), getauxval(AT_CLKTCK));
    return 17;
}

static void machine(void) {
    struct utsname name;
    uname(&name);
    printf("%s %s\n", name.sysname, name.machine);
    SHOW(prctl(PR_SET_NAME, "renamed"));
    char comm[17] = "";
    prctl(PR_GET_NAME, comm);
    puts(comm);
    struct rlimit limit;
    SHOW(getrlimit(RLIMIT_NOFILE, &limit));
    SHOW(syscall(SYS_getpgrp) == getpgid(0));
    SHOW(syscall(SYS_alarm, 10));
    SHOW(syscall(SYS_alarm, 0));
    SHOW(syscall(SYS_time, NULL) - time(NULL) < 2);
    SHOW(syscall(SYS_arch_prctl, 0x3001, 0));
    unsigned long fs = 0;
    SHOW(syscall(SYS_arch_prctl, 0x1003, &fs));
    printf("fs %d\n", fs == *(unsigned long *)fs);
    SHOW(syscall(999));
    SHOW(syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED, NULL));
    SHOW(getppid() > 0);
    SHOW(sched_getcpu() >= 0);
}

static void sockets(void) {
    int pair[2], ends[2];
    char text[32] = "", control[64];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pipe(ends);
    struct iovec part = { "fd", 2 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int)) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
    SHOW(sendmsg(pair[0], &message, 0));
    part = (struct iovec){ text, 31 };
    SHOW(recvmsg(pair[1], &message, 0));
    int passed;
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof passed);
    write(passed, "through", 7);
    SHOW(read(ends[0], text, 31));
    puts(text);
    int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    SHOW(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(server, (struct sockaddr *)&address, length));
    SHOW(listen(server, 1));
    SHOW(getsockname(server, (struct sockaddr *)&address, &length));
    if (fork() == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        connect(client, (struct sockaddr *)&address, length);
        write(client, "over tcp", 9);
        _exit(0);
    }
    int accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    SHOW(read(accepted, text, 31));
    puts(text);
    wait(NULL);
}

static void families(void) {
    int status;
    pid_t child = vfork();
    if (child == 0) _exit(21);
    waitpid(child, &status, 0);
    printf("vfork %d\n", WEXITSTATUS(status));
    child = syscall(SYS_fork);
    if (child == 0) {
        if (syscall(SYS_fork) == 0) _exit(2);
        wait(&status);
        _exit(10 + WEXITSTATUS(status));
    }
    waitpid(child, &status, 0);
    printf("nested %d\n", WEXITSTATUS(status));
    struct rusage usage;
    child = fork();
    if (child == 0) _exit(0);
    SHOW(wait4(child, &status, 0, &usage) == child);
    siginfo_t info = { 0 };
    child = fork();
    if (child == 0) _exit(33);
    SHOW(waitid(P_PID, child, &info, WEXITED));
    printf("waitid %d %d %d\n", info.si_code, info.si_status, info.si_pid == child);
    SHOW(WEXITSTATUS(system("exit 6")));
}

int main(int argc, char **argv, char **envp) {
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], "child")) return child_program(argc, argv, envp);
    char self[500] = "";
    readlink("/proc/self/exe", self, sizeof self - 1);
    families();
    machine();
    sockets();
    threads();
    programs(self);
    return 0;
}
