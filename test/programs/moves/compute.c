/* Code without system calls: integers, vectors of all widths with masks, the C library's string functions, x87 and MMX. */
#include "moves.h"
#include <immintrin.h>
#include <math.h>
#include <mmintrin.h>

void round_integers(int round) {
    uint64_t seed = seed_of(round), sum = 0;
    for (int i = 0; i < 40000; i++) {
        uint64_t x = draw(&seed), y = draw(&seed) | 1;
        sum += x / y + (x % y) * 3 + __builtin_popcountll(x) + ((unsigned __int128)x * y >> 64);
        sum = sum << (x & 63) | sum >> (-x & 63);
    }
    note(sum);
}

/* Upper halves stay live over the whole loop; the sum of lanes is known from plain arithmetic. */
__attribute__((target("avx2"))) static void vectors_avx2(uint64_t seed) {
    enum { N = 1024 };
    static _Alignas(64) uint32_t in[N];
    uint32_t want[8] = { 0 }, got[8], xors[8] = { 0 }, got_xors[8];
    for (int i = 0; i < N; i++) in[i] = (uint32_t)draw(&seed);
    __m256i a = _mm256_setzero_si256(), b = a, c = _mm256_set1_epi32(1), d = _mm256_set1_epi32(7);
    for (int pass = 0; pass < 60; pass++) {
        for (int i = 0; i < N; i += 8) {
            __m256i x = _mm256_load_si256((const __m256i *)(in + i));
            a = _mm256_add_epi32(a, _mm256_mullo_epi32(x, c));
            b = _mm256_xor_si256(b, _mm256_permutevar8x32_epi32(x, d));
            __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d));
        }
        c = _mm256_add_epi32(c, _mm256_set1_epi32(2));
    }
    _mm256_storeu_si256((__m256i *)got, a);
    _mm256_storeu_si256((__m256i *)got_xors, b);
    for (int pass = 0; pass < 60; pass++)
        for (int i = 0; i < N; i++) {
            want[i & 7] += in[i] * (1 + 2 * (uint32_t)pass);
            if ((i & 7) == 7) for (int k = 0; k < 8; k++) xors[k] ^= in[i];
        }
    CHECK(memcmp(want, got, sizeof want) == 0);
    CHECK(memcmp(xors, got_xors, sizeof xors) == 0);
    note_bytes(want, sizeof want);
}

static void vectors_sse(uint64_t seed) {
    __m128i sum = _mm_setzero_si128();
    uint64_t want = 0, got[2];
    for (int i = 0; i < 20000; i++) {
        uint64_t x = draw(&seed);
        sum = _mm_add_epi64(sum, _mm_set_epi64x((long long)x, (long long)(x >> 3)));
        want += x + (x >> 3);
        __asm__ volatile("" : "+x"(sum));
    }
    _mm_storeu_si128((__m128i *)got, sum);
    CHECK(got[0] + got[1] == want);
    note(want);
}

void round_vectors(int round) {
    vectors_sse(seed_of(round));
    if (__builtin_cpu_supports("avx2")) vectors_avx2(seed_of(round));
}

/* All 32 zmm and seven mask registers hold patterns over a long loop, and are checked after it. */
#define EACH32(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) \
    M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30) M(31)
#define EACH7(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
static _Alignas(64) uint8_t zmm_in[32][64], zmm_out[32][64];
static uint64_t k_in[8], k_out[8];
__attribute__((target("avx512f,avx512bw"))) static void masks_avx512(uint64_t seed, uint64_t loops) {
    for (size_t i = 0; i < sizeof zmm_in; i++) ((uint8_t *)zmm_in)[i] = (uint8_t)draw(&seed);
    for (int i = 0; i < 8; i++) k_in[i] = draw(&seed);
    uint64_t left = loops;
    __asm__ volatile(
#define LOAD(n) "vmovdqu64 64*" #n "(%[zi]), %%zmm" #n "\n"
#define STORE(n) "vmovdqu64 %%zmm" #n ", 64*" #n "(%[zo])\n"
#define LOADK(n) "kmovq 8*" #n "(%[ki]), %%k" #n "\n"
#define STOREK(n) "kmovq %%k" #n ", 8*" #n "(%[ko])\n"
        EACH32(LOAD) EACH7(LOADK)
        "1: vpaddb %%zmm17, %%zmm31, %%zmm31%{%%k3%}\n"
        "vpsubb %%zmm17, %%zmm31, %%zmm31%{%%k3%}\n"
        "kxorq %%k1, %%k2, %%k2\n kxorq %%k1, %%k2, %%k2\n"
        "dec %[left]\n jnz 1b\n"
        EACH32(STORE) EACH7(STOREK) "vzeroupper\n"
        : [left] "+r"(left)
        : [zi] "r"(zmm_in), [zo] "r"(zmm_out), [ki] "r"(k_in), [ko] "r"(k_out)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
          "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7");
    CHECK(memcmp(zmm_in, zmm_out, sizeof zmm_in) == 0);
    CHECK(memcmp(k_in + 1, k_out + 1, sizeof k_in - 8) == 0);
    note(draw(&seed));
}

void round_masks(int round) {
    if (__builtin_cpu_supports("avx512bw")) masks_avx512(seed_of(round), 20000);
    else pause_ms(5);
}

void round_strings(int round) {
    enum { SIZE = 4096 };
    static char a[SIZE + 64], b[SIZE + 64], c[SIZE + 64];
    uint64_t seed = seed_of(round);
    for (int i = 0; i < 60; i++) {
        size_t length = draw(&seed) % SIZE, at = draw(&seed) % 64;
        char *from = a + at, *to = b + draw(&seed) % 64;
        for (size_t k = 0; k < length; k++) from[k] = (char)(1 + draw(&seed) % 255);
        from[length] = 0;
        CHECK(strlen(from) == length);
        memcpy(to, from, length + 1);
        CHECK(strcmp(to, from) == 0 && memcmp(to, from, length + 1) == 0);
        size_t where = length ? draw(&seed) % length : 0;
        char sought = from[where];
        size_t first = 0;
        while (first <= length && from[first] != sought) first++;
        CHECK(memchr(from, sought, length + 1) == from + first);
        CHECK(strchr(from, sought) == from + first);
        if (length) to[where] ^= 1;
        CHECK(length == 0 || memcmp(to, from, length) != 0);
        size_t shift = draw(&seed) % 32;
        memcpy(c, from, length);
        memmove(from + shift, from, length < SIZE - 64 ? length : SIZE - 64);
        CHECK(memcmp(c, from + shift, length < SIZE - 64 ? length : SIZE - 64) == 0);
        memset(c, sought, length);
        for (size_t k = 0; k < length; k++) CHECK(c[k] == sought);
        note(length * 4099 + first);
    }
}

/* Seven values on the stack while a long loop runs on top of them. */
void round_x87(int round) {
    long double sum = 0;
    double in[6], out[6];
    uint64_t seed = seed_of(round);
    for (int i = 0; i < 6; i++) in[i] = (double)(int64_t)draw(&seed);
    uint64_t left = 20000;
    double one = 1.0;
    __asm__ volatile("fldl 0(%[in])\n fldl 8(%[in])\n fldl 16(%[in])\n fldl 24(%[in])\n fldl 32(%[in])\n fldl 40(%[in])\n fldz\n"
        "1: fldl %[one]\n faddp\n dec %[left]\n jnz 1b\n"
        "fstpt %[sum]\n fstpl 40(%[out])\n fstpl 32(%[out])\n fstpl 24(%[out])\n fstpl 16(%[out])\n fstpl 8(%[out])\n fstpl 0(%[out])\n"
        : [left] "+r"(left), [sum] "=m"(sum) : [in] "r"(in), [out] "r"(out), [one] "m"(one) : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
    CHECK(sum == 20000.0L && memcmp(in, out, sizeof in) == 0);
    long double x = 1.0L + (long double)(round % 100) / 7, y = 0;
    for (int i = 1; i < 200; i++) y += sinl(x * i) / i + sqrtl(x + i);
    note_bytes(&y, 10);
}

void round_mmx(int round) {
    uint64_t seed = seed_of(round), want = 0, got, in = draw(&seed), left = 20000;
    for (int lane = 0; lane < 4; lane++)
        want |= (uint64_t)(uint16_t)((in >> (16 * lane)) * left) << (16 * lane);
    __asm__ volatile("movq %[in], %%mm5\n pxor %%mm6, %%mm6\n 1: paddw %%mm5, %%mm6\n dec %[left]\n jnz 1b\n movq %%mm6, %[got]\n emms\n"
        : [left] "+r"(left), [got] "=m"(got) : [in] "m"(in) : "memory", "cc", "mm5", "mm6", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
    CHECK(want == got);
    note(want);
}
