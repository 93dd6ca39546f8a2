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

uint32_t hc_interpret_one(struct cpu_state *state) {
    struct hc_decoded d;
    state->exit_reason = EXIT_DISPATCH;
    int vector = hc_decode(state, &d);
    if (vector != HC_DECODED) {
        state->exit_reason = EXIT_TRAP;
        state->exit_detail = (uint32_t)vector;
    } else if (d.rounding) {
        execute_rounded(state, &d);
    } else {
        hc_ops[d.op](state, &d);
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
