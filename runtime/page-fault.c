/* The error code of a page fault as x86-64 tells it: bit 0 protection, 1 write, 2 user, 4 instruction fetch. */
#include "runtime.h"

/** Whether a host instruction writes memory. The interpreter's accesses, atomic ones included, have these forms. */
static int host_writes(uint32_t instruction) {
    uint32_t opc = instruction >> 22 & 3;
    if ((instruction & 0x3ffffc00) == 0x38bfc000) return 0; /* ldapr */
    switch (instruction >> 24 & 0x3f) {
    case 0x38: case 0x39: case 0x3c: case 0x3d: /* one register; with bit 21 and without 11 and 10: atomic operations */
        if ((instruction & 0x01200c00) == 0x00200000) return 1;
        return opc == 0 || ((instruction & 0xc4000000) == 0x04000000 && opc == 2);
    case 0x08: return !(instruction >> 22 & 1) || (instruction >> 21 & 1); /* exclusive, ordered, compare and swap */
    default: return !(instruction >> 22 & 1); /* pairs, structures */
    }
}

/** Whether the guest's instruction reads its memory operand in order to write it: the CPU asks for both at once. */
static int guest_modifies(uint64_t rip) {
    uint8_t code[15] = { 0 };
    unsigned at = 0;
    while (at < sizeof code && guest_read(&code[at], rip + at, 1) == 0) at++;
    for (at = 0; at < 12; at++) {
        uint8_t byte = code[at];
        int is_prefix = byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x64 || byte == 0x65;
        if (!is_prefix && (byte & 0xe7) != 0x26 && (byte & 0xf0) != 0x40) break;
    }
    uint8_t opcode = code[at], which = code[at + 1] >> 3 & 7;
    if (opcode == 0x0f) {
        opcode = code[at + 1], which = code[at + 2] >> 3 & 7;
        switch (opcode) {
        case 0xa4: case 0xa5: case 0xac: case 0xad: /* shld, shrd */
        case 0xab: case 0xb3: case 0xbb:            /* bts, btr, btc */
        case 0xb0: case 0xb1: case 0xc0: case 0xc1: return 1; /* cmpxchg, xadd */
        case 0xba: return which > 4;
        case 0xc7: return which == 1;
        default: return 0;
        }
    }
    if (opcode < 0x38 && (opcode & 6) == 0) return 1; /* add, or, adc, sbb, and, sub, xor to memory */
    switch (opcode) {
    case 0x80: case 0x81: case 0x83: return which != 7;
    case 0x86: case 0x87: case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return 1; /* xchg, shifts */
    case 0xf6: case 0xf7: return which == 2 || which == 3; /* not, neg */
    case 0xfe: case 0xff: return which < 2; /* inc, dec */
    default: return 0;
    }
}

/**
 * For a fault that the interpreter met at cpu->rip. Pages that cannot be accessed at all count as not present; whether one
 * that may be read but not written has been touched yet is not known: it counts as present.
 */
uint64_t page_fault_error(struct cpu_state *cpu, const struct siginfo *info, const struct host_ucontext *context) {
    uint64_t protection = info->code == SEGV_MAPERR ? 0 : 1;
    if (info->address - cpu->rip < 15) return 4 | 0x10 | protection;
    if (host_writes(*(const uint32_t *)context->pc)) return 4 | 2 | protection;
    return 4 | (guest_modifies(cpu->rip) ? 2 : 0);
}
