/* Holds the x87 functions of runtime/helpers-x87-functions.c against the processor: random operands of the ranges in which
 * they are defined, all rounding modes. The processor's results are within one unit in the last place of the true value and so are
 * ours, so they may differ by one unit; more is wrong. Arguments: seed, count. */
#include "abi.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void helper(struct cpu_state *, uint64_t);
helper hc_helper_x87_2xm1, hc_helper_x87_yl2x, hc_helper_x87_yl2xp1, hc_helper_x87_ptan, hc_helper_x87_patan, hc_helper_x87_sin,
    hc_helper_x87_cos, hc_helper_x87_sincos;

struct number { uint64_t mantissa; uint16_t top; };
struct outcome { struct number st0, st1; uint16_t status; };
typedef void native(struct number a, struct number b, uint16_t control, struct outcome *out);

/* st(0) = a, st(1) = b, then the instruction; two values are taken from the stack, the second may be empty. */
#define NATIVE(name, text) \
    static void name(struct number a, struct number b, uint16_t control, struct outcome *out) { \
        uint8_t x[16], y[16]; \
        memcpy(x, &a.mantissa, 8), memcpy(x + 8, &a.top, 2), memcpy(y, &b.mantissa, 8), memcpy(y + 8, &b.top, 2); \
        __asm__ volatile("fninit; fldcw %3; fldt %1; fldt %0; " text "; fnstsw %2; fstpt %0; fstpt %1; fninit" \
                         : "+m"(x), "+m"(y), "=m"(out->status) : "m"(control)); \
        memcpy(&out->st0.mantissa, x, 8), memcpy(&out->st0.top, x + 8, 2), memcpy(&out->st1.mantissa, y, 8), memcpy(&out->st1.top, y + 8, 2); \
    }
NATIVE(native_2xm1, "f2xm1")
NATIVE(native_yl2x, "fyl2x")
NATIVE(native_yl2xp1, "fyl2xp1")
NATIVE(native_patan, "fpatan")
NATIVE(native_ptan, "fptan")
NATIVE(native_sin, "fsin")
NATIVE(native_cos, "fcos")
NATIVE(native_sincos, "fsincos")

/* Operand ranges as exponents, and whether the sign varies. */
struct range { int lowest, count, has_sign; };
struct function { const char *name; native *run; helper *help; struct range a, b; int results; };
static const struct function FUNCTIONS[] = {
    {"f2xm1", native_2xm1, hc_helper_x87_2xm1, {-70, 70, 1}, {0, 1, 0}, 1},
    {"fyl2x", native_yl2x, hc_helper_x87_yl2x, {-16000, 32000, 0}, {-60, 120, 1}, 1},
    {"fyl2x", native_yl2x, hc_helper_x87_yl2x, {-1, 2, 0}, {-60, 120, 1}, 1},
    {"fyl2xp1", native_yl2xp1, hc_helper_x87_yl2xp1, {-70, 68, 1}, {-60, 120, 1}, 1},
    {"fpatan", native_patan, hc_helper_x87_patan, {-20, 40, 1}, {-20, 40, 1}, 1},
    {"fptan", native_ptan, hc_helper_x87_ptan, {-40, 103, 1}, {0, 1, 0}, 2},
    {"fsin", native_sin, hc_helper_x87_sin, {-40, 103, 1}, {0, 1, 0}, 1},
    {"fcos", native_cos, hc_helper_x87_cos, {-40, 103, 1}, {0, 1, 0}, 1},
    {"fsincos", native_sincos, hc_helper_x87_sincos, {-40, 103, 1}, {0, 1, 0}, 2},
};

static uint64_t random_state;
static uint64_t next64(void) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}
static struct number draw(struct range range) {
    struct number n = {next64() | 1ull << 63, (uint16_t)(0x3fff + range.lowest + (int)(next64() % (unsigned)range.count))};
    if (next64() % 4 == 0) n.mantissa = (next64() % 16) << 60 | 1ull << 63;
    if (range.has_sign && next64() % 2) n.top |= 0x8000;
    return n;
}

static struct number stack_value(const struct cpu_state *state, unsigned i) {
    struct number n;
    unsigned reg = ((state->fsw >> 11) + i) & 7u;
    memcpy(&n.mantissa, state->st[reg], 8), memcpy(&n.top, state->st[reg] + 8, 2);
    return n;
}

/* Distance in units of the last place; large if signs differ. */
static uint64_t distance(struct number a, struct number b) {
    if ((a.top ^ b.top) & 0x8000) return ~0ull;
    if (a.top == b.top) return a.mantissa > b.mantissa ? a.mantissa - b.mantissa : b.mantissa - a.mantissa;
    /* Neighbours across a power of two. */
    struct number small = a.top < b.top ? a : b, large = a.top < b.top ? b : a;
    return large.top == small.top + 1 && large.mantissa == 1ull << 63 ? 0 - small.mantissa : ~0ull;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], 0, 10) : 1;
    long count = argc > 2 ? atol(argv[2]) : 1000, failures = 0;
    random_state = seed * 0x9e3779b97f4a7c15ull | 1;
    for (unsigned f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
        const struct function *function = &FUNCTIONS[f];
        long exact = 0, near = 0, wrong = 0;
        for (long i = 0; i < count; i++) {
            struct number a = draw(function->a), b = draw(function->b);
            uint16_t control = (uint16_t)(0x37f | (next64() % 4) << 10);
            struct outcome want;
            function->run(a, b, control, &want);
            static struct cpu_state state;
            memset(&state, 0, sizeof state);
            state.fcw = control, state.fsw = 6 << 11, state.ftw = 0xc0;
            memcpy(state.st[6], &a.mantissa, 8), memcpy(state.st[6] + 8, &a.top, 2);
            memcpy(state.st[7], &b.mantissa, 8), memcpy(state.st[7] + 8, &b.top, 2);
            function->help(&state, 0);
            uint64_t off = distance(stack_value(&state, 0), want.st0);
            if (function->results == 2) {
                uint64_t second = distance(stack_value(&state, 1), want.st1);
                if (second > off) off = second;
            }
            /* C2 and what is raised must agree; C1 tells the direction of a rounding that may differ. */
            if ((state.fsw ^ want.status) & (off ? 0x3c5f : 0x3c7f)) off = ~0ull;
            if (off == 0) exact++;
            else if (off == 1) near++;
            else if (wrong++ < 3) {
                struct number got = stack_value(&state, 0);
                printf("%s(%04x.%016" PRIx64 ", %04x.%016" PRIx64 ") control %x: %04x.%016" PRIx64 " want %04x.%016" PRIx64 ", status %x want %x\n",
                       function->name, a.top, a.mantissa, b.top, b.mantissa, control, got.top, got.mantissa, want.st0.top, want.st0.mantissa,
                       state.fsw, want.status);
            }
        }
        printf("%s: %ld equal, %ld one unit off, %ld wrong, seed %" PRIu64 "\n", function->name, exact, near, wrong, seed);
        failures += wrong;
    }
    return failures ? 1 : 0;
}
