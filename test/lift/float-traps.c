/* Floating-point instructions with exceptions unmasked: of each, with many operands, whether it traps, with what siginfo and
 * which registers its handler finds, and its result if it does not. A line each. */
#include <stdint.h>

enum { WRITE = 1, SIGACTION = 13, EXIT_GROUP = 231, MASKED = 0x1f80, FPE = 8 };
struct registers { uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags, segments, err, trapno, oldmask, cr2, fpstate; };
struct ucontext { uint64_t flags, link, stack[3]; struct registers registers; };
struct siginfo { int32_t number, error, code, pad; uint64_t address; };
struct action { void (*handler)(int, struct siginfo *, struct ucontext *); uint64_t flags; void (*restorer)(void); uint64_t mask; };
union lanes { double d[2]; float f[4]; uint64_t q[2]; };

/** What a trial works on; its instructions know the offsets. */
static struct trial { union lanes a, b; uint32_t control, status, plain, pad; union lanes result; uint64_t integer; } now;
uint64_t trial_start, trial_end;
static uint64_t trapped[4];

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

#define TRIAL(name, without, instruction) \
    static void name(struct trial *t) { \
        __asm__ volatile("movups (%0), %%xmm0\n\tmovups 16(%0), %%xmm1\n\tmov $77, %%ecx\n\t" \
            "lea 1f(%%rip), %%rax\n\tmov %%rax, trial_start(%%rip)\n\tlea 2f(%%rip), %%rax\n\tmov %%rax, trial_end(%%rip)\n\t" \
            "ldmxcsr 32(%0)\n1:\t" instruction "\n2:\tstmxcsr 36(%0)\n\tldmxcsr 40(%0)\n\tmovups %%xmm0, 48(%0)\n\tmov %%rcx, 64(%0)" \
            : : "r"(t) : "rax", "rcx", "xmm0", "xmm1", "cc", "memory"); \
    }
/* Not tried: those that docs/instructions.md names. */
enum { ALL, NO_QUIET_NAN, NO_SIGNALLING_NAN, NO_PRECISION };
#define TRIALS(_) \
    _(addsd, ALL, "addsd %%xmm1, %%xmm0") _(subpd, ALL, "subpd %%xmm1, %%xmm0") _(mulsd, ALL, "mulsd %%xmm1, %%xmm0") \
    _(divsd, ALL, "divsd %%xmm1, %%xmm0") _(divps, ALL, "divps %%xmm1, %%xmm0") _(divpd_memory, ALL, "divpd 16(%0), %%xmm0") \
    _(sqrtsd, ALL, "sqrtsd %%xmm1, %%xmm0") _(to_single, ALL, "cvtsd2ss %%xmm1, %%xmm0") _(to_double, ALL, "cvtps2pd %%xmm1, %%xmm0") \
    _(to_integer, ALL, "cvttsd2si %%xmm1, %%rcx") _(to_words, ALL, "cvtpd2dq %%xmm1, %%xmm0") _(from_words, ALL, "cvtdq2pd %%xmm1, %%xmm0") \
    _(maximum, NO_QUIET_NAN, "maxsd %%xmm1, %%xmm0") _(compare, ALL, "ucomisd %%xmm1, %%xmm0\n\tsetc %%cl") _(equal, NO_SIGNALLING_NAN, "cmpeqpd %%xmm1, %%xmm0") \
    _(round, NO_PRECISION, "roundsd $4, %%xmm1, %%xmm0") _(vdivpd, ALL, "vdivpd %%xmm1, %%xmm0, %%xmm0") _(fma, ALL, "vfmadd231sd %%xmm1, %%xmm1, %%xmm0") \
    _(moves, ALL, "movaps %%xmm1, %%xmm0\n\tpshufd $1, %%xmm0, %%xmm0") _(logic, ALL, "vxorpd %%xmm1, %%xmm0, %%xmm0")
TRIALS(TRIAL)
#define NAMED(name, without, instruction) { #name, name, without },
static const struct { const char *name; void (*run)(struct trial *); int without; } TABLE[] = { TRIALS(NAMED) };

static void on_trap(int number, struct siginfo *info, struct ucontext *context) {
    struct registers *r = &context->registers;
    trapped[0] = (uint64_t)number << 16 | (uint32_t)info->code;
    trapped[1] = info->address == trial_start && r->ip == trial_start;
    trapped[2] = r->trapno;
    trapped[3] = *(uint32_t *)(r->fpstate + 24);
    r->ip = trial_end;
}

static char line[256], *at;
static void put(const char *text) { while (*text) *at++ = *text++; }
static void put_number(uint64_t value) {
    *at++ = ' ';
    for (int shift = 60; shift >= 0; shift -= 4) if (shift == 0 || value >> shift) *at++ = "0123456789abcdef"[value >> shift & 15];
}

/* Invalid, division by zero, overflow, underflow, precision; what is usually unmasked together; nothing. */
static const uint32_t UNMASKED[] = { 0x80, 0x200, 0x400, 0x800, 0x1000, 0x680, 0x1e80, 0 };
#define QUIET_NAN 0x7ff8000000000000
#define SIGNALLING_NAN 0x7ff4000000000000
static const uint64_t NUMBERS[] = {
    0, 0x8000000000000000, 0x3ff0000000000000, 0x4008000000000000, 0xbff8000000000000, 0x7ff0000000000000, 0xfff0000000000000,
    QUIET_NAN, SIGNALLING_NAN, 0x7fe123456789abcd, 0x0011234567890123, 0x43f0000000000000, 0x7f8000003f800000,
};
enum { COUNT = sizeof NUMBERS / sizeof NUMBERS[0] };

/** Flags that are compared: of what is unmasked; whether a result that is too large or too small is exact is not known. */
static uint32_t known_flags(uint32_t status, uint32_t unmasked) {
    status &= unmasked >> 7;
    return status & 0x18 ? status & ~0x20u : status;
}

static void one(unsigned which, unsigned a, unsigned b, uint32_t unmasked) {
    int without = TABLE[which].without;
    uint64_t nan = without == NO_QUIET_NAN ? QUIET_NAN : without == NO_SIGNALLING_NAN ? SIGNALLING_NAN : 1;
    if (NUMBERS[a] == nan || NUMBERS[b] == nan) return;
    if (without == NO_PRECISION) unmasked &= ~0x1000u;
    now.a.q[0] = NUMBERS[a], now.a.q[1] = NUMBERS[b], now.b.q[0] = NUMBERS[b], now.b.q[1] = NUMBERS[2];
    now.control = MASKED & ~unmasked, now.plain = MASKED;
    for (unsigned i = 0; i < 4; i++) trapped[i] = 0;
    TABLE[which].run(&now);
    at = line;
    put(TABLE[which].name);
    put_number(NUMBERS[a]), put_number(NUMBERS[b]), put_number(unmasked);
    trapped[3] = known_flags((uint32_t)trapped[3], unmasked);
    for (unsigned i = 0; i < 4; i++) put_number(trapped[i]);
    put_number(now.result.q[0]), put_number(now.result.q[1]), put_number(now.integer), put_number(known_flags(now.status, unmasked));
    put("\n");
    call(WRITE, 1, (uint64_t)line, (uint64_t)(at - line), 0);
}

__asm__(".globl _start\n_start:\n\tand $-16, %rsp\n\tcall run_all\nrestorer:\n\tmov $15, %eax\n\tsyscall");
void restorer(void);

void run_all(void) {
    struct action action = { on_trap, 0x04000004 /* RESTORER, SIGINFO */, restorer, 0 };
    call(SIGACTION, FPE, (uint64_t)&action, 0, 8);
    for (unsigned which = 0; which < sizeof TABLE / sizeof TABLE[0]; which++)
        for (unsigned a = 0; a < COUNT; a++)
            for (unsigned b = 0; b < COUNT; b++)
                one(which, a, b, UNMASKED[(which + 3 * a + b) % (sizeof UNMASKED / sizeof UNMASKED[0])]);
    call(EXIT_GROUP, 0, 0, 0, 0);
}
