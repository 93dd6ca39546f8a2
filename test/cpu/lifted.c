/* Stands in for the interpreter in the harness: runs the lifted form of the instruction instead. What the lifter leaves to
 * the interpreter goes there. Linked with a module that lifted.ts writes: the pieces by the bytes of their instruction,
 * and the crossing into and out of them. */
#include "abi.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

extern int32_t __start_hc_faults[] __attribute__((weak)), __stop_hc_faults[] __attribute__((weak));
extern int32_t __start_hc_unaligned[] __attribute__((weak)), __stop_hc_unaligned[] __attribute__((weak));
uint32_t hc_interpret_one(struct cpu_state *state);

struct lifted {
    uint8_t bytes[16]; /* padded with zeros; the last is their number */
    void *code;
};
extern struct lifted lifted_cases[];
extern uint64_t lifted_count;
void lifted_enter(struct cpu_state *state, void *code);
void lifted_exit(void);

#define CODE_AT 0x10000800ull
#define BUCKETS 65536

static uint32_t buckets[BUCKETS], next_of[1 << 18];
static _Alignas(0x10000) char area[THREAD_AREA_BYTES];
static long lifted_runs, interpreted_runs;

static uint32_t bucket_of(const uint8_t *bytes) {
    uint32_t hash = 2166136261u;
    for (int i = 0; i < 16; i++) hash = (hash ^ bytes[i]) * 16777619u;
    return hash % BUCKETS;
}

static void report(void) { fprintf(stderr, "lifted: %ld runs, %ld left to the interpreter\n", lifted_runs, interpreted_runs); }

static void prepare(void) {
    for (uint32_t i = 0; i < lifted_count; i++) {
        uint32_t bucket = bucket_of(lifted_cases[i].bytes);
        next_of[i] = buckets[bucket];
        buckets[bucket] = i + 1;
    }
    memset(area + LOOKUP_OFFSET, 0xff, LOOKUP_ENTRIES * sizeof(struct lookup_entry));
    /* A jump to the address that marks empty slots must not find one. */
    ((struct lookup_entry *)(area + LOOKUP_OFFSET))[0].guest = 1;
    atexit(report);
}

/** The lifted form of the instruction at CODE_AT: the one whose bytes are there, followed by int3. */
static void *find(void) {
    for (int length = 15; length > 0; length--) {
        uint8_t bytes[16] = { 0 };
        memcpy(bytes, (void *)CODE_AT, (size_t)length);
        bytes[15] = (uint8_t)length;
        for (uint32_t i = buckets[bucket_of(bytes)]; i; i = next_of[i - 1]) {
            if (memcmp(lifted_cases[i - 1].bytes, bytes, 16) == 0) return lifted_cases[i - 1].code;
        }
    }
    return 0;
}

/** An access, and where its row leads: its landing, or its form for addresses that are not aligned. */
struct row { uint64_t access, target; };
struct rows { struct row *row; size_t count; };

static int compare_rows(const void *a, const void *b) {
    uint64_t x = ((const struct row *)a)->access, y = ((const struct row *)b)->access;
    return x < y ? -1 : x > y;
}

static uint64_t absolute(const int32_t *word) { return (uint64_t)word + (uint64_t)(int64_t)*word; }

/** Rows of so many words, of which the first two are addresses relative to themselves. */
static struct rows read_rows(const int32_t *start, const int32_t *end, size_t words) {
    struct rows rows = { 0, (size_t)(end - start) / words };
    rows.row = calloc(rows.count + 1, sizeof *rows.row);
    for (size_t i = 0; i < rows.count; i++) rows.row[i] = (struct row){ absolute(&start[words * i]), absolute(&start[words * i + 1]) };
    qsort(rows.row, rows.count, sizeof *rows.row, compare_rows);
    return rows;
}

static const struct row *find_row(struct rows rows, uint64_t access) {
    struct row wanted = { access, 0 };
    return bsearch(&wanted, rows.row, rows.count, sizeof *rows.row, compare_rows);
}

/** A signal at an access of lifted code that is prepared for it: goes on where its row says, as the runtime does. */
int hc_lifted_fault(int number, int code, ucontext_t *context) {
    static struct rows faults, unaligned;
    if (!faults.row) {
        faults = read_rows(__start_hc_faults, __stop_hc_faults, sizeof(struct fault_row) / 4);
        unaligned = read_rows(__start_hc_unaligned, __stop_hc_unaligned, sizeof(struct unaligned_row) / 4);
    }
    uint64_t access = context->uc_mcontext.pc;
    const struct row *row = number == SIGBUS && code == BUS_ADRALN ? find_row(unaligned, access) : 0;
    if (!row) {
        for (size_t i = 0; i < unaligned.count; i++)
            if (access == unaligned.row[i].target || access == unaligned.row[i].target + 4) access = unaligned.row[i].access;
        row = find_row(faults, access);
        if (!row) return 0;
        struct cpu_state *cpu = (void *)area;
        cpu->rip = CODE_AT;
        cpu->exit_reason = EXIT_INTERPRET;
    }
    context->uc_mcontext.pc = row->target;
    return 1;
}

uint32_t hc_lifted_one(struct cpu_state *state) {
    static int is_ready;
    if (!is_ready) prepare(), is_ready = 1;
    void *code = state->rip == CODE_AT ? find() : 0;
    if (code) {
        struct cpu_state *cpu = (void *)area;
        *cpu = *state;
        cpu->pending = 0;
        cpu->exit_reason = EXIT_DISPATCH;
        cpu->exit_fn = cpu->dispatch_fn = (uint64_t)lifted_exit;
        lifted_enter(cpu, code);
        cpu->decode_cache = state->decode_cache;
        if (cpu->exit_reason != EXIT_INTERPRET || cpu->rip != CODE_AT) {
            lifted_runs++;
            uint32_t reason = cpu->exit_reason == EXIT_TRAP ? EXIT_TRAP : EXIT_DISPATCH;
            *state = *cpu;
            state->exit_reason = reason;
            return reason;
        }
    }
    interpreted_runs++;
    /* Whatever led here, a fault of the lifted code too, left the state as it was before the instruction. */
    if (code) *state = *(struct cpu_state *)area;
    return hc_interpret_one(state);
}
