/*
 * Decodes instructions with the interpreter's decoder, for decoder.test.ts. Standard input: a cpu_state, then records of 16
 * bytes { size, bytes[15] }. The bytes end where a page ends that has an inaccessible one behind it, so reading beyond them
 * is a fault, which is an answer like others. Standard output: a struct answer a record.
 */
#define _GNU_SOURCE
#include "decode.h"
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_AT 0x10000000ull
#define RAN_OUT 100

struct answer {
    int32_t vector; /* HC_DECODED, an exception's, or RAN_OUT */
    uint16_t op, length;
    uint64_t address, linear, immediate, second_immediate;
};

static sigjmp_buf escape;
static void on_fault(int number) {
    (void)number;
    siglongjmp(escape, 1);
}

int main(void) {
    uint8_t *page = mmap((void *)PAGE_AT, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != (uint8_t *)PAGE_AT || mprotect(page + 4096, 4096, PROT_NONE)) return 2;
    signal(SIGSEGV, on_fault);
    static struct cpu_state state;
    if (fread(&state, sizeof state, 1, stdin) != 1) return 2;
    uint8_t record[16];
    while (fread(record, sizeof record, 1, stdin) == 1) {
        struct answer answer = {.vector = RAN_OUT};
        uint8_t *at = page + 4096 - record[0];
        memcpy(at, record + 1, record[0]);
        state.rip = (uint64_t)at;
        if (sigsetjmp(escape, 1) == 0) {
            struct hc_instruction instruction;
            int vector = hc_decode(state.rip, &instruction);
            hc_locate(&state, &instruction);
            struct hc_decoded d = instruction.decoded;
            answer = (struct answer){vector, instruction.op, d.length, d.address, d.linear, d.immediate, d.second_immediate};
        }
        fwrite(&answer, sizeof answer, 1, stdout);
    }
    return 0;
}
