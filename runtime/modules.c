/* Modules: the executable files that the guest has mapped. A module is listed when its code is mapped; what becomes of its
 * translation: translations.c. */
#include "runtime.h"

/** The listed module whose code is at `pc`, or 0. */
struct module *module_at(uint64_t pc) {
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

static int same_key(const struct module *module, const uint32_t key[4]) {
    for (unsigned i = 0; i < 4; i++) if (module->key[i] != key[i]) return 0;
    return 1;
}

/** Where a module can be listed: best in the place of the same file, else in one that was never used; MAX_MODULES if nowhere. */
static uint32_t free_slot(const uint32_t key[4]) {
    const struct proc_state *proc = PROC;
    uint32_t used = MAX_MODULES;
    for (uint32_t slot = 0; slot < proc->module_count; slot++) {
        const struct module *module = &proc->modules[slot];
        if (module->status != MODULE_FREE) continue;
        if (module->host_image && same_key(module, key)) return slot;
        used = slot;
    }
    return proc->module_count < MAX_MODULES ? proc->module_count : used;
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
    struct file_identity identity;
    int identified = identify_file(fd, &identity), known = identified && known_key(&identity, key.lane);
    if (!known) key_start(&key);
    for (unsigned i = 0; i < header.phnum; i++) {
        const struct elf_segment *segment = &segments[i];
        if (segment->type != SEGMENT_LOAD || !(segment->flags & SEGMENT_X)) continue;
        if (!known && !hash_segment(fd, &key, segment)) return;
        uint64_t from = PAGE_DOWN(segment->offset), to = PAGE_UP(segment->offset + segment->filesz);
        if (start != ~0ull || offset >= to || offset + bytes <= from) continue;
        bias = address - offset - (PAGE_DOWN(segment->vaddr) - from);
        start = address + (offset < from ? from - offset : 0);
        end = address + (offset + bytes > to ? to - offset : bytes);
    }
    if (start == ~0ull) return;
    struct proc_state *proc = PROC;
    lock(&PROC_PRIVATE->module_lock);
    if (!known) {
        key_finish(&key);
        if (identified) remember_key(&identity, key.lane);
    }
    uint32_t slot = free_slot(key.lane);
    if (slot < MAX_MODULES) {
        struct module *module = &proc->modules[slot];
        struct module fresh = { .guest_start = start, .guest_end = end, .guest_bias = bias, .status = MODULE_LISTED };
        for (unsigned i = 0; i < 4; i++) fresh.key[i] = key.lane[i];
        if (module->host_image && same_key(module, key.lane) && module->variant >= proc->variant) {
            /* Loaded again: so is its translation. */
            fresh.host_image = module->host_image, fresh.host_bytes = module->host_bytes;
            fresh.entries = module->entries, fresh.variant = module->variant;
            set_bias(fresh.host_image, bias);
            fresh.status = MODULE_LOADED;
        } else if (module->host_image) {
            HOST2(munmap, module->host_image, module->host_bytes);
        }
        *module = fresh;
        if (slot == proc->module_count) proc->module_count++;
        code_changed();
    }
    unlock(&PROC_PRIVATE->module_lock);
    log_module(fd);
}

/** Guest addresses are about to be unmapped or replaced (`removed`), made writable or not executable: their translations end. */
void modules_touched(uint64_t start, uint64_t end, int removed) {
    struct proc_state *proc = PROC;
    int changed = 0;
    code_taken_away(start, end);
    for (uint32_t i = 0; i < proc->module_count && i < MAX_MODULES; i++) {
        struct module *module = &proc->modules[i];
        if (module->status == MODULE_FREE || module->guest_start >= end || module->guest_end <= start) continue;
        /* A translation stays mapped: other threads may be in it. They leave it at their next poll. */
        lock(&PROC_PRIVATE->module_lock);
        __atomic_store_n(&module->status, removed ? MODULE_FREE : MODULE_ABSENT, __ATOMIC_RELEASE);
        unlock(&PROC_PRIVATE->module_lock);
        changed = 1;
    }
    if (changed) clear_lookups();
}
