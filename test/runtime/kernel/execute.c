/* What may be executed: data must not be, code that is written must be what was written last. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static void *expected;
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d code %d there %d\n", number, info->si_code, info->si_addr == expected);
    siglongjmp(back, 1);
}

typedef int function(void);
/** mov eax, VALUE; ret */
static void put(uint8_t *at, int value) {
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
}
static void run(const char *name, void *at) {
    expected = at;
    if (!sigsetjmp(back, 1)) printf("%s: %d\n", name, ((function *)at)());
    else printf("%s: refused\n", name);
}
static uint8_t data_page[4096] __attribute__((aligned(4096)));

int main(void) {
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
    uint8_t stack_code[64];
    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGSEGV, &action, NULL);
    put(data_page, 1);
    run("data", data_page);
    put(stack_code, 2);
    run("stack", stack_code);
    uint8_t *stack_page = (uint8_t *)((uintptr_t)stack_code & ~4095ul);
    printf("%d\n", mprotect(stack_page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN));
    run("stack that may be executed", stack_code);
    put(stack_code, 4);
    run("stack that may be executed", stack_code);
    printf("%d\n", mprotect(data_page, 4096, PROT_READ | PROT_WRITE | PROT_GROWSDOWN));
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    put(page, 3);
    run("plain memory", page);
    for (int i = 0; i < 5; i++) {
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
        put(page, 10 + i);
        run("while it can be written", page);
        mprotect(page, 4096, PROT_READ | PROT_EXEC);
        run("when it can be executed", page);
    }
    mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int i = 0; i < 5; i++) {
        put(page, 20 + i);
        run("rewritten", page);
    }
    mprotect(page, 4096, PROT_NONE);
    run("closed", page);
    munmap(page, 8192);
    run("gone", page);
    if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page) return 1;
    put(page, 30);
    run("other memory there", page);
    int fd = memfd_create("code", 0);
    if (ftruncate(fd, 4096)) return 1;
    uint8_t *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *executable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    for (int i = 0; i < 5; i++) {
        put(writable, 40 + i);
        run("by another mapping", executable);
    }
    uint8_t *moved = mremap(executable, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page);
    run("moved", moved);
    run("null", NULL);
    return 0;
}
