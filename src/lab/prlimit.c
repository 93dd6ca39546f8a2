/* For an amd64 node on a machine whose root lacks CAP_SYS_RESOURCE, preloaded into criu: the kernel then refuses prlimit(2)
 * for processes of other users, and nothing but that call is missing to dump them. /proc tells the same limits to everybody
 * who may trace: a heading, then a line for each resource in the order of their numbers, soft and hard limit in columns.
 * criu asks through syscall(2)'s wrapper; everything else passes through. */
#include <stdarg.h>

enum { SYS_READ = 0, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_PRLIMIT64 = 302, EPERM = 1, COLUMN = 26 };
struct limits { unsigned long soft, hard; };

extern int *__errno_location(void);

static long raw(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

/** A limit at `at`: a number or "unlimited"; leaves `at` behind it. */
static unsigned long take_limit(const char **at, const char *end) {
    unsigned long value = 0;
    const char *p = *at;
    while (p < end && *p == ' ') p++;
    if (p < end && *p == 'u') value = ~0ul;
    for (; p < end && *p >= '0' && *p <= '9'; p++) value = value * 10 + (unsigned long)(*p - '0');
    while (p < end && *p != ' ') p++;
    *at = p;
    return value;
}

static int read_limits(unsigned long pid, long resource, struct limits *limits) {
    char path[40] = "/proc/", text[4096], digits[20];
    int at = 6, count = 0;
    do digits[count++] = (char)('0' + pid % 10); while (pid /= 10);
    while (count > 0) path[at++] = digits[--count];
    for (const char *tail = "/limits"; *tail; tail++) path[at++] = *tail;
    path[at] = 0;
    long fd = raw(SYS_OPEN, (long)path, 0, 0, 0, 0, 0);
    if (fd < 0) return 0;
    long got = raw(SYS_READ, fd, (long)text, sizeof text, 0, 0, 0);
    raw(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
    const char *line = text, *end = text + (got > 0 ? got : 0);
    for (long skip = resource + 1; skip > 0; skip--) {
        while (line < end && *line != '\n') line++;
        line++;
    }
    line += COLUMN;
    if (line >= end) return 0;
    limits->soft = take_limit(&line, end);
    limits->hard = take_limit(&line, end);
    return 1;
}

long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long args[6];
    for (int i = 0; i < 6; i++) args[i] = va_arg(list, long);
    va_end(list);
    long result = raw(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (number == SYS_PRLIMIT64 && result == -EPERM && args[2] == 0 && args[3] != 0) {
        struct limits limits;
        if (read_limits((unsigned long)args[0], args[1], &limits)) {
            *(struct limits *)args[3] = limits;
            return 0;
        }
    }
    if (result < 0 && result >= -4095) {
        *__errno_location() = (int)-result;
        return -1;
    }
    return result;
}
