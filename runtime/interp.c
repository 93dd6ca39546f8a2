/* Executes one instruction by the function that decode.c finds for it, and what those functions call. */
#include "interp.h"
#include "decode.h"

#define MXCSR_ROUNDING_SHIFT 13
#define MXCSR_ROUNDING (3u << MXCSR_ROUNDING_SHIFT)

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
    if (d->rounding) execute_rounded(state, d);
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
