/* The formats in which x87 instructions load and store numbers: single, double, integers of 16, 32 and 64 bits, decimals. */
#include "helpers-x87.h"

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

struct f80 x87_from_integer(int64_t value) {
    if (value == 0) return x87_zero(0);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned zeros = (unsigned)__builtin_clzll(magnitude);
    return (struct f80){magnitude << zeros, (uint16_t)((value < 0 ? 0x8000 : 0) | (16383 + 63 - zeros))};
}

struct f80 x87_from_memory(enum kind kind, uint64_t bits, unsigned *flags) {
    switch (kind) {
    case KIND_F32: return from_binary(bits, 23, 8, flags);
    case KIND_F64: return from_binary(bits, 52, 11, flags);
    case KIND_I16: return x87_from_integer((int16_t)bits);
    case KIND_I32: return x87_from_integer((int32_t)bits);
    default: return x87_from_integer((int64_t)bits);
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
            int up = x87_rounds_up(rounding, n.negative, (int)kept & 1, (int)(lost >> (drop - 1)) & 1, (lost & lost_mask(drop - 1)) != 0);
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
    if (x87_rounds_up(rounding, n.negative, (int)kept & 1, half, rest)) {
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
uint64_t x87_to_magnitude(const struct number *n, unsigned rounding, unsigned *flags) {
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
    if (x87_rounds_up(rounding, n->negative, kept & 1, half != 0, rest != 0)) {
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
    uint64_t magnitude = x87_to_magnitude(&n, rounding, &own);
    if (n.exponent > 63 || magnitude > indefinite - !n.negative) {
        *flags |= FLAG_INVALID;
        return indefinite;
    }
    *flags |= own;
    return n.negative ? 0 - magnitude : magnitude;
}

uint64_t x87_to_memory(const struct cpu_state *cpu, enum kind kind, int truncate, unsigned *flags) {
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

uint64_t x87_to_decimal(const struct cpu_state *cpu, unsigned *flags) {
    struct number n = x87_unpack(x87_read(cpu, 0));
    if (x87_is_empty(cpu, 0)) {
        *flags |= FLAG_INVALID | FLAG_STACK;
        return ~0ull;
    }
    unsigned own = 0;
    uint64_t magnitude = 0;
    if (n.class == CLASS_NORMAL) magnitude = x87_to_magnitude(&n, x87_mode(cpu).rounding, &own);
    if ((n.class != CLASS_NORMAL && n.class != CLASS_ZERO) || magnitude > DECIMAL_LIMIT) {
        *flags |= FLAG_INVALID;
        return ~0ull;
    }
    *flags |= own;
    return magnitude | (uint64_t)n.negative << 63;
}
