/* execve. A program of the guest is started by a real execve of the runtime, which then loads it: so the kernel closes
 * descriptors, resets signals and ends threads as always. The program's file travels in one extra environment string at
 * the end, EXEC_VARIABLE, so that the arguments stay the program's own:
 *
 *   HCONTAINER_EXEC=<flags, home CPU and known code keys>:<length of the file name>:<file name><name that the caller used>
 *
 * What would fail in the kernel before the point of no return is found out here first. */
#include "runtime.h"

#define PATH_LIMIT 4096
#define SCRIPT_DEPTH 5

struct script_words { char interpreter[256], argument[256]; int has_argument; };

/** Parses "#!interpreter [argument]" as the kernel does; 0 if it is no script, 1 if it is, else an error. */
static int64_t parse_script(const char *line, int64_t bytes, struct script_words *words) {
    if (bytes < 2 || line[0] != '#' || line[1] != '!') return 0;
    int64_t at = 2, end = 2;
    while (end < bytes && line[end] != '\n' && line[end] != 0) end++;
    if (end == bytes && bytes == 256) {
        /* Cut off: the interpreter's name at least must be whole. */
        int64_t i = at;
        while (i < end && (line[i] == ' ' || line[i] == '\t')) i++;
        while (i < end && line[i] != ' ' && line[i] != '\t') i++;
        if (i == end) return -ENOEXEC;
    }
    while (end > at && (line[end - 1] == ' ' || line[end - 1] == '\t')) end--;
    while (at < end && (line[at] == ' ' || line[at] == '\t')) at++;
    if (at == end) return -ENOEXEC;
    int64_t count = 0;
    while (at < end && line[at] != ' ' && line[at] != '\t') words->interpreter[count++] = line[at++];
    words->interpreter[count] = 0;
    while (at < end && (line[at] == ' ' || line[at] == '\t')) at++;
    words->has_argument = at < end;
    count = 0;
    while (at < end) words->argument[count++] = line[at++];
    words->argument[count] = 0;
    return 1;
}

/** Opens an executable regular file; the descriptor or an error. */
static int64_t open_executable(const char *path) {
    enum { S_IFMT_ = 0170000, S_IFREG_ = 0100000, X_OK_ = 1 };
    struct host_stat stat;
    int64_t result = HOST4(newfstatat, AT_CURRENT_DIRECTORY, path, &stat, 0);
    if (result < 0) return result;
    if ((stat.mode & S_IFMT_) != S_IFREG_) return -EACCES;
    result = HOST3(faccessat, AT_CURRENT_DIRECTORY, path, X_OK_);
    if (result < 0) return result;
    return HOST4(openat, AT_CURRENT_DIRECTORY, path, O_RDONLY_ | O_CLOEXEC_, 0);
}

/** Whether the file is an x86-64 program whose interpreter, if it names one, exists. */
static int64_t check_elf(int64_t fd, const struct elf_header *header) {
    struct elf_segment segment;
    char interpreter[PATH_LIMIT];
    if (header->ident[4] != 2 || header->machine != ELF_MACHINE_X86_64) return -ENOEXEC;
    if (header->type != ELF_EXEC && header->type != ELF_DYN) return -ENOEXEC;
    if (header->phentsize != sizeof segment || header->phnum == 0) return -ENOEXEC;
    for (unsigned i = 0; i < header->phnum; i++) {
        if (HOST4(pread64, fd, &segment, sizeof segment, header->phoff + i * sizeof segment) != sizeof segment) return -ENOEXEC;
        if (segment.type != SEGMENT_INTERP) continue;
        if (segment.filesz < 2 || segment.filesz > PATH_LIMIT) return -ENOEXEC;
        if (HOST4(pread64, fd, interpreter, segment.filesz, segment.offset) != (int64_t)segment.filesz) return -ENOEXEC;
        interpreter[segment.filesz - 1] = 0;
        int64_t found = open_executable(interpreter);
        if (found < 0) return found;
        HOST1(close, found);
    }
    return 0;
}

/** The strings and pointers of the new program; mapped anew for each execve, as it may be large. */
struct exec_image {
    uint64_t *next;      /* where the next pointer goes */
    char *text, *end;    /* where the next string goes */
};

static uint64_t add_text(struct exec_image *image, const char *text) {
    uint64_t at = (uint64_t)image->text;
    image->text = text_append(image->text, image->end, text) + 1;
    return at;
}

/** Adds a string that has been written where the next one goes, by its end; whether there is one (0: none). */
static int add_written(struct exec_image *image, char *end) {
    if (!end) return 0;
    *image->next++ = (uint64_t)image->text;
    image->text = end + 1;
    return 1;
}

static int64_t count_pointers(uint64_t array) {
    uint64_t pointer;
    if (!array) return 0;
    for (int64_t count = 0; count < 0x10000000; count++) {
        if (guest_read(&pointer, array + 8 * (uint64_t)count, 8) < 0) return -EFAULT;
        if (!pointer) return count;
    }
    return -E2BIG;
}

static int64_t add_pointers(struct exec_image *image, uint64_t array, int64_t skip, int64_t count) {
    if (count <= skip) return 0;
    if (guest_read(image->next, array + 8 * (uint64_t)skip, 8 * (uint64_t)(count - skip)) < 0) return -EFAULT;
    for (int64_t i = 0; i < count - skip; i++) image->next[i] = kernel_pointer(image->next[i], 0);
    image->next += count - skip;
    return 0;
}

/** The kernel must know the guest's dispositions and keep the quiesce signal pending while nobody can take it. */
static void prepare_signals(struct cpu_state *cpu) {
    uint64_t mask = thread_of(cpu)->sigmask | SIGNAL_BIT(quiesce_signal());
    HOST4(rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
    static const uint8_t numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, 0 };
    for (unsigned i = 0; i < sizeof numbers; i++) {
        int number = numbers[i] ? numbers[i] : quiesce_signal();
        uint64_t handler = signal_actions(cpu)[number - 1].handler == SIG_IGN ? SIG_IGN : SIG_DFL;
        struct kernel_sigaction action = { handler, SA_RESTORER, (uint64_t)hc_signal_restorer, 0 };
        HOST4(rt_sigaction, number, &action, 0, 8);
    }
}

static void restore_signals(struct cpu_state *cpu) {
    install_signals(cpu);
    set_host_mask(cpu, thread_of(cpu)->sigmask);
}

/** The whole request: a host copy of the path, and how the arguments change when it is a script. */
struct exec_request {
    const char *name, *path;    /* what the caller named, and what that stands for */
    char file[PATH_LIMIT];      /* the ELF file */
    uint64_t front[2 * SCRIPT_DEPTH + 1]; /* arguments that go before the caller's second, last first */
    unsigned fronts;
    int64_t kept;               /* a descriptor that carries a file without a path across the execve; -1 = none */
    int ends_with_execve;       /* the descriptor that named the file is closed by execve: no script's interpreter could open it */
};

static void descriptor_path(char *to, char *end, uint64_t fd) { text_append_number(text_append(to, end, DESCRIPTOR_PATH), end, fd, 10); }

static int is_file_at(int64_t fd, const char *path) {
    struct host_stat open, named;
    return HOST2(fstat, fd, &open) == 0 && HOST4(newfstatat, AT_CURRENT_DIRECTORY, path, &named, 0) == 0 && open.dev == named.dev && open.ino == named.ino;
}

/**
 * A path in /proc may mean this very process (its exe link, a descriptor): the file's own path is what outlives it. A file
 * that has none, because it was removed or never had one, goes across by a descriptor.
 */
static void name_file(struct exec_request *request, int64_t fd, const char *path) {
    enum { F_DUPFD_ = 0 };
    char link[48];
    if (text_starts(path, "/proc/")) {
        descriptor_path(link, link + sizeof link, (uint64_t)fd);
        int64_t length = HOST4(readlinkat, AT_CURRENT_DIRECTORY, link, request->file, PATH_LIMIT - 1);
        request->file[length > 0 ? length : 0] = 0;
        if (length > 0 && is_file_at(fd, request->file)) return;
        request->kept = HOST3(fcntl, fd, F_DUPFD_, 3);
        descriptor_path(request->file, request->file + PATH_LIMIT, (uint64_t)request->kept);
        if (request->kept >= 0) return;
    }
    text_append(request->file, request->file + PATH_LIMIT, path);
}

static int64_t resolve(struct exec_request *request, struct exec_image *image) {
    union { struct elf_header header; char line[257]; } start;
    struct script_words words;
    const char *path = request->path;
    for (unsigned depth = 0; depth <= SCRIPT_DEPTH; depth++) {
        int64_t fd = open_executable(path);
        if (fd < 0) return fd;
        int64_t bytes = HOST4(pread64, fd, &start, 256, 0), result = -ENOEXEC;
        if (bytes >= (int64_t)sizeof start.header && *(uint32_t *)start.header.ident == 0x464c457f) {
            result = check_elf(fd, &start.header);
            name_file(request, fd, path);
            HOST1(close, fd);
            return result;
        }
        HOST1(close, fd);
        if (bytes < 0) return bytes;
        result = parse_script(start.line, bytes, &words);
        if (result <= 0) return result ? result : -ENOEXEC;
        if (depth == SCRIPT_DEPTH) break;
        if (request->ends_with_execve) return -ENOENT;
        /* argv becomes: interpreter, argument, this path, the rest; `front` is filled from the back. */
        request->front[request->fronts++] = depth == 0 ? (uint64_t)request->name : (uint64_t)path;
        if (words.has_argument) request->front[request->fronts++] = add_text(image, words.argument);
        path = (const char *)add_text(image, words.interpreter);
    }
    return -ELOOP;
}

/** Appends the home CPU to the flags of EXEC_VARIABLE: what a program starts has been on the same one. */
static char *put_home_cpu(char *to, char *end) {
    static const char FLAG[] = { HOME_CPU_FLAG, 0 };
    uint64_t words[HOME_CPU_WORDS];
    if (!PROC->home_cpu.vendor) return to;
    memory_copy(words, &PROC->home_cpu, sizeof words);
    return text_append_words(text_append(to, end, FLAG), end, words, HOME_CPU_WORDS);
}

static int64_t run_program(struct cpu_state *cpu, const struct exec_request *request, uint64_t argv, uint64_t envp, struct exec_image *image) {
    struct proc_private *priv = PROC_PRIVATE;
    char digits[24];
    const char *runtime = NODE_MOUNT "/" RUNTIME_FILE;
    uint64_t *arguments = image->next;
    int64_t argc = count_pointers(argv), envc = count_pointers(envp), result = 0;
    if (under_qemu()) {
        runtime = priv->qemu_path;
        *image->next++ = (uint64_t)runtime;
        *image->next++ = add_text(image, "-0");
    }
    uint64_t first = 0;
    if (request->fronts) {
        first = (uint64_t)request->file; /* the interpreter, as the script names it */
    } else if (argc > 0) {
        result = guest_read(&first, argv, 8);
        first = kernel_pointer(first, 0);
    } else {
        first = add_text(image, "");
    }
    *image->next++ = first;
    if (under_qemu()) *image->next++ = (uint64_t)priv->runtime_path;
    for (unsigned i = request->fronts; i > 0; i--) *image->next++ = request->front[i - 1];
    if (result == 0) result = add_pointers(image, argv, 1, argc);
    *image->next++ = 0;
    uint64_t *environment = image->next;
    if (result == 0) result = add_pointers(image, envp, 0, envc);
    for (unsigned i = 0; under_qemu() && add_written(image, put_qemu_variable(i, image->text, image->end)); i++) {
    }
    for (unsigned age = 0; add_written(image, put_filter(cpu, age, image->text, image->end)); age++) {
    }
    char *variable = (char *)add_text(image, "HCONTAINER_EXEC=");
    image->text--;
    image->text = put_home_cpu(image->text, image->end);
    image->text = put_known_keys(image->text, image->end);
    image->text = text_append(image->text, image->end, PROC->quiesce ? "q" : "");
    image->text = text_append(image->text, image->end, request->kept >= 0 ? "f" : "");
    image->text = text_append(image->text, image->end, thread_of(cpu)->sigmask & SIGNAL_BIT(quiesce_signal()) ? "b:" : ":");
    text_append_number(digits, digits + sizeof digits, text_length(request->file), 10);
    image->text = text_append(image->text, image->end, digits);
    image->text = text_append(image->text, image->end, ":");
    image->text = text_append(image->text, image->end, request->file);
    image->text = text_append(image->text, image->end, request->name) + 1;
    *image->next++ = (uint64_t)variable;
    *image->next++ = 0;
    if (result < 0) return result;
    prepare_signals(cpu);
    /* What was recorded before everything was blocked comes first. */
    result = *(volatile uint32_t *)&cpu->pending ? HC_RESTART : HOST3(execve, runtime, arguments, environment);
    restore_signals(cpu);
    if (result == -ENOENT) message("the node's runtime is not in this container: ", runtime);
    return result;
}

static int64_t execute(struct cpu_state *cpu, const char *name, const char *path, uint64_t argv, uint64_t envp, int ends_with_execve) {
    enum { TEXT_BYTES = 65536 };
    struct exec_request request = { .name = name, .path = path, .kept = -1, .ends_with_execve = ends_with_execve };
    int64_t found = open_executable(path);
    if (found < 0) return found;
    HOST1(close, found);
    int64_t argc = count_pointers(argv), envc = count_pointers(envp);
    if (argc < 0 || envc < 0) return argc < 0 ? argc : envc;
    uint64_t filters = filter_text_bytes(cpu); /* more than their pointers take */
    uint64_t pointer_bytes = ((uint64_t)argc + (uint64_t)envc + 32) * 8 + filters, bytes = PAGE_UP(pointer_bytes + TEXT_BYTES + filters);
    int64_t at = HOST6(mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0) return at;
    struct exec_image image = { (uint64_t *)at, (char *)at + pointer_bytes, (char *)at + bytes };
    int64_t result = resolve(&request, &image);
    if (result == 0) result = run_program(cpu, &request, argv, envp, &image);
    HOST2(munmap, at, bytes);
    if (request.kept >= 0) HOST1(close, request.kept);
    return result;
}

int64_t hc_sys_execve(struct cpu_state *cpu, const uint64_t *args) {
    char path[PATH_LIMIT];
    int64_t length = guest_text(path, args[0], sizeof path);
    if (length < 0) return length;
    if (length == 0) return -ENOENT;
    uint64_t special = special_path(cpu, args[0]);
    return execute(cpu, path, special == args[0] ? path : (const char *)special, args[1], args[2], 0);
}

int64_t hc_sys_execveat(struct cpu_state *cpu, const uint64_t *args) {
    enum { F_GETFD_ = 1, FD_CLOEXEC_ = 1, S_IFMT_ = 0170000, S_IFDIR_ = 0040000, S_IFLNK_ = 0120000 };
    char path[PATH_LIMIT + 48], shown[PATH_LIMIT + 48], name[PATH_LIMIT];
    struct host_stat stat;
    int64_t length = guest_text(name, args[1], sizeof name);
    if (length < 0) return length;
    if (length == 0 && !(args[4] & AT_EMPTY_PATH_)) return -ENOENT;
    if (args[4] & ~(uint64_t)(AT_EMPTY_PATH_ | AT_SYMLINK_NOFOLLOW_)) return -EINVAL;
    int relative = name[0] != '/' && (int32_t)args[0] != AT_CURRENT_DIRECTORY, ends = 0;
    if (relative) {
        int64_t flags = HOST2(fcntl, args[0], F_GETFD_);
        if (flags < 0 || HOST2(fstat, args[0], &stat) < 0) return -EBADF;
        if (length && (stat.mode & S_IFMT_) != S_IFDIR_) return -ENOTDIR;
        ends = (flags & FD_CLOEXEC_) != 0;
        descriptor_path(path, path + sizeof path, (uint32_t)args[0]);
        text_append_number(text_append(shown, shown + sizeof shown, "/dev/fd/"), shown + sizeof shown, (uint32_t)args[0], 10);
        if (length) {
            text_append(text_append(path + text_length(path), path + sizeof path, "/"), path + sizeof path, name);
            text_append(text_append(shown + text_length(shown), shown + sizeof shown, "/"), shown + sizeof shown, name);
        }
    }
    const char *use = relative ? path : name;
    if (length && args[4] & AT_SYMLINK_NOFOLLOW_ && HOST4(newfstatat, AT_CURRENT_DIRECTORY, use, &stat, AT_SYMLINK_NOFOLLOW_) == 0 &&
        (stat.mode & S_IFMT_) == S_IFLNK_) return -ELOOP;
    return execute(cpu, relative ? shown : name, use, args[2], args[3], ends);
}
