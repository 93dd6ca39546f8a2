/* Three kernels of ordinary code, without a libc: a hash (SHA-256 over a buffer), a sort (recursive, with a comparison
 * behind a pointer) and string work (words of a text counted in a chained hash table). The program takes the kernel's
 * letter and a number of rounds and exits with the low bits of a checksum, which it also writes out. The difference
 * between two numbers of rounds is the kernel's own cost. */
#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))

#if defined(__x86_64__)
static long system_call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
enum { SYS_write = 1, SYS_exit = 231 };
__asm__(".globl _start\n_start: xorl %ebp, %ebp\nmovq %rsp, %rdi\nandq $-16, %rsp\ncall start\n");
#elif defined(__aarch64__)
static long system_call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
enum { SYS_write = 64, SYS_exit = 94 };
__asm__(".globl _start\n_start: mov x29, #0\nmov x0, sp\nbl start\n");
#endif

/* What the compiler may call. */
void *memcpy(void *to, const void *from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    while (bytes--) *t++ = *f++;
    return to;
}
void *memset(void *to, int byte, size_t bytes) {
    uint8_t *t = to;
    while (bytes--) *t++ = (uint8_t)byte;
    return to;
}

static uint32_t random_state = 1;
static uint32_t random_word(void) {
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

/* The hash. */
static uint32_t round_constants[64];

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static NOINLINE void sha256_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static uint8_t buffer[4096];

static NOINLINE uint32_t hash_round(void) {
    uint32_t state[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    for (size_t at = 0; at < sizeof buffer; at += 64) sha256_block(state, buffer + at);
    return state[0] ^ state[7];
}

/* The sort. */
struct record {
    uint32_t key;
    uint32_t value;
};
static struct record records[512];

static NOINLINE int compare_records(const void *a, const void *b) {
    const struct record *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static NOINLINE void sort(struct record *first, ptrdiff_t count, int (*compare)(const void *, const void *)) {
    while (count > 8) {
        struct record pivot = first[count / 2];
        ptrdiff_t i = 0, j = count - 1;
        for (;;) {
            while (compare(&first[i], &pivot) < 0) i++;
            while (compare(&pivot, &first[j]) < 0) j--;
            if (i >= j) break;
            struct record t = first[i];
            first[i++] = first[j], first[j--] = t;
        }
        sort(first, i, compare);
        first += i, count -= i;
    }
    for (ptrdiff_t i = 1; i < count; i++) {
        struct record t = first[i];
        ptrdiff_t j = i;
        for (; j > 0 && compare(&t, &first[j - 1]) < 0; j--) first[j] = first[j - 1];
        first[j] = t;
    }
}

static NOINLINE uint32_t sort_round(int (*volatile *compare)(const void *, const void *)) {
    for (size_t i = 0; i < 512; i++) records[i] = (struct record){ random_word() & 0xfff, (uint32_t)i };
    sort(records, 512, *compare);
    uint32_t sum = 0;
    for (size_t i = 0; i < 512; i++) sum = sum * 31 + records[i].key + records[i].value;
    return sum;
}

/* String work. */
struct word {
    struct word *next;
    const char *text;
    uint32_t count;
};
static char text[8192], copies[16384];
static struct word words[2048], *table[256];

static NOINLINE size_t string_length(const char *s) {
    const char *at = s;
    while (*at) at++;
    return (size_t)(at - s);
}
static NOINLINE int string_compare(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}
static NOINLINE char *string_copy(char *to, const char *from) {
    while ((*to = *from)) to++, from++;
    return to;
}
static NOINLINE uint32_t string_hash(const char *s) {
    uint32_t hash = 2166136261u;
    while (*s) hash = (hash ^ (uint8_t)*s++) * 16777619u;
    return hash;
}
static NOINLINE const char *next_word(const char *from, char *word) {
    while (*from == ' ' || *from == '\n') from++;
    while (*from && *from != ' ' && *from != '\n') {
        char c = *from++;
        *word++ = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    *word = 0;
    return from;
}

static NOINLINE uint32_t string_round(void) {
    char word[64];
    size_t used = 0, copied = 0;
    for (size_t i = 0; i < 256; i++) table[i] = 0;
    for (const char *at = text; *(at = next_word(at, word)) || word[0];) {
        if (!word[0]) break;
        struct word **slot = &table[string_hash(word) & 255];
        while (*slot && string_compare((*slot)->text, word) != 0) slot = &(*slot)->next;
        if (!*slot) {
            *slot = &words[used++];
            (*slot)->next = 0, (*slot)->count = 0, (*slot)->text = copies + copied;
            copied += (size_t)(string_copy(copies + copied, word) - (copies + copied)) + 1;
        }
        (*slot)->count++;
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < used; i++) sum += words[i].count * (uint32_t)string_length(words[i].text) * (uint32_t)(i + 1);
    return sum;
}

static void prepare(void) {
    for (size_t i = 0; i < 64; i++) round_constants[i] = random_word() << 8 ^ random_word();
    for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = (uint8_t)random_word();
    size_t at = 0;
    while (at < sizeof text - 20) {
        for (uint32_t n = 2 + random_word() % 7; n > 0; n--) text[at++] = (char)((random_word() % 8 ? 'a' : 'A') + random_word() % 5);
        text[at++] = random_word() % 9 ? ' ' : '\n';
    }
}

static int (*volatile comparison)(const void *, const void *) = compare_records;

__attribute__((used)) void start(uintptr_t *stack) {
    char **argv = (char **)(stack + 1);
    uint32_t rounds = 0, sum = 0;
    for (const char *digit = argv[2]; *digit; digit++) rounds = rounds * 10 + (uint32_t)(*digit - '0');
    prepare();
    for (uint32_t i = 0; i < rounds; i++) {
        switch (argv[1][0]) {
        case 'h': sum = sum * 5 + hash_round(); break;
        case 's': sum = sum * 5 + sort_round(&comparison); break;
        case 't': sum = sum * 5 + string_round(); break;
        }
        buffer[i % sizeof buffer]++;
    }
    char line[9];
    for (int i = 0; i < 8; i++) line[i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
    line[8] = '\n';
    system_call(SYS_write, 1, (long)line, 9);
    system_call(SYS_exit, (long)(sum & 0x7f), 0, 0);
    for (;;) {}
}
