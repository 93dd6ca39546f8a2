/* The transcendental x87 instructions. They are computed with 128 bits of mantissa by series that converge fast, and rounded
 * once: results are nearest in nearly all cases, where CPUs promise an error below one unit in the last place. Angles
 * are reduced by the same pi of 66 bits that CPUs use. */
#include "helpers-x87.h"

/** value = mantissa * 2^(exponent - 127), the mantissa's top bit set; mantissa 0 is zero. */
struct long_number { int negative; int32_t exponent; wide mantissa; };

#define WIDE(high, low) ((wide)(high) << 64 | (low))

static struct long_number normal(int negative, int32_t exponent, wide mantissa) {
    struct long_number n = {negative, exponent, mantissa};
    if (mantissa == 0) return n;
    if (!(uint64_t)(mantissa >> 64)) { n.mantissa <<= 64; n.exponent -= 64; }
    int zeros = __builtin_clzll((uint64_t)(n.mantissa >> 64));
    n.mantissa <<= zeros;
    n.exponent -= zeros;
    return n;
}

static struct long_number from_number(const struct number *n) {
    return (struct long_number){n->negative, n->exponent, n->class == CLASS_ZERO ? 0 : (wide)n->mantissa << 64};
}
static struct long_number small_integer(uint32_t value) { return normal(0, 127, value); }
static struct long_number opposite(struct long_number a) { a.negative = !a.negative; return a; }

static struct long_number multiply(struct long_number a, struct long_number b) {
    uint64_t a1 = (uint64_t)(a.mantissa >> 64), a0 = (uint64_t)a.mantissa, b1 = (uint64_t)(b.mantissa >> 64), b0 = (uint64_t)b.mantissa;
    wide middle = ((wide)a0 * b0 >> 64) + (uint64_t)((wide)a1 * b0) + (uint64_t)((wide)a0 * b1);
    wide high = (wide)a1 * b1 + (uint64_t)((wide)a1 * b0 >> 64) + (uint64_t)((wide)a0 * b1 >> 64) + (uint64_t)(middle >> 64);
    return normal(a.negative != b.negative, a.exponent + b.exponent + 1, high);
}

static struct long_number plus(struct long_number a, struct long_number b) {
    if (a.mantissa == 0) return b;
    if (b.mantissa == 0) return a;
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
        struct long_number t = a;
        a = b;
        b = t;
    }
    int32_t distance = a.exponent - b.exponent + 1;
    wide large = a.mantissa >> 1, small = distance > 127 ? 0 : b.mantissa >> distance;
    return normal(a.negative, a.exponent + 1, a.negative == b.negative ? large + small : large - small);
}
static struct long_number minus(struct long_number a, struct long_number b) { return plus(a, opposite(b)); }

static struct long_number divide(struct long_number a, struct long_number b) {
    wide rest = a.mantissa, quotient = 0;
    int carry = 0;
    for (int i = 0; i < 128; i++) {
        quotient <<= 1;
        if (carry || rest >= b.mantissa) {
            rest -= b.mantissa;
            quotient |= 1;
        }
        carry = (int)(rest >> 127);
        rest <<= 1;
    }
    return normal(a.negative != b.negative, a.exponent - b.exponent, quotient);
}
static struct long_number over(struct long_number a, uint32_t divisor) { return divide(a, small_integer(divisor)); }
static struct long_number doubled(struct long_number a) { a.exponent++; return a; }

static const struct long_number LN2 = {0, -1, WIDE(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)};
static const struct long_number LOG2E = {0, 0, WIDE(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88)};
static const struct long_number PI = {0, 1, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
/* Angles whose tangents are 0, 1/8, ... 1. */
static const struct long_number ANGLES[9] = {
    {0, 0, 0},
    {0, -4, WIDE(0xfeadd4d5617b6e32, 0xc897989f3e888ef7)},
    {0, -3, WIDE(0xfadbafc96406eb15, 0x6dc79ef5f7a217e5)},
    {0, -2, WIDE(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483)},
    {0, -2, WIDE(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03)},
    {0, -1, WIDE(0x8f005d5ef7f59f9b, 0x5c835e1665c43747)},
    {0, -1, WIDE(0xa4bc7d1934f70924, 0x19a87f2a457dac9e)},
    {0, -1, WIDE(0xb8053e2bc2319e73, 0xcb2da55210a4443d)},
    {0, -1, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)},
};

/* Sums first * (1 + x/d1 + x^2/(d1 d2) ...) style series: the term after n is made by `next`. */
static int matters(struct long_number term, struct long_number sum) {
    return term.mantissa != 0 && term.exponent > sum.exponent - 132;
}

/* e^x - 1 for |x| < 1. */
static struct long_number exponential(struct long_number x) {
    struct long_number sum = x, term = x;
    for (uint32_t n = 2; matters(term, sum); n++) {
        term = over(multiply(term, x), n);
        sum = plus(sum, term);
    }
    return sum;
}

/* z + z^3/3 + z^5/5 ..., or with alternating signs. */
static struct long_number odd_series(struct long_number z, int alternating) {
    struct long_number square = multiply(z, z), power = z, sum = z, term = z;
    if (alternating) square = opposite(square);
    for (uint32_t n = 3; matters(term, sum); n += 2) {
        power = multiply(power, square);
        term = over(power, n);
        sum = plus(sum, term);
    }
    return sum;
}

/* x - x^3/3! + ... (first 1) or 1 - x^2/2! + ... (first 0). */
static struct long_number circular(struct long_number x, uint32_t first) {
    struct long_number square = opposite(multiply(x, x)), term = first ? x : small_integer(1), sum = term;
    for (uint32_t n = first + 1; matters(term, sum); n += 2) {
        term = over(multiply(term, square), n * (n + 1));
        sum = plus(sum, term);
    }
    return sum;
}

static struct f80 rounded(const struct cpu_state *cpu, struct long_number value, unsigned *flags) {
    struct mode mode = {x87_mode(cpu).rounding, 64};
    /* What is computed is never exact: the last bit is sticky. */
    struct f80 result = x87_round(value.negative, value.exponent, value.mantissa | 1, mode, flags);
    *flags |= FLAG_INEXACT;
    return result;
}

static void note(const struct number *a, unsigned *flags) {
    if (a->denormal) *flags |= FLAG_DENORMAL;
}

#define HELPER(name) void hc_helper_x87_##name(struct cpu_state *cpu, uint64_t argument)

/* 2^x - 1 for -1 <= x <= 1; beyond, where the instruction is not defined, x itself as on AMD's CPUs. */
HELPER(2xm1) {
    (void)argument;
    unsigned flags = 0;
    if (!x87_ready(cpu, 0, 0)) return;
    struct f80 a = x87_read(cpu, 0), result = a;
    struct number x = x87_unpack(a);
    if (!x87_nan(a, a, &result, &flags)) {
        note(&x, &flags);
        int is_one = x.class == CLASS_NORMAL && x.exponent == 0 && x.mantissa == 1ull << 63;
        if (x.class == CLASS_INFINITY) result = x.negative ? (struct f80){1ull << 63, 0xbfff} : a;
        else if (is_one) result = x.negative ? (struct f80){1ull << 63, 0xbffe} : a;
        else if (x.class == CLASS_NORMAL && x.exponent < 0) result = rounded(cpu, exponential(multiply(from_number(&x), LN2)), &flags);
    }
    x87_write(cpu, 0, result);
    x87_raise(cpu, flags);
}

/* Pops st(0) after st(1) got the result. */
static void finish_two(struct cpu_state *cpu, struct f80 result, unsigned flags) {
    x87_write(cpu, 1, result);
    x87_raise(cpu, flags);
    unsigned top = (cpu->fsw >> 11) & 7u;
    cpu->ftw &= (uint8_t)~(1u << top);
    cpu->fsw = (uint16_t)((cpu->fsw & ~0x3800u) | ((top + 1) & 7u) << 11);
}

static int ready_two(struct cpu_state *cpu) {
    if (!x87_is_empty(cpu, 0) && !x87_is_empty(cpu, 1)) return 1;
    finish_two(cpu, x87_indefinite(), FLAG_INVALID | FLAG_STACK);
    return 0;
}

/* y * log where log is 0, negative infinity, infinity or finite (`log` itself). */
static struct f80 scaled_log(struct cpu_state *cpu, const struct number *y, int log_class, int log_negative, struct long_number log, unsigned *flags) {
    int negative = y->negative != log_negative;
    if ((y->class == CLASS_INFINITY && log_class == CLASS_ZERO) || (y->class == CLASS_ZERO && log_class == CLASS_INFINITY)) return invalid(flags);
    if (y->class == CLASS_INFINITY || log_class == CLASS_INFINITY) return x87_infinity(negative);
    if (y->class == CLASS_ZERO || log_class == CLASS_ZERO) return x87_zero(negative);
    return rounded(cpu, multiply(from_number(y), log), flags);
}

/* st(1) = st(1) * log2(st(0)), pop. */
HELPER(yl2x) {
    (void)argument;
    unsigned flags = 0;
    if (!ready_two(cpu)) return;
    struct f80 a = x87_read(cpu, 0), b = x87_read(cpu, 1), result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    struct long_number log = {0};
    if (x87_nan(b, a, &result, &flags)) {
    } else if (x.negative && x.class != CLASS_ZERO) {
        result = invalid(&flags);
    } else if (x.class == CLASS_ZERO) {
        if (y.class == CLASS_NORMAL) flags |= FLAG_ZERO_DIVIDE;
        result = scaled_log(cpu, &y, CLASS_INFINITY, 1, log, &flags);
    } else if (x.class == CLASS_INFINITY) {
        note(&y, &flags);
        result = scaled_log(cpu, &y, CLASS_INFINITY, 0, log, &flags);
    } else {
        note(&x, &flags);
        note(&y, &flags);
        int32_t exponent = x.exponent;
        struct long_number m = {0, 0, (wide)x.mantissa << 64}, one = small_integer(1);
        if (x.mantissa > 0xb504f333f9de6484ull) {
            m.exponent = -1;
            exponent++;
        }
        struct long_number z = divide(minus(m, one), plus(m, one));
        log = small_integer(exponent < 0 ? (uint32_t)-exponent : (uint32_t)exponent);
        log.negative = exponent < 0;
        if (z.mantissa) log = plus(log, multiply(doubled(odd_series(z, 0)), LOG2E));
        int is_power = x.mantissa == 1ull << 63;
        if (log.mantissa == 0) {
            result = scaled_log(cpu, &y, CLASS_ZERO, 0, log, &flags);
        } else if (is_power && y.class == CLASS_NORMAL) {
            /* An integer times y: rounded as a product is, but always called inexact. */
            struct mode mode = {x87_mode(cpu).rounding, 64};
            result = x87_round(y.negative != log.negative, y.exponent + log.exponent + 1, (wide)y.mantissa * (uint64_t)(log.mantissa >> 64), mode, &flags);
            flags |= FLAG_INEXACT;
        } else {
            result = scaled_log(cpu, &y, CLASS_NORMAL, log.negative, log, &flags);
        }
    }
    finish_two(cpu, result, flags);
}

/* st(1) = st(1) * log2(st(0) + 1), pop. */
HELPER(yl2xp1) {
    (void)argument;
    unsigned flags = 0;
    if (!ready_two(cpu)) return;
    struct f80 a = x87_read(cpu, 0), b = x87_read(cpu, 1), result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (!x87_nan(b, a, &result, &flags)) {
        struct long_number one = small_integer(1), log = {0};
        note(&x, &flags);
        note(&y, &flags);
        if (x.class == CLASS_ZERO) {
            result = scaled_log(cpu, &y, CLASS_ZERO, x.negative, log, &flags);
        } else if (x.class == CLASS_INFINITY) {
            result = x.negative ? invalid(&flags) : scaled_log(cpu, &y, CLASS_INFINITY, 0, log, &flags);
        } else if (x.negative && x.exponent >= 0) {
            result = invalid(&flags);
        } else {
            struct long_number value = from_number(&x);
            if (x.exponent < -1) {
                log = odd_series(divide(value, plus(small_integer(2), value)), 0);
                log = multiply(doubled(log), LOG2E);
            } else {
                /* 1 + x = m * 2^e as for fyl2x. */
                struct long_number m = plus(one, value);
                int32_t exponent = m.exponent;
                m.exponent = 0;
                struct long_number z = divide(minus(m, one), plus(m, one));
                log = small_integer(exponent < 0 ? (uint32_t)-exponent : (uint32_t)exponent);
                log.negative = exponent < 0;
                if (z.mantissa) log = plus(log, multiply(doubled(odd_series(z, 0)), LOG2E));
            }
            result = scaled_log(cpu, &y, log.mantissa ? CLASS_NORMAL : CLASS_ZERO, log.negative, log, &flags);
        }
    }
    finish_two(cpu, result, flags);
}

/* The angle whose tangent is t, 0 <= t <= 1. */
static struct long_number arc_tangent(struct long_number t) {
    if (t.mantissa == 0) return t;
    struct long_number eighths = t;
    eighths.exponent += 3;
    unsigned nearest = 0;
    if (eighths.exponent >= -1) {
        wide integer = eighths.exponent < 0 ? 0 : eighths.mantissa >> (127 - eighths.exponent);
        int half = (int)(eighths.mantissa >> (126 - eighths.exponent)) & 1;
        nearest = (unsigned)integer + (unsigned)half;
    }
    if (nearest == 0) return odd_series(t, 1);
    struct long_number c = over(small_integer(nearest), 8);
    struct long_number u = divide(minus(t, c), plus(small_integer(1), multiply(t, c)));
    if (u.mantissa == 0) return ANGLES[nearest];
    return plus(ANGLES[nearest], odd_series(u, 1));
}

/* st(1) = angle of the point (st(0), st(1)), pop. */
HELPER(patan) {
    (void)argument;
    unsigned flags = 0;
    if (!ready_two(cpu)) return;
    struct f80 a = x87_read(cpu, 0), b = x87_read(cpu, 1), result;
    struct number x = x87_unpack(a), y = x87_unpack(b);
    if (!x87_nan(b, a, &result, &flags)) {
        note(&x, &flags);
        note(&y, &flags);
        struct long_number angle = {0}, half_pi = PI, quarter_pi = PI;
        half_pi.exponent--;
        quarter_pi.exponent -= 2;
        int exact = 0;
        if (y.class == CLASS_ZERO || (x.class == CLASS_INFINITY && y.class != CLASS_INFINITY)) {
            if (x.negative) angle = PI;
            else exact = 1;
        } else if (y.class == CLASS_INFINITY && x.class == CLASS_INFINITY) {
            angle = x.negative ? minus(PI, quarter_pi) : quarter_pi;
        } else if (y.class == CLASS_INFINITY || x.class == CLASS_ZERO) {
            angle = half_pi;
        } else {
            struct long_number across = from_number(&x), up = from_number(&y);
            across.negative = up.negative = 0;
            int steep = up.exponent > across.exponent || (up.exponent == across.exponent && up.mantissa > across.mantissa);
            angle = arc_tangent(steep ? divide(across, up) : divide(up, across));
            if (steep) angle = minus(half_pi, angle);
            if (x.negative) angle = minus(PI, angle);
        }
        if (exact) {
            result = x87_zero(y.negative);
        } else {
            angle.negative = y.negative;
            result = rounded(cpu, angle, &flags);
        }
    }
    finish_two(cpu, result, flags);
}

/* x modulo pi/2 and the number of the quadrant modulo 4; beyond pi/4 the distance to pi/2 instead, `mirrored`, so that the
 * smaller of sine and cosine keeps its precision. CPUs take pi as 0x3.243f6a8885a308d3: pi/2 is HALF_PI * 2^-65. */
#define HALF_PI WIDE(0x3, 0x243f6a8885a308d3)

static struct long_number reduce_angle(const struct number *x, unsigned *quadrant, int *mirrored) {
    *quadrant = 0;
    *mirrored = 0;
    if (x->exponent < 0) return (struct long_number){0, x->exponent, (wide)x->mantissa << 64};
    /* x in units of 2^-65 is mantissa * 2^(exponent + 2). */
    wide rest = 0;
    unsigned quotient = 0;
    for (int32_t i = 63 + x->exponent + 2; i >= 0; i--) {
        int32_t bit = i - (x->exponent + 2);
        rest = rest << 1 | (bit >= 0 ? (x->mantissa >> bit) & 1 : 0);
        quotient <<= 1;
        if (rest >= HALF_PI) {
            rest -= HALF_PI;
            quotient |= 1;
        }
    }
    *quadrant = quotient & 3;
    *mirrored = rest > HALF_PI / 2;
    if (*mirrored) rest = HALF_PI - rest;
    return normal(0, 127 - 65, rest);
}

enum { SINE = 1, COSINE = 2 };

/* Sine and cosine of a finite number that is not zero. */
static void sine_cosine(const struct number *x, struct long_number *sine, struct long_number *cosine) {
    unsigned quadrant;
    int mirrored;
    struct long_number angle = reduce_angle(x, &quadrant, &mirrored);
    struct long_number s = angle, c = small_integer(1);
    if (angle.mantissa) {
        s = circular(angle, 1);
        c = circular(angle, 0);
    }
    int swapped = (int)(quadrant & 1) != mirrored;
    *sine = swapped ? c : s;
    *cosine = swapped ? s : c;
    sine->negative ^= (quadrant >> 1) & 1;
    cosine->negative ^= ((quadrant + 1) >> 1) & 1;
    if (x->negative) sine->negative = !sine->negative;
}

static void set_c2(struct cpu_state *cpu, int out_of_range) {
    cpu->fsw = (uint16_t)((cpu->fsw & ~FLAG_C2) | (out_of_range ? FLAG_C2 : 0));
}

/* fsin, fcos, fsincos, fptan. `pushes` is what is pushed after st(0): 0 nothing, COSINE, or SINE for fptan's 1. */
static void circular_helper(struct cpu_state *cpu, int wanted, int pushes) {
    unsigned flags = 0;
    if (x87_is_empty(cpu, 0)) {
        x87_write(cpu, 0, x87_indefinite());
        x87_raise(cpu, FLAG_INVALID | FLAG_STACK);
        set_c2(cpu, 0);
        if (pushes) x87_force_push(cpu, x87_indefinite(), FLAG_INVALID | FLAG_STACK);
        return;
    }
    struct f80 a = x87_read(cpu, 0), first, second = {1ull << 63, 0x3fff};
    struct number x = x87_unpack(a);
    if (x87_nan(a, a, &first, &flags)) {
        second = first;
    } else if (x.class == CLASS_INFINITY) {
        first = second = invalid(&flags);
    } else if (x.class == CLASS_NORMAL && x.exponent >= 63) {
        cpu->fsw &= (uint16_t)~FLAG_C1;
        set_c2(cpu, 1);
        return;
    } else if (x.class == CLASS_ZERO) {
        first = wanted == COSINE ? second : a;
    } else {
        struct long_number sine, cosine;
        note(&x, &flags);
        sine_cosine(&x, &sine, &cosine);
        if (pushes == SINE) {
            first = rounded(cpu, divide(sine, cosine), &flags);
        } else {
            if (pushes) second = rounded(cpu, cosine, &flags);
            first = rounded(cpu, wanted == SINE ? sine : cosine, &flags);
        }
    }
    set_c2(cpu, 0);
    if (pushes && x87_is_full(cpu)) first = x87_indefinite();
    x87_write(cpu, 0, first);
    if (pushes) x87_push(cpu, second, flags);
    else x87_raise(cpu, flags);
}

HELPER(sin) {
    (void)argument;
    circular_helper(cpu, SINE, 0);
}
HELPER(cos) {
    (void)argument;
    circular_helper(cpu, COSINE, 0);
}
HELPER(sincos) {
    (void)argument;
    circular_helper(cpu, SINE, COSINE);
}
HELPER(ptan) {
    (void)argument;
    circular_helper(cpu, SINE, SINE);
}
