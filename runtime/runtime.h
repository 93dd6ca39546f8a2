/* What the files of the runtime share. There are no writable globals: the state of the process is at hc_base +
 * PROC_AREA_OFFSET, that of a thread in its area, which tpidr_el0 points to. `cpu` is always the calling thread's. */
#pragma once
#include "abi.h"
#include "kernel.h"

#define PAGE 4096ull
#define PAGE_DOWN(x) ((x) & ~(PAGE - 1))
#define PAGE_UP(x) PAGE_DOWN((x) + PAGE - 1)
/** The guest's addresses are below this (TASK_SIZE of x86-64). */
#define GUEST_LIMIT 0x7ffffffff000ull
/** What is ours under qemu user mode begins at the base and is this large. */
#define QEMU_USER_BYTES 0x100000000000ull
#define MESSAGE_PREFIX "hcontainer: "

typedef int64_t hc_handler(struct cpu_state *cpu, const uint64_t *args);
struct syscall_row {
    hc_handler *handler;
    uint16_t host;
    uint8_t way, count, from[6], nested; /* nested: pointers are inside of what arguments point to */
    char pointers[7];                    /* by argument, in the letters of src/abi/syscall-pointers.ts */
};

/** Results of a handler that are none of the kernel's. */
#define HC_RESTART (-512)   /* the call has not begun: the guest is at its syscall instruction */
#define HC_STATE_SET (-513) /* the handler has set all registers itself */

/** Reasons to leave beyond those of src/abi. */
#define EXIT_FAULT 64u

enum { EXECUTING_RUNTIME, EXECUTING_INTERPRETER, EXECUTING_TRANSLATION };

struct address_range { uint64_t start, end; };
/** Ranges of code that a thread remembers. */
#define CODE_RANGES 8

/** What a vfork child under qemu user mode and its parent have in common (qemu-vfork.c). */
struct vfork_link {
    uint64_t from, words;      /* the parent's frames */
    uint64_t *copy;            /* as they were; 0: no link */
    int32_t in, out;           /* a pipe */
};

/** What a thread keeps for the runtime alone. Behind ThreadState; zeros in a restored thread. */
struct thread_private {
    uint32_t executing;        /* EXECUTING_* */
    uint32_t quiesce_hit;      /* a signal that the guest does not see interrupted the system call */
    uint32_t vfork_child;      /* shares its parent's memory, not its signal actions: does not park before it execs or ends */
    uint32_t host_mxcsr;       /* the modes of mxcsr that the host has; ~0: unknown */
    uint64_t restart_rip, restart_rsp, restart_deadline; /* a timed call that quiescing interrupted */
    uint64_t deadline;         /* of the timed call being made; 0 = none */
    uint64_t temporary_mask;   /* signal mask of sigsuspend, ppoll, … that a signal interrupted */
    uint32_t has_temporary_mask;
    uint32_t fault_number;     /* a fault of the guest's own instruction, 0 = none */
    uint64_t fault_error, fault_trap, fault_address;
    struct siginfo fault_info;
    uint64_t held_mask;        /* signals of faults that came by kill while the guest blocks them: blocked, pending */
    struct vfork_link vfork;
    uint32_t clear_handlers;   /* a vfork child is to begin without handlers */
    uint32_t held_quiesce;     /* the guest's own use of QUIESCE_SIGNAL, waiting until it unblocks it */
    uint32_t forget_lookups;   /* set by whoever emptied the lookup caches: the thread may have been entering something */
    uint32_t resume_flag;      /* rflags.RF as the CPU saves it at a fault, for the frame being made */
    struct siginfo held_quiesce_info;
    struct seccomp_filter *filter; /* the newest of those that the guest has set here (seccomp.c) */
    uint32_t code_age;         /* ProcPrivate's when code_ranges were found */
    uint32_t next_code_range;
    struct address_range code_ranges[CODE_RANGES]; /* what may be executed */
    struct guest_sigaction own_actions[SIGNAL_LIMIT]; /* of a vfork child */
    char path[4096];           /* what special_path gave */
};

/** Where the guest's seccomp filters lie, from the base on. */
#define FILTER_AREA_OFFSET 0x108000000ull
#define FILTER_AREA_BYTES 0x1000000ull
_Static_assert(FILTER_AREA_OFFSET >= PROC_AREA_OFFSET + PROC_AREA_BYTES && FILTER_AREA_OFFSET + FILTER_AREA_BYTES <= THREAD_AREA_OFFSET, "filters");

#define FREE_RANGES 32
#define REPLACED_IMAGES 64

/** What tells one state of a file from any other (known-keys.c), and the code key that it has. */
struct file_identity { uint64_t device, inode, bytes, modified, changed; };
struct known_key { struct file_identity file; uint32_t key[4]; };
#define KNOWN_KEYS 24
/* Flags of EXEC_VARIABLE (exec.c) that words follow: a known key, the home CPU. */
#define KNOWN_KEY_FLAG 'k'
#define HOME_CPU_FLAG 'c'
#define HOME_CPU_WORDS (sizeof(struct home_cpu) / 8)
#define DESCRIPTOR_PATH "/proc/self/fd/"

/** What a process keeps for the runtime alone, at PROC_PRIVATE_OFFSET; zeros in a restored process. */
struct proc_private {
    uint64_t map_cursor;       /* mappings without an address are placed downwards from here */
    uint64_t low_cursor;       /* the same for MAP_32BIT */
    struct address_range stack; /* the first stack, where the kernel does not know it as one that grows */
    struct address_range freed[FREE_RANGES];
    uint32_t thread_lock;      /* guards the choice of a thread slot */
    uint32_t module_lock;      /* guards the module table */
    uint32_t map_lock;         /* guards the placement of mappings */
    uint32_t code_age;         /* counts the times that something executable was taken away, or may have got a translation */
    uint32_t patch_lock;       /* guards changes of translated code */
    uint32_t last_module;
    uint32_t filter_lock;      /* guards the making of seccomp filters and who has them */
    uint64_t filter_bytes;     /* that seccomp filters take of their area */
    uint32_t thread_slots;     /* thread areas that are or were mapped: slots below this */
    uint32_t interpreted;      /* instructions whose translation was not there, since one was last looked for */
    uint32_t replaced_count;
    struct address_range replaced[REPLACED_IMAGES]; /* translations in whose place came larger ones: threads may be in them */
    uint32_t next_known_key;
    struct known_key known_keys[KNOWN_KEYS];
    uint32_t unsupported[512]; /* calls answered ENOSYS because they are refused or unknown, by number */
    char qemu_path[256];       /* only in the build for qemu user mode */
    char runtime_path[256];
    char translations[256];    /* directory of translations; empty: the node's mount */
    char module_log[256];      /* file that gets the path of each module, a line each; empty: none */
    char log_executed[8];      /* it gets what is interpreted so often, too; empty: not */
};

extern char hc_base[], hc_end[], hc_text_start[], hc_text_end[];

static inline uint64_t base_address(void) {
    uint64_t base;
    __asm__("adrp %0, hc_base" : "=r"(base));
    return base;
}
#define PROC ((struct proc_state *)(base_address() + PROC_AREA_OFFSET))
#define PROC_MISSED ((struct missed_entry *)(base_address() + PROC_AREA_OFFSET + PROC_MISSED_OFFSET))
#define PROC_EXECUTED ((uint8_t *)(base_address() + PROC_AREA_OFFSET + PROC_EXECUTED_OFFSET))
#define PROC_PRIVATE ((struct proc_private *)(base_address() + PROC_AREA_OFFSET + PROC_PRIVATE_OFFSET))

static inline struct cpu_state *thread_area(uint32_t slot) {
    return (struct cpu_state *)(base_address() + THREAD_AREA_OFFSET + (uint64_t)slot * THREAD_AREA_BYTES);
}
static inline struct thread_state *thread_of(struct cpu_state *cpu) {
    return (struct thread_state *)((char *)cpu + THREAD_PRIVATE_OFFSET);
}
static inline struct thread_private *private_of(struct cpu_state *cpu) {
    return (struct thread_private *)((char *)cpu + THREAD_PRIVATE_OFFSET + 0x200);
}
_Static_assert(sizeof(struct thread_state) <= 0x200, "private part of a thread");
_Static_assert(0x200 + sizeof(struct thread_private) <= THREAD_HOME_BLOB_OFFSET - THREAD_PRIVATE_OFFSET, "thread area");
_Static_assert(sizeof(struct proc_state) <= PROC_PRIVATE_OFFSET, "process area");
_Static_assert(sizeof(struct proc_private) <= PROC_HOME_BLOB_OFFSET - PROC_PRIVATE_OFFSET, "process area");
_Static_assert(PROC_HOME_BLOB_OFFSET + PROC_HOME_BLOB_BYTES <= PROC_MISSED_OFFSET, "process area");
_Static_assert(PROC_MISSED_OFFSET + MISSED_ENTRIES * sizeof(struct missed_entry) <= PROC_EXECUTED_OFFSET, "process area");
_Static_assert(PROC_EXECUTED_OFFSET + PROC_EXECUTED_BYTES <= PROC_AREA_BYTES, "process area");

static inline struct cpu_state *current_cpu(void) {
    struct cpu_state *cpu;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(cpu));
    return cpu;
}
/** Whether this is the build for qemu user mode: two address spaces in one, no binfmt, signals up to 62. */
static inline int under_qemu(void) { return base_address() == HC_BASE_QEMU_USER; }
static inline int quiesce_signal(void) { return under_qemu() ? (int)QUIESCE_SIGNAL - 2 : (int)QUIESCE_SIGNAL; }
#define SIGNAL_BIT(number) (1ull << ((number) - 1))

/** A system call for the runtime's own purposes. */
static inline int64_t host_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    register uint64_t x8 __asm__("x8") = (uint64_t)number;
    register uint64_t x0 __asm__("x0") = a;
    register uint64_t x1 __asm__("x1") = b;
    register uint64_t x2 __asm__("x2") = c;
    register uint64_t x3 __asm__("x3") = d;
    register uint64_t x4 __asm__("x4") = e;
    register uint64_t x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8) : "memory", "cc");
    return (int64_t)x0;
}
#define HOST6(name, a, b, c, d, e, f) \
    host_call(HOST_##name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))
#define HOST5(name, a, b, c, d, e) HOST6(name, a, b, c, d, e, 0)
#define HOST4(name, a, b, c, d) HOST6(name, a, b, c, d, 0, 0)
#define HOST3(name, a, b, c) HOST6(name, a, b, c, 0, 0, 0)
#define HOST2(name, a, b) HOST6(name, a, b, 0, 0, 0, 0)
#define HOST1(name, a) HOST6(name, a, 0, 0, 0, 0, 0)
#define HOST0(name) HOST6(name, 0, 0, 0, 0, 0, 0)

#include "syscalls.h"

/* enter.S */
uint32_t hc_enter(struct cpu_state *cpu, uint64_t code);
struct hc_leash;
uint32_t hc_interpret_guarded(struct cpu_state *cpu, struct hc_leash *leash);
void hc_exit_stub(void);
void hc_dispatch_stub(void);
int64_t hc_guest_call(struct cpu_state *cpu, uint64_t number, const uint64_t *args);
int64_t hc_copy_bytes(void *to, const void *from, uint64_t bytes);
int64_t hc_clone(uint64_t flags, uint64_t stack, uint64_t ptid, uint64_t tls, uint64_t ctid);
_Noreturn void hc_run_on(struct cpu_state *cpu, uint64_t stack);
_Noreturn void hc_start(uint64_t *stack);
void hc_signal_restorer(void);
void hc_resume(void);
extern char hc_window_start[], hc_window_end[], hc_window_abort[];
extern char hc_call_start[], hc_call_end[], hc_call_abort[];
extern char hc_copy_start[], hc_copy_end[], hc_copy_fault[];
extern char hc_leave[];

/* interp.c, helpers.c */
uint32_t hc_interpret_one(struct cpu_state *cpu);
void hc_helper_cpuid(struct cpu_state *cpu, uint64_t argument);
void hc_helper_mxcsr(struct cpu_state *cpu, uint64_t argument);
void hc_helper_mxcsr_flags(struct cpu_state *cpu, uint64_t argument);

/* text.c */
uint64_t text_length(const char *text);
int text_equal(const char *a, const char *b);
int text_starts(const char *text, const char *prefix);
void *memory_copy(void *to, const void *from, uint64_t bytes);
void *memory_set(void *to, int value, uint64_t bytes);
char *text_append(char *to, char *end, const char *text);
char *text_append_number(char *to, char *end, uint64_t value, unsigned radix);
char *text_append_words(char *to, char *end, const uint64_t *words, unsigned count);
const char *text_take_words(const char *at, uint64_t *words, unsigned count);
void message(const char *text, const char *more);
_Noreturn void fatal(const char *text, const char *more);

/* guest-memory.c */
int64_t guest_read(void *to, uint64_t from, uint64_t bytes);
int64_t guest_write(uint64_t to, const void *from, uint64_t bytes);
int64_t guest_read_sized(void *to, uint64_t bytes, uint64_t from, uint64_t given);
int64_t guest_text(char *to, uint64_t from, uint64_t limit);
int is_guest_memory(uint64_t address, uint64_t bytes);
uint64_t kernel_pointer(uint64_t pointer, uint64_t bytes);

/* known-keys.c */
int identify_file(int fd, struct file_identity *identity);
int known_key(const struct file_identity *identity, uint32_t key[4]);
void remember_key(const struct file_identity *identity, const uint32_t key[4]);
char *put_known_keys(char *to, char *end);
const char *take_known_key(const char *at);

/* proc-files.c */
uint64_t special_path(struct cpu_state *cpu, uint64_t path);
int64_t opened_file(uint64_t path, uint64_t flags, int64_t fd);

/* pointers.c */
void check_pointers(const struct syscall_row *row, const uint64_t *from, uint64_t *to);
int64_t nested_call(struct cpu_state *cpu, const struct syscall_row *row, uint64_t *args);

/* dispatch.c */
uint64_t hc_lookup(struct cpu_state *cpu);
void lookup_clear(struct cpu_state *cpu);
void lookup_forget(struct cpu_state *cpu);
void cpu_prepare(struct cpu_state *cpu);
_Noreturn void hc_run(struct cpu_state *cpu);
uint64_t guest_rflags(struct cpu_state *cpu);
void set_guest_rflags(struct cpu_state *cpu, uint64_t rflags);

/* translations.c, code-key.c */
struct key_state { uint32_t lane[4]; };
void key_start(struct key_state *key);
void key_segment(struct key_state *key, uint64_t vaddr, uint64_t bytes);
void key_bytes(struct key_state *key, const uint8_t *bytes, uint64_t count);
void key_finish(struct key_state *key);
char *append_key(char *at, char *end, const uint32_t key[4]);
uint64_t translation_lookup(uint64_t pc);
int fault_in_translation(int number, int code, struct host_ucontext *context);
void need_variant(uint32_t variant);
uint32_t wanted_variant(void);
void set_bias(uint64_t image, uint64_t bias);
void clear_lookups(void);
void lock(uint32_t *word);
void unlock(uint32_t *word);

/* modules.c */
void module_mapped(int fd, uint64_t address, uint64_t bytes, uint64_t offset);
void modules_touched(uint64_t start, uint64_t end, int removed);
struct module *module_at(uint64_t pc);

/* placement.c */
int64_t map_exactly(uint64_t address, uint64_t bytes, int prot, int flags, int fd, uint64_t offset);
int64_t place_mapping(uint64_t hint, uint64_t bytes, int prot, int flags, int fd, uint64_t offset);
void placement_freed(uint64_t start, uint64_t end);
int range_is_guest(uint64_t start, uint64_t bytes);

/* syscalls.c */
void guest_syscall(struct cpu_state *cpu);
int64_t timed_call_begin(struct cpu_state *cpu, int64_t nanoseconds);
int64_t timed_call_left(struct cpu_state *cpu);
uint32_t open_flags_to_host(uint32_t flags);
uint32_t open_flags_to_guest(uint32_t flags);
int64_t guest_call_2(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b);
int64_t guest_call_4(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
int64_t guest_call_6(struct cpu_state *cpu, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/* signals.c, signal-frame.c, quiesce.c */
void hc_signal_handler(int number, struct siginfo *info, struct host_ucontext *context);
void set_host_mask(struct cpu_state *cpu, uint64_t guest_mask);
struct guest_sigaction *signal_actions(struct cpu_state *cpu);
void install_signal(struct cpu_state *cpu, int number);
void install_signals(struct cpu_state *cpu);
void use_signal_stack(struct cpu_state *cpu);
void deliver_signal(struct cpu_state *cpu, int number, const struct siginfo *info);
void deliver_fault(struct cpu_state *cpu, int number, int code, uint64_t address, uint64_t trap, uint64_t error);
_Noreturn void die_by_signal(int number);
int64_t push_signal_frame(struct cpu_state *cpu, int number, const struct siginfo *info, const struct guest_sigaction *action, uint64_t saved_mask);
int64_t pop_signal_frame(struct cpu_state *cpu, uint64_t *mask);
uint64_t signal_frame_bytes(void);
int64_t with_temporary_mask(struct cpu_state *cpu, uint64_t mask_pointer, uint64_t mask_bytes, uint64_t *host_mask);
int64_t end_temporary_mask(struct cpu_state *cpu, int64_t result);
void safepoint(struct cpu_state *cpu);
void quiesce_requested(struct cpu_state *cpu);
int is_quiesce_request(int number, const struct siginfo *info);
void unpark(struct cpu_state *cpu);

/* park-stopped.c */
_Noreturn void park_stopped(const char *pid, const char *milliseconds);

/* qemu-vfork.c */
void vfork_prepare(struct cpu_state *cpu, struct cpu_state *child);
void vfork_follow(struct cpu_state *child, int is_made);
void vfork_tell(struct cpu_state *cpu);
void vfork_forget(struct cpu_state *cpu);

/* qemu-user.c */
void take_qemu_variables(char **envp);
char *put_qemu_variable(unsigned number, char *to, char *end);
void log_module(int fd);
void log_variant(uint32_t variant);
void log_missed(const struct module *module, uint64_t pc);
void log_executed(uint64_t pc);

/* syscalls-process.c */
void clear_handlers(struct cpu_state *cpu);

/* executable.c */
int may_execute(struct cpu_state *cpu, uint64_t pc);
void code_changed(void);
void code_taken_away(uint64_t start, uint64_t end);

/* page-fault.c */
uint64_t page_fault_error(struct cpu_state *cpu, const struct siginfo *info, const struct host_ucontext *context);

/* seccomp.c */
int seccomp_admits(struct cpu_state *cpu, const uint64_t *args, int64_t *result);
int64_t seccomp_by_prctl(struct cpu_state *cpu, const uint64_t *args);
int64_t seccomp_mode(struct cpu_state *cpu);
void inherit_filters(struct cpu_state *child, struct cpu_state *cpu);
uint64_t filter_text_bytes(struct cpu_state *cpu);
char *put_filter(struct cpu_state *cpu, unsigned age, char *to, char *end);
int is_filter(const char *text);
void take_filter(struct cpu_state *cpu, const char *text);

/* threads.c */
struct cpu_state *thread_create_area(void);
void thread_release(struct cpu_state *cpu);

/* loader.c, stack.c, exec.c */
struct program { uint64_t entry, program_entry, phdr, phnum, interpreter_base; int stack_protection; };
int load_program(const char *path, struct program *program);
uint64_t build_stack(const char *path, char **argv, char **envp, const struct program *program, const uint64_t *host_auxv);
int64_t check_program(const char *path, char *interpreter);
