#include "moves.h"

static const struct { const char *name; round_function *round; } programs[] = {
    { "integers", round_integers }, { "vectors", round_vectors }, { "masks", round_masks }, { "strings", round_strings },
    { "x87", round_x87 }, { "mmx", round_mmx },
    { "sleep", round_sleep }, { "poll", round_poll }, { "pipes", round_pipes }, { "sockets", round_sockets },
    { "futex", round_futex }, { "ipc", round_ipc }, { "locks", round_locks }, { "clock", round_clock },
    { "handlers", round_handlers }, { "queued", round_queued }, { "nested", round_nested }, { "jumps", round_jumps },
    { "faults", round_faults }, { "timers", round_timers },
    { "forks", round_forks }, { "vforks", round_vforks }, { "execs", round_execs }, { "filters", round_filters },
    { "threads", round_threads }, { "conditions", round_conditions }, { "short-threads", round_short_threads },
    { "epoll-threads", round_epoll_threads }, { "crowds", round_crowds },
};

static const char *program_name;
static int round_number;
static uint64_t digest;

void failed(const char *what, const char *file, int line) {
    int error = errno;
    printf("%s %d FAILED: %s (%s:%d, errno %d)\n", program_name, round_number, what, file, line, error);
    fflush(stdout);
    _exit(99);
}

void note(uint64_t value) { digest = (digest ^ value) * 0x100000001b3ull; digest ^= digest >> 29; }
void note_bytes(const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) note(at[i]);
}

uint64_t draw(uint64_t *seed) {
    uint64_t x = *seed;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return *seed = x;
}

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void pause_ms(int milliseconds) {
    struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    while (nanosleep(&left, &left) != 0) CHECK(errno == EINTR);
}

int main(int argc, char **argv) {
    /* What the programs start again is this file. */
    if (argc > 2 && strcmp(argv[1], "--child") == 0) {
        printf("child %s\n", argv[2]);
        return atoi(argv[2]) & 0x7f;
    }
    if (argc > 3 && strcmp(argv[1], "--filtered") == 0) return filtered_child(atoi(argv[2]), atoi(argv[3]));
    int rounds = argc > 2 ? atoi(argv[2]) : 1 << 30;
    for (size_t i = 0; argc > 1 && i < sizeof programs / sizeof programs[0]; i++) {
        if (strcmp(argv[1], programs[i].name) != 0) continue;
        program_name = argv[1];
        for (round_number = 0; round_number < rounds && access("/w/stop", F_OK) != 0; round_number++) {
            digest = seed_of(round_number);
            programs[i].round(round_number);
            printf("%s %d %016llx\n", program_name, round_number, (unsigned long long)digest);
            fflush(stdout);
            if (argc < 3) usleep(500); /* others want to run, too */
        }
        return 0;
    }
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) puts(programs[i].name);
    return 2;
}
