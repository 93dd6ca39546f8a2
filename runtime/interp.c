/* Executes one instruction by the function that decode.c finds for it, and what those functions call. */
#include "interp.h"
#include "decode.h"

#define MXCSR_ROUNDING_SHIFT 13
#define MXCSR_ROUNDING (3u << MXCSR_ROUNDING_SHIFT)

/** Exceptions that are found before the operation is made: invalid, denormal, division by zero. */
#define MXCSR_EARLY_FLAGS 7u
#define SIMD_EXCEPTION 19u

/* runtime/helpers.c: the host's modes are taken from mxcsr; its exception flags are added to it. */
void hc_helper_mxcsr(struct cpu_state *state, uint64_t argument);
void hc_helper_mxcsr_flags(struct cpu_state *state, uint64_t argument);

/** An EVEX instruction with its own rounding mode. Its operands are registers, so it does not fault in between. */
static void execute_rounded(struct cpu_state *state, const struct hc_decoded *d) {
    uint32_t mxcsr = state->mxcsr;
    hc_helper_mxcsr_flags(state, 0);
    mxcsr |= state->mxcsr & 0x3f;
    state->mxcsr = (mxcsr & ~MXCSR_ROUNDING) | (uint32_t)(d->rounding - 1) << MXCSR_ROUNDING_SHIFT;
    hc_helper_mxcsr(state, 0);
    hc_ops[d->op](state, d);
    /* Static rounding suppresses all exceptions: the flags that the operation left are dropped. */
    state->mxcsr = mxcsr;
    hc_helper_mxcsr(state, 0);
}

/** An instruction that raises no exceptions; it may fault before it has computed anything. */
static void execute_suppressed(struct cpu_state *state, const struct hc_decoded *d) {
    hc_helper_mxcsr_flags(state, 0);
    hc_ops[d->op](state, d);
    hc_helper_mxcsr(state, 0);
}

/** Predicates of comparisons that quiet NaNs do not make invalid; of 16 to 31, it is the others. */
#define QUIET_PREDICATES 0x9999u

/**
 * The exceptions of SSE's and AVX's floating-point arithmetic that an instruction may raise; more than there are for some that do no
 * arithmetic. A quiet comparison's is left out, as the host's raises it for more numbers.
 */
static uint32_t raised_by(const struct hc_decoded *d, uint64_t rip) {
    const uint8_t *at = (const uint8_t *)rip;
    uint32_t map = 1, is_extended = 1, predicate = at[d->length - 1];
    while (*at == 0x66 || *at == 0x67 || *at == 0xf2 || *at == 0xf3 || (*at & 0xe7) == 0x26 || (*at & 0xfe) == 0x64) at++;
    if (*at == 0xc5) at += 2;
    else if (*at == 0xc4) map = at[1] & 0x1f, at += 3;
    else if (*at == 0x62) map = at[1] & 7, at += 4;
    else {
        is_extended = 0;
        if ((*at & 0xf0) == 0x40) at++;
        if (*at++ != 0x0f) return 0;
        if (*at == 0x38) map = 2;
        if (*at == 0x3a) map = 3;
    }
    uint8_t opcode = *at;
    if (map != 1) return is_extended || map == 3 ? MXCSR_FLAGS : 0;
    if (opcode == 0xc2) {
        uint32_t is_quiet = (QUIET_PREDICATES >> (predicate & (is_extended ? 15 : 7)) ^ (is_extended ? predicate >> 4 : 0)) & 1;
        return MXCSR_FLAGS & ~is_quiet;
    }
    int is_arithmetic = (opcode >= 0x2a && opcode <= 0x2f && opcode != 0x2b) || opcode == 0x51 || (opcode >= 0x58 && opcode <= 0x5f) ||
                        (is_extended && opcode >= 0x78 && opcode <= 0x7b) || opcode == 0x7c || opcode == 0x7d || opcode == 0xd0 || opcode == 0xe6;
    return is_arithmetic ? MXCSR_FLAGS : 0;
}

/**
 * Executes an instruction that may raise some exceptions while mxcsr unmasks one. If it raises that, the state is as before but for
 * the flags of mxcsr. A number that the host rounds exactly is not reported as an underflow.
 */
static void execute_trapping(struct cpu_state *state, const struct hc_decoded *d, uint32_t possible) {
    uint32_t sticky = state->mxcsr, unmasked = ~sticky >> MXCSR_MASKS_SHIFT & MXCSR_FLAGS;
    hc_helper_mxcsr_flags(state, 0);
    /* What could trap and has not was none of the CPU's. */
    state->mxcsr = sticky |= state->mxcsr & ~unmasked;
    struct cpu_state before = *state;
    hc_ops[d->op](state, d);
    state->mxcsr &= ~MXCSR_FLAGS;
    hc_helper_mxcsr_flags(state, 0);
    uint32_t raised = state->mxcsr & possible;
    state->mxcsr = (state->mxcsr & ~MXCSR_FLAGS) | raised | (sticky & MXCSR_FLAGS);
    if (state->exit_reason != EXIT_DISPATCH || !(raised & unmasked)) return;
    if (raised & unmasked & MXCSR_EARLY_FLAGS) raised &= MXCSR_EARLY_FLAGS;
    __builtin_memcpy(state->gpr, before.gpr, sizeof before.gpr);
    __builtin_memcpy(state->k, before.k, sizeof before.k);
    __builtin_memcpy(state->st, before.st, sizeof before.st);
    __builtin_memcpy(state->zmm, before.zmm, sizeof before.zmm);
    state->fsw = before.fsw, state->ftw = before.ftw;
    state->cf = before.cf, state->pf = before.pf, state->af = before.af, state->zf = before.zf, state->sf = before.sf, state->of = before.of;
    state->rip = before.rip;
    state->mxcsr = before.mxcsr | raised;
    state->exit_reason = EXIT_TRAP;
    state->exit_detail = SIMD_EXCEPTION;
}

#define PAGE_BYTES 4096u
#define CACHED_BYTES 16u /* read at once to compare an instruction's bytes */
#define CACHE_ENTRIES (DECODE_CACHE_BYTES / sizeof(struct hc_instruction))
/** Instructions that are executed before the dispatcher looks for signals again. */
#define BLOCK_INSTRUCTIONS 64

_Static_assert((CACHE_ENTRIES & (CACHE_ENTRIES - 1)) == 0, "entries of the decode cache are found by a mask");

/** Whether `entry` is the instruction at `rip` as its bytes are now; those 16 bytes lie in one page. */
static inline int is_cached(const struct hc_instruction *entry, uint64_t rip) {
    if (entry->key != rip + 1) return 0;
    const uint64_t *now = (const uint64_t *)rip;
    uint64_t low, high;
    __builtin_memcpy(&low, now, 8);
    __builtin_memcpy(&high, now + 1, 8);
    return (((low & entry->byte_mask[0]) ^ entry->bytes[0]) | ((high & entry->byte_mask[1]) ^ entry->bytes[1])) == 0;
}

/** Enters a decoded instruction into the cache. */
static void note_bytes(struct hc_instruction *entry, uint64_t rip) {
    uint32_t bits = 8u * entry->decoded.length;
    entry->byte_mask[0] = bits >= 64 ? ~0ull : (1ull << bits) - 1;
    entry->byte_mask[1] = bits <= 64 ? 0 : (1ull << (bits - 64)) - 1;
    __builtin_memcpy(entry->bytes, (const void *)rip, CACHED_BYTES);
    entry->bytes[0] &= entry->byte_mask[0];
    entry->bytes[1] &= entry->byte_mask[1];
    entry->key = rip + 1;
}

/** The instruction at rip: from the cache, or decoded into the cache or, if it cannot be there, into *own. Null after a trap. */
static inline struct hc_instruction *fetch(struct cpu_state *state, struct hc_instruction *own) {
    uint64_t rip = state->rip;
    struct hc_instruction *entry = own;
    int is_cachable = state->decode_cache && rip % PAGE_BYTES <= PAGE_BYTES - CACHED_BYTES;
    if (is_cachable) {
        entry = (struct hc_instruction *)state->decode_cache + ((rip ^ rip >> 8) & (CACHE_ENTRIES - 1));
        if (is_cached(entry, rip)) return entry;
    }
    int vector = hc_decode(rip, entry);
    if (vector != HC_DECODED) {
        state->exit_reason = EXIT_TRAP;
        state->exit_detail = (uint32_t)vector;
        return 0;
    }
    if (is_cachable) note_bytes(entry, rip);
    return entry;
}

/** Executes the instruction at rip; gives the address behind it, or 0 if there is none. */
static inline uint64_t execute(struct cpu_state *state, struct hc_instruction *own) {
    struct hc_instruction *instruction = fetch(state, own);
    if (!instruction) return 0;
    hc_locate(state, instruction);
    const struct hc_decoded *d = &instruction->decoded;
    uint64_t next = d->next_rip;
    uint32_t possible;
    if (d->rounding) execute_rounded(state, d);
    else if (d->suppressed) execute_suppressed(state, d);
    else if (hc_float_traps(state) && (possible = raised_by(d, state->rip))) execute_trapping(state, d, possible);
    else hc_ops[d->op](state, d);
    return next;
}

uint32_t hc_interpret_one(struct cpu_state *state) {
    struct hc_instruction own;
    state->exit_reason = EXIT_DISPATCH;
    execute(state, &own);
    return state->exit_reason;
}

uint32_t hc_interpret_block(struct cpu_state *state) {
    struct hc_instruction own;
    state->exit_reason = EXIT_DISPATCH;
    for (int left = BLOCK_INSTRUCTIONS; left > 0; left--) {
        uint64_t next = execute(state, &own);
        if (state->exit_reason != EXIT_DISPATCH || state->rip != next) break;
    }
    return state->exit_reason;
}

/** Loads the lanes of guest memory that `mask` selects into a vector's buffer. */
void hc_masked_load(uint8_t *buffer, uint64_t address, uint64_t mask, uint32_t lane_bytes) {
    struct word { uint64_t value; } __attribute__((packed, may_alias));
    /* Strings are compared by bytes, of which mostly the first so many are wanted. */
    for (; lane_bytes == 1 && (mask & 0xff) == 0xff; mask >>= 8, address += 8, buffer += 8)
        ((struct word *)buffer)->value = ((const volatile struct word *)address)->value;
    for (uint32_t lane = 0; mask != 0; lane++, mask >>= 1) {
        if (!(mask & 1)) continue;
        const volatile uint8_t *from = (const volatile uint8_t *)(address + lane * lane_bytes);
        for (uint32_t i = 0; i < lane_bytes; i++) buffer[lane * lane_bytes + i] = from[i];
    }
}

/** Stores the lanes that `mask` selects from a vector's buffer to guest memory. */
void hc_masked_store(const uint8_t *buffer, uint64_t address, uint64_t mask, uint32_t lane_bytes) {
    for (uint32_t lane = 0; mask != 0; lane++, mask >>= 1) {
        if (!(mask & 1)) continue;
        volatile uint8_t *to = (volatile uint8_t *)(address + lane * lane_bytes);
        for (uint32_t i = 0; i < lane_bytes; i++) to[i] = buffer[lane * lane_bytes + i];
    }
}
