/* What /proc shows a program of itself: the same shape at home and abroad. */
#include "../check.h"
#include <sys/stat.h>

extern char **environ;

static void maps(const char *path) {
    char line[8192], other[8192], mode[8], name[4096], first[4096] = "";
    unsigned long start, end, low = ~0ul, high = 0;
    int lines = 0, stack = 0, outside = 0, ours = 0;
    unsigned long here = (unsigned long)&maps, here_end = 0;
    FILE *file = fopen(path, "r");
    if (!file) { SHOW(-1); return; }
    while (fgets(line, sizeof line, file)) {
        *name = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %4095s", &start, &end, mode, name) < 3) continue;
        if (strstr(name, "vsyscall") || strstr(name, "vdso") || strstr(name, "vvar")) continue;
        lines++;
        if (end > 0x7ffffffff000) outside++;
        if (!strcmp(name, "[stack]")) stack = (unsigned long)line >= start && (unsigned long)line < end;
        if (here >= start && here < end) printf("code %s %s\n", mode, strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
        if (strstr(name, ".hcontainer")) ours++;
    }
    printf("%s: stack %d, outside %d, ours %d, lines %d\n", path, stack, outside, ours, lines >= 5);
    fclose(file);
}

static void processors(void) {
    char line[4096];
    int count = 0, flags = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (fgets(line, sizeof line, file)) {
        count += !strncmp(line, "processor\t: ", 12);
        if (!strncmp(line, "flags\t\t:", 8)) flags += strstr(line, " sse2 ") && strstr(line, " avx2 ") && strstr(line, " lm ") && strstr(line, " fpu ");
        if (!strncmp(line, "vendor_id", 9) && count == 1) printf("a vendor: %d\n", strlen(line) > 12);
        if (!strncmp(line, "cpu family", 10) && count == 1) printf("a family: %d\n", atoi(strchr(line, ':') + 1) > 0);
    }
    fclose(file);
    printf("cpuinfo: as many as online %d, flags everywhere %d\n", count == sysconf(_SC_NPROCESSORS_ONLN), flags == count);
}

static void own_files(int argc, char **argv) {
    char text[4096], path[64], link[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY), length = read(fd, text, sizeof text);
    printf("cmdline the same: %d\n", length == strlen(argv[0]) + 1 && !memcmp(text, argv[0], length));
    close(fd);
    fd = open("/proc/self/auxv", O_RDONLY);
    unsigned long auxv[128], *own;
    length = read(fd, auxv, sizeof auxv);
    char **at = environ;
    while (*at++) {}
    own = (unsigned long *)at;
    printf("auxv the same: %d\n", length >= 64 && !memcmp(auxv, own, 64));
    close(fd);
    fd = open("/proc/self/exe", O_RDONLY);
    printf("exe is an x86-64 file: %d\n", pread(fd, text, 20, 0) == 20 && text[18] == 62);
    close(fd);
    length = readlink("/proc/self/exe", link, sizeof link - 1);
    link[length] = 0;
    printf("exe: %s\n", strrchr(link, '/'));
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    struct stat one, two;
    sprintf(path, "/proc/%d/exe", (int)child);
    length = readlink(path, link, sizeof link - 1);
    link[length > 0 ? length : 0] = 0;
    printf("exe of another: %s\n", strrchr(link, '/'));
    SHOW(stat(path, &one));
    SHOW(stat("/proc/self/exe", &two));
    printf("the same file: %d\n", one.st_ino == two.st_ino && one.st_dev == two.st_dev);
    sprintf(path, "/proc/%d/maps", (int)child);
    FILE *file = fopen(path, "r");
    int outside = 0;
    while (fgets(text, sizeof text, file)) outside += strtoul(text, 0, 16) >= 0x7ffffffff000 && !strstr(text, "vsyscall");
    printf("outside in another: %d\n", outside);
    fclose(file);
    kill(child, SIGKILL);
    wait(0);
    SHOW(open("/proc/self/maps", O_WRONLY | O_TRUNC) >= 0 ? 0 : -1);
    SHOW(open("/proc/self/nothing/maps", O_RDONLY));
    fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(dup(fd), F_GETFD));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    maps("/proc/self/maps");
    maps("/proc/thread-self/maps");
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY);
    fchdir(directory);
    maps("maps");
    maps("smaps");
    chdir("/");
    processors();
    own_files(argc, argv);
    return 0;
}
