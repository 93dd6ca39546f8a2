/* Arithmetic of 128 bits that compilers leave to a support library: the runtime has no other. */
#include <stdint.h>

typedef unsigned __int128 u128;
typedef __int128 i128;

static u128 make(uint64_t high, uint64_t low) { return (u128)high << 64 | low; }

/** Quotient and remainder by long division, a bit at a time from the dividend's first one; division by 0 gives 0. */
static u128 divide(u128 dividend, u128 divisor, u128 *remainder) {
    uint64_t high = (uint64_t)(dividend >> 64), low = (uint64_t)dividend;
    uint64_t divisor_high = (uint64_t)(divisor >> 64), divisor_low = (uint64_t)divisor;
    *remainder = 0;
    if (divisor == 0) return 0;
    if (high == 0 && divisor_high == 0) {
        *remainder = low % divisor_low;
        return low / divisor_low;
    }
    uint64_t rest_high = 0, rest_low = 0, quotient_high = 0, quotient_low = 0;
    for (int i = high ? 127 : 63; i >= 0; i--) {
        uint64_t bit = i >= 64 ? high >> (i - 64) & 1 : low >> i & 1;
        uint64_t carry = rest_high >> 63;
        rest_high = rest_high << 1 | rest_low >> 63;
        rest_low = rest_low << 1 | bit;
        quotient_high = quotient_high << 1 | quotient_low >> 63;
        quotient_low <<= 1;
        if (carry || rest_high > divisor_high || (rest_high == divisor_high && rest_low >= divisor_low)) {
            uint64_t borrow = rest_low < divisor_low;
            rest_low -= divisor_low;
            rest_high -= divisor_high + borrow;
            quotient_low |= 1;
        }
    }
    *remainder = make(rest_high, rest_low);
    return make(quotient_high, quotient_low);
}

u128 __udivti3(u128 a, u128 b) {
    u128 remainder;
    return divide(a, b, &remainder);
}

u128 __umodti3(u128 a, u128 b) {
    u128 remainder;
    divide(a, b, &remainder);
    return remainder;
}

i128 __divti3(i128 a, i128 b) {
    u128 remainder;
    u128 quotient = divide(a < 0 ? -(u128)a : (u128)a, b < 0 ? -(u128)b : (u128)b, &remainder);
    return (i128)((a < 0) != (b < 0) ? -quotient : quotient);
}

i128 __modti3(i128 a, i128 b) {
    u128 remainder;
    divide(a < 0 ? -(u128)a : (u128)a, b < 0 ? -(u128)b : (u128)b, &remainder);
    return (i128)(a < 0 ? -remainder : remainder);
}

u128 __ashlti3(u128 value, int by) {
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    if (by == 0) return value;
    return by >= 64 ? make(low << (by & 63), 0) : make(high << by | low >> (64 - by), low << by);
}

u128 __lshrti3(u128 value, int by) {
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    if (by == 0) return value;
    return by >= 64 ? make(0, high >> (by & 63)) : make(high >> by, low >> by | high << (64 - by));
}

i128 __ashrti3(i128 value, int by) {
    int64_t high = (int64_t)(value >> 64);
    uint64_t low = (uint64_t)value;
    if (by == 0) return value;
    uint64_t sign = (uint64_t)(high >> 63);
    return (i128)(by >= 64 ? make(sign, (uint64_t)(high >> (by & 63)))
                           : make((uint64_t)(high >> by), low >> by | (uint64_t)high << (64 - by)));
}
