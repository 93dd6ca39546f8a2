/*
 * Runs instructions from random states and prints a line a case with hashes of what came out: natively and, translated, in the
 * runtime; the outputs must be equal. translated.ts makes cases.S and cases.h.
 *
 *   translated SEED ROUNDS CASE          every round of that case with all registers
 *   translated SEED ROUNDS all [CASE]... all cases but those named
 *
 * The runtime ends programs whose translated code faults, so states are made that do not fault; the cases of which one did natively are
 * named to the translated run.
 *
 * Free-standing, so that nearly all the code of the file is the cases'.
 */
#include <stdint.h>

struct state {
    uint64_t gpr[16], flags, k[8];
    uint32_t mxcsr;
    _Alignas(64) uint8_t zmm[32][64];
};
_Static_assert(__builtin_offsetof(struct state, mxcsr) == 200 && __builtin_offsetof(struct state, zmm) == 256, "translated.S knows");
struct state state_in, state_out;

struct test_case {
    void (*run)(void);
    int base, index, scale, displacement, vsib_width, vsib_lane, address32, memory_bytes;
    uint32_t undefined_flags;
    const char *name;
};
#include "cases.h"
int run_case(void (*run)(void));
void restore_after_signal(void);

#define WINDOW 0x20000000ull
#define WINDOW_BYTES 8192
#define FLAGS 0x8d5u

/* --- the system ---------------------------------------------------------------------------------------------------- */

static long call6(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return number;
}
enum { WRITE = 1, MMAP = 9, SIGACTION = 13, SIGALTSTACK = 131, EXIT_GROUP = 231 };

static char line[1 << 16];
static unsigned line_bytes;
static void flush(void) {
    for (unsigned done = 0; done < line_bytes;) {
        long n = call6(WRITE, 1, (long)(line + done), line_bytes - done, 0, 0, 0);
        if (n <= 0) call6(EXIT_GROUP, 3, 0, 0, 0, 0, 0);
        done += (unsigned)n;
    }
    line_bytes = 0;
}
static void put_char(char c) {
    line[line_bytes++] = c;
    if (line_bytes == sizeof line) flush();
}
static void put_text(const char *text) { while (*text) put_char(*text++); }
static void put_hex(uint64_t value) {
    int digit = 60;
    while (digit > 0 && !(value >> digit)) digit -= 4;
    for (; digit >= 0; digit -= 4) put_char("0123456789abcdef"[value >> digit & 15]);
}
static uint64_t number_of(const char *text) {
    uint64_t value = 0;
    while (*text) value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

/* A signal ends the case where it is: its state is not compared, only that it came. */
volatile int signal_seen;
struct action { void (*handler)(int, void *, uint64_t *); unsigned long flags; void (*restorer)(void); unsigned long mask; };
void on_signal(void);
__attribute__((used)) void handle_signal(int number, void *info, uint64_t *context) {
    (void)info;
    signal_seen = number;
    context[5 + 16] = (uint64_t)restore_after_signal; /* rip of the context */
}

/* --- random states --------------------------------------------------------------------------------------------------- */

static uint64_t random_state;
static uint64_t next64(void) {
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
static uint64_t below(uint64_t limit) { return (next64() >> 11) % limit; }

static uint64_t edge64(void) {
    switch (below(8)) {
    case 0: return below(70);
    case 1: return 1ull << below(64);
    case 2: return ~0ull << below(64);
    case 3: return (uint64_t)(int64_t)(int32_t)next64();
    case 4: return next64() >> below(64);
    case 5: return 0x8080808080808080ull >> below(2);
    default: return next64();
    }
}
static uint64_t edge_floats(void) {
    static const uint32_t SINGLES[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa12345, 1, 0x007fffff,
        0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3fc00000};
    static const uint64_t DOUBLES[] = {0, 1ull << 63, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
        0x7ff4123456789abc, 1, 0x7fefffffffffffff, 0x41e0000000000000, 0xc3e0000000000000, 0x4004000000000000};
    switch (below(4)) {
    case 0: return SINGLES[below(15)] | (uint64_t)SINGLES[below(15)] << 32;
    case 1: return DOUBLES[below(12)];
    case 2: return 0x3f8000003f800000ull + (next64() & 0x83ffffff83ffffff);
    default: return 0x3fe0000000000000ull + (next64() >> 10) + (below(2) << 63);
    }
}
static void fill(uint8_t *bytes, unsigned count) {
    unsigned kind = (unsigned)below(4);
    for (unsigned at = 0; at < count; at += 8) {
        uint64_t word = kind == 0 ? next64() : kind == 1 ? edge_floats() : kind == 2 ? edge64() : next64() & 0x0303030003030300ull;
        *(uint64_t *)(bytes + at) = word;
    }
}

static void aim(const struct test_case *c) {
    if (c->base < 0 && c->index < 0) return;
    uint64_t address = WINDOW + 2048 + below(2048), index = 0;
    if (below(4) || c->memory_bytes == 16) address &= ~63ull; /* cmpxchg16b, and SSE that wants alignment */
    if (c->vsib_width) {
        for (int at = 0; at < c->vsib_width / 8; at += c->vsib_lane / 8) {
            int64_t value = (int64_t)below(64) - 32;
            if (c->vsib_lane == 32) *(int32_t *)(state_in.zmm[c->index] + at) = (int32_t)value;
            else *(int64_t *)(state_in.zmm[c->index] + at) = value;
        }
    } else if (c->index >= 0) {
        if (below(2)) state_in.gpr[c->index] = below(256) - 128;
        index = state_in.gpr[c->index] * (uint64_t)c->scale;
    }
    uint64_t base = address - index - (uint64_t)(int64_t)c->displacement;
    if (c->address32) base = (base & 0xffffffff) | next64() << 32;
    if (c->base >= 0) state_in.gpr[c->base] = base;
}

/** Divisors that are big and dividends that are not too big for them. */
static void prepare_division(const struct test_case *c, int is_byte) {
    for (int i = 0; i < 16; i++)
        if (i != c->base && i != c->index) state_in.gpr[i] |= 0x8000000080008081;
    for (int i = 0; i < WINDOW_BYTES; i += 8) *(uint64_t *)(WINDOW + (uint64_t)i) |= 0x8181818181818181;
    int is_signed = c->name[0] == 'I';
    switch (below(3)) {
    case 0:
        state_in.gpr[0] = is_signed ? below(255) - 127 : below(128);
        state_in.gpr[2] = is_signed && (int64_t)state_in.gpr[0] < 0 ? ~0ull : 0;
        break;
    case 1:
        state_in.gpr[0] = (next64() & 0x7fffffff7fff7f7f) >> (is_byte ? 56 : 0);
        state_in.gpr[2] = 0;
        break;
    default:
        state_in.gpr[0] = is_byte ? below(is_signed ? 0x80 : 0x8000) : next64() >> is_signed;
        state_in.gpr[2] = is_signed ? 0 : below(0x80);
    }
}

static void make_state(const struct test_case *c, uint64_t seed, uint64_t number, uint64_t round) {
    random_state = seed * 0x100000001b3ull + number * 0x10001 + round * 0x1000000007ull;
    next64();
    for (int i = 0; i < 16; i++) state_in.gpr[i] = edge64();
    state_in.gpr[1] = below(20);
    if (below(4) == 0) state_in.gpr[1] = below(200);
    if (c->name[0] == 'B' && c->name[1] == 't' && c->base >= 0) {
        for (int i = 0; i < 16; i++) state_in.gpr[i] = below(8192) - 4096; /* bit offsets */
    }
    state_in.gpr[3] = WINDOW + 1024 + below(4096);
    state_in.gpr[6] = WINDOW + 1024 + below(4096);
    state_in.gpr[7] = WINDOW + 1024 + below(4096);
    state_in.flags = (next64() & FLAGS) | (below(4) ? 0 : 0x400) | 0x202;
    state_in.mxcsr = 0x1f80 | (uint32_t)below(4) << 13;
    for (int i = 0; i < 8; i++) state_in.k[i] = edge64();
    for (int i = 0; i < 32; i++) fill(state_in.zmm[i], 64);
    fill((uint8_t *)WINDOW, WINDOW_BYTES);
    const char *name = c->name + (c->name[0] == 'I');
    int is_division = (name[0] == 'D' || name[0] == 'd') && name[1] == 'i' && name[2] == 'v' && name[3] == '_';
    if (is_division) prepare_division(c, name[6] == '8');
    aim(c);
}

/* --- running --------------------------------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const void *data, unsigned count) {
    const uint64_t *words = data;
    for (unsigned i = 0; i < count / 8; i++) {
        h = (h ^ words[i]) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return h;
}

static void print_state(uint64_t round) {
    put_text(" round "), put_hex(round), put_text("\n");
    for (int i = 0; i < 16; i++) put_text("  r"), put_hex((uint64_t)i), put_char(' '), put_hex(state_in.gpr[i]), put_text(" -> "), put_hex(state_out.gpr[i]), put_char('\n');
    put_text("  flags "), put_hex(state_in.flags), put_text(" -> "), put_hex(state_out.flags), put_char('\n');
    for (int i = 0; i < 8; i++) put_text("  k"), put_hex((uint64_t)i), put_char(' '), put_hex(state_in.k[i]), put_text(" -> "), put_hex(state_out.k[i]), put_char('\n');
    for (int i = 0; i < 32; i++) {
        put_text("  z"), put_hex((uint64_t)i);
        for (int lane = 7; lane >= 0; lane--) put_char(' '), put_hex(*(uint64_t *)(state_in.zmm[i] + 8 * lane));
        put_text("\n   ->");
        for (int lane = 7; lane >= 0; lane--) put_char(' '), put_hex(*(uint64_t *)(state_out.zmm[i] + 8 * lane));
        put_char('\n');
    }
}

static void run_rounds(int number, uint64_t seed, uint64_t rounds, int is_verbose) {
    const struct test_case *c = &cases[number];
    uint64_t general = 1, flags = 1, vectors = 1, memory = 1, signals = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        make_state(c, seed, (uint64_t)number, round);
        signal_seen = 0;
        if (run_case(c->run)) {
            signals = signals * 31 + (uint64_t)signal_seen;
            continue;
        }
        state_out.flags &= (FLAGS | 0x400) & ~(uint64_t)c->undefined_flags;
        state_out.gpr[4] = 0;
        general = hash(general, state_out.gpr, sizeof state_out.gpr);
        flags = hash(flags, &state_out.flags, 8);
        vectors = hash(hash(vectors, state_out.k, sizeof state_out.k), state_out.zmm, sizeof state_out.zmm);
        memory = hash(memory, (void *)WINDOW, WINDOW_BYTES);
        if (is_verbose) print_state(round);
    }
    put_text(c->name), put_char(' '), put_hex((uint64_t)number);
    put_text(" general "), put_hex(general), put_text(" flags "), put_hex(flags), put_text(" vectors "), put_hex(vectors);
    put_text(" memory "), put_hex(memory), put_text(" signals "), put_hex(signals), put_char('\n');
    flush();
}

__attribute__((used)) void start(long *stack) {
    char **argv = (char **)(stack + 1);
    static uint8_t signal_stack[1 << 16];
    struct { void *start; int flags; unsigned long bytes; } alternate = {signal_stack, 0, sizeof signal_stack};
    struct action action = {handle_signal, 0x04000000 | 0x08000000 | 0x40000000 | 4, on_signal, 0};
    if (stack[0] < 4) call6(EXIT_GROUP, 2, 0, 0, 0, 0, 0);
    call6(MMAP, WINDOW, WINDOW_BYTES, 3, 0x32, -1, 0);
    call6(SIGALTSTACK, (long)&alternate, 0, 0, 0, 0, 0);
    static const int SIGNALS[] = {4, 5, 7, 8, 11};
    for (int i = 0; i < 5; i++) call6(SIGACTION, SIGNALS[i], (long)&action, 0, 8, 0, 0);
    uint64_t seed = number_of(argv[1]), rounds = number_of(argv[2]);
    if (argv[3][0] != 'a') {
        run_rounds((int)number_of(argv[3]), seed, rounds, 1);
    } else {
        int next = 4;
        for (int i = 0; i < case_count; i++) {
            if (next < stack[0] && number_of(argv[next]) == (uint64_t)i) next++;
            else run_rounds(i, seed, rounds, 0);
        }
    }
    flush();
    call6(EXIT_GROUP, 0, 0, 0, 0, 0, 0);
}
