/* Modules: the executable files that the guest has mapped, and their translations. A module is listed when its code is
 * mapped; its translation is mapped when its code is first reached. What has none is interpreted. */
#include "runtime.h"

static void lock(uint32_t *word) {
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE)) {
        struct timespec wait = { 0, 20000 };
        HOST2(nanosleep, &wait, 0);
    }
}
static void unlock(uint32_t *word) { __atomic_store_n(word, 0, __ATOMIC_RELEASE); }

static char *translation_path(char *path, char *end, const uint32_t key[4]) {
    const char *directory = under_qemu() ? PROC_PRIVATE->translations : "";
    char *at = text_append(path, end, *directory ? directory : NODE_MOUNT "/translations");
    at = text_append(at, end, "/");
    for (unsigned i = 0; i < 4; i++)
        for (int shift = 28; shift >= 0; shift -= 4) {
            char digit[2] = { "0123456789abcdef"[key[i] >> shift & 15], 0 };
            at = text_append(at, end, digit);
        }
    return text_append(at, end, ".hct");
}

static int header_fits(const struct translation_header *header, const struct module *module) {
    if (header->magic != TRANSLATION_MAGIC || header->abi_version != ABI_VERSION) return 0;
    for (unsigned i = 0; i < 4; i++) if (header->code_key[i] != module->key[i]) return 0;
    return header->image_bytes > TRANSLATION_HEADER_OFFSET && header->data_offset % PAGE == 0 &&
           header->data_offset < header->image_bytes && header->entries_offset < header->image_bytes &&
           (uint64_t)header->entry_count * 8 <= header->image_bytes - header->entries_offset;
}

/** Maps the translation of a listed module; its status is then loaded or absent. */
static void load_translation(struct module *module) {
    char path[512];
    struct translation_header header;
    module->status = MODULE_ABSENT;
    translation_path(path, path + sizeof path, module->key);
    int64_t fd = HOST4(openat, AT_CURRENT_DIRECTORY, path, O_RDONLY_ | O_CLOEXEC_, 0);
    if (fd < 0) return;
    struct proc_state *proc = PROC;
    if (HOST4(pread64, fd, &header, sizeof header, TRANSLATION_HEADER_OFFSET) == sizeof header && header_fits(&header, module)) {
        if (!proc->translation_next) proc->translation_next = base_address() + TRANSLATION_OFFSET;
        uint64_t at = proc->translation_next, bytes = PAGE_UP(header.image_bytes);
        uint64_t data_bytes = bytes - header.data_offset;
        int64_t image = map_exactly(at, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0);
        if (image == (int64_t)at) {
            int64_t data = HOST6(mmap, at + header.data_offset, data_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, header.data_offset);
            if (data == (int64_t)(at + header.data_offset)) {
                *(uint64_t *)data = module->guest_bias;
                module->host_image = at;
                module->entries = header.entry_count;
                proc->translation_next = at + bytes + PAGE;
                module->status = MODULE_LOADED;
            } else {
                HOST2(munmap, at, bytes);
            }
        }
    } else {
        message("this translation is damaged or of another version, so its program is interpreted: ", path);
    }
    HOST1(close, fd);
}

static uint64_t find_entry(const struct module *module, uint64_t pc) {
    const struct translation_header *header = (const void *)(module->host_image + TRANSLATION_HEADER_OFFSET);
    const uint32_t *entries = (const void *)(module->host_image + header->entries_offset);
    uint64_t wanted = pc - module->guest_bias - header->guest_low;
    if (wanted >= header->guest_high - header->guest_low) return 0;
    uint32_t low = 0, high = module->entries;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (entries[2 * middle] < wanted) low = middle + 1;
        else high = middle;
    }
    if (low == module->entries || entries[2 * low] != wanted) return 0;
    return module->host_image + entries[2 * low + 1];
}

static struct module *module_at(uint64_t pc) {
    struct proc_state *proc = PROC;
    uint32_t count = proc->module_count, last = PROC_PRIVATE->last_module;
    if (last < count && pc >= proc->modules[last].guest_start && pc < proc->modules[last].guest_end) return &proc->modules[last];
    for (uint32_t i = 0; i < count && i < MAX_MODULES; i++) {
        struct module *module = &proc->modules[i];
        if (module->status == MODULE_FREE || pc < module->guest_start || pc >= module->guest_end) continue;
        PROC_PRIVATE->last_module = i;
        return module;
    }
    return 0;
}

/** Host address of the translation of guest address `pc`, or 0. */
uint64_t translation_lookup(uint64_t pc) {
    struct module *module = module_at(pc);
    if (!module) return 0;
    if (module->status == MODULE_LISTED) {
        lock(&PROC_PRIVATE->module_lock);
        if (module->status == MODULE_LISTED) load_translation(module);
        unlock(&PROC_PRIVATE->module_lock);
    }
    return module->status == MODULE_LOADED ? find_entry(module, pc) : 0;
}

static int64_t read_fully(int fd, void *to, uint64_t bytes, uint64_t offset) {
    return HOST4(pread64, fd, to, bytes, offset) == (int64_t)bytes ? 0 : -ENOEXEC;
}

static int hash_segment(int fd, struct key_state *key, const struct elf_segment *segment) {
    uint8_t buffer[16384];
    key_segment(key, segment->vaddr, segment->filesz);
    for (uint64_t done = 0; done < segment->filesz;) {
        uint64_t chunk = segment->filesz - done;
        if (chunk > sizeof buffer) chunk = sizeof buffer;
        if (read_fully(fd, buffer, chunk, segment->offset + done) < 0) return 0;
        key_bytes(key, buffer, chunk);
        done += chunk;
    }
    return 1;
}

/** A file has been mapped executable at `address`: lists it if it is an x86-64 ELF file. */
void module_mapped(int fd, uint64_t address, uint64_t bytes, uint64_t offset) {
    struct elf_header header;
    struct elf_segment segments[32];
    struct key_state key;
    if (read_fully(fd, &header, sizeof header, 0) < 0) return;
    if (*(uint32_t *)header.ident != 0x464c457f || header.ident[4] != 2 || header.machine != ELF_MACHINE_X86_64) return;
    if (header.phnum == 0 || header.phnum > 32 || header.phentsize != sizeof segments[0]) return;
    if (read_fully(fd, segments, header.phnum * sizeof segments[0], header.phoff) < 0) return;
    uint64_t bias = 0, start = ~0ull, end = 0;
    key_start(&key);
    for (unsigned i = 0; i < header.phnum; i++) {
        const struct elf_segment *segment = &segments[i];
        if (segment->type != SEGMENT_LOAD || !(segment->flags & SEGMENT_X)) continue;
        if (!hash_segment(fd, &key, segment)) return;
        uint64_t from = PAGE_DOWN(segment->offset), to = PAGE_UP(segment->offset + segment->filesz);
        if (start != ~0ull || offset >= to || offset + bytes <= from) continue;
        bias = address - offset - (PAGE_DOWN(segment->vaddr) - from);
        start = address + (offset < from ? from - offset : 0);
        end = address + (offset + bytes > to ? to - offset : bytes);
    }
    if (start == ~0ull) return;
    key_finish(&key);
    struct proc_state *proc = PROC;
    lock(&PROC_PRIVATE->module_lock);
    uint32_t slot = 0;
    while (slot < proc->module_count && proc->modules[slot].status != MODULE_FREE) slot++;
    if (slot < MAX_MODULES) {
        struct module *module = &proc->modules[slot];
        *module = (struct module){ .guest_start = start, .guest_end = end, .guest_bias = bias, .status = MODULE_LISTED };
        for (unsigned i = 0; i < 4; i++) module->key[i] = key.lane[i];
        if (slot == proc->module_count) proc->module_count++;
    }
    unlock(&PROC_PRIVATE->module_lock);
    log_module(fd);
}

/** Guest addresses are about to be unmapped or replaced (`removed`), or made writable: their translations end. */
void modules_touched(uint64_t start, uint64_t end, int removed) {
    struct proc_state *proc = PROC;
    int changed = 0;
    for (uint32_t i = 0; i < proc->module_count && i < MAX_MODULES; i++) {
        struct module *module = &proc->modules[i];
        if (module->status == MODULE_FREE || module->guest_start >= end || module->guest_end <= start) continue;
        /* A translation stays mapped: other threads may be in it. */
        module->status = removed ? MODULE_FREE : MODULE_ABSENT;
        changed = 1;
    }
    if (!changed) return;
    for (uint32_t slot = 0; slot < PROC_PRIVATE->thread_slots; slot++) {
        if (thread_of(thread_area(slot))->in_use) lookup_clear(thread_area(slot));
    }
}
