/* Decodes one x86-64 user-mode instruction for the interpreter. */
#pragma once
#include "abi.h"
#include "interp-tables.h"

#define HC_DECODED (-1)
#define HC_NO_REGISTER (-1)

/**
 * A decoded instruction. What depends on registers (effective address, segment base) is not in `decoded` before hc_locate.
 * The first part is the decode cache's: the address of the instruction and its bytes.
 */
struct hc_instruction {
    _Alignas(64) uint64_t key; /* 1 + address; 0 = none */
    uint64_t bytes[2];       /* 16 bytes from there, those behind the instruction zero */
    uint64_t byte_mask[2];   /* all ones where the instruction's bytes are */
    uint64_t displacement;   /* of the memory operand; rip-relative: the whole address */
    int8_t base, index;      /* general registers or HC_NO_REGISTER */
    uint8_t segment;         /* HC_SEGMENT_* */
    uint8_t has_address;
    struct hc_decoded decoded;
};
enum { HC_SEGMENT_NONE, HC_SEGMENT_FS, HC_SEGMENT_GS };

/**
 * Decodes the instruction at `rip` into *instruction. Gives HC_DECODED, or the x86 exception vector that the CPU raises
 * instead. Reads no more bytes than the instruction has; reading them may fault.
 */
int hc_decode(uint64_t rip, struct hc_instruction *instruction);

/** Computes the addresses of a decoded instruction from the registers. */
static inline void hc_locate(const struct cpu_state *state, struct hc_instruction *instruction) {
    struct hc_decoded *d = &instruction->decoded;
    uint64_t base = 0;
    if (instruction->segment) base = instruction->segment == HC_SEGMENT_FS ? state->fs_base : state->gs_base;
    d->segment_base = base;
    if (!instruction->has_address) return;
    uint64_t address = instruction->displacement;
    if (instruction->base >= 0) address += state->gpr[instruction->base];
    if (instruction->index >= 0) address += state->gpr[instruction->index] << d->scale;
    if (d->address32) address = (uint32_t)address;
    d->linear = address;
    d->address = address + base;
}
