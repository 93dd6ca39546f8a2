/* The helpers that the semantics of integer and system instructions call (src/sem/system.ts, src/sem/moves.ts): what is rare
 * and long. They work on the canonical state and on guest memory, which is at the addresses that the guest knows. A helper
 * touches memory before it changes any register, so that a fault leaves the state as it was before the instruction.
 *
 * The file needs nothing of the runtime but abi.h: the interpreter's test build for x86-64 contains it too. */
#include "abi.h"
#include "home-cpu.h"

/* The CPU that we answer for. A program has looked at its home CPU before it came here, and its choices (function
 * variants, sizes of save areas) are frozen in it. What is known of that CPU travels with the process (struct home_cpu): then we
 * answer what both it and src/sem have. Else, and for what it does not tell, the answer is the table's: a Zen 4 with what src/sem has. */
#define COMPONENT_X87 1ull
#define COMPONENT_SSE 2ull
#define COMPONENT_AVX 4ull
#define COMPONENT_OPMASK 0x20ull
#define COMPONENT_ZMM_HIGH 0x40ull
#define COMPONENT_HIGH_ZMM 0x80ull
#define ENABLED_COMPONENTS 0xe7ull
#define LEGACY_BYTES 512u
#define HEADER_BYTES 64u
#define MXCSR_MASK 0x2ffffu

struct component { uint64_t bit; uint32_t bytes, offset, offset_with_gap; };
/* In the order of their bits; offsets in the standard format. */
static const struct component COMPONENTS[] = {
    {COMPONENT_AVX, 256, 576, 576},
    {COMPONENT_OPMASK, 64, 832, 1088},
    {COMPONENT_ZMM_HIGH, 512, 896, 1152},
    {COMPONENT_HIGH_ZMM, 1024, 1408, 1664},
};
#define COMPONENT_COUNT (sizeof COMPONENTS / sizeof COMPONENTS[0])
#define STANDARD_BYTES 2432u

/** What is known of the home CPU, or 0. */
static const struct home_cpu *home_of(const struct cpu_state *cpu) {
    const struct home_cpu *home = (const struct home_cpu *)cpu->home_cpu;
    return home && home->vendor ? home : 0;
}

static uint64_t enabled_components(const struct cpu_state *cpu) {
    const struct home_cpu *home = home_of(cpu);
    return home ? home->components & ENABLED_COMPONENTS : ENABLED_COMPONENTS;
}

static uint32_t offset_of(const struct cpu_state *cpu, const struct component *component) {
    const struct home_cpu *home = home_of(cpu);
    return home && home->has_gap ? component->offset_with_gap : component->offset;
}

/** Bytes of an area in the standard format with the enabled components. */
static uint32_t standard_bytes(const struct cpu_state *cpu) {
    uint32_t end = LEGACY_BYTES + HEADER_BYTES;
    for (unsigned i = 0; i < COMPONENT_COUNT; i++)
        if (enabled_components(cpu) & COMPONENTS[i].bit) end = offset_of(cpu, &COMPONENTS[i]) + COMPONENTS[i].bytes;
    return end;
}

struct cpuid_line { uint32_t leaf, subleaf, eax, ebx, ecx, edx; };
#define ANY_SUBLEAF 0xffffffffu
static const struct cpuid_line CPUID_LINES[] = {
    {0x0, ANY_SUBLEAF, 0xd, 0x68747541, 0x444d4163, 0x69746e65}, /* AuthenticAMD */
    /* family 25, model 17; sse3 pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt aes xsave osxsave avx f16c rdrand;
     * fpu tsc cx8 cmov clfsh mmx fxsr sse sse2 and what Linux takes for granted */
    {0x1, ANY_SUBLEAF, 0x00a10f11, 0x00010800, 0x7ed83203, 0x078bfbff},
    /* fsgsbase bmi1 avx2 bmi2 erms avx512f avx512dq rdseed adx clflushopt clwb avx512cd sha avx512bw avx512vl; rdpid */
    {0x7, 0, 0x0, 0xf18f0329, 0x00400000, 0x0},
    {0xd, 0, (uint32_t)ENABLED_COMPONENTS, STANDARD_BYTES, STANDARD_BYTES, 0x0},
    {0xd, 1, 0x7, STANDARD_BYTES, 0x0, 0x0}, /* xsaveopt xsavec xgetbv(1) */
    {0xd, 2, 256, 576, 0x0, 0x0},
    {0xd, 5, 64, 832, 0x0, 0x0},
    {0xd, 6, 512, 896, 0x0, 0x0},
    {0xd, 7, 1024, 1408, 0x0, 0x0},
    {0x80000000, ANY_SUBLEAF, 0x8000001d, 0x68747541, 0x444d4163, 0x69746e65},
    /* lahf lzcnt 3dnowprefetch; syscall nx pdpe1gb rdtscp lm */
    {0x80000001, ANY_SUBLEAF, 0x00a10f11, 0x0, 0x00000121, 0x2c100800},
    {0x80000002, ANY_SUBLEAF, 0x6f432d48, 0x6961746e, 0x2072656e, 0x2d363878}, /* H-Container x86- */
    {0x80000003, ANY_SUBLEAF, 0x63203436, 0x00007570, 0x0, 0x0},              /* 64 cpu */
    {0x80000005, ANY_SUBLEAF, 0x0, 0x0, 0x20080140, 0x20080140},              /* L1: 32 KiB, 8 ways */
    {0x80000006, ANY_SUBLEAF, 0x0, 0x0, 0x04006140, 0x01008140},              /* L2: 1 MiB, L3: 32 MiB */
    {0x80000007, ANY_SUBLEAF, 0x0, 0x0, 0x0, 0x00000100},                     /* the counter's rate is constant */
    {0x80000008, ANY_SUBLEAF, 0x00003030, 0x00000001, 0x0, 0x0},              /* 48-bit addresses; clzero */
    {0x8000001d, 0, 0x00000121, 0x01c0003f, 0x0000003f, 0x0},
    {0x8000001d, 1, 0x00000122, 0x01c0003f, 0x0000003f, 0x0},
    {0x8000001d, 2, 0x00000143, 0x01c0003f, 0x000007ff, 0x0},
    {0x8000001d, 3, 0x00000163, 0x03c0003f, 0x00007fff, 0x1},
};

enum { RAX, RCX, RDX, RBX, RSP, RBP };

/** Leaf 13: state components. */
static void fit_components(const struct cpu_state *cpu, uint32_t subleaf, struct cpuid_line *line) {
    const struct home_cpu *home = home_of(cpu);
    if (subleaf == 0) line->eax = (uint32_t)enabled_components(cpu), line->ebx = line->ecx = standard_bytes(cpu);
    if (subleaf == 1) line->eax &= home->leafd1_eax, line->ebx = standard_bytes(cpu);
    for (unsigned i = 0; i < COMPONENT_COUNT; i++) {
        if (subleaf >= 2 && subleaf < 32 && COMPONENTS[i].bit == 1ull << subleaf) {
            int enabled = (enabled_components(cpu) & COMPONENTS[i].bit) != 0;
            line->eax = enabled ? COMPONENTS[i].bytes : 0;
            line->ebx = enabled ? offset_of(cpu, &COMPONENTS[i]) : 0;
        }
    }
}

/** Makes the table's answer the home CPU's: of features, those that both have. */
static void fit_home(const struct cpu_state *cpu, uint32_t leaf, uint32_t subleaf, struct cpuid_line *line) {
    static const uint32_t INTEL[3] = {0x756e6547, 0x6c65746e, 0x49656e69}; /* GenuineIntel */
    const struct home_cpu *home = home_of(cpu);
    if ((leaf == 0 || leaf == 0x80000000) && home->vendor == 1) {
        line->ebx = leaf ? 0 : INTEL[0], line->ecx = leaf ? 0 : INTEL[1], line->edx = leaf ? 0 : INTEL[2];
        if (leaf) line->eax = 0x80000008;
    }
    if (leaf == 1) line->eax = home->signature, line->ecx &= home->leaf1_ecx, line->edx &= home->leaf1_edx;
    if (leaf == 7 && subleaf == 0) line->ebx &= home->leaf7_ebx, line->ecx &= home->leaf7_ecx, line->edx &= home->leaf7_edx;
    if (leaf == 0xd) fit_components(cpu, subleaf, line);
    if (leaf == 0x80000001) {
        line->eax = home->vendor == 1 ? 0 : home->signature;
        line->ecx &= home->extended_ecx, line->edx &= home->extended_edx;
    }
    if (leaf >= 0x80000002 && leaf <= 0x80000004) {
        const uint32_t *words = (const uint32_t *)(const void *)home->name + (leaf - 0x80000002) * 4;
        line->eax = words[0], line->ebx = words[1], line->ecx = words[2], line->edx = words[3];
    }
}

/** cpuid: leaf in eax, subleaf in ecx; what the table does not have is zeros. */
void hc_helper_cpuid(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
    uint32_t leaf = (uint32_t)cpu->gpr[RAX], subleaf = (uint32_t)cpu->gpr[RCX];
    struct cpuid_line found = {0};
    /* Intel describes its caches in leaf 4 as AMD does in its own. */
    const struct home_cpu *home = home_of(cpu);
    int is_intel = home && home->vendor == 1;
    uint32_t wanted = is_intel && leaf == 4 ? 0x8000001d : is_intel && leaf == 0x8000001d ? 0 : leaf;
    for (unsigned i = 0; i < sizeof CPUID_LINES / sizeof CPUID_LINES[0]; i++) {
        const struct cpuid_line *line = &CPUID_LINES[i];
        if (line->leaf == wanted && (wanted || !leaf) && (line->subleaf == subleaf || line->subleaf == ANY_SUBLEAF)) found = *line;
    }
    if (home) fit_home(cpu, leaf, subleaf, &found);
    cpu->gpr[RAX] = found.eax;
    cpu->gpr[RBX] = found.ebx;
    cpu->gpr[RCX] = found.ecx;
    cpu->gpr[RDX] = found.edx;
}

static long host_call3(long number, long a, long b, long c) {
#if defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory", "cc");
    return x0;
#else
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#endif
}
#if defined(__aarch64__)
enum { HOST_GETCPU = 168, HOST_GETRANDOM = 278 };
#else
enum { HOST_GETCPU = 309, HOST_GETRANDOM = 318 };
#endif

/** Node and CPU number as Linux keeps them in tsc_aux: the node from bit 12. */
static uint64_t processor_id(void) {
    unsigned cpu = 0, node = 0;
    host_call3(HOST_GETCPU, (long)&cpu, (long)&node, 0);
    return (uint64_t)node << 12 | (cpu & 0xfff);
}

/** The time stamp counter: the host's counter, brought to COUNTER_HZ. */
static uint64_t time_stamp(void) {
#if defined(__aarch64__)
    uint64_t count, hz;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count)::"memory");
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    return count / hz * COUNTER_HZ + count % hz * COUNTER_HZ / hz;
#else
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
#endif
}

void hc_helper_rdtsc(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
    uint64_t now = time_stamp();
    cpu->gpr[RAX] = (uint32_t)now;
    cpu->gpr[RDX] = now >> 32;
}

void hc_helper_rdtscp(struct cpu_state *cpu, uint64_t argument) {
    hc_helper_rdtsc(cpu, argument);
    cpu->gpr[RCX] = processor_id();
}

/** Result in rax, for rdpid and lsl. */
void hc_helper_processor_id(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
    cpu->gpr[RAX] = processor_id();
}

/** 64 random bits in rax, for rdrand and rdseed. The kernel gives 8 bytes whole or, before it has seeded itself, waits. */
void hc_helper_random(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
    uint64_t value = 0;
    while (host_call3(HOST_GETRANDOM, (long)&value, sizeof value, 0) != (long)sizeof value) {}
    cpu->gpr[RAX] = value;
}

/** Faults unless the byte can be written. */
static void touch(uint64_t address) {
    volatile uint8_t *byte = (volatile uint8_t *)address;
    *byte = *byte;
}

/** enter: the size of the frame in bits 0..15, nesting level in bits 16..20, bit 32 for 16-bit operands. */
void hc_helper_enter(struct cpu_state *cpu, uint64_t argument) {
    uint64_t size = argument & 0xffff, rsp = cpu->gpr[RSP], outer = cpu->gpr[RBP];
    unsigned level = argument >> 16 & 31, step = argument >> 32 & 1 ? 2 : 8;
#define PUSH(value) \
    do { \
        rsp -= step; \
        if (step == 2) *(volatile uint16_t *)rsp = (uint16_t)(value); \
        else *(volatile uint64_t *)rsp = (value); \
    } while (0)
    PUSH(outer);
    uint64_t frame = rsp;
    for (unsigned i = 1; i < level; i++) {
        outer -= step;
        PUSH(step == 2 ? *(volatile uint16_t *)outer : *(volatile uint64_t *)outer);
    }
    if (level) PUSH(frame);
#undef PUSH
    touch(rsp - size);
    cpu->gpr[RBP] = step == 2 ? (cpu->gpr[RBP] & ~0xffffull) | (frame & 0xffff) : frame;
    cpu->gpr[RSP] = rsp - size;
}

enum { MXCSR_DAZ = 0x40, MXCSR_FTZ = 0x8000, MXCSR_MASKS = 0x1f80, MXCSR_ROUNDING = 0x6000, MXCSR_FLAGS = 0x3f };

/** Gives the host's floating-point unit the rounding and denormal modes of mxcsr, and clears its exception flags. arm64 has one
 * switch for denormals that are read and written: it is on if the guest asks for either. */
void hc_helper_mxcsr(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
#if defined(__aarch64__)
    static const uint8_t ROUNDING[4] = {0, 2, 1, 3}; /* nearest, down, up, zero */
    uint64_t fpcr = (uint64_t)ROUNDING[(cpu->mxcsr & MXCSR_ROUNDING) >> 13] << 22;
    if (cpu->mxcsr & (MXCSR_DAZ | MXCSR_FTZ)) fpcr |= 1ull << 24;
    __asm__ volatile("msr fpcr, %0" ::"r"(fpcr));
    __asm__ volatile("msr fpsr, %0" ::"r"(0ull));
#else
    uint32_t host = (cpu->mxcsr & (MXCSR_DAZ | MXCSR_FTZ | MXCSR_ROUNDING)) | MXCSR_MASKS;
    __asm__ volatile("ldmxcsr %0" ::"m"(host));
#endif
}

/** Moves the exception flags that the host's floating-point unit has gathered into mxcsr. The denormal flag is only seen where
 * the host flushed a denormal operand. */
void hc_helper_mxcsr_flags(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
#if defined(__aarch64__)
    uint64_t fpsr;
    __asm__ volatile("mrs %0, fpsr" : "=r"(fpsr));
    uint32_t arithmetic = (uint32_t)fpsr;
    cpu->mxcsr |= (arithmetic & 1) | (arithmetic & 0x1e) << 1 | (arithmetic >> 7 & 1) << 1;
    __asm__ volatile("msr fpsr, %0" ::"r"(fpsr & ~0x9full));
#else
    uint32_t host;
    __asm__ volatile("stmxcsr %0" : "=m"(host));
    cpu->mxcsr |= host & MXCSR_FLAGS;
    host &= ~(uint32_t)MXCSR_FLAGS;
    __asm__ volatile("ldmxcsr %0" ::"m"(host));
#endif
}

static void copy(void *to, const void *from, uint64_t bytes) {
    volatile uint8_t *t = to;
    const uint8_t *f = from;
    for (uint64_t i = 0; i < bytes; i++) t[i] = f[i];
}

static void clear(void *to, uint64_t bytes) {
    volatile uint8_t *t = to;
    for (uint64_t i = 0; i < bytes; i++) t[i] = 0;
}

static int is_zero(const void *from, uint64_t bytes) {
    const uint8_t *f = from;
    uint8_t any = 0;
    for (uint64_t i = 0; i < bytes; i++) any |= f[i];
    return any == 0;
}

/* The legacy area of fxsave and xsave. The environment is 64 bits wide, or 32 with selectors, which are 0. */
struct legacy_area {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16], xmm[16][16], rest[96];
};
_Static_assert(sizeof(struct legacy_area) == LEGACY_BYTES, "legacy area");

/** Physical number of st(i). */
static unsigned physical(const struct cpu_state *cpu, unsigned i) { return ((cpu->fsw >> 11) + i) & 7; }

static void save_x87(const struct cpu_state *cpu, struct legacy_area *area, int wide) {
    area->fcw = cpu->fcw;
    area->fsw = cpu->fsw;
    area->ftw = cpu->ftw;
    area->reserved = 0;
    area->fop = cpu->fop;
    area->fip = wide ? cpu->fip : (uint32_t)cpu->fip;
    area->fdp = wide ? cpu->fdp : (uint32_t)cpu->fdp;
    for (unsigned i = 0; i < 8; i++) {
        copy(area->st[i], cpu->st[physical(cpu, i)], 10);
        clear(area->st[i] + 10, 6);
    }
}

static void load_x87(struct cpu_state *cpu, const struct legacy_area *area, int wide) {
    cpu->fcw = (area->fcw & 0x1f3f) | 0x40; /* the other bits are fixed */
    cpu->fsw = area->fsw;
    cpu->ftw = area->ftw;
    cpu->fop = area->fop & 0x7ff;
    cpu->fip = wide ? area->fip : (uint32_t)area->fip;
    cpu->fdp = wide ? area->fdp : (uint32_t)area->fdp;
    for (unsigned i = 0; i < 8; i++) {
        copy(cpu->st[physical(cpu, i)], area->st[i], 10);
        clear(cpu->st[physical(cpu, i)] + 10, 6);
    }
}

static void reset_x87(struct cpu_state *cpu) {
    cpu->fcw = 0x37f;
    cpu->fsw = 0;
    cpu->ftw = 0;
    cpu->fop = 0;
    cpu->fip = 0;
    cpu->fdp = 0;
    clear(cpu->st, sizeof cpu->st);
}

static void save_xmm(const struct cpu_state *cpu, struct legacy_area *area) {
    for (unsigned i = 0; i < 16; i++) copy(area->xmm[i], cpu->zmm[i], 16);
}

static void save_mxcsr(struct cpu_state *cpu, struct legacy_area *area) {
    hc_helper_mxcsr_flags(cpu, 0);
    area->mxcsr = cpu->mxcsr;
    area->mxcsr_mask = MXCSR_MASK;
}

static void load_mxcsr(struct cpu_state *cpu, uint32_t mxcsr) {
    cpu->mxcsr = mxcsr;
    hc_helper_mxcsr(cpu, 0);
}

static void save_legacy(struct cpu_state *cpu, uint64_t address, int wide) {
    struct legacy_area *area = (struct legacy_area *)address;
    touch(address + LEGACY_BYTES - 1);
    save_x87(cpu, area, wide);
    save_mxcsr(cpu, area);
    save_xmm(cpu, area);
}

static void load_legacy(struct cpu_state *cpu, uint64_t address, int wide) {
    struct legacy_area area;
    copy(&area, (const void *)address, sizeof area);
    load_x87(cpu, &area, wide);
    load_mxcsr(cpu, area.mxcsr);
    for (unsigned i = 0; i < 16; i++) copy(cpu->zmm[i], area.xmm[i], 16);
}

void hc_helper_fxsave(struct cpu_state *cpu, uint64_t address) { save_legacy(cpu, address, 0); }
void hc_helper_fxsave64(struct cpu_state *cpu, uint64_t address) { save_legacy(cpu, address, 1); }
void hc_helper_fxrstor(struct cpu_state *cpu, uint64_t address) { load_legacy(cpu, address, 0); }
void hc_helper_fxrstor64(struct cpu_state *cpu, uint64_t address) { load_legacy(cpu, address, 1); }

/** One component between the state and its place in an area, a direction at a time. */
static void save_component(const struct cpu_state *cpu, uint64_t bit, uint8_t *place) {
    for (unsigned i = 0; i < 16; i++) {
        if (bit == COMPONENT_AVX) copy(place + 16 * i, cpu->zmm[i] + 16, 16);
        else if (bit == COMPONENT_ZMM_HIGH) copy(place + 32 * i, cpu->zmm[i] + 32, 32);
        else if (bit == COMPONENT_HIGH_ZMM) copy(place + 64 * i, cpu->zmm[16 + i], 64);
        else if (i < 8) copy(place + 8 * i, &cpu->k[i], 8);
    }
}

/** `place` 0 means the initial configuration: zeros. */
static void load_component(struct cpu_state *cpu, uint64_t bit, const uint8_t *place) {
    static const uint8_t ZEROS[64];
    for (unsigned i = 0; i < 16; i++) {
        if (bit == COMPONENT_AVX) copy(cpu->zmm[i] + 16, place ? place + 16 * i : ZEROS, 16);
        else if (bit == COMPONENT_ZMM_HIGH) copy(cpu->zmm[i] + 32, place ? place + 32 * i : ZEROS, 32);
        else if (bit == COMPONENT_HIGH_ZMM) copy(cpu->zmm[16 + i], place ? place + 64 * i : ZEROS, 64);
        else if (i < 8) copy(&cpu->k[i], place ? place + 8 * i : ZEROS, 8);
    }
}

/** The components that are not in their initial configuration. */
static uint64_t components_in_use(const struct cpu_state *cpu) {
    uint64_t used = 0;
    if (cpu->fcw != 0x37f || cpu->fsw || cpu->ftw || cpu->fop || cpu->fip || cpu->fdp || !is_zero(cpu->st, sizeof cpu->st))
        used |= COMPONENT_X87;
    for (unsigned i = 0; i < 16; i++) {
        if (!is_zero(cpu->zmm[i], 16)) used |= COMPONENT_SSE;
        if (!is_zero(cpu->zmm[i] + 16, 16)) used |= COMPONENT_AVX;
        if (!is_zero(cpu->zmm[i] + 32, 32)) used |= COMPONENT_ZMM_HIGH;
        if (!is_zero(cpu->zmm[16 + i], 64)) used |= COMPONENT_HIGH_ZMM;
    }
    if (!is_zero(cpu->k, sizeof cpu->k)) used |= COMPONENT_OPMASK;
    return used;
}

void hc_helper_xgetbv(struct cpu_state *cpu, uint64_t argument) {
    (void)argument;
    cpu->gpr[RAX] = (uint32_t)cpu->gpr[RCX] == 0 ? enabled_components(cpu) : components_in_use(cpu);
    cpu->gpr[RDX] = 0;
}

static uint64_t requested_components(const struct cpu_state *cpu) {
    return (cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX]) & enabled_components(cpu);
}

enum { WIDE = 1, COMPACT = 2, ONLY_USED = 4 };

/** The xsave family at a 64-byte aligned address. Only requested components are written, and with COMPACT or ONLY_USED only those
 * in use; the header then says which were. */
static void save_extended(struct cpu_state *cpu, uint64_t address, int how) {
    struct legacy_area *area = (struct legacy_area *)address;
    volatile uint64_t *header = (volatile uint64_t *)(address + LEGACY_BYTES);
    uint64_t requested = requested_components(cpu), used = components_in_use(cpu);
    uint64_t written = how & (COMPACT | ONLY_USED) ? requested & used : requested;
    uint64_t present = requested & used;
    if (how & COMPACT) {
        hc_helper_mxcsr_flags(cpu, 0);
        if (requested & COMPONENT_SSE && cpu->mxcsr != 0x1f80) present |= COMPONENT_SSE, written |= COMPONENT_SSE;
    }
    if (written & COMPONENT_X87) save_x87(cpu, area, how & WIDE);
    if (how & COMPACT ? written & COMPONENT_SSE : requested & (COMPONENT_SSE | COMPONENT_AVX)) save_mxcsr(cpu, area);
    if (written & COMPONENT_SSE) save_xmm(cpu, area);
    uint64_t next = LEGACY_BYTES + HEADER_BYTES;
    for (unsigned i = 0; i < COMPONENT_COUNT; i++) {
        const struct component *c = &COMPONENTS[i];
        uint64_t place = how & COMPACT ? next : offset_of(cpu, c);
        if (written & c->bit) save_component(cpu, c->bit, (uint8_t *)(address + place));
        if (requested & c->bit) next += c->bytes;
    }
    if (how & COMPACT) {
        header[0] = present;
        header[1] = requested | 1ull << 63;
    } else {
        header[0] = (header[0] & ~requested) | present;
    }
}

void hc_helper_xsave(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, 0); }
void hc_helper_xsave64(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, WIDE); }
void hc_helper_xsaveopt(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, ONLY_USED); }
void hc_helper_xsaveopt64(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, ONLY_USED | WIDE); }
void hc_helper_xsavec(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, COMPACT); }
void hc_helper_xsavec64(struct cpu_state *cpu, uint64_t address) { save_extended(cpu, address, COMPACT | WIDE); }

/** xrstor; the semantic has checked the header and mxcsr. */
static void load_extended(struct cpu_state *cpu, uint64_t address, int wide) {
    uint8_t copied[LEGACY_BYTES + HEADER_BYTES + 256 + 64 + 512 + 1024] __attribute__((aligned(16)));
    const struct legacy_area *area = (const struct legacy_area *)copied;
    uint64_t requested = requested_components(cpu), present, layout, bytes = LEGACY_BYTES + HEADER_BYTES;
    uint32_t offsets[COMPONENT_COUNT];
    copy(&present, (const void *)(address + LEGACY_BYTES), 8);
    copy(&layout, (const void *)(address + LEGACY_BYTES + 8), 8);
    int compact = (int)(layout >> 63);
    /* All of guest memory that is needed comes over first: it may fault. */
    copy(copied, (const void *)address, bytes);
    uint64_t next = bytes;
    for (unsigned i = 0; i < COMPONENT_COUNT; i++) {
        const struct component *c = &COMPONENTS[i];
        offsets[i] = (uint32_t)(compact ? next : offset_of(cpu, c));
        if (layout & c->bit) next += c->bytes;
        if (requested & present & c->bit) copy(copied + bytes, (const void *)(address + offsets[i]), c->bytes);
        offsets[i] = (uint32_t)bytes;
        bytes += c->bytes;
    }
    if (requested & COMPONENT_X87) {
        if (present & COMPONENT_X87) load_x87(cpu, area, wide);
        else reset_x87(cpu);
    }
    if (compact ? requested & COMPONENT_SSE : requested & (COMPONENT_SSE | COMPONENT_AVX))
        load_mxcsr(cpu, compact && !(present & COMPONENT_SSE) ? 0x1f80 : area->mxcsr);
    if (requested & COMPONENT_SSE) {
        for (unsigned i = 0; i < 16; i++) {
            if (present & COMPONENT_SSE) copy(cpu->zmm[i], area->xmm[i], 16);
            else clear(cpu->zmm[i], 16);
        }
    }
    for (unsigned i = 0; i < COMPONENT_COUNT; i++) {
        const struct component *c = &COMPONENTS[i];
        if (requested & c->bit) load_component(cpu, c->bit, present & c->bit ? copied + offsets[i] : 0);
    }
}

void hc_helper_xrstor(struct cpu_state *cpu, uint64_t address) { load_extended(cpu, address, 0); }
void hc_helper_xrstor64(struct cpu_state *cpu, uint64_t address) { load_extended(cpu, address, WIDE); }
