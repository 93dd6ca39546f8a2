/* The runtime as the kernel starts it: on the command line as `runtime PROGRAM [ARGV0 [ARGUMENT]...]`, or by a guest's execve
 * with EXEC_VARIABLE as the last string of the environment (exec.c). The node starts it as a tool, too (park-stopped.c). */
#include "runtime.h"

#define EXEC_VARIABLE "HCONTAINER_EXEC="

static void map_area(uint64_t at, uint64_t bytes) {
    int64_t got = map_exactly(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got != (int64_t)at) fatal("the address space has no room for the runtime's state", "");
}

struct start { const char *file, *name; char **argv, **envp; int quiesce, quiesce_blocked, by_descriptor; };

/** Takes over from behind its letter the CPU that the program before this one answered for, and gives where it ends. */
static const char *take_home_cpu(const char *at) {
    uint64_t words[HOME_CPU_WORDS];
    const char *end = text_take_words(at, words, HOME_CPU_WORDS);
    if (end != at) memory_copy(&PROC->home_cpu, words, sizeof words);
    return end;
}

/** Takes `last` and what belongs to it, the strings of seccomp filters next to it, off the environment. */
static void take_off_environment(struct start *start, char **last) {
    struct cpu_state *cpu = current_cpu();
    char **first = last, **end = last + 1;
    if (last[1]) {
        while (*end && is_filter(*end)) end++;
        for (char **filter = end - 1; filter > last; filter--) take_filter(cpu, *filter);
    } else {
        while (first > start->envp && is_filter(first[-1])) first--;
        for (char **filter = first; filter < last; filter++) take_filter(cpu, *filter);
    }
    do *first++ = *end; while (*end++);
}

/** Takes EXEC_VARIABLE off the environment, if its last string is one. The two names point into it. */
static int take_exec_variable(struct start *start, char *file) {
    char **last = start->envp;
    if (!*last) return 0;
    while (last[1]) last++;
    /* qemu user mode turns the environment around. */
    if (under_qemu() && text_starts(*start->envp, EXEC_VARIABLE)) last = start->envp;
    if (!text_starts(*last, EXEC_VARIABLE)) return 0;
    const char *at = *last + text_length(EXEC_VARIABLE);
    while (*at && *at != ':') {
        char flag = *at++;
        if (flag == 'q') start->quiesce = 1;
        if (flag == 'f') start->by_descriptor = 1;
        if (flag == 'b') start->quiesce_blocked = 1;
        if (flag == HOME_CPU_FLAG) at = take_home_cpu(at);
        if (flag == KNOWN_KEY_FLAG) at = take_known_key(at);
    }
    if (*at++ != ':') return 0;
    uint64_t length = 0;
    while (*at >= '0' && *at <= '9') length = length * 10 + (uint64_t)(*at++ - '0');
    if (*at++ != ':' || length >= 4096 || length > text_length(at)) return 0;
    memory_copy(file, at, length);
    file[length] = 0;
    start->file = file;
    start->name = at + length;
    take_off_environment(start, last);
    return 1;
}

/** Looks for a name without a slash where PATH says, as a shell would. */
static const char *find_program(const char *name, char **envp, char *found, uint64_t bytes) {
    const char *path = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = name; *at; at++) if (*at == '/') return name;
    for (; *envp; envp++) if (text_starts(*envp, "PATH=")) path = *envp + 5;
    while (*path) {
        char *to = found, *end = found + bytes;
        while (*path && *path != ':' && to < end - 1) *to++ = *path++;
        while (*path && *path != ':') path++;
        if (*path == ':') path++;
        if (to == found) *to++ = '.';
        *to = 0;
        to = text_append(to, end, "/");
        text_append(to, end, name);
        if (HOST3(faccessat, AT_CURRENT_DIRECTORY, found, 1) == 0) return found;
    }
    return name;
}

static void take_signals(struct cpu_state *cpu, const struct start *start) {
    uint64_t mask = 0;
    HOST4(rt_sigprocmask, SIG_BLOCK, 0, &mask, 8);
    mask &= ~SIGNAL_BIT(quiesce_signal());
    if (start->quiesce_blocked) mask |= SIGNAL_BIT(quiesce_signal());
    thread_of(cpu)->sigmask = mask;
    for (int number = 1; number <= SIGNAL_LIMIT; number++) {
        struct kernel_sigaction action = { 0, 0, 0, 0 };
        if (HOST4(rt_sigaction, number, 0, &action, 8) == 0 && action.handler == SIG_IGN) PROC->sigactions[number - 1].handler = SIG_IGN;
    }
    use_signal_stack(cpu);
    install_signals(cpu);
    set_host_mask(cpu, mask);
}

/** Lets /proc/PID/cmdline, environ and stat show the program's; a kernel that refuses does no harm. */
static void describe_to_kernel(const char *name) {
    struct proc_state *proc = PROC;
    const char *base = name;
    for (const char *at = name; *at; at++) if (*at == '/') base = at + 1;
    HOST5(prctl, PR_SET_NAME, base, 0, 0, 0);
    struct { uint64_t fields[11], auxv; uint32_t auxv_bytes, exe_fd; } map = {
        { proc->start_code, proc->end_code, proc->start_data, proc->end_data, proc->brk_start, proc->brk_now,
          proc->start_stack, proc->arg_start, proc->arg_end, proc->env_start, proc->env_end },
        (uint64_t)proc->auxv, 0, ~0u,
    };
    while (proc->auxv[map.auxv_bytes / 8]) map.auxv_bytes += 16;
    map.auxv_bytes += 16;
    HOST5(prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

/** The one by which a file without a path came across an execve. */
static void close_descriptor(const char *path) {
    uint64_t fd = 0;
    for (path += text_length(DESCRIPTOR_PATH); *path >= '0' && *path <= '9'; path++) fd = fd * 10 + (uint64_t)(*path - '0');
    HOST1(close, fd);
}

_Noreturn void hc_start(uint64_t *stack) {
    struct start start = { 0 };
    char file[4096], found[4096];
    uint64_t argc = stack[0];
    start.argv = (char **)(stack + 1);
    start.envp = start.argv + argc + 1;
    uint64_t *auxv = (uint64_t *)start.envp;
    while (*auxv) auxv++;
    auxv++;

    uint64_t base = base_address();
    map_area(base + PROC_AREA_OFFSET, PROC_AREA_BYTES);
    struct proc_state *proc = PROC;
    proc->abi_version = ABI_VERSION;
    proc->translation_next = base + TRANSLATION_OFFSET;
    proc->threads = 1;
    struct cpu_state *cpu = thread_create_area();
    if (!cpu) fatal("the address space has no room for a thread", "");
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(cpu));
    thread_of(cpu)->host_tid = (int32_t)HOST0(gettid);

    if (!take_exec_variable(&start, file)) {
        if (argc == 4 && text_equal(start.argv[1], PARK_STOPPED)) park_stopped(start.argv[2], start.argv[3]);
        if (argc < 2) fatal("usage: runtime PROGRAM [ARGV0 [ARGUMENT]...]", "");
        start.file = start.name = find_program(start.argv[1], start.envp, found, sizeof found);
        start.argv += argc > 2 ? 2 : 1;
    }
    if (under_qemu()) take_qemu_variables(start.envp);
    struct program program;
    if (!load_program(start.file, &program)) fatal("this is no x86-64 program that can be loaded: ", start.file);
    if (start.by_descriptor) close_descriptor(start.file);
    cpu->fcw = 0x37f;
    cpu->mxcsr = 0x1f80;
    cpu->gpr[4] = build_stack(start.name, start.argv, start.envp, &program, auxv);
    cpu->rip = program.entry;
    describe_to_kernel(start.name);
    proc->quiesce = (uint32_t)start.quiesce;
    cpu->pending = proc->quiesce;
    take_signals(cpu, &start);
    proc->magic = PROC_MAGIC; /* from here on a request to quiesce is understood */
    hc_run_on(cpu, (uint64_t)cpu + THREAD_AREA_BYTES);
}
