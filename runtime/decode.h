/* Decodes one x86-64 user-mode instruction for the interpreter. */
#pragma once
#include "abi.h"
#include "interp-tables.h"

#define HC_DECODED (-1)
#define HC_NO_REGISTER (-1)

/** Bits of hc_instruction.kind: what there is to do for an instruction beyond calling its function. */
enum {
    HC_KIND_LONG = 1,     /* more than 8 bytes, or its first 8 bytes cross the end of a page */
    HC_KIND_ADDRESS = 2,  /* a memory operand whose address is computed from general registers alone */
    HC_KIND_SPECIAL = 4,  /* decoded.rounding or decoded.suppressed; or hc_locate is needed: a segment, a 32-bit address */
};

/**
 * A decoded instruction. What depends on registers (effective address, segment base) is not in `decoded` before hc_locate.
 * The first part is the decode cache's.
 */
struct hc_instruction {
    _Alignas(64) uint64_t key; /* the address; 0 = none */
    uint64_t bytes[2];       /* those of the instruction, zeros behind */
    hc_op *function;
    uint64_t displacement;   /* of the memory operand; rip-relative: the whole address */
    uint32_t vouched;        /* hc_leash.vouched when the dispatcher last came here */
    uint8_t vouched_times;   /* how often it has, up to VOUCHED_OFTEN */
    uint8_t kind;            /* HC_KIND_* */
    uint8_t shift;           /* of a word of up to 8 bytes, so that only bits of the instruction are left */
    int8_t base, index;      /* general registers or HC_NO_REGISTER */
    uint8_t segment;         /* HC_SEGMENT_* */
    uint8_t has_address;
    uint16_t op;             /* index of `function` in hc_ops */
    uint16_t chain;          /* 1 + index of the next one whose address has the same hash; 0 = none */
    uint16_t jump;           /* index of the one that was last jumped to from here */
    struct hc_decoded decoded;
};
enum { HC_SEGMENT_NONE, HC_SEGMENT_FS, HC_SEGMENT_GS };

/**
 * Decodes the instruction at `rip` into *instruction. Gives HC_DECODED, or the x86 exception vector that the CPU raises
 * instead. Reads no more bytes than the instruction has; reading them may fault.
 */
int hc_decode(uint64_t rip, struct hc_instruction *instruction);

static inline uint64_t hc_address(const struct cpu_state *state, const struct hc_instruction *instruction) {
    uint64_t address = instruction->displacement;
    if (instruction->base >= 0) address += state->gpr[instruction->base];
    if (instruction->index >= 0) address += state->gpr[instruction->index] << instruction->decoded.scale;
    return address;
}

/** Computes the addresses of a decoded instruction from the registers. */
static inline void hc_locate(const struct cpu_state *state, struct hc_instruction *instruction) {
    struct hc_decoded *d = &instruction->decoded;
    uint64_t base = 0;
    if (instruction->segment) base = instruction->segment == HC_SEGMENT_FS ? state->fs_base : state->gs_base;
    d->segment_base = base;
    if (!instruction->has_address) return;
    uint64_t address = hc_address(state, instruction);
    if (d->address32) address = (uint32_t)address;
    d->linear = address;
    d->address = address + base;
}
