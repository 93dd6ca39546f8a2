/* Runs the host-call variant: maps the guest program, fills the lookup cache with its functions and calls its entry. */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi.h"

struct function {
    uint64_t guest;
    void *host;
};
extern struct function bench_functions[];
extern uint64_t bench_function_count;

void bench_stop(struct cpu_state *cpu, uint64_t pc) {
    (void)cpu;
    fprintf(stderr, "stopped at 0x%llx\n", (unsigned long long)pc);
    exit(125);
}

void bench_syscall(struct cpu_state *cpu) {
    switch (cpu->gpr[0]) {
    case 1: cpu->gpr[0] = (uint64_t)write((int)cpu->gpr[7], (void *)cpu->gpr[6], cpu->gpr[2]); break;
    case 231: _exit((int)cpu->gpr[7]);
    default: bench_stop(cpu, cpu->gpr[0]);
    }
}

/* The entry takes the state and, in the variants that pass registers, these registers: rsp comes first. */
typedef uint64_t (*entry_function)(struct cpu_state *cpu, uint64_t rsp, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

int main(int argc, char **argv) {
    int fd = open(argv[1], O_RDONLY);
    Elf64_Ehdr header;
    Elf64_Phdr segments[16];
    if (argc < 2 || read(fd, &header, sizeof header) != sizeof header || header.e_phnum > 16) return 124;
    if (pread(fd, segments, header.e_phnum * sizeof *segments, header.e_phoff) < 0) return 124;
    for (int i = 0; i < header.e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD) continue;
        uint64_t start = segments[i].p_vaddr & ~0xfffull, end = (segments[i].p_vaddr + segments[i].p_memsz + 0xfff) & ~0xfffull;
        if (mmap((void *)start, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) return 124;
        if (pread(fd, (void *)segments[i].p_vaddr, segments[i].p_filesz, segments[i].p_offset) < 0) return 124;
    }
    char *area = aligned_alloc(0x10000, THREAD_AREA_BYTES);
    memset(area, 0, THREAD_AREA_BYTES);
    struct cpu_state *cpu = (void *)area;
    struct lookup_entry *cache = (void *)(area + LOOKUP_OFFSET);
    void *entry = 0;
    for (uint64_t i = 0; i < bench_function_count; i++) {
        uint64_t pc = bench_functions[i].guest;
        cache[(pc ^ pc >> LOOKUP_SHIFT) & (LOOKUP_ENTRIES - 1)] = (struct lookup_entry){ pc, (uint64_t)bench_functions[i].host };
        if (pc == header.e_entry) entry = bench_functions[i].host;
    }
    uint64_t *stack = (uint64_t *)aligned_alloc(4096, 0x100000) + 0x100000 / 8 - 64;
    stack[0] = (uint64_t)argc - 1;
    for (int i = 1; i <= argc; i++) stack[i] = (uint64_t)argv[i];
    cpu->gpr[4] = (uint64_t)stack;
    ((entry_function)entry)(cpu, (uint64_t)stack, 0, 0, 0, 0, 0, 0);
    return 123;
}
