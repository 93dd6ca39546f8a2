/* The helpers of src/sem/x87-arithmetic.ts: arithmetic on the x87 stack, with the rounding and precision that the control word
 * asks for, and the status word's flags. Exceptions always get the masked response. Helpers read and write the canonical
 * state only, never guest memory.
 *
 * The files of x87 need nothing of the runtime but abi.h: the interpreter's test build for x86-64 contains them too. */
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

/* Rounding mode and precision of the control word. */
struct mode x87_mode(const struct cpu_state *cpu) {
    static const uint8_t bits[4] = {24, 64, 53, 64};
    struct mode mode = {(cpu->fcw >> 10) & 3u, bits[(cpu->fcw >> 8) & 3u]};
    return mode;
}

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
    struct f80 operand = x87_from_memory(kind, bits, &operand_flags);
    struct f80 result = compute(x87_read(cpu, 0), operand, x87_mode(cpu), &flags);
    /* A denormal in memory counts unless the operation was invalid, a division by zero or gave a NaN operand back. */
    struct number other = x87_unpack(x87_read(cpu, 0));
    if ((operand_flags & FLAG_DENORMAL) && !(flags & (FLAG_INVALID | FLAG_ZERO_DIVIDE)) && !is_nan(&other)) flags |= FLAG_DENORMAL;
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
    else relation = x87_order(x87_read(cpu, 0), x87_read(cpu, other), quiet, &flags);
    x87_raise(cpu, flags);
    set(cpu, relation);
}

static void compare_memory(struct cpu_state *cpu, enum kind kind, uint64_t bits) {
    unsigned flags = 0, operand_flags = 0;
    int relation = 2;
    if (x87_is_empty(cpu, 0)) {
        flags = FLAG_INVALID | FLAG_STACK;
    } else {
        relation = x87_order(x87_read(cpu, 0), x87_from_memory(kind, bits, &operand_flags), 0, &flags);
        if (relation != 2) flags |= operand_flags & FLAG_DENORMAL;
    }
    x87_raise(cpu, flags);
    set_order(cpu, relation);
}

static void load(struct cpu_state *cpu, enum kind kind, uint64_t bits) {
    unsigned flags = 0;
    struct f80 value = x87_from_memory(kind, bits, &flags);
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
        cpu->helper_result = x87_to_memory(cpu, KIND, argument != 0, &flags); \
    } \
    HELPER(stored_##kind) { \
        unsigned flags = 0; \
        x87_to_memory(cpu, KIND, argument != 0, &flags); \
        x87_raise(cpu, flags); \
    }
MEMORY(f32, KIND_F32)
MEMORY(f64, KIND_F64)
MEMORY(i16, KIND_I16)
MEMORY(i32, KIND_I32)
MEMORY(i64, KIND_I64)

HELPER(load_decimal) {
    struct f80 value = x87_from_integer((int64_t)(argument & ~(1ull << 63)));
    if (argument >> 63) value.top |= 0x8000;
    x87_push(cpu, value, 0);
}
HELPER(value_decimal) {
    (void)argument;
    unsigned flags = 0;
    cpu->helper_result = x87_to_decimal(cpu, &flags);
}
HELPER(stored_decimal) {
    (void)argument;
    unsigned flags = 0;
    x87_to_decimal(cpu, &flags);
    x87_raise(cpu, flags);
}

HELPER(tst) {
    (void)argument;
    unsigned flags = 0;
    int relation = 2;
    if (x87_is_empty(cpu, 0)) flags = FLAG_INVALID | FLAG_STACK;
    else relation = x87_order(x87_read(cpu, 0), x87_zero(0), 0, &flags);
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
            uint64_t magnitude = x87_to_magnitude(&n, x87_mode(cpu).rounding, &flags);
            result = x87_from_integer((int64_t)magnitude);
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
                int32_t by = y.exponent > 16 ? 0x10000 : (int32_t)x87_to_magnitude(&y, ROUND_ZERO, &ignored);
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
        exponent = x87_from_integer(n.exponent);
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
