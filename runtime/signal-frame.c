/* The x86-64 rt_sigframe: return address, ucontext, siginfo, and above them the xsave area in its standard format with
 * Linux's magic words. Layouts: arch/x86/include/uapi/asm/sigcontext.h; Intel SDM Vol. 1, 13.4. */
#include "runtime.h"

struct guest_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
_Static_assert(sizeof(struct guest_sigcontext) == 256, "sigcontext");
struct guest_ucontext {
    uint64_t flags, link;
    struct kernel_stack stack;
    struct guest_sigcontext context;
    uint64_t sigmask;
};
struct guest_sigframe {
    uint64_t return_address;
    struct guest_ucontext ucontext;
    struct siginfo info;
};
_Static_assert(sizeof(struct guest_sigframe) == 440, "rt_sigframe");

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
/** x87, SSE, AVX, and the three of AVX-512. */
#define XFEATURES 0xe7ull
enum { XSAVE_ST = 32, XSAVE_XMM = 160, XSAVE_SOFTWARE = 464, XSAVE_HEADER = 512, XSAVE_YMM_HIGH = 576, XSAVE_MOST = 8192 };

/** Where the components of AVX-512 lie differs from CPU to CPU: AMD's areas have no gap, Intel's have one for MPX. */
struct xsave_layout { uint32_t masks, zmm_high, zmm16, bytes, features; };
static const struct xsave_layout WITHOUT_GAP = { 832, 896, 1408, 2432, XFEATURES }, WITH_GAP = { 1088, 1152, 1664, 2688, XFEATURES };

/** The layout that our cpuid tells. */
static struct xsave_layout own_layout(void) {
    struct xsave_layout layout;
    struct cpu_state asked;
    asked.home_cpu = (uint64_t)&PROC->home_cpu;
    uint32_t *to[4] = { &layout.masks, &layout.zmm_high, &layout.zmm16, &layout.bytes };
    static const uint8_t subleafs[4] = { 5, 6, 7, 0 };
    for (unsigned i = 0; i < 4; i++) {
        asked.gpr[0] = 0xd;
        asked.gpr[1] = subleafs[i];
        hc_helper_cpuid(&asked, 0);
        *to[i] = (uint32_t)asked.gpr[3]; /* ebx: the offset, or of subleaf 0 the size */
    }
    layout.features = (uint32_t)asked.gpr[0]; /* of subleaf 0, which is last */
    return layout;
}

/** The layout of a frame that the home kernel may have written: its size tells which. */
static const struct xsave_layout *layout_of_size(uint32_t bytes) { return bytes >= WITH_GAP.bytes ? &WITH_GAP : &WITHOUT_GAP; }
struct software_bytes { uint32_t magic1, extended_size; uint64_t xfeatures; uint32_t xstate_size, padding[7]; };
_Static_assert(sizeof(struct software_bytes) == 48, "sw_reserved");

static void put16(uint8_t *to, uint16_t value) { memory_copy(to, &value, 2); }
static void put32(uint8_t *to, uint32_t value) { memory_copy(to, &value, 4); }
static void put64(uint8_t *to, uint64_t value) { memory_copy(to, &value, 8); }
static uint16_t get16(const uint8_t *from) { uint16_t value; memory_copy(&value, from, 2); return value; }
static uint32_t get32(const uint8_t *from) { uint32_t value; memory_copy(&value, from, 4); return value; }
static uint64_t get64(const uint8_t *from) { uint64_t value; memory_copy(&value, from, 8); return value; }

/** ST(i) is physical register (top + i) mod 8. */
static uint8_t *st_register(struct cpu_state *cpu, unsigned i) { return cpu->st[((cpu->fsw >> 11 & 7) + i) & 7]; }

static void save_extended_state(struct cpu_state *cpu, uint8_t *area, const struct xsave_layout *layout) {
    hc_helper_mxcsr_flags(cpu, 0);
    memory_set(area, 0, layout->bytes + 4);
    put16(area, cpu->fcw);
    put16(area + 2, cpu->fsw);
    area[4] = cpu->ftw;
    put16(area + 6, cpu->fop);
    put64(area + 8, cpu->fip);
    put64(area + 16, cpu->fdp);
    put32(area + 24, cpu->mxcsr);
    put32(area + 28, 0xffff);
    for (unsigned i = 0; i < 8; i++) memory_copy(area + XSAVE_ST + 16 * i, st_register(cpu, i), 10);
    for (unsigned i = 0; i < 16; i++) {
        memory_copy(area + XSAVE_XMM + 16 * i, cpu->zmm[i], 16);
        memory_copy(area + XSAVE_YMM_HIGH + 16 * i, cpu->zmm[i] + 16, 16);
        if (layout->features & 0x40) memory_copy(area + layout->zmm_high + 32 * i, cpu->zmm[i] + 32, 32);
        if (layout->features & 0x80) memory_copy(area + layout->zmm16 + 64 * i, cpu->zmm[16 + i], 64);
    }
    for (unsigned i = 0; i < 8 && layout->features & 0x20; i++) put64(area + layout->masks + 8 * i, cpu->k[i]);
    struct software_bytes software = {
        .magic1 = FP_XSTATE_MAGIC1, .extended_size = layout->bytes + 4, .xfeatures = layout->features, .xstate_size = layout->bytes,
    };
    memory_copy(area + XSAVE_SOFTWARE, &software, sizeof software);
    put64(area + XSAVE_HEADER, layout->features);
    put32(area + layout->bytes, FP_XSTATE_MAGIC2);
}

static void initial_extended_state(struct cpu_state *cpu) {
    cpu->fcw = 0x37f;
    cpu->fsw = cpu->fop = 0;
    cpu->ftw = 0;
    cpu->fip = cpu->fdp = 0;
    cpu->mxcsr = 0x1f80;
    private_of(cpu)->host_mxcsr = ~0u;
    memory_set(cpu->st, 0, sizeof cpu->st);
    memory_set(cpu->zmm, 0, sizeof cpu->zmm);
    memory_set(cpu->k, 0, sizeof cpu->k);
}

/** Components that the header does not name get their initial values, as xrstor gives them. */
static void load_extended_state(struct cpu_state *cpu, const uint8_t *area, const struct xsave_layout *layout, uint64_t features) {
    initial_extended_state(cpu);
    cpu->mxcsr = get32(area + 24) & 0xffff;
    if (features & 1) {
        cpu->fcw = get16(area);
        cpu->fsw = get16(area + 2);
        cpu->ftw = area[4];
        cpu->fop = get16(area + 6);
        cpu->fip = get64(area + 8);
        cpu->fdp = get64(area + 16);
        for (unsigned i = 0; i < 8; i++) memory_copy(st_register(cpu, i), area + XSAVE_ST + 16 * i, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (features & 2) memory_copy(cpu->zmm[i], area + XSAVE_XMM + 16 * i, 16);
        if (features & 4) memory_copy(cpu->zmm[i] + 16, area + XSAVE_YMM_HIGH + 16 * i, 16);
        if (features & 0x40) memory_copy(cpu->zmm[i] + 32, area + layout->zmm_high + 32 * i, 32);
        if (features & 0x80) memory_copy(cpu->zmm[16 + i], area + layout->zmm16 + 64 * i, 64);
    }
    for (unsigned i = 0; i < 8 && features & 0x20; i++) cpu->k[i] = get64(area + layout->masks + 8 * i);
}

/** What AT_MINSIGSTKSZ tells: the frame, the xsave area and what aligning them may cost. */
uint64_t signal_frame_bytes(void) { return (sizeof(struct guest_sigframe) + 8 + 15 + own_layout().bytes + 4 + 63 + 15) & ~15ull; }

static int on_stack(const struct thread_state *thread, uint64_t sp) {
    return thread->sas_size && sp > thread->sas_sp && sp - thread->sas_sp <= thread->sas_size;
}

/** Writes the frame and sets the registers with which a handler starts. 0, or -EFAULT. */
int64_t push_signal_frame(struct cpu_state *cpu, int number, const struct siginfo *info, const struct guest_sigaction *action, uint64_t saved_mask) {
    struct thread_state *thread = thread_of(cpu);
    struct thread_private *priv = private_of(cpu);
    uint8_t area[XSAVE_MOST];
    const struct xsave_layout layout = own_layout();
    struct guest_sigframe frame = { .return_address = action->restorer, .info = *info };
    uint64_t rsp = cpu->gpr[4], sp = rsp - 128;
    int nested = on_stack(thread, rsp) && !(thread->sas_flags & SS_AUTODISARM), alternate = nested;
    if (action->flags & SA_ONSTACK && thread->sas_size && !nested) {
        sp = thread->sas_sp + thread->sas_size;
        alternate = 1;
    }
    if (layout.bytes + 4 > sizeof area) return -EFAULT;
    uint64_t fpstate = (sp - (layout.bytes + 4)) & ~63ull;
    sp = ((fpstate - sizeof frame) & ~15ull) - 8;
    if (alternate && !on_stack(thread, sp)) return -EFAULT;

    frame.ucontext.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    frame.ucontext.stack = (struct kernel_stack){ thread->sas_sp, thread->sas_flags, 0, thread->sas_size };
    frame.ucontext.sigmask = saved_mask;
    const uint64_t *g = cpu->gpr;
    frame.ucontext.context = (struct guest_sigcontext){
        .r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11], .r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15],
        .di = g[7], .si = g[6], .bp = g[5], .bx = g[3], .dx = g[2], .ax = g[0], .cx = g[1], .sp = rsp, .ip = cpu->rip,
        .flags = guest_rflags(cpu) | priv->resume_flag, .cs = 0x33, .ss = 0x2b, .err = priv->fault_error, .trapno = priv->fault_trap,
        .oldmask = saved_mask, .cr2 = priv->fault_address, .fpstate = fpstate,
    };
    save_extended_state(cpu, area, &layout);
    if (guest_write(fpstate, area, layout.bytes + 4) < 0 || guest_write(sp, &frame, sizeof frame) < 0) return -EFAULT;
    if (thread->sas_flags & SS_AUTODISARM) {
        thread->sas_sp = thread->sas_size = 0;
        thread->sas_flags = SS_DISABLE;
    }
    cpu->gpr[7] = (uint64_t)number;
    cpu->gpr[6] = sp + __builtin_offsetof(struct guest_sigframe, info);
    cpu->gpr[2] = sp + __builtin_offsetof(struct guest_sigframe, ucontext);
    cpu->gpr[0] = 0;
    cpu->gpr[4] = sp;
    cpu->rip = action->handler;
    cpu->df = 0;
    return 0;
}

static int64_t restore_extended_state(struct cpu_state *cpu, uint64_t fpstate) {
    uint8_t area[XSAVE_MOST];
    struct software_bytes software;
    uint32_t magic2;
    if (!fpstate) {
        initial_extended_state(cpu);
        return 0;
    }
    if (guest_read(area, fpstate, 512) < 0) return -EFAULT;
    memory_copy(&software, area + XSAVE_SOFTWARE, sizeof software);
    uint32_t bytes = software.xstate_size;
    int extended = software.magic1 == FP_XSTATE_MAGIC1 && bytes >= XSAVE_YMM_HIGH && bytes <= sizeof area &&
                   software.extended_size >= bytes + 4 && guest_read(&magic2, fpstate + bytes, 4) == 0 && magic2 == FP_XSTATE_MAGIC2;
    if (!extended) {
        load_extended_state(cpu, area, &WITH_GAP, 3);
        return 0;
    }
    if (guest_read(area, fpstate, bytes) < 0) return -EFAULT;
    uint64_t features = get64(area + XSAVE_HEADER) & software.xfeatures & XFEATURES;
    const struct xsave_layout *layout = layout_of_size(bytes);
    if (bytes < layout->bytes) features &= 7;
    if (bytes < XSAVE_YMM_HIGH + 256) features &= 3;
    load_extended_state(cpu, area, layout, features);
    return 0;
}

/** rt_sigreturn: takes registers, mask and alternate stack from the frame below rsp. 0, or -EFAULT. */
int64_t pop_signal_frame(struct cpu_state *cpu, uint64_t *mask) {
    struct thread_state *thread = thread_of(cpu);
    struct guest_ucontext ucontext;
    if (guest_read(&ucontext, cpu->gpr[4], sizeof ucontext) < 0) return -EFAULT;
    const struct guest_sigcontext *c = &ucontext.context;
    if (restore_extended_state(cpu, c->fpstate) < 0) return -EFAULT;
    const uint64_t registers[16] = { c->ax, c->cx, c->dx, c->bx, c->sp, c->bp, c->si, c->di, c->r8, c->r9, c->r10, c->r11, c->r12, c->r13, c->r14, c->r15 };
    memory_copy(cpu->gpr, registers, sizeof registers);
    cpu->rip = c->ip;
    set_guest_rflags(cpu, c->flags);
    if (!on_stack(thread, c->sp) || thread->sas_flags & SS_AUTODISARM) {
        int32_t mode = ucontext.stack.flags & ~SS_AUTODISARM;
        if (mode == SS_DISABLE || ucontext.stack.size >= 2048) {
            thread->sas_sp = mode == SS_DISABLE ? 0 : ucontext.stack.sp;
            thread->sas_size = mode == SS_DISABLE ? 0 : ucontext.stack.size;
            thread->sas_flags = ucontext.stack.flags;
        }
    }
    *mask = ucontext.sigmask;
    return 0;
}
