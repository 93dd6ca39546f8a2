/* x87 arithmetic for src/sem/x87-arithmetic.ts, in integers: 80-bit extended numbers with the rounding and precision that
 * the control word asks for, and the status word's exception flags. Exceptions always get the masked response. Helpers
 * read and write the canonical state only, never guest memory. SDM Vol. 1, chapters 4.8, 4.9 and 8.
 *
 * The file needs nothing of the runtime but abi.h: the interpreter's test build for x86-64 contains it too. */
#include "helpers-x87.h"

#define TOP(cpu) (((cpu)->fsw >> 11) & 7u)

static unsigned physical(const struct cpu_state *cpu, unsigned i) { return (TOP(cpu) + i) & 7u; }
static int in_use(const struct cpu_state *cpu, unsigned reg) { return (cpu->ftw >> reg) & 1; }

struct f80 x87_read(const struct cpu_state *cpu, unsigned i) {
    const uint8_t *bytes = cpu->st[physical(cpu, i)];
    struct f80 value;
    __builtin_memcpy(&value.mantissa, bytes, 8);
    __builtin_memcpy(&value.top, bytes + 8, 2);
    return value;
}

void x87_write(struct cpu_state *cpu, unsigned i, struct f80 value) {
    unsigned reg = physical(cpu, i);
    __builtin_memcpy(cpu->st[reg], &value.mantissa, 8);
    __builtin_memcpy(cpu->st[reg] + 8, &value.top, 2);
    cpu->ftw |= (uint8_t)(1u << reg);
}

int x87_is_empty(const struct cpu_state *cpu, unsigned i) { return !in_use(cpu, physical(cpu, i)); }

/* Adds exception flags; C1 becomes what they say. The summary bits follow what is unmasked. */
void x87_raise(struct cpu_state *cpu, unsigned flags) {
    unsigned status = (cpu->fsw & ~FLAG_C1) | (flags & (0x7fu | FLAG_C1));
    status &= ~0x8080u;
    if (status & ~cpu->fcw & 0x3fu) status |= 0x8080u;
    cpu->fsw = (uint16_t)status;
}

int x87_is_full(const struct cpu_state *cpu) { return in_use(cpu, physical(cpu, 7)); }

/* Pushes without looking whether there is room. */
void x87_force_push(struct cpu_state *cpu, struct f80 value, unsigned flags) {
    cpu->fsw = (uint16_t)((cpu->fsw & ~0x3800u) | physical(cpu, 7) << 11);
    x87_write(cpu, 0, value);
    x87_raise(cpu, flags);
}

void x87_push(struct cpu_state *cpu, struct f80 value, unsigned flags) {
    if (x87_is_full(cpu)) x87_force_push(cpu, x87_indefinite(), FLAG_INVALID | FLAG_STACK | FLAG_C1);
    else x87_force_push(cpu, value, flags);
}

/* ---- numbers ---- */

/* Rounding mode and precision of the control word. */
struct mode x87_mode(const struct cpu_state *cpu) {
    static const uint8_t bits[4] = {24, 64, 53, 64};
    struct mode mode = {(cpu->fcw >> 10) & 3u, bits[(cpu->fcw >> 8) & 3u]};
    return mode;
}

/* Whether to add one unit to a truncated magnitude: `odd` is its last bit, `half` the first bit lost, `rest` the others. */
static int rounds_up(unsigned rounding, int negative, int odd, int half, int rest) {
    switch (rounding) {
    case ROUND_NEAREST: return half && (rest || odd);
    case ROUND_DOWN: return negative && (half || rest);
    case ROUND_UP: return !negative && (half || rest);
    default: return 0;
    }
}

static uint64_t lost_mask(unsigned bits) { return bits >= 64 ? ~0ull : (1ull << bits) - 1; }

static wide shift_right_sticky(wide value, unsigned count) {
    if (count == 0) return value;
    if (count >= 128) return value != 0;
    return (value >> count) | ((value << (128 - count)) != 0);
}

/* Rounds value = mantissa * 2^(exponent - 127), with 128 bits of mantissa whose last bit may be sticky, to `precision` bits,
 * and packs it. Tininess is detected after rounding, as the x87 does. */
struct f80 x87_round(int negative, int32_t exponent, wide mantissa, struct mode mode, unsigned *flags) {
    struct f80 result = {0, (uint16_t)(negative ? 0x8000 : 0)};
    if (mantissa == 0) return result;
    while (!(uint64_t)(mantissa >> 64)) { mantissa <<= 64; exponent -= 64; }
    unsigned zeros = (unsigned)__builtin_clzll((uint64_t)(mantissa >> 64));
    mantissa <<= zeros;
    exponent -= (int32_t)zeros;
    int32_t biased = exponent + 16383;
    unsigned drop = 64 - mode.precision;
    int tiny = biased <= 0;
    if (tiny) {
        /* With an unbounded exponent it might round up to the smallest normal number: then it is not tiny. */
        if (biased == 0) {
            uint64_t high = (uint64_t)(mantissa >> 64);
            uint64_t lost = high & lost_mask(drop), kept = high & ~lost_mask(drop);
            if (drop == 0) { lost = 0; kept = high; }
            int half = drop ? (int)(lost >> (drop - 1)) & 1 : (int)((uint64_t)mantissa >> 63);
            int rest = drop ? (lost & lost_mask(drop - 1)) != 0 || (uint64_t)mantissa != 0 : ((uint64_t)mantissa << 1) != 0;
            int odd = (int)(kept >> drop) & 1;
            uint64_t all = ~0ull & ~(drop ? lost_mask(drop) : 0);
            if (kept == all && rounds_up(mode.rounding, negative, odd, half, rest)) tiny = 0;
        }
        mantissa = shift_right_sticky(mantissa, (unsigned)(1 - biased > 128 ? 128 : 1 - biased));
        biased = 0;
    }
    uint64_t high = (uint64_t)(mantissa >> 64), low = (uint64_t)mantissa;
    int half, rest;
    if (drop == 0) {
        half = (int)(low >> 63);
        rest = (low << 1) != 0;
    } else {
        uint64_t lost = high & lost_mask(drop);
        half = (int)(lost >> (drop - 1)) & 1;
        rest = (lost & lost_mask(drop - 1)) != 0 || low != 0;
        high &= ~lost_mask(drop);
    }
    int inexact = half || rest;
    if (rounds_up(mode.rounding, negative, (int)(high >> drop) & 1, half, rest)) {
        *flags |= FLAG_C1;
        high += 1ull << drop;
        if (high < (1ull << drop)) { /* carried out */
            high = 1ull << 63;
            biased++;
        }
        if (biased == 0 && (high >> 63)) biased = 1;
    }
    if (biased == 0 && (high >> 63)) biased = 1;
    if (biased >= 0x7fff) {
        *flags |= FLAG_OVERFLOW | FLAG_INEXACT;
        int to_largest = mode.rounding == ROUND_ZERO || mode.rounding == (negative ? ROUND_UP : ROUND_DOWN);
        if (to_largest) {
            *flags &= ~FLAG_C1;
            result.top |= 0x7ffe;
            result.mantissa = ~(drop ? lost_mask(drop) : 0);
        } else {
            *flags |= FLAG_C1;
            result.top |= 0x7fff;
            result.mantissa = 1ull << 63;
        }
        return result;
    }
    if (inexact) *flags |= FLAG_INEXACT;
    if (tiny && inexact) *flags |= FLAG_UNDERFLOW;
    result.top |= (uint16_t)biased;
    result.mantissa = high;
    return result;
}

/* Takes a number apart. Encodings that the x87 does not support are CLASS_INVALID. */
struct number x87_unpack(struct f80 value) {
    struct number n = {CLASS_NORMAL, value.top >> 15, (int32_t)(value.top & 0x7fff) - 16383, value.mantissa, 0};
    unsigned exponent = value.top & 0x7fff;
    if (exponent == 0x7fff) {
        if (!(value.mantissa >> 63)) n.class = CLASS_INVALID;
        else if (value.mantissa << 1 == 0) n.class = CLASS_INFINITY;
        else n.class = (value.mantissa >> 62) & 1 ? CLASS_QUIET : CLASS_SIGNALLING;
    } else if (exponent == 0) {
        if (value.mantissa == 0) {
            n.class = CLASS_ZERO;
        } else {
            n.denormal = 1;
            unsigned zeros = (unsigned)__builtin_clzll(value.mantissa);
            n.mantissa <<= zeros;
            n.exponent = 1 - 16383 - (int32_t)zeros;
        }
    } else if (!(value.mantissa >> 63)) {
        n.class = CLASS_INVALID;
    }
    return n;
}

struct f80 x87_indefinite(void) { return (struct f80){0xc000000000000000ull, 0xffff}; }
struct f80 x87_zero(int negative) { return (struct f80){0, (uint16_t)(negative ? 0x8000 : 0)}; }
struct f80 x87_infinity(int negative) { return (struct f80){1ull << 63, (uint16_t)(negative ? 0xffff : 0x7fff)}; }

static int is_nan(const struct number *n) { return n->class == CLASS_QUIET || n->class == CLASS_SIGNALLING; }
static struct f80 quieted(struct f80 value) { return (struct f80){value.mantissa | 1ull << 62, value.top}; }

/* The NaN that an operation on a and b gives, if it does; SDM Vol. 1, table 4-7. */
int x87_nan(struct f80 a, struct f80 b, struct f80 *result, unsigned *flags) {
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (x.class == CLASS_INVALID || y.class == CLASS_INVALID) {
        *flags |= FLAG_INVALID;
        *result = x87_indefinite();
        return 1;
    }
    if (!is_nan(&x) && !is_nan(&y)) return 0;
    if (x.class == CLASS_SIGNALLING || y.class == CLASS_SIGNALLING) *flags |= FLAG_INVALID;
    if (!is_nan(&y)) *result = quieted(a);
    else if (!is_nan(&x)) *result = quieted(b);
    else if (x.class == CLASS_SIGNALLING && y.class == CLASS_QUIET) *result = b;
    else if (y.class == CLASS_SIGNALLING && x.class == CLASS_QUIET) *result = a;
    else if (a.mantissa != b.mantissa) *result = quieted(a.mantissa > b.mantissa ? a : b);
    else *result = quieted(a.top >> 15 ? b : a);
    return 1;
}

static struct f80 invalid(unsigned *flags) {
    *flags |= FLAG_INVALID;
    return x87_indefinite();
}

static void note_denormals(const struct number *a, const struct number *b, unsigned *flags) {
    if (a->denormal || b->denormal) *flags |= FLAG_DENORMAL;
}

struct f80 x87_add(struct f80 a, struct f80 b, struct mode mode, unsigned *flags) {
    struct f80 result;
    if (x87_nan(a, b, &result, flags)) return result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (x.class == CLASS_INFINITY && y.class == CLASS_INFINITY && x.negative != y.negative) return invalid(flags);
    note_denormals(&x, &y, flags);
    if (x.class == CLASS_INFINITY) return a;
    if (y.class == CLASS_INFINITY) return b;
    if (x.class == CLASS_ZERO && y.class == CLASS_ZERO)
        return x87_zero(x.negative == y.negative ? x.negative : mode.rounding == ROUND_DOWN);
    if (x.class == CLASS_ZERO) return x87_round(y.negative, y.exponent, (wide)y.mantissa << 64, mode, flags);
    if (y.class == CLASS_ZERO) return x87_round(x.negative, x.exponent, (wide)x.mantissa << 64, mode, flags);
    if (x.exponent < y.exponent || (x.exponent == y.exponent && x.mantissa < y.mantissa)) {
        struct number t = x;
        x = y;
        y = t;
    }
    /* One bit of room for the carry; the smaller one is far longer than what can be lost but for the sticky bit. */
    wide large = (wide)x.mantissa << 63;
    wide small = shift_right_sticky((wide)y.mantissa << 63, (unsigned)(x.exponent - y.exponent > 128 ? 128 : x.exponent - y.exponent));
    if (x.negative == y.negative) return x87_round(x.negative, x.exponent + 1, large + small, mode, flags);
    if (large == small) return x87_zero(mode.rounding == ROUND_DOWN);
    return x87_round(x.negative, x.exponent + 1, large - small, mode, flags);
}

struct f80 x87_mul(struct f80 a, struct f80 b, struct mode mode, unsigned *flags) {
    struct f80 result;
    if (x87_nan(a, b, &result, flags)) return result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    int negative = x.negative != y.negative;
    int infinite = x.class == CLASS_INFINITY || y.class == CLASS_INFINITY, zero = x.class == CLASS_ZERO || y.class == CLASS_ZERO;
    if (infinite && zero) return invalid(flags);
    note_denormals(&x, &y, flags);
    if (infinite) return x87_infinity(negative);
    if (zero) return x87_zero(negative);
    return x87_round(negative, x.exponent + y.exponent + 1, (wide)x.mantissa * y.mantissa, mode, flags);
}

/* a * 2^64 / b for a < b, with the remainder. */
static uint64_t divide_step(uint64_t a, uint64_t b, uint64_t *remainder) {
    uint64_t quotient = 0;
    for (int i = 0; i < 64; i++) {
        int carry = (int)(a >> 63);
        a <<= 1;
        quotient <<= 1;
        if (carry || a >= b) {
            a -= b;
            quotient |= 1;
        }
    }
    *remainder = a;
    return quotient;
}

struct f80 x87_div(struct f80 a, struct f80 b, struct mode mode, unsigned *flags) {
    struct f80 result;
    if (x87_nan(a, b, &result, flags)) return result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    int negative = x.negative != y.negative;
    if (x.class == y.class && (x.class == CLASS_INFINITY || x.class == CLASS_ZERO)) return invalid(flags);
    if (y.class == CLASS_ZERO && x.class != CLASS_INFINITY) {
        note_denormals(&x, &y, flags);
        *flags |= FLAG_ZERO_DIVIDE;
        return x87_infinity(negative);
    }
    note_denormals(&x, &y, flags);
    if (x.class == CLASS_INFINITY) return x87_infinity(negative);
    if (x.class == CLASS_ZERO || y.class == CLASS_INFINITY) return x87_zero(negative);
    int32_t exponent = x.exponent - y.exponent;
    uint64_t rest = x.mantissa, integer = 0;
    if (rest >= y.mantissa) {
        rest -= y.mantissa;
        integer = 1;
    }
    uint64_t high = divide_step(rest, y.mantissa, &rest);
    uint64_t low = divide_step(rest, y.mantissa, &rest);
    /* quotient = integer . high low; shifted right by one to make room, sticky below. */
    wide mantissa = ((wide)integer << 127) | (wide)high << 63 | low >> 1 | ((low & 1) || rest != 0);
    return x87_round(negative, exponent, mantissa, mode, flags);
}

struct f80 x87_sqrt(struct f80 a, struct mode mode, unsigned *flags) {
    struct f80 result;
    if (x87_nan(a, a, &result, flags)) return result;
    struct number x = x87_unpack(a);
    if (x.class == CLASS_ZERO) return a;
    if (x.negative) return invalid(flags);
    note_denormals(&x, &x, flags);
    if (x.class == CLASS_INFINITY) return a;
    /* x = radicand * 2^(2 * exponent - 126) with a radicand in [2^126, 2^128), so that the root's 64 integer digits are
     * digits of the result; 36 more are for rounding. Two binary digits of the radicand give one of the root. */
    int odd = x.exponent & 1;
    int32_t exponent = (x.exponent - odd) / 2;
    wide radicand = (wide)x.mantissa << (63 + odd);
    wide root = 0, rest = 0;
    for (int i = 63; i >= -36; i--) {
        rest = (rest << 2) | (i >= 0 ? (unsigned)(radicand >> (2 * i)) & 3u : 0u);
        wide trial = (root << 2) | 1;
        root <<= 1;
        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    return x87_round(0, exponent + 27, (root << 1) | (rest != 0), mode, flags);
}

/* Orders a and b: -1, 0, 1, or 2 when unordered. */
static int order(struct f80 a, struct f80 b, int quiet, unsigned *flags) {
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (x.class == CLASS_INVALID || y.class == CLASS_INVALID) {
        *flags |= FLAG_INVALID;
        return 2;
    }
    if (is_nan(&x) || is_nan(&y)) {
        if (!quiet || x.class == CLASS_SIGNALLING || y.class == CLASS_SIGNALLING) *flags |= FLAG_INVALID;
        return 2;
    }
    note_denormals(&x, &y, flags);
    int x_zero = x.class == CLASS_ZERO, y_zero = y.class == CLASS_ZERO;
    if (x_zero && y_zero) return 0;
    int x_sign = x_zero ? 0 : x.negative ? -1 : 1, y_sign = y_zero ? 0 : y.negative ? -1 : 1;
    if (x_sign != y_sign) return x_sign < y_sign ? -1 : 1;
    int larger = x.exponent != y.exponent ? (x.exponent > y.exponent ? 1 : -1)
               : x.mantissa != y.mantissa ? (x.mantissa > y.mantissa ? 1 : -1) : 0;
    return x_sign * larger;
}

/* ---- memory formats ---- */

static struct f80 from_binary(uint64_t bits, unsigned mantissa_bits, unsigned exponent_bits, unsigned *flags) {
    int negative = (int)(bits >> (mantissa_bits + exponent_bits)) & 1;
    uint64_t fraction = bits & lost_mask(mantissa_bits);
    unsigned exponent = (unsigned)(bits >> mantissa_bits) & (unsigned)lost_mask(exponent_bits);
    unsigned largest = (unsigned)lost_mask(exponent_bits);
    int32_t bias = (int32_t)(largest >> 1);
    uint16_t sign = (uint16_t)(negative ? 0x8000 : 0);
    uint64_t mantissa = fraction << (63 - mantissa_bits);
    if (exponent == largest) {
        if (fraction && !(mantissa >> 62)) *flags |= FLAG_SIGNALLING_SOURCE;
        return (struct f80){mantissa | 1ull << 63, sign | 0x7fff};
    }
    if (exponent == 0) {
        if (fraction == 0) return (struct f80){0, sign};
        *flags |= FLAG_DENORMAL;
        unsigned zeros = (unsigned)__builtin_clzll(mantissa);
        return (struct f80){mantissa << zeros, (uint16_t)(sign | (1 - bias - (int32_t)zeros + 16383))};
    }
    return (struct f80){mantissa | 1ull << 63, (uint16_t)(sign | ((int32_t)exponent - bias + 16383))};
}

static struct f80 from_integer(int64_t value) {
    if (value == 0) return x87_zero(0);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned zeros = (unsigned)__builtin_clzll(magnitude);
    return (struct f80){magnitude << zeros, (uint16_t)((value < 0 ? 0x8000 : 0) | (16383 + 63 - zeros))};
}

enum kind { KIND_F32, KIND_F64, KIND_I16, KIND_I32, KIND_I64 };

static struct f80 from_memory(enum kind kind, uint64_t bits, unsigned *flags) {
    switch (kind) {
    case KIND_F32: return from_binary(bits, 23, 8, flags);
    case KIND_F64: return from_binary(bits, 52, 11, flags);
    case KIND_I16: return from_integer((int16_t)bits);
    case KIND_I32: return from_integer((int32_t)bits);
    default: return from_integer((int64_t)bits);
    }
}

static uint64_t to_binary(struct f80 value, unsigned mantissa_bits, unsigned exponent_bits, unsigned rounding, unsigned *flags) {
    struct number n = x87_unpack(value);
    int32_t bias = (int32_t)(lost_mask(exponent_bits) >> 1);
    uint64_t sign = (uint64_t)n.negative << (mantissa_bits + exponent_bits);
    uint64_t infinity = lost_mask(exponent_bits) << mantissa_bits;
    if (n.class == CLASS_INVALID) {
        *flags |= FLAG_INVALID;
        return 1ull << (mantissa_bits + exponent_bits) | infinity | 1ull << (mantissa_bits - 1);
    }
    if (is_nan(&n)) {
        if (n.class == CLASS_SIGNALLING) *flags |= FLAG_INVALID;
        uint64_t fraction = (value.mantissa | 1ull << 62) << 1 >> (64 - mantissa_bits);
        return sign | infinity | fraction;
    }
    if (n.class == CLASS_INFINITY) return sign | infinity;
    if (n.class == CLASS_ZERO) return sign;
    int32_t exponent = n.exponent + bias;
    unsigned drop = 63 - mantissa_bits;
    uint64_t mantissa = n.mantissa;
    int tiny = exponent <= 0, sticky = 0;
    if (tiny) {
        if (exponent == 0) {
            uint64_t lost = mantissa & lost_mask(drop), kept = mantissa >> drop;
            int up = rounds_up(rounding, n.negative, (int)kept & 1, (int)(lost >> (drop - 1)) & 1, (lost & lost_mask(drop - 1)) != 0);
            if (up && kept == lost_mask(mantissa_bits + 1)) tiny = 0;
        }
        unsigned shift = (unsigned)(1 - exponent > 64 ? 64 : 1 - exponent);
        sticky = (mantissa & lost_mask(shift)) != 0;
        mantissa = shift == 64 ? 0 : mantissa >> shift;
        exponent = 0;
    }
    uint64_t lost = mantissa & lost_mask(drop);
    uint64_t kept = mantissa >> drop;
    int half = (int)(lost >> (drop - 1)) & 1, rest = (lost & lost_mask(drop - 1)) != 0 || sticky;
    int inexact = half || rest;
    if (rounds_up(rounding, n.negative, (int)kept & 1, half, rest)) {
        *flags |= FLAG_C1;
        kept++;
        if (kept >> (mantissa_bits + 1)) {
            kept >>= 1;
            exponent++;
        }
    }
    if (exponent == 0 && kept >> mantissa_bits) exponent = 1;
    if (exponent >= (int32_t)lost_mask(exponent_bits)) {
        *flags |= FLAG_OVERFLOW | FLAG_INEXACT;
        int to_largest = rounding == ROUND_ZERO || rounding == (n.negative ? ROUND_UP : ROUND_DOWN);
        *flags = to_largest ? *flags & ~FLAG_C1 : *flags | FLAG_C1;
        return sign | (to_largest ? infinity - 1 : infinity);
    }
    if (inexact) *flags |= FLAG_INEXACT;
    if (tiny && inexact) *flags |= FLAG_UNDERFLOW;
    return sign | (uint64_t)exponent << mantissa_bits | (kept & lost_mask(mantissa_bits));
}

/* The magnitude rounded to an integer; ~0 when it is 2^64 or more (every caller's limit is lower). */
static uint64_t to_magnitude(const struct number *n, unsigned rounding, unsigned *flags) {
    if (n->class == CLASS_ZERO) return 0;
    if (n->exponent > 63) return ~0ull;
    uint64_t kept = 0, half = 0, rest = 0;
    if (n->exponent == 63) {
        kept = n->mantissa;
    } else if (n->exponent >= 0) {
        unsigned drop = 63 - (unsigned)n->exponent;
        kept = n->mantissa >> drop;
        half = n->mantissa >> (drop - 1) & 1;
        rest = n->mantissa & lost_mask(drop - 1);
    } else {
        half = n->exponent == -1;
        rest = half ? n->mantissa << 1 : 1;
    }
    if (half || rest) *flags |= FLAG_INEXACT;
    if (rounds_up(rounding, n->negative, kept & 1, half != 0, rest != 0)) {
        *flags |= FLAG_C1;
        kept++;
    }
    return kept;
}

static uint64_t to_integer(struct f80 value, unsigned bits, unsigned rounding, unsigned *flags) {
    struct number n = x87_unpack(value);
    uint64_t indefinite = 1ull << (bits - 1);
    if (n.class == CLASS_ZERO) return 0;
    if (n.class != CLASS_NORMAL) {
        *flags |= FLAG_INVALID;
        return indefinite;
    }
    unsigned own = 0;
    uint64_t magnitude = to_magnitude(&n, rounding, &own);
    if (n.exponent > 63 || magnitude > indefinite - !n.negative) {
        *flags |= FLAG_INVALID;
        return indefinite;
    }
    *flags |= own;
    return n.negative ? 0 - magnitude : magnitude;
}

static uint64_t to_memory(const struct cpu_state *cpu, enum kind kind, int truncate, unsigned *flags) {
    static const uint8_t widths[] = {0, 0, 16, 32, 64};
    unsigned rounding = truncate ? ROUND_ZERO : x87_mode(cpu).rounding;
    struct f80 value = x87_read(cpu, 0);
    if (x87_is_empty(cpu, 0)) {
        *flags |= FLAG_INVALID | FLAG_STACK;
        value = x87_indefinite();
        unsigned ignored = 0;
        if (kind == KIND_F32) return to_binary(value, 23, 8, rounding, &ignored);
        if (kind == KIND_F64) return to_binary(value, 52, 11, rounding, &ignored);
        return 1ull << (widths[kind] - 1);
    }
    if (kind == KIND_F32) return to_binary(value, 23, 8, rounding, flags);
    if (kind == KIND_F64) return to_binary(value, 52, 11, rounding, flags);
    return to_integer(value, widths[kind], rounding, flags);
}

#define DECIMAL_LIMIT 999999999999999999ull

static uint64_t to_decimal(const struct cpu_state *cpu, unsigned *flags) {
    struct number n = x87_unpack(x87_read(cpu, 0));
    if (x87_is_empty(cpu, 0)) {
        *flags |= FLAG_INVALID | FLAG_STACK;
        return ~0ull;
    }
    unsigned own = 0;
    uint64_t magnitude = 0;
    if (n.class == CLASS_NORMAL) magnitude = to_magnitude(&n, x87_mode(cpu).rounding, &own);
    if ((n.class != CLASS_NORMAL && n.class != CLASS_ZERO) || magnitude > DECIMAL_LIMIT) {
        *flags |= FLAG_INVALID;
        return ~0ull;
    }
    *flags |= own;
    return magnitude | (uint64_t)n.negative << 63;
}

/* ---- helpers ---- */

typedef struct f80 operation(struct f80, struct f80, struct mode, unsigned *);

static struct f80 negated(struct f80 value) { return (struct f80){value.mantissa, value.top ^ 0x8000}; }
static int is_number(struct f80 value) {
    struct number n = x87_unpack(value);
    return n.class == CLASS_NORMAL || n.class == CLASS_ZERO || n.class == CLASS_INFINITY;
}
static struct f80 op_add(struct f80 a, struct f80 b, struct mode m, unsigned *f) { return x87_add(a, b, m, f); }
static struct f80 op_mul(struct f80 a, struct f80 b, struct mode m, unsigned *f) { return x87_mul(a, b, m, f); }
static struct f80 op_sub(struct f80 a, struct f80 b, struct mode m, unsigned *f) {
    return x87_add(a, is_number(b) ? negated(b) : b, m, f);
}
static struct f80 op_subr(struct f80 a, struct f80 b, struct mode m, unsigned *f) { return op_sub(b, a, m, f); }
static struct f80 op_div(struct f80 a, struct f80 b, struct mode m, unsigned *f) { return x87_div(a, b, m, f); }
static struct f80 op_divr(struct f80 a, struct f80 b, struct mode m, unsigned *f) { return x87_div(b, a, m, f); }

static void on_registers(struct cpu_state *cpu, uint64_t argument, operation *compute) {
    unsigned target = argument & 7, other = (argument >> 8) & 7, flags = 0;
    if (x87_is_empty(cpu, target) || x87_is_empty(cpu, other)) {
        x87_write(cpu, target, x87_indefinite());
        x87_raise(cpu, FLAG_INVALID | FLAG_STACK);
        return;
    }
    struct f80 result = compute(x87_read(cpu, target), x87_read(cpu, other), x87_mode(cpu), &flags);
    x87_write(cpu, target, result);
    x87_raise(cpu, flags);
}

static void on_memory(struct cpu_state *cpu, enum kind kind, uint64_t bits, operation *compute) {
    unsigned flags = 0, operand_flags = 0;
    if (x87_is_empty(cpu, 0)) {
        x87_write(cpu, 0, x87_indefinite());
        x87_raise(cpu, FLAG_INVALID | FLAG_STACK);
        return;
    }
    struct f80 operand = from_memory(kind, bits, &operand_flags);
    struct f80 result = compute(x87_read(cpu, 0), operand, x87_mode(cpu), &flags);
    /* A denormal in memory counts unless the operation was invalid or gave a NaN operand back. */
    struct number other = x87_unpack(x87_read(cpu, 0));
    if ((operand_flags & FLAG_DENORMAL) && !(flags & FLAG_INVALID) && !is_nan(&other)) flags |= FLAG_DENORMAL;
    x87_write(cpu, 0, result);
    x87_raise(cpu, flags);
}

static void set_order(struct cpu_state *cpu, int relation) {
    unsigned codes = relation == 2 ? FLAG_C0 | FLAG_C2 | FLAG_C3 : relation < 0 ? FLAG_C0 : relation == 0 ? FLAG_C3 : 0;
    cpu->fsw = (uint16_t)((cpu->fsw & ~(FLAG_C0 | FLAG_C2 | FLAG_C3)) | codes);
}

static void set_eflags(struct cpu_state *cpu, int relation) {
    cpu->zf = relation == 0 || relation == 2;
    cpu->pf = relation == 2;
    cpu->cf = relation == 2 || relation < 0;
    cpu->of = cpu->sf = cpu->af = 0;
}

static void compare_registers(struct cpu_state *cpu, uint64_t argument, int quiet, void (*set)(struct cpu_state *, int)) {
    /* Those that set eflags leave C1 as it is, on AMD's CPUs. */
    unsigned other = argument & 7, flags = set == set_eflags ? cpu->fsw & FLAG_C1 : 0;
    int relation = 2;
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, other)) flags = FLAG_INVALID | FLAG_STACK;
    else relation = order(x87_read(cpu, 0), x87_read(cpu, other), quiet, &flags);
    x87_raise(cpu, flags);
    set(cpu, relation);
}

static void compare_memory(struct cpu_state *cpu, enum kind kind, uint64_t bits) {
    unsigned flags = 0, operand_flags = 0;
    int relation = 2;
    if (x87_is_empty(cpu, 0)) {
        flags = FLAG_INVALID | FLAG_STACK;
    } else {
        relation = order(x87_read(cpu, 0), from_memory(kind, bits, &operand_flags), 0, &flags);
        if (relation != 2) flags |= operand_flags & FLAG_DENORMAL;
    }
    x87_raise(cpu, flags);
    set_order(cpu, relation);
}

static void load(struct cpu_state *cpu, enum kind kind, uint64_t bits) {
    unsigned flags = 0;
    struct f80 value = from_memory(kind, bits, &flags);
    if (flags & FLAG_SIGNALLING_SOURCE) {
        value = quieted(value);
        flags = FLAG_INVALID;
    }
    x87_push(cpu, value, flags);
}

#define HELPER(name) void hc_helper_x87_##name(struct cpu_state *cpu, uint64_t argument)
#define ARITHMETIC(name) \
    HELPER(name##_st) { on_registers(cpu, argument, op_##name); } \
    HELPER(name##_f32) { on_memory(cpu, KIND_F32, argument, op_##name); } \
    HELPER(name##_f64) { on_memory(cpu, KIND_F64, argument, op_##name); } \
    HELPER(name##_i16) { on_memory(cpu, KIND_I16, argument, op_##name); } \
    HELPER(name##_i32) { on_memory(cpu, KIND_I32, argument, op_##name); }
ARITHMETIC(add)
ARITHMETIC(mul)
ARITHMETIC(sub)
ARITHMETIC(subr)
ARITHMETIC(div)
ARITHMETIC(divr)

HELPER(com_st) { compare_registers(cpu, argument, 0, set_order); }
HELPER(ucom_st) { compare_registers(cpu, argument, 1, set_order); }
HELPER(comi_st) { compare_registers(cpu, argument, 0, set_eflags); }
HELPER(ucomi_st) { compare_registers(cpu, argument, 1, set_eflags); }
HELPER(com_f32) { compare_memory(cpu, KIND_F32, argument); }
HELPER(com_f64) { compare_memory(cpu, KIND_F64, argument); }
HELPER(com_i16) { compare_memory(cpu, KIND_I16, argument); }
HELPER(com_i32) { compare_memory(cpu, KIND_I32, argument); }

#define MEMORY(kind, KIND) \
    HELPER(load_##kind) { load(cpu, KIND, argument); } \
    HELPER(value_##kind) { \
        unsigned flags = 0; \
        cpu->helper_result = to_memory(cpu, KIND, argument != 0, &flags); \
    } \
    HELPER(stored_##kind) { \
        unsigned flags = 0; \
        to_memory(cpu, KIND, argument != 0, &flags); \
        x87_raise(cpu, flags); \
    }
MEMORY(f32, KIND_F32)
MEMORY(f64, KIND_F64)
MEMORY(i16, KIND_I16)
MEMORY(i32, KIND_I32)
MEMORY(i64, KIND_I64)

HELPER(load_decimal) {
    struct f80 value = from_integer((int64_t)(argument & ~(1ull << 63)));
    if (argument >> 63) value.top |= 0x8000;
    x87_push(cpu, value, 0);
}
HELPER(value_decimal) {
    (void)argument;
    unsigned flags = 0;
    cpu->helper_result = to_decimal(cpu, &flags);
}
HELPER(stored_decimal) {
    (void)argument;
    unsigned flags = 0;
    to_decimal(cpu, &flags);
    x87_raise(cpu, flags);
}

HELPER(tst) {
    (void)argument;
    unsigned flags = 0;
    int relation = 2;
    if (x87_is_empty(cpu, 0)) flags = FLAG_INVALID | FLAG_STACK;
    else relation = order(x87_read(cpu, 0), x87_zero(0), 0, &flags);
    x87_raise(cpu, flags);
    set_order(cpu, relation);
}

/* Whether st(0) (and st(1) when `both`) hold something; else the indefinite goes to st(`target`). */
int x87_ready(struct cpu_state *cpu, int both, unsigned target) {
    if (!x87_is_empty(cpu, 0) && !(both && x87_is_empty(cpu, 1))) return 1;
    x87_write(cpu, target, x87_indefinite());
    x87_raise(cpu, FLAG_INVALID | FLAG_STACK);
    return 0;
}

HELPER(sqrt) {
    (void)argument;
    unsigned flags = 0;
    if (!x87_ready(cpu, 0, 0)) return;
    x87_write(cpu, 0, x87_sqrt(x87_read(cpu, 0), x87_mode(cpu), &flags));
    x87_raise(cpu, flags);
}

HELPER(rndint) {
    (void)argument;
    unsigned flags = 0;
    if (!x87_ready(cpu, 0, 0)) return;
    struct f80 value = x87_read(cpu, 0), result = value;
    struct number n = x87_unpack(value);
    if (!x87_nan(value, value, &result, &flags) && n.class == CLASS_NORMAL) {
        note_denormals(&n, &n, &flags);
        if (n.exponent < 63) {
            uint64_t magnitude = to_magnitude(&n, x87_mode(cpu).rounding, &flags);
            result = from_integer((int64_t)magnitude);
            if (magnitude >> 63) result = (struct f80){magnitude, 16383 + 63};
            result.top |= (uint16_t)(n.negative ? 0x8000 : 0);
        }
    }
    x87_write(cpu, 0, result);
    x87_raise(cpu, flags);
}

HELPER(scale) {
    (void)argument;
    unsigned flags = 0;
    if (!x87_ready(cpu, 1, 0)) return;
    struct f80 a = x87_read(cpu, 0), b = x87_read(cpu, 1), result = a;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    struct mode mode = {x87_mode(cpu).rounding, 64};
    if (!x87_nan(a, b, &result, &flags)) {
        if (y.class == CLASS_INFINITY && ((x.class == CLASS_ZERO && !y.negative) || (x.class == CLASS_INFINITY && y.negative))) {
            result = invalid(&flags);
        } else {
            note_denormals(&x, &y, &flags);
            if (y.class == CLASS_INFINITY && x.class != CLASS_INFINITY && x.class != CLASS_ZERO)
                result = y.negative ? x87_zero(x.negative) : x87_infinity(x.negative);
            else if (y.class == CLASS_NORMAL && x.class == CLASS_NORMAL) {
                unsigned ignored = 0;
                int32_t by = y.exponent > 16 ? 0x10000 : (int32_t)to_magnitude(&y, ROUND_ZERO, &ignored);
                result = x87_round(x.negative, x.exponent + (y.negative ? -by : by), (wide)x.mantissa << 64, mode, &flags);
            }
        }
    }
    x87_write(cpu, 0, result);
    x87_raise(cpu, flags);
}

/* fxtract: st(0) becomes the exponent as a number, and the significand is pushed. */
HELPER(xtract) {
    (void)argument;
    unsigned flags = 0;
    if (x87_is_empty(cpu, 0)) {
        x87_write(cpu, 0, x87_indefinite());
        x87_force_push(cpu, x87_indefinite(), FLAG_INVALID | FLAG_STACK);
        return;
    }
    struct f80 value = x87_read(cpu, 0), exponent, significand;
    struct number n = x87_unpack(value);
    if (x87_nan(value, value, &exponent, &flags)) {
        significand = exponent;
    } else if (n.class == CLASS_INFINITY) {
        exponent = x87_infinity(0);
        significand = value;
    } else if (n.class == CLASS_ZERO) {
        flags |= FLAG_ZERO_DIVIDE;
        exponent = x87_infinity(1);
        significand = value;
    } else {
        note_denormals(&n, &n, &flags);
        exponent = from_integer(n.exponent);
        significand = (struct f80){n.mantissa, (uint16_t)(n.negative ? 0xbfff : 0x3fff)};
    }
    if (x87_is_full(cpu)) exponent = x87_indefinite();
    x87_write(cpu, 0, exponent);
    x87_push(cpu, significand, flags);
}

/* fprem (truncating) and fprem1 (to nearest) of finite numbers. C2: more reduction is needed; C0 C3 C1: bits 2, 1, 0 of
 * the quotient. */
static struct f80 reduce(struct f80 a, struct number x, struct number y, int nearest, unsigned *codes) {
    struct mode mode = {ROUND_NEAREST, 64};
    unsigned exact = 0; /* a remainder needs no rounding */
    int32_t distance = x.exponent - y.exponent;
    *codes = 0;
    if (distance < (nearest ? -1 : 0)) return a;
    /* Where the exponents are far apart a part of the reduction is done: by a multiple of 32, less than 64 bits. */
    int32_t steps = distance < 64 ? distance : (distance & 31) + 32;
    uint64_t rest = x.mantissa, quotient = 0;
    int carry = 0, negative = x.negative;
    for (int32_t i = steps; i >= 0; i--) {
        quotient <<= 1;
        if (carry || rest >= y.mantissa) {
            rest -= y.mantissa;
            quotient |= 1;
        }
        if (i > 0) {
            carry = (int)(rest >> 63);
            rest <<= 1;
        }
    }
    if (distance >= 64) {
        *codes = FLAG_C2;
        if (rest == 0) return x87_zero(negative);
        return x87_round(negative, x.exponent - steps + 64, rest, mode, &exact);
    }
    /* From here in units of half of y's last place. */
    wide half_units = distance < 0 ? (wide)rest : (wide)rest << 1, divisor = (wide)y.mantissa << 1;
    if (nearest && (half_units << 1 > divisor || (half_units << 1 == divisor && (quotient & 1)))) {
        half_units = divisor - half_units;
        negative = !negative;
        quotient++;
    }
    *codes = (quotient & 4 ? FLAG_C0 : 0) | (quotient & 2 ? FLAG_C3 : 0) | (quotient & 1 ? FLAG_C1 : 0);
    if (half_units == 0) return x87_zero(x.negative);
    return x87_round(negative, y.exponent + 63, half_units, mode, &exact);
}

static void set_remainder(struct cpu_state *cpu, int nearest) {
    /* C0 and C3 stay where there is no quotient. */
    unsigned flags = 0, codes = cpu->fsw & (FLAG_C0 | FLAG_C3);
    cpu->fsw &= (uint16_t)~FLAG_C2;
    if (!x87_ready(cpu, 1, 0)) return;
    struct f80 a = x87_read(cpu, 0), b = x87_read(cpu, 1), result = a;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (!x87_nan(a, b, &result, &flags)) {
        if (x.class == CLASS_INFINITY || y.class == CLASS_ZERO) {
            result = invalid(&flags);
        } else {
            note_denormals(&x, &y, &flags);
            codes = 0;
            if (x.class == CLASS_NORMAL && y.class == CLASS_NORMAL) result = reduce(a, x, y, nearest, &codes);
        }
    }
    x87_write(cpu, 0, result);
    x87_raise(cpu, flags);
    cpu->fsw = (uint16_t)((cpu->fsw & ~(FLAG_C0 | FLAG_C1 | FLAG_C2 | FLAG_C3)) | codes);
}

HELPER(prem) {
    (void)argument;
    set_remainder(cpu, 0);
}
HELPER(prem1) {
    (void)argument;
    set_remainder(cpu, 1);
}
