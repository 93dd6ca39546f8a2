/* The first process of a moved tree: starts the jobs of /etc/jobs (a line each: its name, then its words, with tabs between)
 * in sessions of their own with output to /w/NAME.out, reaps everything, and writes how each job ended to /w/NAME.status.
 * It stays when they are gone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS = 128, WORDS = 64 };
static struct { char name[64]; pid_t pid; } jobs[JOBS];
static int count;

static void start(char *line) {
    char *words[WORDS + 1], path[128];
    int n = 0;
    for (char *word = strtok(line, "\t\n"); word && n < WORDS; word = strtok(NULL, "\t\n")) words[n++] = word;
    words[n] = NULL;
    if (n < 2 || count == JOBS) return;
    snprintf(jobs[count].name, sizeof jobs[count].name, "%s", words[0]);
    snprintf(path, sizeof path, "/w/%s.out", words[0]);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        int in = open("/dev/null", O_RDONLY), out = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(in, 0), dup2(out, 1), dup2(out, 2);
        close(in), close(out);
        execvp(words[1], words + 1);
        perror(words[1]);
        _exit(127);
    }
    jobs[count++].pid = pid;
}

int main(void) {
    static char line[65536];
    setsid();
    FILE *list = fopen("/etc/jobs", "re");
    while (list && fgets(line, sizeof line, list)) start(line);
    if (list) fclose(list);
    for (;;) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0) {
            sleep(1);
            continue;
        }
        for (int i = 0; i < count; i++) {
            if (jobs[i].pid != pid) continue;
            char path[128], text[32];
            snprintf(path, sizeof path, "/w/%s.status", jobs[i].name);
            int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            int length = snprintf(text, sizeof text, "%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            if (write(fd, text, (size_t)length) != length) perror(path);
            close(fd);
        }
    }
}
