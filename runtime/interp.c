/* Executes instructions by the functions that decode.c finds for them, and what those functions call. */
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
static void execute_rounded(struct cpu_state *state, const struct hc_instruction *instruction) {
    const struct hc_decoded *d = &instruction->decoded;
    uint32_t mxcsr = state->mxcsr;
    hc_helper_mxcsr_flags(state, 0);
    mxcsr |= state->mxcsr & 0x3f;
    state->mxcsr = (mxcsr & ~MXCSR_ROUNDING) | (uint32_t)(d->rounding - 1) << MXCSR_ROUNDING_SHIFT;
    hc_helper_mxcsr(state, 0);
    instruction->function(state, d);
    /* Static rounding suppresses all exceptions: the flags that the operation left are dropped. */
    state->mxcsr = mxcsr;
    hc_helper_mxcsr(state, 0);
}

/** An instruction that raises no exceptions; it may fault before it has computed anything. */
static void execute_suppressed(struct cpu_state *state, const struct hc_instruction *instruction) {
    hc_helper_mxcsr_flags(state, 0);
    instruction->function(state, &instruction->decoded);
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
static void execute_trapping(struct cpu_state *state, const struct hc_instruction *instruction, uint32_t possible) {
    uint32_t sticky = state->mxcsr, unmasked = ~sticky >> MXCSR_MASKS_SHIFT & MXCSR_FLAGS;
    hc_helper_mxcsr_flags(state, 0);
    /* What could trap and has not was none of the CPU's. */
    state->mxcsr = sticky |= state->mxcsr & ~unmasked;
    struct cpu_state before = *state;
    instruction->function(state, &instruction->decoded);
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
/** Instructions that are executed before the dispatcher looks for signals again. */
#define BLOCK_INSTRUCTIONS 4096
#define CACHE_HASH_BITS 13
#define CACHE_HEAD_BYTES (2u << CACHE_HASH_BITS)
/** The last entry is none, but may be looked at as the one behind another. */
#define CACHE_ENTRIES ((DECODE_CACHE_BYTES - CACHE_HEAD_BYTES - 64) / sizeof(struct hc_instruction) - 1)

/**
 * A thread's decoded instructions, one behind the other as they were first executed: so the next instruction is mostly the next
 * entry. When there is no room, all are forgotten; what still lies there is as good as ever if its address and bytes are right.
 */
struct decode_cache {
    uint16_t chains[1 << CACHE_HASH_BITS]; /* by hash: 1 + index of the first; 0 = none */
    _Alignas(64) uint32_t used;
    _Alignas(64) struct hc_instruction entries[];
};
_Static_assert(CACHE_ENTRIES < 0xffff, "indices of entries");

static inline struct decode_cache *cache_of(const struct cpu_state *state) { return (struct decode_cache *)state->decode_cache; }

static inline uint16_t *chain_at(struct decode_cache *cache, uint64_t rip) {
    return &cache->chains[rip * 0x9e3779b97f4a7c15ull >> (64 - CACHE_HASH_BITS)];
}

static inline uint64_t word_at(uint64_t address) {
    uint64_t word;
    __builtin_memcpy(&word, (const void *)address, sizeof word);
    return word;
}

/** Whether an instruction's bytes are as they were, read one by one. */
static __attribute__((noinline)) int has_same_bytes(const struct hc_instruction *entry, uint64_t rip) {
    for (uint32_t i = 0; i < entry->decoded.length; i++)
        if (((const uint8_t *)rip)[i] != ((const uint8_t *)entry->bytes)[i]) return 0;
    return 1;
}

/** Whether `entry` is the instruction at `rip` as its bytes are now. */
static inline __attribute__((always_inline)) int is_cached(const struct hc_instruction *entry, uint64_t rip) {
    if (entry->key != rip) return 0;
    if (entry->kind & HC_KIND_LONG) return has_same_bytes(entry, rip);
    return (word_at(rip) ^ entry->bytes[0]) << entry->shift == 0;
}

/** Makes a decoded instruction one that is_cached knows. */
static void note_bytes(struct hc_instruction *entry, uint64_t rip) {
    uint32_t length = entry->decoded.length;
    if (length > 8 || rip % PAGE_BYTES > PAGE_BYTES - 8) entry->kind |= HC_KIND_LONG;
    else entry->shift = (uint8_t)(64 - 8 * length);
    for (uint32_t i = 0; i < length; i++) ((uint8_t *)entry->bytes)[i] = ((const uint8_t *)rip)[i];
    entry->key = rip;
}

/** The entry for rip, whatever its bytes are now; null if there is none. */
static struct hc_instruction *find_entry(struct decode_cache *cache, uint64_t rip) {
    for (uint16_t number = *chain_at(cache, rip); number; number = cache->entries[number - 1].chain)
        if (cache->entries[number - 1].key == rip) return &cache->entries[number - 1];
    return 0;
}

/** The instruction at rip, decoded if it is not known. Null after a trap. */
static __attribute__((noinline)) struct hc_instruction *fetch(struct cpu_state *state, uint64_t rip, struct hc_instruction *own) {
    struct decode_cache *cache = cache_of(state);
    struct hc_instruction *entry = cache ? find_entry(cache, rip) : 0;
    if (entry && is_cached(entry, rip)) return entry;
    int is_new = cache && !entry;
    if (is_new && cache->used == CACHE_ENTRIES) {
        cache->used = 0;
        for (uint32_t i = 0; i < 1u << CACHE_HASH_BITS; i++) cache->chains[i] = 0;
    }
    if (is_new) entry = &cache->entries[cache->used];
    if (!entry) entry = own;
    uint16_t chain = is_new ? *chain_at(cache, rip) : entry->chain;
    int vector = hc_decode(rip, entry);
    entry->chain = chain;
    if (vector != HC_DECODED) {
        state->exit_reason = EXIT_TRAP;
        state->exit_detail = (uint32_t)vector;
        return 0;
    }
    note_bytes(entry, rip);
    if (is_new) *chain_at(cache, rip) = (uint16_t)++cache->used;
    return entry;
}

/** Executes any instruction. */
static __attribute__((noinline)) void execute_special(struct cpu_state *state, struct hc_instruction *instruction) {
    uint32_t possible;
    hc_locate(state, instruction);
    if (instruction->decoded.rounding) execute_rounded(state, instruction);
    else if (instruction->decoded.suppressed) execute_suppressed(state, instruction);
    else if (hc_float_traps(state) && (possible = raised_by(&instruction->decoded, state->rip))) execute_trapping(state, instruction, possible);
    else instruction->function(state, &instruction->decoded);
}

static inline __attribute__((always_inline)) void execute(struct cpu_state *state, struct hc_instruction *instruction) {
    struct hc_decoded *d = &instruction->decoded;
    if (instruction->kind & HC_KIND_SPECIAL || hc_float_traps(state)) {
        execute_special(state, instruction);
    } else {
        if (instruction->kind & HC_KIND_ADDRESS) d->address = d->linear = hc_address(state, instruction);
        instruction->function(state, d);
    }
}

uint32_t hc_interpret_one(struct cpu_state *state) {
    struct hc_instruction own, *instruction;
    state->exit_reason = EXIT_DISPATCH;
    instruction = fetch(state, state->rip, &own);
    if (instruction) execute(state, instruction);
    return state->exit_reason;
}

/** Notes that the dispatcher has looked at the instruction's address. */
static void note_vouched(struct hc_instruction *instruction, const struct hc_leash *leash) {
    if (instruction->vouched != leash->vouched) instruction->vouched_times = 0;
    instruction->vouched = leash->vouched;
    if (instruction->vouched_times < VOUCHED_OFTEN) instruction->vouched_times++;
}

/** Whether the dispatcher need not look at an instruction again that is jumped to. */
static inline int is_vouched(const struct hc_instruction *entry, const struct hc_leash *leash) {
    return entry->vouched_times == VOUCHED_OFTEN && entry->vouched == 1 + __atomic_load_n(leash->age, __ATOMIC_RELAXED);
}

/** The instruction at the target of a jump from `from` if it is known and vouched for, else null. */
static inline struct hc_instruction *follow(struct decode_cache *cache, struct hc_instruction *from, uint64_t rip, const struct hc_leash *leash) {
    struct hc_instruction *entry = &cache->entries[from->jump];
    if (!is_cached(entry, rip)) {
        entry = find_entry(cache, rip);
        if (!entry || !is_cached(entry, rip)) return 0;
        from->jump = (uint16_t)(entry - cache->entries);
    }
    return is_vouched(entry, leash) ? entry : 0;
}

uint32_t hc_interpret_block(struct cpu_state *state, struct hc_leash *leash) {
    struct decode_cache *cache = cache_of(state);
    uint32_t left = BLOCK_INSTRUCTIONS;
    state->exit_reason = EXIT_DISPATCH;
    struct hc_instruction *instruction = fetch(state, state->rip, 0);
    if (instruction && leash->vouched) note_vouched(instruction, leash);
    while (instruction) {
        uint64_t next = instruction->decoded.next_rip;
        execute(state, instruction);
        uint64_t rip = state->rip;
        if (--left == 0 || state->exit_reason != EXIT_DISPATCH) break;
        if (rip == next) instruction = is_cached(instruction + 1, rip) ? instruction + 1 : fetch(state, rip, 0);
        else instruction = *(volatile uint32_t *)&state->pending ? 0 : follow(cache, instruction, rip, leash);
    }
    leash->executed = BLOCK_INSTRUCTIONS - left;
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
