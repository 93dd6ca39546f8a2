/* The interpreter: one instruction at a time, in any canonical state. */
#pragma once
#include "abi.h"

#define MXCSR_FLAGS 0x3fu
#define MXCSR_MASKS_SHIFT 7

/** Whether mxcsr lets an exception of floating-point arithmetic trap: then only the interpreter will do. */
static inline int hc_float_traps(const struct cpu_state *state) { return (~state->mxcsr >> MXCSR_MASKS_SHIFT & MXCSR_FLAGS) != 0; }

/**
 * Executes the instruction at state->rip and gives state->exit_reason: EXIT_DISPATCH, go on at rip; EXIT_SYSCALL, rip is
 * behind a syscall instruction; EXIT_TRAP, exception exit_detail at rip with the state as before the instruction. A fault of
 * a memory access leaves the state as before the instruction, too. The host's floating-point modes must be those of mxcsr.
 */
uint32_t hc_interpret_one(struct cpu_state *state);

/** How far the interpreter may go by itself. */
struct hc_leash {
    /** Raised after anything that may have given code a translation or taken away the right to execute it. */
    const uint32_t *age;
    /** 1 + *age from before the dispatcher found that rip has no translation and may be executed; 0: it has not looked. */
    uint32_t vouched;
    /** Out: instructions executed, unless a fault ended them. */
    uint32_t executed;
};

/**
 * The same for instructions up to the first that goes elsewhere than to the next one, or some number of them; over that jump, too,
 * where the dispatcher has vouched for its target VOUCHED_OFTEN times. The state must have a decode cache.
 */
uint32_t hc_interpret_block(struct cpu_state *state, struct hc_leash *leash);
/** So often, all that counts what is interpreted has counted it. */
#define VOUCHED_OFTEN 32
