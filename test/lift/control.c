/* Control flow and data flow that translators get wrong: tables, computed jumps, tail calls, recursion, non-local jumps,
 * flags that cross calls and returns in hand-written code, overlapping string moves, partial registers. Prints checksums;
 * a native run says what is right. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static uint64_t sum = 1;
static void mix(uint64_t value) { sum = (sum ^ value) * 0x9e3779b97f4a7c15ull, sum ^= sum >> 29; }
static void show(const char *name) { printf("%-12s %016llx\n", name, (unsigned long long)sum); }

static __attribute__((noinline)) int dense(unsigned n, int x) {
    switch (n) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2: return x ^ 0x55;
    case 3: return x << 2;
    case 4: return -x;
    case 5: return x / 3;
    case 6: return x % 7;
    case 7: mix((unsigned)x); return 9;
    case 8: return x & 0xff;
    case 11: return x | 1;
    default: return 0;
    }
}

/* Addresses in many pages to choose from, which compilers like to make a table of. */
static char pages[16][4096] __attribute__((aligned(4096)));
#define CHOICE(n) case n: page = pages[(n * 7 + 3) % 16] + 24; __asm__ volatile("" : "+r"(page)); break;
static __attribute__((noinline)) const char *choose(unsigned n) {
    const char *page;
    switch (n) {
    CHOICE(0) CHOICE(1) CHOICE(2) CHOICE(3) CHOICE(4) CHOICE(5) CHOICE(6) CHOICE(7)
    CHOICE(8) CHOICE(9) CHOICE(10) CHOICE(11) CHOICE(12) CHOICE(13) CHOICE(14) CHOICE(15)
    default: page = 0;
    }
    return page;
}

static __attribute__((noinline)) uint64_t threaded(const uint8_t *code) {
    static void *const labels[] = { &&add, &&twice, &&turn, &&stop };
    uint64_t value = 7;
    goto *labels[*code++ & 3];
add: value += *code++; goto *labels[*code++ & 3];
twice: value *= 2; goto *labels[*code++ & 3];
turn: value = value << 9 | value >> 55; goto *labels[*code++ & 3];
stop: return value;
}

static __attribute__((noinline)) int odd(unsigned n);
static __attribute__((noinline)) int even(unsigned n) { return n == 0 ? 1 : odd(n - 1); }
static int odd(unsigned n) { return n == 0 ? 0 : even(n - 1); }
static __attribute__((noinline)) unsigned ackermann(unsigned m, unsigned n) {
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static jmp_buf buffer;
static __attribute__((noinline)) void thrower(int depth) {
    if (depth == 0) longjmp(buffer, 42);
    thrower(depth - 1);
    mix(1);
}

static __attribute__((noinline)) double total(int count, ...) {
    va_list list;
    va_start(list, count);
    double result = 0;
    for (int i = 0; i < count; i++) result = result / 2 + (i & 1 ? va_arg(list, int) : va_arg(list, double));
    va_end(list);
    return result;
}

/* Flags as a result, and as an argument; a return that jumps; a call into the middle; code after a jump over a prefix. */
__asm__(".text\n"
    "carry_of: add %rsi, %rdi\n ret\n"
    "add_wide: call carry_of\n adc $0, %rdx\n mov %rdi, %rax\n xor %rdx, %rax\n ret\n"
    "take_carry: adc %rdi, %rdi\n mov %rdi, %rax\n ret\n"
    "give_carry: stc\n jmp take_carry\n"
    "push_return: lea 1f(%rip), %rax\n push %rax\n ret\n ud2\n 1: mov $77, %eax\n ret\n"
    "over_prefix: mov %rdi, %rax\n mov $1, %ecx\n test %esi, %esi\n jz 1f\n .byte 0xf0\n 1: addl %ecx, (%rax)\n mov (%rax), %eax\n ret\n"
    "partial: mov %rdi, %rax\n mov $0x12, %ah\n mov %ah, %cl\n add %al, %ah\n movzbl %cl, %ecx\n mov %cx, %dx\n imul $3, %ecx, %ecx\n xchg %ah, %al\n add %rcx, %rax\n ret\n"
    "copy: mov %rdx, %rcx\n rep movsb\n mov %rdi, %rax\n ret\n"
    "copy_down: mov %rdx, %rcx\n lea -1(%rdi,%rcx), %rdi\n lea -1(%rsi,%rcx), %rsi\n std\n rep movsb\n cld\n mov %rdi, %rax\n ret\n"
    "fill: mov %rsi, %rax\n mov %rdx, %rcx\n rep stosl\n mov %rdi, %rax\n ret\n"
    "find: mov %rsi, %rax\n mov %rdx, %rcx\n repne scasb\n mov %rcx, %rax\n ret\n"
    "same: mov %rdx, %rcx\n cmp %eax, %eax\n repe cmpsb\n setb %al\n seta %ah\n movzwl %ax, %eax\n shl $20, %rcx\n or %rcx, %rax\n ret\n");
/* Flags over jumps to addresses in a table: as code by hand does it, inside and outside of unwind ranges. */
#define LADDER(name, start, end) \
    __asm__(".text\n.p2align 4\n" #name ": " start "\n lea " #name "_table(%rip), %rax\n mov (%rax,%rdx,8), %rax\n cmp %rsi, %rdi\n jmp *%rax\n" \
        #name "_0: setc %al\n movzbl %al, %eax\n ret\n" \
        #name "_1: mov $0, %eax\n adc $5, %eax\n jle " #name "_0\n ret\n" \
        #name "_2: mov $9, %eax\n jl 1f\n jp 1f\n mov $3, %eax\n 1: ret\n" \
        #name "_3: lahf\n movzbl %ah, %eax\n seto %cl\n add %cl, %al\n ret\n" end "\n" \
        ".section .data.rel.ro,\"aw\"\n.p2align 3\n" #name "_table: .quad " #name "_0, " #name "_1, " #name "_2, " #name "_3\n.text\n"); \
    uint64_t name(int64_t, int64_t, uint64_t)
LADDER(ladder_framed, ".cfi_startproc", ".cfi_endproc");
LADDER(ladder_bare, "", "");
static void ladders(void) {
    static const int64_t values[] = { 0, 1, -1, 5, 1ll << 62, -(1ll << 62), INT64_MAX, INT64_MIN, 255, 16 };
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++)
            for (uint64_t k = 0; k < 4; k++) mix(ladder_framed(values[i], values[j], k) * 3 + ladder_bare(values[i], values[j], k));
}

uint64_t add_wide(uint64_t, uint64_t, uint64_t), give_carry(uint64_t), push_return(void), over_prefix(int *, int), partial(uint64_t);
uint64_t copy(void *, const void *, size_t), copy_down(void *, const void *, size_t), fill(void *, uint32_t, size_t), find(const void *, int, size_t),
    same(const void *, const void *, size_t);

static void strings(void) {
    static uint8_t bytes[4096];
    uint32_t random = 12345;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
    for (unsigned n = 0; n < 200; n += 1 + n / 9) {
        for (int distance = -70; distance <= 70; distance += 7) {
            mix(copy(bytes + 1000 + distance, bytes + 1000, n) - (uint64_t)bytes);
            mix(copy_down(bytes + 2000 + distance, bytes + 2000, n) - (uint64_t)bytes);
        }
        mix(fill(bytes + 3000 + n % 5, 0x01020304 * n, n) - (uint64_t)bytes);
        mix(find(bytes + n, (int)n, 300));
        mix(same(bytes + n, bytes + n + (n % 3 == 0 ? 0 : 1), 64));
        for (size_t i = 0; i < sizeof bytes; i += 13) mix(bytes[i]);
    }
}

/* Loops in loops without a call, which signals interrupt wherever they are: with ways out of the middle, values that only
 * the outer ones change, and vectors that live through all of them. */
static volatile sig_atomic_t ticks;
static void tick(int number) { (void)number, ticks++; }
static __attribute__((noinline)) uint64_t nest(const uint8_t *bytes, unsigned n, double *out) {
    uint64_t hash = n;
    double sums[10] = { 0 };
    for (unsigned a = 0; a < n; a++) {
        uint64_t outer = hash * 3;
        for (unsigned b = 0; b < n; b++) {
            double x0 = b, x1 = a, x2 = 1, x3 = 2, x4 = 3, x5 = 4, x6 = 5, x7 = 6, x8 = 7, x9 = 8;
            unsigned c = b;
            do {
                hash = (hash << 5 | hash >> 59) ^ bytes[(a + b * c) & 255];
                if ((hash & 1023) == 77) goto next;
                x0 += c, x1 -= x0, x2 *= 0.5, x3 += x2, x4 -= x3, x5 += x4, x6 -= x5, x7 += x6, x8 -= x7, x9 += x8 * 0.25;
            } while (c++ % 23 != 0);
            sums[0] += x0, sums[1] += x1, sums[2] += x2, sums[3] += x3, sums[4] += x4;
            sums[5] += x5, sums[6] += x6, sums[7] += x7, sums[8] += x8, sums[9] += x9;
        }
    next:
        hash += outer;
        while (hash & 8) hash = hash / 3 + a;
    }
    for (int i = 0; i < 10; i++) *out += sums[i];
    return hash;
}
static void loops(void) {
    uint8_t bytes[256];
    struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };
    double value = 0;
    uint64_t bits;
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)(i * 29 + 3);
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &often, 0);
    for (unsigned round = 0; round < 30 || (ticks < 5 && round < 3000); round++) {
        if (round < 30) mix(nest(bytes, 20 + round, &value));
        else nest(bytes, round % 40, &(double){ 0 });
    }
    setitimer(ITIMER_REAL, &never, 0);
    memcpy(&bits, &value, 8);
    mix(bits), mix(ticks >= 5);
}

int main(int argc, char **argv) {
    for (int i = 0; i < 40; i++) mix((uint64_t)dense((unsigned)i % 13, i * 37 - 200));
    show("switch");
    mix(threaded((const uint8_t *)"\0\7\1\2\0\11\2\1\1\0\377\3"));
    show("threaded");
    mix((uint64_t)even(1001)), mix(ackermann(2, 9));
    show("recursion");
    int code = setjmp(buffer);
    if (code == 0) thrower(20);
    mix((uint64_t)code);
    show("longjmp");
    double value = total(6, 1.5, 7, 2.25, -9, 1e9, 3) + sqrt(2.0 + argc) + fmod(1e10, 7.3);
    uint64_t bits;
    memcpy(&bits, &value, 8);
    mix(bits);
    show("double");
    int word = 5;
    mix(add_wide(~0ull, 2, 10)), mix(add_wide(1, 2, 10)), mix(give_carry(21)), mix(push_return());
    mix(over_prefix(&word, 0)), mix(over_prefix(&word, 1)), mix(partial(0x1122334455667788ull));
    show("assembly");
    for (unsigned n = 0; n < 20; n++) mix((uint64_t)(choose(n) ? choose(n) - pages[0] : -1));
    show("choices");
    ladders();
    show("ladders");
    strings();
    show("strings");
    loops();
    show("loops");
    char text[200];
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d %s %.*f %c %#x %-8ld| %e", i, argv[0] ? "x" : "y", i % 9, i / 7.0, 'a' + i % 26, i * 77, (long)i << 20, i * 1e-5);
        for (char *c = text; *c; c++) mix((uint8_t)*c);
    }
    show("printf");
    return 0;
}
