/* Seccomp filters that the guest sets here. They speak of x86-64 system calls, and the kernel sees those that the runtime makes
 * in their place: so the runtime runs them, at every call of the guest's, in the order and with the results of the kernel's
 * (kernel/seccomp.c, seccomp(2)). The kernel gets a filter, too, that lets everything through and holds the guest's behind its
 * end, in the form of src/recode/seccomp.ts: it checks that, hands it to children and threads, and gives it out when the
 * process is dumped. At home it is the guest's own again; what came from home is rewritten and the kernel's alone.
 *
 * Filters lie one behind the other at FILTER_AREA_OFFSET and are never taken away; each thread knows its newest. */
#include "runtime.h"

struct bpf_line { uint16_t code; uint8_t if_true, if_false; uint32_t k; };
/** In front of the guest's lines is one, and behind them are three, which make it what the kernel gets. */
struct seccomp_filter {
    struct seccomp_filter *older;
    uint64_t lines;            /* of the guest's */
    struct bpf_line code[];
};
/** What a filter looks at (struct seccomp_data). */
struct seccomp_data { uint32_t number, architecture; uint64_t pointer, args[6]; };
/** struct sock_fprog */
struct filter_program { uint64_t lines, code; };

enum { FRONT = 1, TRAILER = 3, MOST_LINES = 4096, MEMORY_WORDS = 16, DATA_WORDS = sizeof(struct seccomp_data) / 4 };
enum { LD = 0, LDX = 1, ST = 2, STX = 3, ALU = 4, JMP = 5, RET = 6 };
enum { LOAD_IMMEDIATE = 0, RETURN_K = 6, TXA = 0x87, USE_X = 8 };
enum { MODE_FILTER = 2, ACTION_AVAILABLE = 2, SET_FILTER = 1, FLAG_TSYNC = 1, KNOWN_FLAGS = 1 | 2 | 4 | 16 };
#define AUDIT_ARCH_X86_64 0xc000003eu
#define ACTION_BITS 0xffff0000u
#define KILL_PROCESS 0x80000000u
#define KILL_THREAD 0u
#define TRAP 0x00030000u
#define FAIL 0x00050000u
#define TRACE 0x7ff00000u
#define ALLOW_AND_LOG 0x7ffc0000u
#define ALLOW 0x7fff0000u

static uint32_t compute(uint32_t operation, uint32_t a, uint32_t b) {
    switch (operation) {
    case 0x00: return a + b;
    case 0x10: return a - b;
    case 0x20: return a * b;
    case 0x30: return a / b;
    case 0x40: return a | b;
    case 0x50: return a & b;
    case 0x60: return a << (b & 31);
    case 0x70: return a >> (b & 31);
    case 0x80: return -a;
    default: return a ^ b;
    }
}

static int holds(uint32_t operation, uint32_t a, uint32_t b) {
    switch (operation) {
    case 0x10: return a == b;
    case 0x20: return a > b;
    case 0x30: return a >= b;
    default: return (a & b) != 0;
    }
}

/** What one filter returns. The kernel has checked it; under qemu user mode nobody has, so nothing here trusts it. */
static uint32_t run_filter(const struct seccomp_filter *filter, const uint32_t data[DATA_WORDS]) {
    uint32_t a = 0, x = 0, memory[MEMORY_WORDS] = { 0 };
    for (uint64_t at = 0; at < filter->lines;) {
        const struct bpf_line *line = &filter->code[FRONT + at++];
        uint32_t class = line->code & 7, k = line->k, operand = line->code & USE_X ? x : k, mode = line->code & 0xe0, value;
        switch (class) {
        case LD:
        case LDX:
            if (mode == 0x20) value = k / 4 < DATA_WORDS ? data[k / 4] : 0;
            else if (mode == 0x60) value = memory[k % MEMORY_WORDS];
            else value = mode == 0x80 ? sizeof(struct seccomp_data) : k;
            *(class == LD ? &a : &x) = value;
            break;
        case ST: memory[k % MEMORY_WORDS] = a; break;
        case STX: memory[k % MEMORY_WORDS] = x; break;
        case ALU:
            if ((line->code & 0xf0) == 0x30 && operand == 0) return KILL_THREAD;
            a = compute(line->code & 0xf0, a, operand);
            break;
        case JMP: at += (line->code & 0xf0) == 0 ? k : holds(line->code & 0xf0, a, operand) ? line->if_true : line->if_false; break;
        case RET: return (line->code & 0x18) == 0x10 ? a : k;
        default: *(line->code == TXA ? &a : &x) = line->code == TXA ? x : a; break;
        }
    }
    return KILL_PROCESS;
}

/** The thread or its process ends, as the kernel would have it. */
static _Noreturn void kill_by_filter(struct cpu_state *cpu, int whole_process) {
    if (!whole_process && !private_of(cpu)->vfork_child && __atomic_load_n(&PROC->threads, __ATOMIC_SEQ_CST) > 1) {
        uint64_t status[6] = { SIGSYS };
        hc_sys_exit(cpu, status);
    }
    die_by_signal(SIGSYS);
}

static void raise_trap(struct cpu_state *cpu, const struct seccomp_data *data, uint32_t value) {
    struct siginfo info = { .number = SIGSYS, .error = (int32_t)(value & 0xffff), .code = SYS_SECCOMP };
    info.address = data->pointer;
    memory_copy(info.rest + 8, &data->number, 4);
    memory_copy(info.rest + 12, &data->architecture, 4);
    if ((thread_of(cpu)->sigmask & SIGNAL_BIT(SIGSYS)) || signal_actions(cpu)[SIGSYS - 1].handler <= SIG_IGN) die_by_signal(SIGSYS);
    cpu->gpr[1] = cpu->rip;
    cpu->gpr[11] = guest_rflags(cpu);
    deliver_signal(cpu, SIGSYS, &info);
}

/** Whether the thread's filters let the call begin; else `*result` is what becomes of it. */
int seccomp_admits(struct cpu_state *cpu, const uint64_t *args, int64_t *result) {
    struct seccomp_data data = { (uint32_t)cpu->gpr[0], AUDIT_ARCH_X86_64, cpu->rip, { 0 } };
    uint32_t words[DATA_WORDS], value = ALLOW;
    memory_copy(data.args, args, sizeof data.args);
    memory_copy(words, &data, sizeof data);
    for (struct seccomp_filter *filter = private_of(cpu)->filter; filter; filter = filter->older) {
        uint32_t returned = run_filter(filter, words);
        if ((int32_t)(returned & ACTION_BITS) < (int32_t)(value & ACTION_BITS)) value = returned;
    }
    switch (value & ACTION_BITS) {
    case ALLOW:
    case ALLOW_AND_LOG: return 1;
    case FAIL: *result = -(int64_t)((value & 0xffff) < 4095 ? value & 0xffff : 4095); return 0;
    case TRACE: *result = -ENOSYS; return 0; /* nobody traces: ptrace is refused */
    case TRAP:
        raise_trap(cpu, &data, value);
        *result = HC_STATE_SET;
        return 0;
    default: kill_by_filter(cpu, (value & ACTION_BITS) != KILL_THREAD);
    }
}

static void set_line(struct bpf_line *line, uint16_t code, uint64_t k) { *line = (struct bpf_line){ code, 0, 0, (uint32_t)k }; }

/** Room for a filter of so many lines, its ends in place; 0 if there is none. What lies behind is the next one's. */
static struct seccomp_filter *new_filter(uint64_t lines) {
    struct proc_private *proc = PROC_PRIVATE;
    uint64_t area = base_address() + FILTER_AREA_OFFSET, bytes = PAGE_UP(sizeof(struct seccomp_filter) + (FRONT + lines + TRAILER) * sizeof(struct bpf_line));
    if (proc->filter_bytes + bytes > FILTER_AREA_BYTES) return 0;
    uint64_t at = area + proc->filter_bytes;
    if (map_exactly(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != (int64_t)at) return 0;
    proc->filter_bytes += bytes;
    struct seccomp_filter *filter = (struct seccomp_filter *)at;
    filter->lines = lines;
    set_line(&filter->code[0], RETURN_K, ALLOW);
    set_line(&filter->code[FRONT + lines], LOAD_IMMEDIATE, lines);
    set_line(&filter->code[FRONT + lines + 1], LOAD_IMMEDIATE, SECCOMP_ORIGINAL_MAGIC);
    set_line(&filter->code[FRONT + lines + 2], RETURN_K, SECCOMP_ORIGINAL_MAGIC);
    return filter;
}

static void drop_newest(struct seccomp_filter *filter) {
    uint64_t bytes = base_address() + FILTER_AREA_OFFSET + PROC_PRIVATE->filter_bytes - (uint64_t)filter;
    HOST2(munmap, filter, bytes);
    PROC_PRIVATE->filter_bytes -= bytes;
}

/** What the kernel says to the filter. qemu user mode takes none: there it is carried out here all the same. */
static int64_t tell_kernel(const struct seccomp_filter *filter, int by_prctl, uint64_t flags) {
    struct filter_program program = { FRONT + filter->lines + TRAILER, (uint64_t)filter->code };
    if (under_qemu()) return 0;
    return by_prctl ? HOST5(prctl, PR_SET_SECCOMP, MODE_FILTER, &program, 0, 0) : HOST3(seccomp, SET_FILTER, flags, &program);
}

static int64_t set_filter(struct cpu_state *cpu, int by_prctl, uint64_t flags, uint64_t pointer) {
    struct proc_private *proc = PROC_PRIVATE;
    struct filter_program program;
    if (flags & ~(uint64_t)KNOWN_FLAGS) return -EINVAL;
    if (guest_read(&program, pointer, sizeof program) < 0) return -EFAULT;
    program.lines &= 0xffff;
    if (program.lines == 0 || program.lines > MOST_LINES) return -EINVAL;
    lock(&proc->filter_lock);
    struct seccomp_filter *filter = new_filter(program.lines);
    int64_t result = -ENOMEM;
    if (filter) {
        filter->older = private_of(cpu)->filter;
        result = guest_read(&filter->code[FRONT], program.code, program.lines * sizeof(struct bpf_line)) < 0 ? -EFAULT : tell_kernel(filter, by_prctl, flags);
        if (result != 0) drop_newest(filter);
    }
    if (result == 0) {
        private_of(cpu)->filter = filter;
        /* The kernel has found that all threads' filters are older ones of this thread's. */
        for (uint32_t slot = 0; flags & FLAG_TSYNC && slot < proc->thread_slots; slot++)
            if (thread_of(thread_area(slot))->in_use && !private_of(thread_area(slot))->vfork_child) private_of(thread_area(slot))->filter = filter;
    }
    unlock(&proc->filter_lock);
    return result;
}

/** A new thread begins with the filters of the one that makes it. */
void inherit_filters(struct cpu_state *child, struct cpu_state *cpu) {
    lock(&PROC_PRIVATE->filter_lock);
    private_of(child)->filter = private_of(cpu)->filter;
    unlock(&PROC_PRIVATE->filter_lock);
}

int64_t hc_sys_seccomp(struct cpu_state *cpu, const uint64_t *args) {
    static const uint32_t actions[] = { KILL_PROCESS, KILL_THREAD, TRAP, FAIL, TRACE, ALLOW_AND_LOG, ALLOW };
    uint32_t operation = (uint32_t)args[0], action;
    if (operation == SET_FILTER) return set_filter(cpu, 0, (uint32_t)args[1], args[2]);
    if (operation != ACTION_AVAILABLE || (uint32_t)args[1]) return -EINVAL;
    if (guest_read(&action, args[2], sizeof action) < 0) return -EFAULT;
    for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++)
        if (actions[i] == action) return 0;
    return -EOPNOTSUPP;
}

int64_t seccomp_by_prctl(struct cpu_state *cpu, const uint64_t *args) {
    return args[1] == MODE_FILTER ? set_filter(cpu, 1, 0, args[2]) : -EINVAL;
}

/** What PR_GET_SECCOMP tells where the kernel does not know. */
int64_t seccomp_mode(struct cpu_state *cpu) { return private_of(cpu)->filter ? MODE_FILTER : 0; }

/* Across an execve filters travel in the environment, each in a string of its own in front of EXEC_VARIABLE, oldest first. They
 * are numbered, since qemu user mode keeps no two of one name. */
#define FILTER_VARIABLE "HCONTAINER_FILTER"
enum { NUMBER_DIGITS = 8 };

static unsigned filters_of(struct cpu_state *cpu) {
    unsigned count = 0;
    for (struct seccomp_filter *filter = private_of(cpu)->filter; filter; filter = filter->older) count++;
    return count;
}

/** Bytes of the strings that put_filter writes. */
uint64_t filter_text_bytes(struct cpu_state *cpu) {
    uint64_t bytes = 0;
    for (struct seccomp_filter *filter = private_of(cpu)->filter; filter; filter = filter->older) bytes += sizeof FILTER_VARIABLE + NUMBER_DIGITS + 16 * filter->lines;
    return bytes;
}

/** Writes the string of a filter, by age, and gives its end; 0 behind the last. */
char *put_filter(struct cpu_state *cpu, unsigned age, char *to, char *end) {
    unsigned count = filters_of(cpu);
    if (age >= count) return 0;
    struct seccomp_filter *filter = private_of(cpu)->filter;
    for (unsigned newer = count - 1; newer > age; newer--) filter = filter->older;
    to = text_append_number(text_append(to, end, FILTER_VARIABLE), end, age, 10);
    return text_append_words(text_append(to, end, "="), end, (const uint64_t *)&filter->code[FRONT], (unsigned)filter->lines);
}

int is_filter(const char *text) {
    if (!text_starts(text, FILTER_VARIABLE)) return 0;
    for (text += text_length(FILTER_VARIABLE); *text >= '0' && *text <= '9'; text++) {
    }
    return *text == '=';
}

/** Takes the string of one over. */
void take_filter(struct cpu_state *cpu, const char *text) {
    while (*text++ != '=') {
    }
    struct seccomp_filter *filter = new_filter(text_length(text) / 16);
    if (!filter) fatal("the address space has no room for seccomp filters", "");
    text_take_words(text, (uint64_t *)&filter->code[FRONT], (unsigned)filter->lines);
    filter->older = private_of(cpu)->filter;
    private_of(cpu)->filter = filter;
}
