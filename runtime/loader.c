/* Loads an x86-64 ELF file, and the interpreter that it names, as the kernel would: the segments, the zeroed end of the
 * last one, the heap behind it. The addresses that the home form needs go to ProcState. */
#include "runtime.h"

#define SEGMENTS 64
#define PIE_BASE 0x555555554000ull
#define PIE_BASE_QEMU 0x055555554000ull
#define ADDR_NO_RANDOMIZE_ 0x40000

struct image {
    int fd;
    struct elf_header header;
    struct elf_segment segments[SEGMENTS];
    uint64_t bias, low, high; /* run-time page range */
};

static int read_at(int fd, void *to, uint64_t bytes, uint64_t offset) {
    return HOST4(pread64, fd, to, bytes, offset) == (int64_t)bytes;
}

static int open_image(const char *path, struct image *image) {
    int64_t fd = HOST4(openat, AT_CURRENT_DIRECTORY, path, O_RDONLY_ | O_CLOEXEC_, 0);
    if (fd < 0) return 0;
    image->fd = (int)fd;
    const struct elf_header *header = &image->header;
    if (!read_at(image->fd, &image->header, sizeof *header, 0)) return 0;
    if (*(const uint32_t *)header->ident != 0x464c457f || header->ident[4] != 2 || header->machine != ELF_MACHINE_X86_64) return 0;
    if (header->phnum == 0 || header->phnum > SEGMENTS || header->phentsize != sizeof image->segments[0]) return 0;
    if (!read_at(image->fd, image->segments, header->phnum * sizeof image->segments[0], header->phoff)) return 0;
    image->low = ~0ull;
    image->high = 0;
    for (unsigned i = 0; i < header->phnum; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != SEGMENT_LOAD) continue;
        if (segment->vaddr >= GUEST_LIMIT || segment->memsz > GUEST_LIMIT - segment->vaddr || segment->filesz > segment->memsz) return 0;
        if (PAGE_DOWN(segment->vaddr) < image->low) image->low = PAGE_DOWN(segment->vaddr);
        if (PAGE_UP(segment->vaddr + segment->memsz) > image->high) image->high = PAGE_UP(segment->vaddr + segment->memsz);
    }
    return image->low < image->high;
}

/** Largest alignment that a segment asks for; the load bias must be a multiple of it. */
static uint64_t alignment_of(const struct image *image) {
    uint64_t alignment = PAGE;
    for (unsigned i = 0; i < image->header.phnum; i++) {
        uint64_t align = image->segments[i].align;
        if (image->segments[i].type == SEGMENT_LOAD && align > alignment && align <= 0x40000000ull && (align & (align - 1)) == 0) alignment = align;
    }
    return alignment;
}

/** Finds room and sets the bias. `wanted` is where the lowest page should go; 0 for anywhere. */
static int find_room(struct image *image, uint64_t wanted) {
    uint64_t bytes = image->high - image->low, alignment = alignment_of(image);
    int64_t at;
    if (image->header.type == ELF_EXEC) {
        if (!range_is_guest(image->low, bytes)) return 0;
        at = map_exactly(image->low, bytes, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at != (int64_t)image->low) return 0;
    } else {
        at = place_mapping(wanted & ~(alignment - 1), bytes + alignment - PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at < 0) return 0;
    }
    HOST2(munmap, at, image->header.type == ELF_EXEC ? bytes : bytes + alignment - PAGE);
    image->bias = image->header.type == ELF_EXEC ? 0 : (((uint64_t)at + alignment - 1) & ~(alignment - 1)) - image->low;
    image->low += image->bias;
    image->high += image->bias;
    return 1;
}

static int map_segment(const struct image *image, const struct elf_segment *segment) {
    uint64_t start = image->bias + segment->vaddr, page = PAGE_DOWN(start), skew = start - page;
    uint64_t file_end = start + segment->filesz, end = start + segment->memsz;
    int prot = (segment->flags & SEGMENT_R ? PROT_READ : 0) | (segment->flags & SEGMENT_W ? PROT_WRITE : 0) |
               (segment->flags & SEGMENT_X ? PROT_READ | PROT_EXEC : 0);
    uint64_t mapped = page;
    if (segment->filesz) {
        int64_t got = HOST6(mmap, page, segment->filesz + skew, prot, MAP_PRIVATE | MAP_FIXED, image->fd, segment->offset - skew);
        if (got != (int64_t)page) return 0;
        mapped = PAGE_UP(file_end);
    }
    if (end > mapped) {
        int64_t got = HOST6(mmap, mapped, PAGE_UP(end) - mapped, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (got != (int64_t)mapped) return 0;
    }
    if (end > file_end && segment->flags & SEGMENT_W) {
        uint64_t zero_end = end < mapped ? end : mapped;
        if (zero_end > file_end) memory_set((void *)file_end, 0, zero_end - file_end);
        /* Linux clears to the end of the page. */
        if (zero_end == end && mapped > end) memory_set((void *)end, 0, mapped - end);
    }
    if (segment->flags & SEGMENT_X && segment->filesz) module_mapped(image->fd, page, PAGE_UP(segment->filesz + skew), segment->offset - skew);
    return 1;
}

static int map_image(struct image *image, uint64_t wanted) {
    if (!find_room(image, wanted)) return 0;
    for (unsigned i = 0; i < image->header.phnum; i++)
        if (image->segments[i].type == SEGMENT_LOAD && !map_segment(image, &image->segments[i])) return 0;
    return 1;
}

static uint64_t random_bits(unsigned bits) {
    uint64_t value = 0;
    if ((uint32_t)HOST1(personality, 0xffffffff) & ADDR_NO_RANDOMIZE_) return 0;
    HOST3(getrandom, &value, sizeof value, 0);
    return value & ((1ull << bits) - 1);
}

/** The fields of the kernel's mm_struct that the home form needs. */
static void describe_memory(const struct image *image) {
    struct proc_state *proc = PROC;
    uint64_t end = 0;
    proc->start_code = ~0ull;
    for (unsigned i = 0; i < image->header.phnum; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != SEGMENT_LOAD) continue;
        uint64_t start = image->bias + segment->vaddr, file_end = start + segment->filesz;
        if (segment->flags & SEGMENT_X && start < proc->start_code) proc->start_code = start;
        if (segment->flags & SEGMENT_X && file_end > proc->end_code) proc->end_code = file_end;
        if (start > proc->start_data) proc->start_data = start;
        if (file_end > proc->end_data) proc->end_data = file_end;
        if (start + segment->memsz > end) end = start + segment->memsz;
    }
    proc->brk_start = proc->brk_now = PAGE_UP(end) + PAGE + (random_bits(12) << 12);
}

static uint64_t table_address(const struct image *image) {
    for (unsigned i = 0; i < image->header.phnum; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type == SEGMENT_LOAD && segment->offset <= image->header.phoff && image->header.phoff < segment->offset + segment->filesz)
            return image->bias + segment->vaddr + image->header.phoff - segment->offset;
    }
    return 0;
}

/** Without /proc the name that the program was started by must do. */
static void remember_path(int fd, const char *name) {
    char link[48], *at = text_append(link, link + sizeof link, "/proc/self/fd/");
    char *path = (char *)PROC->program_path, *end = path + sizeof PROC->program_path;
    text_append_number(at, link + sizeof link, (uint64_t)fd, 10);
    int64_t length = HOST4(readlinkat, AT_CURRENT_DIRECTORY, link, path, end - path - 1);
    path[length > 0 ? length : 0] = 0;
    if (length > 0) return;
    if (name[0] != '/' && HOST2(getcwd, path, end - path) > 0) path = text_append(path + text_length(path), end, "/");
    text_append(path, end, name);
}

/** Maps the program at `path` and its interpreter. 0 when the file is not fit; nothing useful is left then. */
int load_program(const char *path, struct program *program) {
    struct image image, interpreter;
    char name[4096];
    if (!open_image(path, &image)) return 0;
    uint64_t base = (under_qemu() ? PIE_BASE_QEMU : PIE_BASE) + (random_bits(28) << 12);
    if (!map_image(&image, base)) return 0;
    describe_memory(&image);
    remember_path(image.fd, path);
    program->entry = program->program_entry = image.bias + image.header.entry;
    program->phdr = table_address(&image);
    program->phnum = image.header.phnum;
    program->interpreter_base = 0;
    program->stack_protection = PROT_READ | PROT_WRITE;
    for (unsigned i = 0; i < image.header.phnum; i++) {
        const struct elf_segment *segment = &image.segments[i];
        if (segment->type == SEGMENT_STACK && segment->flags & SEGMENT_X) program->stack_protection |= PROT_EXEC;
        if (segment->type != SEGMENT_INTERP || program->interpreter_base) continue;
        if (segment->filesz < 2 || segment->filesz > sizeof name || !read_at(image.fd, name, segment->filesz, segment->offset)) return 0;
        name[segment->filesz - 1] = 0;
        if (!open_image(name, &interpreter) || !map_image(&interpreter, 0)) return 0;
        program->entry = interpreter.bias + interpreter.header.entry;
        program->interpreter_base = interpreter.bias;
        HOST1(close, interpreter.fd);
    }
    HOST1(close, image.fd);
    return 1;
}
