/* 80-bit extended numbers in integers: taking apart, rounding, NaNs, the operations that are rounded correctly, order. SDM Vol. 1,
 * chapters 4.8, 4.9 and 8. */
#include "helpers-x87.h"

/* Whether to add one unit to a truncated magnitude: `odd` is its last bit, `half` the first bit lost, `rest` the others. */
int x87_rounds_up(unsigned rounding, int negative, int odd, int half, int rest) {
    switch (rounding) {
    case ROUND_NEAREST: return half && (rest || odd);
    case ROUND_DOWN: return negative && (half || rest);
    case ROUND_UP: return !negative && (half || rest);
    default: return 0;
    }
}

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
            if (kept == all && x87_rounds_up(mode.rounding, negative, odd, half, rest)) tiny = 0;
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
    if (x87_rounds_up(mode.rounding, negative, (int)(high >> drop) & 1, half, rest)) {
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
int x87_order(struct f80 a, struct f80 b, int quiet, unsigned *flags) {
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
