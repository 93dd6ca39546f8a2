/* The guest's first stack, as the x86-64 kernel lays it out: strings at the top, below them the auxiliary vector, the
 * environment, the arguments and their count, to which rsp points. */
#include "runtime.h"

#define STACK_TOP 0x7ffffffff000ull
#define STACK_TOP_QEMU 0x0ffffffff000ull
#define STACK_FIRST_BYTES 0x21000ull
#define STACK_LIMIT_MOST 0x4000000ull
#define ADDR_NO_RANDOMIZE_ 0x40000

static uint64_t host_value(const uint64_t *auxv, uint64_t key) {
    for (; auxv[0]; auxv += 2) if (auxv[0] == key) return auxv[1];
    return 0;
}

/** Maps the stack and gives its end. On a real node the kernel lets it grow downwards by itself. */
static uint64_t map_stack(uint64_t needed, int protection) {
    struct rlimit limit = { 0x800000, 0 };
    uint64_t shift = 0;
    if (!((uint32_t)HOST1(personality, 0xffffffff) & ADDR_NO_RANDOMIZE_)) HOST3(getrandom, &shift, 8, 0);
    HOST2(getrlimit, RLIMIT_STACK_, &limit);
    uint64_t room = limit.now > STACK_LIMIT_MOST ? STACK_LIMIT_MOST : limit.now;
    uint64_t top = (under_qemu() ? STACK_TOP_QEMU : STACK_TOP) - ((shift & 0x3fffff) << 12);
    uint64_t bytes = PAGE_UP(STACK_FIRST_BYTES + needed);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | (under_qemu() ? MAP_NORESERVE : MAP_GROWSDOWN);
    if (under_qemu() && bytes < 0x800000) bytes = 0x800000;
    for (unsigned i = 0; i < 64; i++, top -= 0x10000000) {
        int64_t at = map_exactly(top - bytes, bytes, protection, flags, -1, 0);
        if (at != (int64_t)(top - bytes)) continue;
        if (under_qemu()) PROC_PRIVATE->stack = (struct address_range){ top - bytes, top };
        /* Everything else goes below the room that the stack may grow into. */
        PROC_PRIVATE->map_cursor = PAGE_DOWN(top - (room > bytes ? room : bytes)) - 0x10000000ull - ((shift >> 24 & 0xffff) << 12);
        return top;
    }
    fatal("there is no room for the stack", "");
}

static uint64_t strings_bytes(char **list) {
    uint64_t bytes = 0;
    for (; *list; list++) bytes += text_length(*list) + 1 + 8;
    return bytes;
}

/** Copies the strings upwards from `at`, noting each one's address; gives the end. */
static uint64_t put_strings(uint64_t at, char **list, uint64_t *addresses) {
    for (; *list; list++) {
        uint64_t bytes = text_length(*list) + 1;
        memory_copy((void *)at, *list, bytes);
        *addresses++ = at;
        at += bytes;
    }
    *addresses = 0;
    return at;
}

/** CPUID leaf 1, edx: what AT_HWCAP tells on x86-64. */
static uint64_t cpuid_value(uint32_t leaf, unsigned which) {
    struct cpu_state *cpu = current_cpu();
    uint64_t saved[4] = { cpu->gpr[0], cpu->gpr[1], cpu->gpr[2], cpu->gpr[3] };
    cpu->gpr[0] = leaf;
    cpu->gpr[1] = 0;
    hc_helper_cpuid(cpu, 0);
    uint64_t value = cpu->gpr[which];
    memory_copy(cpu->gpr, saved, sizeof saved);
    return (uint32_t)value;
}

/** Builds the stack; gives rsp. `path` is what AT_EXECFN tells. */
uint64_t build_stack(const char *path, char **argv, char **envp, const struct program *program, const uint64_t *host_auxv) {
    struct proc_state *proc = PROC;
    uint64_t argc = 0, envc = 0, path_bytes = text_length(path) + 1, random[2];
    while (argv[argc]) argc++;
    while (envp[envc]) envc++;
    uint64_t strings = strings_bytes(argv) + strings_bytes(envp) + path_bytes;
    uint64_t top = map_stack(strings, program->stack_protection);
    uint64_t at = top - 8 - path_bytes;
    uint64_t execfn = at;
    memory_copy((void *)at, path, path_bytes);
    at -= strings - path_bytes - 8 * (argc + envc);
    uint64_t text = at;
    at = (at & ~15ull) - 16;
    uint64_t platform = at;
    memory_copy((void *)at, "x86_64", 7);
    at -= 16;
    uint64_t random_at = at;
    HOST3(getrandom, random, sizeof random, 0);
    memory_copy((void *)at, random, sizeof random);

    int secure = host_value(host_auxv, AT_UID) != host_value(host_auxv, AT_EUID) || host_value(host_auxv, AT_GID) != host_value(host_auxv, AT_EGID);
    const uint64_t auxv[] = {
        AT_MINSIGSTKSZ, signal_frame_bytes(), AT_HWCAP, cpuid_value(1, 2), AT_PAGESZ, PAGE,
        AT_CLKTCK, host_value(host_auxv, AT_CLKTCK), AT_PHDR, program->phdr, AT_PHENT, sizeof(struct elf_segment),
        AT_PHNUM, program->phnum, AT_BASE, program->interpreter_base, AT_FLAGS, 0, AT_ENTRY, program->program_entry,
        AT_UID, host_value(host_auxv, AT_UID), AT_EUID, host_value(host_auxv, AT_EUID),
        AT_GID, host_value(host_auxv, AT_GID), AT_EGID, host_value(host_auxv, AT_EGID),
        AT_SECURE, (uint64_t)secure, AT_RANDOM, random_at, AT_HWCAP2, cpuid_value(7, 3) & 1 ? 2 : 0,
        AT_EXECFN, execfn, AT_PLATFORM, platform, AT_NULL, 0,
    };
    _Static_assert(sizeof auxv <= sizeof proc->auxv, "auxv");
    memory_copy(proc->auxv, auxv, sizeof auxv);
    uint64_t words = 1 + argc + 1 + envc + 1;
    uint64_t rsp = (at - sizeof auxv - 8 * words) & ~15ull;
    uint64_t *slot = (uint64_t *)rsp;
    *slot++ = argc;
    proc->arg_start = text;
    proc->arg_end = put_strings(text, argv, slot);
    proc->env_start = proc->arg_end;
    proc->env_end = put_strings(proc->arg_end, envp, slot + argc + 1);
    memory_copy(slot + argc + 1 + envc + 1, auxv, sizeof auxv);
    proc->start_stack = rsp;
    return rsp;
}
