/* Decodes one x86-64 user-mode instruction for the interpreter. */
#pragma once
#include "abi.h"
#include "interp-tables.h"

#define HC_DECODED (-1)

/**
 * Decodes the instruction at state->rip into *d. Gives HC_DECODED, or the x86 exception vector that the CPU raises instead.
 * Reads no more bytes than the instruction has; reading them may fault.
 */
int hc_decode(const struct cpu_state *state, struct hc_decoded *d);
