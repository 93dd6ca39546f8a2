/* What the files of x87 arithmetic share: 80-bit numbers, taken apart, and operations on them. */
#pragma once
#include "abi.h"

typedef unsigned __int128 wide;

/** An extended number as it is stored: mantissa with explicit integer bit; sign and exponent. */
struct f80 { uint64_t mantissa; uint16_t top; };

enum { CLASS_ZERO, CLASS_NORMAL, CLASS_INFINITY, CLASS_QUIET, CLASS_SIGNALLING, CLASS_INVALID };

/** Taken apart: value = mantissa * 2^(exponent - 63) for CLASS_NORMAL, whose mantissa has its top bit set. */
struct number { int class, negative; int32_t exponent; uint64_t mantissa; int denormal; };

enum { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };
struct mode { unsigned rounding, precision; };

#define FLAG_INVALID 0x01u
#define FLAG_DENORMAL 0x02u
#define FLAG_ZERO_DIVIDE 0x04u
#define FLAG_OVERFLOW 0x08u
#define FLAG_UNDERFLOW 0x10u
#define FLAG_INEXACT 0x20u
#define FLAG_STACK 0x40u
#define FLAG_C0 0x100u
#define FLAG_C1 0x200u
#define FLAG_C2 0x400u
#define FLAG_C3 0x4000u
/** Not of the status word: a conversion from memory met a signalling NaN. */
#define FLAG_SIGNALLING_SOURCE 0x10000u

struct f80 x87_read(const struct cpu_state *cpu, unsigned i);
void x87_write(struct cpu_state *cpu, unsigned i, struct f80 value);
int x87_is_empty(const struct cpu_state *cpu, unsigned i);
void x87_raise(struct cpu_state *cpu, unsigned flags);
int x87_is_full(const struct cpu_state *cpu);
void x87_push(struct cpu_state *cpu, struct f80 value, unsigned flags);
void x87_force_push(struct cpu_state *cpu, struct f80 value, unsigned flags);
int x87_ready(struct cpu_state *cpu, int both, unsigned target);

enum kind { KIND_F32, KIND_F64, KIND_I16, KIND_I32, KIND_I64 };

static inline uint64_t lost_mask(unsigned bits) { return bits >= 64 ? ~0ull : (1ull << bits) - 1; }

struct mode x87_mode(const struct cpu_state *cpu);
struct number x87_unpack(struct f80 value);
struct f80 x87_round(int negative, int32_t exponent, wide mantissa, struct mode mode, unsigned *flags);
int x87_nan(struct f80 a, struct f80 b, struct f80 *result, unsigned *flags);
struct f80 x87_indefinite(void);
struct f80 x87_zero(int negative);
struct f80 x87_infinity(int negative);
struct f80 x87_add(struct f80 a, struct f80 b, struct mode mode, unsigned *flags);
struct f80 x87_mul(struct f80 a, struct f80 b, struct mode mode, unsigned *flags);
struct f80 x87_div(struct f80 a, struct f80 b, struct mode mode, unsigned *flags);
struct f80 x87_sqrt(struct f80 a, struct mode mode, unsigned *flags);
int x87_rounds_up(unsigned rounding, int negative, int odd, int half, int rest);
int x87_order(struct f80 a, struct f80 b, int quiet, unsigned *flags);

struct f80 x87_from_integer(int64_t value);
struct f80 x87_from_memory(enum kind kind, uint64_t bits, unsigned *flags);
uint64_t x87_to_magnitude(const struct number *n, unsigned rounding, unsigned *flags);
uint64_t x87_to_memory(const struct cpu_state *cpu, enum kind kind, int truncate, unsigned *flags);
uint64_t x87_to_decimal(const struct cpu_state *cpu, unsigned *flags);

static inline int is_nan(const struct number *n) { return n->class == CLASS_QUIET || n->class == CLASS_SIGNALLING; }
static inline struct f80 quieted(struct f80 value) { return (struct f80){value.mantissa | 1ull << 62, value.top}; }
static inline struct f80 invalid(unsigned *flags) {
    *flags |= FLAG_INVALID;
    return x87_indefinite();
}
static inline void note_denormals(const struct number *a, const struct number *b, unsigned *flags) {
    if (a->denormal || b->denormal) *flags |= FLAG_DENORMAL;
}
