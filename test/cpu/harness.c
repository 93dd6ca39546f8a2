/*
 * Holds the interpreter against the CPU, one instruction at a time from random states.
 *
 *   harness CASES SEED COUNT                 native and interpreted in this process (x86-64)
 *   harness CASES SEED COUNT --record        native results to standard output (x86-64)
 *   harness CASES SEED COUNT --replay        interpreted, against results on standard input (any host)
 *
 * With --edges after COUNT, memory operands lie across the ends of the window, and masks select few lanes, or nearly all:
 * so that it matters which lanes may fault.
 *
 * Natively the state goes in and comes out through a signal frame: a breakpoint trap enters the handler, which swaps
 * the harness's registers for the test's; the instruction lies in a page full of int3, so whatever it does ends in the
 * next trap. CASES holds lines as run.ts prints them (see read_cases). A state follows from the seed, the case's number and the
 * round alone, so that another host can make it again.
 */
#define _GNU_SOURCE
#include "abi.h"
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

uint32_t hc_interpret_one(struct cpu_state *state);
void hc_helper_mxcsr(struct cpu_state *state, uint64_t argument);
void hc_helper_mxcsr_flags(struct cpu_state *state, uint64_t argument);

#define CODE_PAGE 0x10000000ull
#define CODE_AT (CODE_PAGE + 0x800)
#define WINDOW 0x20000000ull
#define WINDOW_BYTES 8192
#define MAX_CASES 200000

enum { STICKY_ANY, STICKY_EXACT, STICKY_NO_MORE };
struct test_case {
    uint8_t bytes[15];
    int length, base, index, scale, displacement, vsib_width, vsib_lane, address32, patch_offset, patch_absolute;
    int memory_bytes;
    unsigned undefined_flags; /* bits in the order cf pf af zf sf of */
    int sticky;
    char name[64];
};
enum outcome { RAN = 0, FAULTED = 1, TRAPPED = 2, ENDLESS = 3 };
struct result {
    uint32_t outcome, vector;
    uint64_t window_hash;
    _Alignas(64) struct cpu_state state; /* vector registers are aligned in a thread area, too */
};

static struct test_case *cases;
static int case_count;
static bool at_edges;
/** State components that the CPU has, as xcr0 tells; AVX-512's may be missing. Registers of those that are stay 0. */
static uint64_t components;
enum { AVX = 4, OPMASK = 0x20, ZMM_HIGH = 0x40, HIGH_ZMM = 0x80, ALL_COMPONENTS = 0xe7 };

/* --- random states ----------------------------------------------------------------------------------------------- */

static int has_gs_prefix(const struct test_case *c);
static uint64_t random_state;
static uint64_t next64(void) {
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
static unsigned below(unsigned limit) { return (unsigned)(next64() % limit); }

/* Each draw is a statement of its own: the order of evaluation inside an expression differs between compilers. */
static uint64_t sign_or(uint64_t magnitude, int bit) {
    uint64_t sign = below(2);
    return magnitude | sign << bit;
}
static uint64_t edge64(void) {
    static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~1ull, 0x100000000, 31, 32, 63, 64};
    switch (below(6)) {
    case 0: return edges[below(sizeof edges / sizeof *edges)];
    case 1: return below(256);
    case 2: return (uint64_t)(int64_t)(int32_t)next64();
    case 3: { uint64_t value = next64(); return value >> below(64); }
    default: return next64();
    }
}
static uint32_t edge_float(void) {
    static const uint32_t edges[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
        0x7fa12345, 0xffc54321, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000,
        0x3fc00000, 0x40200000, 0x5f000000, 0xdf000000, 0x4f800000};
    switch (below(4)) {
    case 0: return edges[below(sizeof edges / sizeof *edges)];
    case 1: return (uint32_t)sign_or(0x3f000000u + below(0x3000000), 31);
    case 2: return (uint32_t)sign_or(0x4a000000u + below(0x6000000), 31);
    default: return (uint32_t)next64();
    }
}
static uint64_t edge_double(void) {
    static const uint64_t edges[] = {0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
        0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0x7ff4123456789abc, 1, 0x800fffffffffffff, 0x0010000000000000,
        0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x41dfffffffc00000, 0x43e0000000000000, 0xc3e0000000000000,
        0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000, 0x36a0000000000000, 0x47efffffe0000000, 0x380fffffffffffff};
    switch (below(4)) {
    case 0: return edges[below(sizeof edges / sizeof *edges)];
    case 1: return sign_or(0x3fe0000000000000ull + (next64() >> 10), 63);
    case 2: return sign_or(0x4120000000000000ull + (next64() >> 8), 63);
    default: return next64();
    }
}
static void fill(uint8_t *bytes, size_t count) {
    size_t at = 0;
    unsigned kind = below(5);
    while (at < count) {
        uint64_t word;
        switch (kind) {
        case 0: word = next64(); break;
        case 1: word = edge_double(); break;
        case 2: word = edge_float(); word |= (uint64_t)edge_float() << 32; break;
        case 3: word = edge64(); break;
        default: { /* small bytes, many equal ones */
            word = 0;
            for (int i = 0; i < 8; i++) {
                unsigned limit = below(4) ? 4 : 256;
                word = word << 8 | below(limit);
            }
        }
        }
        size_t n = count - at < 8 ? count - at : 8;
        memcpy(bytes + at, &word, n);
        at += n;
    }
}

/** How many bytes of an operand lie before an end of the window: mostly whole lanes. */
static unsigned edge_distance(unsigned size) {
    unsigned lane = 1u << below(5);
    return size > lane && below(4) ? lane * below(size / lane + 1) : below(size + 1);
}

/** A mask with few lanes, or all but a few, near its ends. */
static uint64_t edge_mask(void) {
    uint64_t lanes = 1ull << below(5) | 1ull << below(below(2) ? 17 : 64);
    switch (below(6)) {
    case 0: return 0;
    case 1: return lanes & -lanes;
    case 2: return lanes;
    case 3: return (1ull << below(17)) - 1;
    case 4: return -(1ull << below(17));
    default: return next64() & next64();
    }
}

/** Aims the memory operand at the window; gives its address, 0 if there is none. */
static uint64_t aim(struct cpu_state *s, const struct test_case *c, uint8_t *code) {
    if (c->base < 0 && c->index < 0 && c->patch_offset < 0) return 0;
    uint64_t segment = has_gs_prefix(c) ? s->gs_base : 0;
    unsigned size = (unsigned)c->memory_bytes;
    uint64_t address = WINDOW + 2048 + below(2048);
    if (below(4)) address &= ~63ull;
    if (below(24) == 0) address = WINDOW + WINDOW_BYTES - below(size + 1); /* may cross the end */
    if (at_edges) address = (below(4) ? WINDOW + WINDOW_BYTES : WINDOW) - edge_distance(size);
    if (c->patch_offset >= 0) {
        uint64_t value = c->patch_absolute ? address - segment : address - segment - (CODE_AT + (uint64_t)c->length);
        memcpy(code + c->patch_offset, &value, c->patch_absolute && !c->address32 ? 8 : 4);
        return address;
    }
    uint64_t index = 0;
    if (c->vsib_width) {
        uint8_t *lanes = s->zmm[c->index];
        for (int at = 0; at < c->vsib_width / 8; at += c->vsib_lane / 8) {
            int64_t value = (int)below(64) - 32;
            if (at_edges && below(3) == 0) value = 0x10000;
            memcpy(lanes + at, &value, (size_t)c->vsib_lane / 8);
        }
    } else if (c->index >= 0) {
        if (below(2) || c->base == 4) s->gpr[c->index] = (uint64_t)(int64_t)((int)below(256) - 128);
        index = s->gpr[c->index] * (uint64_t)c->scale;
    }
    uint64_t base = address - segment - index - (uint64_t)(int64_t)c->displacement;
    if (c->address32) base = (base & 0xffffffff) | (c->base == 4 ? 0 : next64() << 32);
    if (c->base >= 0) s->gpr[c->base] = base;
    return address;
}

static void put(uint8_t *window, uint64_t address, const void *value, size_t size) {
    if (address - WINDOW <= WINDOW_BYTES - size) memcpy(window + (address - WINDOW), value, size);
}
static void put64(uint8_t *window, uint64_t address, uint64_t value) { put(window, address, &value, 8); }

/** A flags word that does not single-step, check alignment, or show the resume flag. */
static uint64_t some_flags(void) { return next64() & ~(0x100ull | 0x40000 | 0x10000); }
static uint64_t some_target(void) { return below(4) ? CODE_PAGE + 0x100 + below(0x600) : next64() >> 20; }
/** Mostly the code segment that the harness runs in; never one that changes the mode. */
static uint16_t some_code_segment(void) { return below(4) ? 0x33 : (uint16_t[]){0, 0x2b, 0x10, 0x33}[below(4)]; }

/** Gives instructions that random operands nearly always fault something to work on. */
static void prepare(struct cpu_state *s, const struct test_case *c, uint8_t *window, uint64_t address) {
    uint64_t stack = s->gpr[4];
    if (!strncmp(c->name, "Popf", 4)) put64(window, stack, some_flags());
    if (!strncmp(c->name, "Retf", 4) || !strncmp(c->name, "Jmp_m16", 7) || !strncmp(c->name, "Call_m16", 8)) {
        uint64_t pointer = c->name[0] == 'R' ? stack : address;
        int bytes = strstr(c->name, "1616") || strstr(c->name, "Retfw") ? 2 : strstr(c->name, "1632") || strstr(c->name, "Retfd") ? 4 : 8;
        uint16_t segment = some_code_segment();
        put64(window, pointer, some_target());
        put(window, pointer + (uint64_t)bytes, &segment, 2);
    }
    if (!strcmp(c->name, "Iretq")) {
        uint64_t words[5] = {some_target(), some_code_segment(), some_flags(), WINDOW + below(WINDOW_BYTES), 0x2b};
        put(window, stack, words, sizeof words);
    }
    if (!strncmp(c->name, "Clzero", 6)) s->gpr[0] = WINDOW + below(WINDOW_BYTES);
    if (!strcmp(c->name, "Xgetbv")) s->gpr[1] = below(3);
    if (strstr(c->name, "xrstor") || strstr(c->name, "Xrstor")) {
        uint32_t mxcsr = ((uint32_t)next64() & (below(16) ? 0x2ffff : ~0u)) | 0x1f80;
        uint16_t fcw = (uint16_t)(next64() | 0x3f), fsw = (uint16_t)(next64() & 0x7f7f);
        put(window, address, &fcw, 2), put(window, address + 2, &fsw, 2), put(window, address + 24, &mxcsr, 4);
    }
    if (strstr(c->name, "Xrstor")) {
        uint64_t header[8] = {0};
        header[0] = next64() & (below(16) ? components : ~(components ^ ALL_COMPONENTS));
        if (below(2)) header[1] = 1ull << 63 | header[0] | (next64() & components);
        if (below(16) == 0) header[below(8)] ^= 1ull << below(64) & ~(components ^ ALL_COMPONENTS);
        put(window, address + 512, header, sizeof header);
    }
}

static int has_gs_prefix(const struct test_case *c) {
    for (int i = 0; i < c->length; i++) {
        uint8_t byte = c->bytes[i];
        if (byte == 0x65) return 1;
        if (byte != 0x66 && byte != 0x67 && byte != 0xf0 && byte != 0xf2 && byte != 0xf3) return 0;
    }
    return 0;
}

static void make_state(struct cpu_state *s, uint8_t *code, uint8_t *window, const struct test_case *c, uint64_t seed, int number, int round) {
    random_state = seed * 0x100000001b3ull + (uint64_t)number * 0x10001 + (uint64_t)round * 0x1000000007ull;
    next64();
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 16; i++) s->gpr[i] = edge64();
    if (below(8)) s->gpr[1] = below(20);                       /* rcx: string counts */
    if (below(8)) s->gpr[4] = (WINDOW + 1024 + below(4096)) & ~7ull; /* rsp */
    if (below(8)) s->gpr[6] = WINDOW + 1024 + below(4096);
    if (below(8)) s->gpr[7] = WINDOW + 1024 + below(4096);
    if (below(4)) s->gpr[3] = WINDOW + 1024 + below(4096);     /* rbx: xlat */
    if (below(3) == 0) {
        unsigned from = below(16), to;
        to = below(16);
        s->gpr[to] = s->gpr[from];
    }
    s->cf = below(2), s->pf = below(2), s->af = below(2), s->zf = below(2), s->sf = below(2), s->of = below(2);
    s->df = below(4) == 0;
    s->mxcsr = 0x1f80 | below(4) << 13;
    if (below(8) == 0) s->mxcsr |= 0x8000;
    if (below(8) == 0) s->mxcsr |= 0x40;
    if (below(8) == 0) s->mxcsr |= 0x8040;
    for (int i = 0; i < 8; i++) s->k[i] = edge64();
    for (int i = 0; i < 32; i++) fill(s->zmm[i], 64);
    if (below(2)) {
        unsigned from = below(32), to;
        to = below(32);
        memmove(s->zmm[to], s->zmm[from], 64);
    }
    if (!(components & OPMASK)) memset(s->k, 0, sizeof s->k);
    for (int i = 0; i < 16; i++) {
        if (!(components & AVX)) memset(s->zmm[i] + 16, 0, 16);
        if (!(components & ZMM_HIGH)) memset(s->zmm[i] + 32, 0, 32);
        if (!(components & HIGH_ZMM)) memset(s->zmm[16 + i], 0, 64);
    }
    unsigned precision = below(4) ? 3 : below(4);
    if (precision == 1) precision = 3; /* reserved */
    s->fcw = (uint16_t)(0x003f | precision << 8);
    s->fcw |= (uint16_t)(below(4) << 10);
    s->fcw |= 0x40;
    unsigned top = below(8);
    s->fsw = (uint16_t)(top << 11 | (next64() & 0x4700));
    s->ftw = below(3) ? 0xff : (uint8_t)next64();
    for (int i = 0; i < 8; i++) {
        uint64_t mantissa = next64() | 1ull << 63;
        uint16_t exponent = (uint16_t)(0x3fff + (int)below(100) - 50);
        switch (below(8)) {
        case 0: mantissa = 0, exponent = 0; break;
        case 1: mantissa = 1ull << 63, exponent = 0x7fff; break;
        case 2: mantissa = 3ull << 62, exponent = 0x7fff; break;
        case 3: mantissa = (uint64_t)below(1000) << 54 | 1ull << 63; break;
        default: break;
        }
        exponent |= (uint16_t)(below(2) << 15);
        memset(s->st[i], 0, 16);
        memcpy(s->st[i], &mantissa, 8);
        memcpy(s->st[i] + 8, &exponent, 2);
    }
    memset(code, 0xcc, 4096);
    memcpy(code + (CODE_AT - CODE_PAGE), c->bytes, (size_t)c->length);
    fill(window, WINDOW_BYTES);
    s->gs_base = below(0x10000000);
    /* Not nt: there are machines on which it does not outlive an interrupt. */
    s->rflags_rest = next64() & 0x200000;
    if (has_gs_prefix(c)) s->gpr[6] -= s->gs_base, s->gpr[3] -= s->gs_base, s->gpr[0] -= s->gs_base;
    if (c->name[0] == 'B' && c->name[1] == 't') {
        /* arm64 ignores the top byte of an address, which bit offsets of 64 bits would reach. */
        for (int i = 0; i < 16; i++) s->gpr[i] = (uint64_t)((int64_t)(s->gpr[i] << 8) >> 8);
    }
    if (at_edges && components & OPMASK)
        for (int i = 0; i < 8; i++) s->k[i] = edge_mask();
    /* With a stack pointer that is no address some CPUs enter a program, and others fault in the kernel's iret. */
    s->gpr[4] = (uint64_t)((int64_t)(s->gpr[4] << 16) >> 16);
    uint64_t address = aim(s, c, code + (CODE_AT - CODE_PAGE));
    prepare(s, c, window, address);
    s->rip = CODE_AT;
}

static uint64_t hash(const uint8_t *bytes, size_t count) {
    uint64_t h = 1469598103934665603ull;
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return h;
}

/* --- native ------------------------------------------------------------------------------------------------------ */

#if defined __x86_64__
#include <cpuid.h>
#include <asm/prctl.h>
static struct cpu_state *native_state;
static volatile int native_phase;
static uint32_t native_outcome, native_vector;
static gregset_t harness_registers;
static unsigned component_offset[10];

static const int GREG[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void registers_to_frame(const struct cpu_state *s, ucontext_t *uc) {
    greg_t *g = uc->uc_mcontext.gregs;
    uint8_t *x = (uint8_t *)uc->uc_mcontext.fpregs;
    for (int i = 0; i < 16; i++) g[GREG[i]] = (greg_t)s->gpr[i];
    g[REG_RIP] = (greg_t)s->rip;
    g[REG_EFL] = 0x202 | s->cf | s->pf << 2 | s->af << 4 | s->zf << 6 | s->sf << 7 | s->of << 11 | s->df << 10;
    unsigned top = s->fsw >> 11 & 7;
    memcpy(x, &s->fcw, 2), memcpy(x + 2, &s->fsw, 2), x[4] = s->ftw, x[5] = 0;
    memset(x + 6, 0, 18);
    memcpy(x + 24, &s->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) memcpy(x + 32 + 16 * i, s->st[(top + i) & 7], 16);
    for (int i = 0; i < 16; i++) {
        memcpy(x + 160 + 16 * i, s->zmm[i], 16);
        if (components & AVX) memcpy(x + component_offset[2] + 16 * i, s->zmm[i] + 16, 16);
        if (components & ZMM_HIGH) memcpy(x + component_offset[6] + 32 * i, s->zmm[i] + 32, 32);
        if (components & HIGH_ZMM) memcpy(x + component_offset[7] + 64 * i, s->zmm[16 + i], 64);
    }
    if (components & OPMASK) memcpy(x + component_offset[5], s->k, 64);
    uint64_t present;
    memcpy(&present, x + 512, 8);
    present |= components;
    memcpy(x + 512, &present, 8);
}

static void registers_from_frame(struct cpu_state *s, const ucontext_t *uc) {
    const greg_t *g = uc->uc_mcontext.gregs;
    const uint8_t *x = (const uint8_t *)uc->uc_mcontext.fpregs;
    for (int i = 0; i < 16; i++) s->gpr[i] = (uint64_t)g[GREG[i]];
    s->rip = (uint64_t)g[REG_RIP];
    uint64_t f = (uint64_t)g[REG_EFL];
    s->rflags_rest = f & 0x244100;
    s->cf = f & 1, s->pf = f >> 2 & 1, s->af = f >> 4 & 1, s->zf = f >> 6 & 1, s->sf = f >> 7 & 1, s->of = f >> 11 & 1, s->df = f >> 10 & 1;
    uint64_t present;
    memcpy(&present, x + 512, 8);
    bool x87 = present & 1, sse = present & 2, avx = present & 4, mask = present & 0x20, high = present & 0x40, hi16 = present & 0x80;
    if (x87) {
        memcpy(&s->fcw, x, 2), memcpy(&s->fsw, x + 2, 2), s->ftw = x[4];
        unsigned top = s->fsw >> 11 & 7;
        for (unsigned i = 0; i < 8; i++) memcpy(s->st[(top + i) & 7], x + 32 + 16 * i, 10);
    } else {
        s->fcw = 0x37f, s->fsw = 0, s->ftw = 0;
        memset(s->st, 0, sizeof s->st);
    }
    memcpy(&s->mxcsr, x + 24, 4);
    for (int i = 0; i < 16; i++) {
        if (sse) memcpy(s->zmm[i], x + 160 + 16 * i, 16); else memset(s->zmm[i], 0, 16);
        if (avx) memcpy(s->zmm[i] + 16, x + component_offset[2] + 16 * i, 16); else memset(s->zmm[i] + 16, 0, 16);
        if (high) memcpy(s->zmm[i] + 32, x + component_offset[6] + 32 * i, 32); else memset(s->zmm[i] + 32, 0, 32);
        if (hi16) memcpy(s->zmm[16 + i], x + component_offset[7] + 64 * i, 64); else memset(s->zmm[16 + i], 0, 64);
    }
    if (mask) memcpy(s->k, x + component_offset[5], 64); else memset(s->k, 0, 64);
}

static void native_handler(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *uc = context;
    if (native_phase == 1) {
        memcpy(harness_registers, uc->uc_mcontext.gregs, sizeof harness_registers);
        registers_to_frame(native_state, uc);
        native_phase = 2;
        return;
    }
    if (native_phase != 2) {
        dprintf(2, "harness: signal %d outside a test at %llx, address %p\n", number, (unsigned long long)uc->uc_mcontext.gregs[REG_RIP], info->si_addr);
        _exit(3);
    }
    native_phase = 0;
    registers_from_frame(native_state, uc);
    long vector = (long)uc->uc_mcontext.gregs[REG_TRAPNO];
    native_outcome = RAN, native_vector = 0;
    if (number == SIGTRAP && vector == 3) native_state->rip -= 1;
    else if ((number == SIGSEGV || number == SIGBUS) && native_state->rip == CODE_AT) native_outcome = FAULTED;
    else if (number != SIGSEGV) native_outcome = TRAPPED, native_vector = (uint32_t)vector;
    greg_t flags = harness_registers[REG_EFL] & ~0x400;
    memcpy(uc->uc_mcontext.gregs, harness_registers, sizeof harness_registers);
    uc->uc_mcontext.gregs[REG_EFL] = flags;
    uint8_t *x = (uint8_t *)uc->uc_mcontext.fpregs;
    uint16_t fcw = 0x37f;
    uint32_t mxcsr = 0x1f80;
    memcpy(x, &fcw, 2), memset(x + 2, 0, 4), memcpy(x + 24, &mxcsr, 4);
}

static void run_native(struct result *r) {
    native_state = &r->state;
    native_phase = 1;
    /* What a signal frame does not restore: the base of gs (not every CPU has wrgsbase), and the flag id. */
    syscall(SYS_arch_prctl, ARCH_SET_GS, r->state.gs_base);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %0\n\tpopfq\n\tint3\n\tpush %1\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::"r"(r->state.rflags_rest | 0x202), "r"(0x202ull) : "memory", "cc");
    syscall(SYS_arch_prctl, ARCH_GET_GS, &r->state.gs_base);
    r->outcome = native_outcome, r->vector = native_vector;
    r->window_hash = hash((uint8_t *)WINDOW, WINDOW_BYTES);
}

static void native_setup(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    components = low & ALL_COMPONENTS;
    for (unsigned i = 2; i < 8; i++) {
        unsigned a, b, c, d;
        __cpuid_count(0xd, i, a, b, c, d);
        component_offset[i] = b;
    }
}
#else
static void native_setup(void) {}
static void run_native(struct result *r) { (void)r; fprintf(stderr, "harness: not an x86-64 host\n"); exit(2); }
static void native_handler(int number, siginfo_t *info, void *context) { (void)number, (void)info, (void)context; _exit(3); }
#endif

/* --- interpreted -------------------------------------------------------------------------------------------------- */

#if defined LIFTED
int hc_lifted_fault(int number, int code, void *context);
#endif
static sigjmp_buf interpreter_escape;
static volatile int interpreting;

static void run_interpreted(struct result *r) {
    struct cpu_state *s = &r->state;
    r->outcome = RAN, r->vector = 0;
    static struct home_cpu home = {.vendor = 3, .leafd1_eax = ~0u};
    home.components = (uint32_t)components;
    s->home_cpu = components == ALL_COMPONENTS ? 0 : (uint64_t)&home;
    interpreting = 1;
    hc_helper_mxcsr(s, 0);
    if (sigsetjmp(interpreter_escape, 1) == 0) {
        int left = 100000;
        static _Alignas(64) uint8_t decoded[DECODE_CACHE_BYTES];
        /* The code at one address changes from case to case, which the cache must notice. */
        s->decode_cache = below(2) ? (uint64_t)decoded : 0;
        do {
            s->exit_reason = 0xffff;
            hc_interpret_one(s);
            if (s->exit_reason == EXIT_TRAP) {
                r->outcome = s->exit_detail == 13 || s->exit_detail == 14 ? FAULTED : TRAPPED;
                r->vector = r->outcome == TRAPPED ? s->exit_detail : 0;
                break;
            }
        } while (s->rip == CODE_AT && --left);
        if (!left) r->outcome = ENDLESS;
    } else r->outcome = FAULTED;
    interpreting = 0;
    hc_helper_mxcsr_flags(s, 0);
    static struct cpu_state plain = {.mxcsr = 0x1f80};
    hc_helper_mxcsr(&plain, 0);
    r->window_hash = hash((uint8_t *)WINDOW, WINDOW_BYTES);
}

static void on_signal(int number, siginfo_t *info, void *context) {
#if defined LIFTED
    if (interpreting && hc_lifted_fault(number, info->si_code, context)) return;
#endif
    if (interpreting) siglongjmp(interpreter_escape, 1);
    native_handler(number, info, context);
}

/* --- comparison ---------------------------------------------------------------------------------------------------- */

/** General registers whose values nobody can foretell: a bit each. */
static unsigned unpredictable_registers(const struct test_case *c) {
    unsigned modrm = c->bytes[c->length - 1], rex = 0;
    for (int i = 0; i < c->length && c->bytes[i] != 0x0f; i++)
        if ((c->bytes[i] & 0xf0) == 0x40) rex = c->bytes[i];
    if (!strncmp(c->name, "Rdrand", 6) || !strncmp(c->name, "Rdseed", 6) || !strncmp(c->name, "Rdpid", 5)) return 1u << ((modrm & 7) | (rex & 1) << 3);
    if (!strcmp(c->name, "Rdtsc")) return 1u << 0 | 1u << 2;
    if (!strcmp(c->name, "Rdtscp")) return 1u << 0 | 1u << 1 | 1u << 2;
    return strcmp(c->name, "Cpuid") ? 0 : 15;
}

static int differences;
static char difference_text[1024];
static void differ(const char *what, uint64_t expected, uint64_t got) {
    size_t used = strlen(difference_text);
    if (differences++ < 12)
        snprintf(difference_text + used, sizeof difference_text - used, " %s=%" PRIx64 "(want %" PRIx64 ")", what, got, expected);
}

/** On arm64 a result is tiny, and flushed, if it is so before rounding; on x86-64 after: then the smallest normal number. */
static int is_tiny(uint32_t mxcsr, uint64_t want, uint64_t got) {
#if defined __aarch64__
    if ((mxcsr & 0x8040) != 0x8040) return 0;
    if ((want & ~(1ull << 63)) == 1ull << 52 && got << 1 == 0) return 1;
    for (int at = 0; at < 64; at += 32) {
        uint32_t x = (uint32_t)(want >> at), y = (uint32_t)(got >> at);
        if (x != y && !((x & 0x7fffffff) == 0x00800000 && y << 1 == 0)) return 0;
    }
    return 1;
#else
    (void)mxcsr, (void)want, (void)got;
    return 0;
#endif
}

static int compare(const struct result *want, const struct result *got, const struct test_case *c) {
    char name[32];
    differences = 0, difference_text[0] = 0;
    if (want->outcome != got->outcome) differ("outcome", want->outcome, got->outcome);
    if (want->vector != got->vector) differ("vector", want->vector, got->vector);
    const struct cpu_state *a = &want->state, *b = &got->state;
    unsigned unpredictable = unpredictable_registers(c);
    int tells_processor = !strncmp(c->name, "Lsl", 3); /* by one segment's limit */
    for (int i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i] && !(unpredictable >> i & 1) && !(tells_processor && (a->gpr[i] ^ b->gpr[i]) < 0x1000)) snprintf(name, sizeof name, "gpr%d", i), differ(name, a->gpr[i], b->gpr[i]);
    if (a->rip != b->rip) differ("rip", a->rip, b->rip);
    static const char *const flag_names[] = {"cf", "pf", "af", "zf", "sf", "of"};
    for (int i = 0; i < 6; i++)
        if (!(c->undefined_flags >> i & 1) && (&a->cf)[i] != (&b->cf)[i]) differ(flag_names[i], (&a->cf)[i], (&b->cf)[i]);
    if (a->df != b->df) differ("df", a->df, b->df);
    if (a->rflags_rest != b->rflags_rest) differ("rflags_rest", a->rflags_rest, b->rflags_rest);
    if (a->gs_base != b->gs_base) differ("gs_base", a->gs_base, b->gs_base);
    uint32_t mxcsr_mask = c->sticky == STICKY_EXACT ? ~0u : ~0x3fu;
    if ((a->mxcsr ^ b->mxcsr) & mxcsr_mask) differ("mxcsr", a->mxcsr, b->mxcsr);
    /* What the host gathers may lack something; of invalid, overflow and division by zero there must not be more. */
    if (c->sticky == STICKY_NO_MORE && b->mxcsr & ~a->mxcsr & 0xd) differ("mxcsr", a->mxcsr, b->mxcsr);
    for (int i = 0; i < 8; i++)
        if (a->k[i] != b->k[i]) snprintf(name, sizeof name, "k%d", i), differ(name, a->k[i], b->k[i]);
    for (int i = 0; i < 32; i++)
        for (int lane = 0; lane < 8; lane++) {
            uint64_t x, y;
            memcpy(&x, a->zmm[i] + 8 * lane, 8), memcpy(&y, b->zmm[i] + 8 * lane, 8);
            if (x != y && !is_tiny(a->mxcsr, x, y)) snprintf(name, sizeof name, "zmm%d[%d]", i, lane), differ(name, x, y);
        }
    if (a->fcw != b->fcw) differ("fcw", a->fcw, b->fcw);
    uint16_t fsw_mask = 0xffff;
    if ((a->fsw ^ b->fsw) & fsw_mask) differ("fsw", a->fsw, b->fsw);
    if (a->ftw != b->ftw) differ("ftw", a->ftw, b->ftw);
    for (int i = 0; i < 8; i++) {
        uint64_t x, y;
        uint16_t p, q;
        memcpy(&x, a->st[i], 8), memcpy(&y, b->st[i], 8), memcpy(&p, a->st[i] + 8, 2), memcpy(&q, b->st[i] + 8, 2);
        if (x != y) snprintf(name, sizeof name, "r%d", i), differ(name, x, y);
        if (p != q) snprintf(name, sizeof name, "r%d.exponent", i), differ(name, p, q);
    }
    if (want->window_hash != got->window_hash) differ("memory", want->window_hash, got->window_hash);
    return differences;
}

/* --- cases ------------------------------------------------------------------------------------------------------- */

static void read_cases(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) { perror(path); exit(2); }
    cases = calloc(MAX_CASES, sizeof *cases);
    char line[512], hex[64];
    while (fgets(line, sizeof line, file) && case_count < MAX_CASES) {
        struct test_case *c = &cases[case_count];
        if (sscanf(line, "%63s %d %d %d %d %d %d %d %d %d %d %u %d %63s", hex, &c->base, &c->index, &c->scale, &c->displacement,
                   &c->vsib_width, &c->vsib_lane, &c->address32, &c->patch_offset, &c->patch_absolute, &c->memory_bytes,
                   &c->undefined_flags, &c->sticky, c->name) != 14) {
            fprintf(stderr, "harness: bad line: %s", line);
            exit(2);
        }
        c->length = (int)strlen(hex) / 2;
        for (int i = 0; i < c->length && i < 15; i++) {
            unsigned byte;
            sscanf(hex + 2 * i, "%2x", &byte);
            c->bytes[i] = (uint8_t)byte;
        }
        case_count++;
    }
    fclose(file);
}

static void *map_at(uint64_t address, size_t size, int protection) {
    void *p = mmap((void *)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p != (void *)address) { perror("harness: mmap"); exit(2); }
    return p;
}

static void read_all(void *buffer, size_t size) {
    if (fread(buffer, 1, size, stdin) != size) { fprintf(stderr, "harness: results end early\n"); exit(2); }
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "usage: harness CASES SEED COUNT [--edges] [--record | --replay]\n"); return 2; }
    uint64_t seed = strtoull(argv[2], 0, 10);
    int rounds = atoi(argv[3]);
    bool record = false, replay = false;
    for (int i = 4; i < argc; i++) {
        record |= !strcmp(argv[i], "--record");
        replay |= !strcmp(argv[i], "--replay");
        at_edges |= !strcmp(argv[i], "--edges");
    }
    read_cases(argv[1]);
    uint8_t *code = map_at(CODE_PAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    uint8_t *window = map_at(WINDOW, WINDOW_BYTES, PROT_READ | PROT_WRITE);
    static uint8_t stack[1 << 18];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, 0);
    native_setup();
    if (replay) read_all(&components, sizeof components);
    if (record && fwrite(&components, sizeof components, 1, stdout) != 1) return 2;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);

    static struct cpu_state initial;
    static uint8_t initial_window[WINDOW_BYTES], native_window[WINDOW_BYTES], initial_code[4096];
    static struct result want, got;
    long tested = 0, wrong_cases = 0;
    for (int number = 0; number < case_count; number++) {
        const struct test_case *c = &cases[number];
        int wrong = 0;
        for (int round = 0; round < rounds; round++) {
            make_state(&initial, code, initial_window, c, seed, number, round);
            memcpy(initial_code, code, sizeof initial_code);
            if (replay) read_all(&want, sizeof want);
            else {
                memcpy(window, initial_window, WINDOW_BYTES);
                want.state = initial;
                run_native(&want);
                if (!record) memcpy(native_window, window, WINDOW_BYTES);
            }
            if (record) {
                if (fwrite(&want, sizeof want, 1, stdout) != 1) return 2;
                continue;
            }
            memcpy(window, initial_window, WINDOW_BYTES);
            memcpy(code, initial_code, sizeof initial_code); /* bit offsets and string instructions reach it */
            got.state = initial;
            run_interpreted(&got);
            tested++;
            if (want.outcome == FAULTED && got.outcome == FAULTED) {
                /* A fault in the middle of an access that crosses a page may or may not have stored the first part. */
                want.window_hash = got.window_hash;
            }
            /* Gathers and scatters keep the lanes that were done before the fault, here as there in an order of their own. */
            if (want.outcome == FAULTED && got.outcome == FAULTED && c->vsib_width) continue;
            /* maskmovq and maskmovdqu may fault where the mask selects nothing, and enter the MMX state before they fault. */
            if (want.outcome == FAULTED && strcasestr(c->name, "maskmov") && !strcasestr(c->name, "vmaskmovp")) continue;
#if defined LIFTED
            /* Plain code is not precise at faults; all lets aligned vector accesses to misaligned memory through. */
            if (want.outcome == FAULTED && (!strcmp(LIFTED, "plain") || got.outcome == RAN)) continue;
#endif
#if defined __aarch64__
            /* arm64 without FEAT_AFP has one switch for denormals that are read and written. */
            if ((initial.mxcsr & 0x8040) == 0x8000 || (initial.mxcsr & 0x8040) == 0x40) continue;
#endif
            /* A jump to a non-canonical address faults at the jump or at the target, as the maker likes. */
            if (want.outcome != RAN && got.outcome == RAN && (int64_t)(got.state.rip << 16) >> 16 != (int64_t)got.state.rip) continue;
            if (compare(&want, &got, c) == 0 || wrong++ >= 3) continue;
            printf("%s ", c->name);
            for (int i = 0; i < c->length; i++) printf("%02x", code[CODE_AT - CODE_PAGE + (uint64_t)i]);
            printf(" case %d round %d mxcsr %x fcw %x:%s\n", number, round, initial.mxcsr, initial.fcw, difference_text);
        }
        wrong_cases += wrong > 0;
    }
    if (!record) printf("tested %ld states of %d cases, %ld cases wrong, seed %" PRIu64 "\n", tested, case_count, wrong_cases, seed);
    return wrong_cases ? 1 : 0;
}
