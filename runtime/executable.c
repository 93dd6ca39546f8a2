/* Which of the guest's memory may be executed. Translated code runs from files that the guest has mapped so; the
 * interpreter reads its instructions as data and must ask. The kernel's map tells; each thread remembers what it found. */
#include "runtime.h"

/** What the threads remember of addresses, that they may be executed or have no translation, perhaps is true no longer. */
void code_changed(void) { __atomic_fetch_add(&PROC_PRIVATE->code_age, 1, __ATOMIC_SEQ_CST); }

/** What lies in [start, end) perhaps can no longer be executed. */
void code_taken_away(uint64_t start, uint64_t end) {
    for (uint32_t slot = 0; slot < PROC_PRIVATE->thread_slots; slot++) {
        const struct thread_private *priv = private_of(thread_area(slot));
        for (unsigned i = 0; i < CODE_RANGES; i++) {
            if (priv->code_ranges[i].start >= end || priv->code_ranges[i].end <= start) continue;
            code_changed();
            return;
        }
    }
}

struct map_reader { int64_t fd; uint64_t offset; uint32_t at, bytes; char buffer[2048]; };

/** The next character of the map; 0 at its end. */
static char next_character(struct map_reader *map) {
    if (map->at == map->bytes) {
        int64_t got = HOST4(pread64, map->fd, map->buffer, sizeof map->buffer, map->offset);
        if (got <= 0) return 0;
        map->offset += (uint64_t)got;
        map->bytes = (uint32_t)got;
        map->at = 0;
    }
    return map->buffer[map->at++];
}

static uint64_t read_hexadecimal(struct map_reader *map, char *end) {
    uint64_t value = 0;
    for (;;) {
        char c = next_character(map);
        if (c >= '0' && c <= '9') value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f') value = value << 4 | (uint64_t)(c - 'a' + 10);
        else {
            *end = c;
            return value;
        }
    }
}

/** The area that `pc` lies in, and whether it may be executed; an area of no map is left to the access itself. */
static int find_area(uint64_t pc, struct address_range *area) {
    struct map_reader map = { .offset = 0 };
    int may = 1;
    char c;
    *area = (struct address_range){ PAGE_DOWN(pc), PAGE_DOWN(pc) + PAGE };
    map.fd = HOST4(openat, AT_CURRENT_DIRECTORY, "/proc/self/maps", O_RDONLY_ | O_CLOEXEC_, 0);
    if (map.fd < 0) return 1;
    for (;;) {
        uint64_t start = read_hexadecimal(&map, &c);
        if (c != '-') break;
        uint64_t end = read_hexadecimal(&map, &c);
        char mode[4];
        for (unsigned i = 0; i < sizeof mode; i++) mode[i] = next_character(&map);
        if (pc >= start && pc < end) {
            *area = (struct address_range){ start, end };
            may = mode[2] == 'x';
            break;
        }
        do c = next_character(&map); while (c && c != '\n');
        if (!c || start > pc) break;
    }
    HOST1(close, map.fd);
    return may;
}

/** Whether the interpreter may go on at `pc`. Under qemu user mode the map does not tell, so that everything may be executed. */
int may_execute(struct cpu_state *cpu, uint64_t pc) {
    struct thread_private *priv = private_of(cpu);
    if (under_qemu()) return 1;
    uint32_t age = __atomic_load_n(&PROC_PRIVATE->code_age, __ATOMIC_ACQUIRE);
    if (age != priv->code_age) {
        memory_set(priv->code_ranges, 0, sizeof priv->code_ranges);
        priv->code_age = age;
    }
    for (unsigned i = 0; i < CODE_RANGES; i++)
        if (pc >= priv->code_ranges[i].start && pc < priv->code_ranges[i].end) return 1;
    struct address_range area;
    if (!find_area(pc, &area)) return 0;
    priv->code_ranges[priv->next_code_range++ % CODE_RANGES] = area;
    return 1;
}
