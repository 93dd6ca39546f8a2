/* Runs sequences of instructions that fault, and writes what their handler finds: registers as the kernel saved them, and
 * siginfo. The sequences (made by program.ts) begin at `sequences`, each with a flag that says how its handler goes on. */
#include <stdint.h>

#define NOT_INLINE __attribute__((noinline))
struct sequence { void (*run)(void); uint64_t end; uint64_t repairs; };
extern struct sequence sequences[];
extern uint64_t sequence_count, random_words[32];
extern uint8_t arena[];
void hc_restorer(void);
void run_sequence(void (*run)(void));

enum { PAGE = 4096, WRITE = 1, MPROTECT = 10, SIGACTION = 13, SIGALTSTACK = 131, EXIT_GROUP = 231 };
struct registers { uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags, segments, err, trapno, oldmask, cr2, fpstate; };
struct ucontext { uint64_t flags, link, stack[3]; struct registers registers; uint64_t reserved[8], sigmask; };
struct siginfo { int32_t number, error, code, pad; uint64_t address, rest[13]; };
struct action { void (*handler)(int, struct siginfo *, struct ucontext *); uint64_t flags; void (*restorer)(void); uint64_t mask; };

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static struct sequence *now;
static uint64_t faults;

/** The arena: a page to write, one to read, one that cannot be accessed, one to write. */
static void protect(void) {
    uint64_t at = (uint64_t)arena;
    call(MPROTECT, at, PAGE, 3, 0);
    call(MPROTECT, at + PAGE, PAGE, 1, 0);
    call(MPROTECT, at + 2 * PAGE, PAGE, 0, 0);
    call(MPROTECT, at + 3 * PAGE, PAGE, 3, 0);
}

static void on_fault(int number, struct siginfo *info, struct ucontext *context) {
    struct registers *r = &context->registers;
    uint64_t about[4] = { (uint64_t)number, (uint64_t)(int64_t)info->code, info->address, (uint64_t)(now - sequences) };
    call(WRITE, 1, (uint64_t)about, sizeof about, 0);
    call(WRITE, 1, (uint64_t)r, sizeof *r - 8, 0);
    call(WRITE, 1, r->fpstate, 24, 0);
    call(WRITE, 1, r->fpstate + 160, 256, 0);
    call(WRITE, 1, (uint64_t)arena, 512, 0);
    uint64_t page = info->address & -PAGE;
    /* Not what cannot be executed: under qemu user mode the runtime would execute it. */
    if (++faults < 6 && now->repairs && !(r->err & 16) && page >= (uint64_t)arena && page < (uint64_t)arena + 4 * PAGE) {
        call(MPROTECT, page, PAGE, 3, 0); /* the instruction is done again */
        r->r11 = r->r11 + 1;
        return;
    }
    r->ip = now->end;
}

void run_all(void) {
    static uint8_t stack[65536];
    struct { uint64_t sp; int32_t flags, pad; uint64_t size; } alternate = { (uint64_t)stack, 0, 0, sizeof stack };
    static const uint8_t signals[] = { 4, 5, 7, 8, 11 };
    struct action action = { on_fault, 0x4c000004 /* NODEFER, ONSTACK, RESTORER, SIGINFO */, hc_restorer, 0 };
    call(SIGALTSTACK, (uint64_t)&alternate, 0, 0, 0);
    for (unsigned i = 0; i < sizeof signals; i++) call(SIGACTION, signals[i], (uint64_t)&action, 0, 8);
    for (uint64_t i = 0; i < sequence_count; i++) {
        now = &sequences[i];
        faults = 0;
        call(MPROTECT, (uint64_t)arena, 4 * PAGE, 3, 0);
        for (unsigned at = 0; at < 4 * PAGE; at++) arena[at] = at < 512 ? (uint8_t)(at * 7 + i) : 0;
        protect();
        run_sequence(now->run);
    }
    call(EXIT_GROUP, 0, 0, 0, 0);
}
