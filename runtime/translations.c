/* Translations of modules (modules.c). One is mapped when its module's code is first reached. What has none is interpreted,
 * and looked for again from time to time. */
#include "runtime.h"

/** Interpreted instructions after which translations, or larger ones, are looked for again. */
#define INTERPRETED_BEFORE_RETRY 500000

void lock(uint32_t *word) {
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE)) {
        struct timespec wait = { 0, 20000 };
        HOST2(nanosleep, &wait, 0);
    }
}
void unlock(uint32_t *word) { __atomic_store_n(word, 0, __ATOMIC_RELEASE); }

/** A code key as 32 hexadecimal digits. */
char *append_key(char *at, char *end, const uint32_t key[4]) {
    for (unsigned i = 0; i < 4; i++)
        for (int shift = 28; shift >= 0; shift -= 4) {
            char digit[2] = { "0123456789abcdef"[key[i] >> shift & 15], 0 };
            at = text_append(at, end, digit);
        }
    return at;
}

static char *translation_path(char *path, char *end, const uint32_t key[4], uint32_t variant) {
    const char *directory = under_qemu() ? PROC_PRIVATE->translations : "";
    char *at = text_append(path, end, *directory ? directory : NODE_MOUNT "/translations");
    at = text_append(at, end, "/");
    at = append_key(at, end, key);
    return text_append(at, end, variant == VARIANT_ORDERED ? ".ordered.hct" : variant == VARIANT_PRECISE ? ".precise.hct" : ".hct");
}

static const struct translation_header *header_of(uint64_t image) { return (const void *)(image + TRANSLATION_HEADER_OFFSET); }

static int header_fits(const struct translation_header *header, const struct module *module, uint32_t variant) {
    if (header->magic != TRANSLATION_MAGIC || header->abi_version != ABI_VERSION || header->variant != variant) return 0;
    for (unsigned i = 0; i < 4; i++) if (header->code_key[i] != module->key[i]) return 0;
    return header->image_bytes > TRANSLATION_HEADER_OFFSET && header->data_offset % PAGE == 0 &&
           header->data_offset < header->image_bytes && (uint64_t)header->page_count * 8 <= header->image_bytes - header->data_offset &&
           header->entries_offset < header->image_bytes &&
           (uint64_t)header->entry_count * 8 <= header->image_bytes - header->entries_offset &&
           header->faults_offset < header->image_bytes &&
           header->fault_count * sizeof(struct fault_row) <= header->image_bytes - header->faults_offset &&
           header->unaligned_offset < header->image_bytes &&
           header->unaligned_count * sizeof(struct unaligned_row) <= header->image_bytes - header->unaligned_offset;
}

/** Moves a mapped translation to a guest's bias: the words of its data are the bias itself and addresses that have it in them. */
void set_bias(uint64_t image, uint64_t bias) {
    const struct translation_header *header = header_of(image);
    uint64_t *words = (uint64_t *)(image + header->data_offset), more = bias - words[0];
    for (uint32_t i = 0; more && i < header->page_count; i++) words[i] += more;
}

/** Opens a translation and reads its header; a negative number if there is none. *fits: whether it is a good one for the module. */
static int64_t open_translation(const char *path, const struct module *module, uint32_t variant, struct translation_header *header, int *fits) {
    int64_t fd = HOST4(openat, AT_CURRENT_DIRECTORY, path, O_RDONLY_ | O_CLOEXEC_, 0);
    *fits = fd >= 0 && HOST4(pread64, fd, header, sizeof *header, TRANSLATION_HEADER_OFFSET) == sizeof *header && header_fits(header, module, variant);
    return fd;
}

/** Maps one variant of a module's translation, if there is a good one: then *status is loaded. A bad one is not looked at again. */
static void load_variant(struct module *module, uint32_t variant, uint32_t *status) {
    char path[512];
    struct translation_header header;
    int fits;
    translation_path(path, path + sizeof path, module->key, variant);
    int64_t fd = open_translation(path, module, variant, &header, &fits);
    if (fd < 0) return;
    struct proc_state *proc = PROC;
    if (fits) {
        if (!proc->translation_next) proc->translation_next = base_address() + TRANSLATION_OFFSET;
        uint64_t at = proc->translation_next, bytes = PAGE_UP(header.image_bytes);
        uint64_t data_bytes = bytes - header.data_offset;
        int64_t image = map_exactly(at, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0);
        if (image == (int64_t)at) {
            int64_t data = HOST6(mmap, at + header.data_offset, data_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, header.data_offset);
            if (data == (int64_t)(at + header.data_offset)) {
                set_bias(at, module->guest_bias);
                module->host_image = at;
                module->host_bytes = bytes;
                module->entries = header.entry_count;
                module->variant = variant;
                proc->translation_next = at + bytes + PAGE;
                *status = MODULE_LOADED;
            } else {
                HOST2(munmap, at, bytes);
            }
        }
    } else {
        message("this translation is damaged or of another version, so its program is interpreted: ", path);
        *status = MODULE_ABSENT;
    }
    HOST1(close, fd);
}

/**
 * Makes all threads look up again where code is translated. Each empties its caches once more at its next safepoint: it may have
 * been entering what it had found before.
 */
void clear_lookups(void) {
    for (uint32_t slot = 0; slot < PROC_PRIVATE->thread_slots; slot++) {
        struct cpu_state *cpu = thread_area(slot);
        /* Also what the next thread in an area would find there. */
        lookup_forget(cpu);
        if (!thread_of(cpu)->in_use) continue;
        *(volatile uint32_t *)&private_of(cpu)->forget_lookups = 1;
        __atomic_store_n(&cpu->pending, 1, __ATOMIC_RELEASE);
    }
}

/** Whether the guest handles faults, so that they must find it with exact registers. */
static int handles_faults(void) {
    static const uint8_t numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    for (unsigned i = 0; i < sizeof numbers; i++) if (PROC->sigactions[numbers[i] - 1].handler > SIG_IGN) return 1;
    return 0;
}

/** The variant that is best for this process. */
uint32_t wanted_variant(void) {
    uint32_t needed = PROC->variant;
    return needed == VARIANT_PLAIN && handles_faults() ? VARIANT_PRECISE : needed;
}

/**
 * Maps the translation of a listed module; its status is then loaded, missing or absent. The least variant that will do comes first;
 * what is more than that does as well. Without the ordered one the interpreter does what wants order. Code that is not
 * precise is better than none: most handlers of faults only tell that the program has crashed.
 */
static void load_translation(struct module *module) {
    uint32_t needed = PROC->variant, wanted = wanted_variant();
    uint32_t status = MODULE_MISSING;
    for (uint32_t variant = wanted; variant <= VARIANT_ORDERED && status != MODULE_LOADED; variant++) load_variant(module, variant, &status);
    if (status != MODULE_LOADED && needed < wanted) load_variant(module, needed, &status);
    /* Other threads look at the status without the lock. */
    __atomic_store_n(&module->status, status, __ATOMIC_RELEASE);
}

/**
 * From now on code must be of this variant at least: translations that are less are dropped, so that their modules' other
 * ones are looked for. Called in system calls of a process's only thread, or when nothing will change: nobody is in them.
 */
void need_variant(uint32_t variant) {
    struct proc_state *proc = PROC;
    int changed = 0;
    if (variant <= proc->variant) return;
    log_variant(variant);
    if (variant == VARIANT_ORDERED) proc->variant = variant;
    for (uint32_t i = 0; i < proc->module_count && i < MAX_MODULES; i++) {
        struct module *module = &proc->modules[i];
        if (module->status == MODULE_MISSING) module->status = MODULE_LISTED;
        if (module->status != MODULE_LOADED || module->variant >= variant) continue;
        HOST2(munmap, module->host_image, module->host_bytes);
        module->host_image = module->host_bytes = 0;
        module->status = MODULE_LISTED;
        changed = 1;
    }
    if (changed) clear_lookups();
    code_changed();
}

/** Host address of the mapped translation that the host's `pc` is in, or 0. */
static uint64_t image_at(uint64_t pc) {
    for (uint32_t i = 0; i < PROC->module_count && i < MAX_MODULES; i++) {
        uint64_t image = __atomic_load_n(&PROC->modules[i].host_image, __ATOMIC_ACQUIRE);
        if (image && pc - image < header_of(image)->image_bytes) return image;
    }
    for (uint32_t i = 0; i < PROC_PRIVATE->replaced_count; i++) {
        const struct address_range *range = &PROC_PRIVATE->replaced[i];
        if (pc >= range->start && pc < range->end) return range->start;
    }
    return 0;
}

/** The row that begins with `wanted` in a table of rows of so many words, sorted by their first ones; 0 if there is none. */
static const uint32_t *find_row(const uint32_t *rows, uint32_t count, uint32_t words, uint64_t wanted) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (rows[middle * words] < wanted) low = middle + 1;
        else high = middle;
    }
    return low < count && rows[low * words] == wanted ? &rows[low * words] : 0;
}

/** The access that the access at `offset` is another form of, or that itself. Forms are few that fault. */
static uint32_t access_of(uint64_t image, uint32_t offset) {
    const struct translation_header *header = header_of(image);
    const struct unaligned_row *rows = (const void *)(image + header->unaligned_offset);
    for (uint32_t i = 0; i < header->unaligned_count; i++) if (offset == rows[i].form || offset == rows[i].form + 4) return rows[i].access;
    return offset;
}

/** Makes the instruction at `at` a branch to `target`, for all threads. */
static void patch_branch(uint64_t at, uint64_t target) {
    uint64_t page = PAGE_DOWN(at);
    lock(&PROC_PRIVATE->patch_lock);
    if (HOST3(mprotect, page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0) {
        __atomic_store_n((uint32_t *)at, 0x14000000u | ((uint32_t)((int64_t)(target - at) >> 2) & 0x3ffffffu), __ATOMIC_RELEASE);
        __asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" ::"r"(at) : "memory");
        HOST3(mprotect, page, PAGE, PROT_READ | PROT_EXEC);
    }
    unlock(&PROC_PRIVATE->patch_lock);
}

/**
 * A fault at a place of translated code that is prepared for it: 1, and the context goes on where the table says. An access
 * whose address turned out not to be aligned is replaced for good: where it happens once it happens often.
 */
int fault_in_translation(int number, int code, struct host_ucontext *context) {
    uint64_t image = image_at(context->pc);
    if (!image) return 0;
    const struct translation_header *header = header_of(image);
    uint32_t access = (uint32_t)(context->pc - image);
    const uint32_t *found;
    if (number == SIGBUS && code == BUS_ADRALN) {
        found = find_row((const uint32_t *)(image + header->unaligned_offset), header->unaligned_count, sizeof(struct unaligned_row) / 4, access);
        if (found) {
            uint64_t form = image + ((const struct unaligned_row *)found)->form;
            patch_branch(context->pc, form);
            context->pc = form;
            return 1;
        }
    }
    access = access_of(image, access);
    found = find_row((const uint32_t *)(image + header->faults_offset), header->fault_count, sizeof(struct fault_row) / 4, access);
    if (!found) return 0;
    const struct fault_row *row = (const struct fault_row *)found;
    struct cpu_state *cpu = current_cpu();
    uint64_t bias = *(const uint64_t *)(image + header->data_offset);
    cpu->rip = bias + header->guest_low + row->guest;
    cpu->exit_reason = EXIT_INTERPRET;
    context->pc = image + row->landing;
    return 1;
}

static uint64_t find_entry(const struct module *module, uint64_t pc) {
    /* Read once: a larger one may take its place just now. */
    uint64_t image = __atomic_load_n(&module->host_image, __ATOMIC_ACQUIRE);
    const struct translation_header *header = header_of(image);
    const uint32_t *entries = (const void *)(image + header->entries_offset);
    uint64_t wanted = pc - module->guest_bias - header->guest_low;
    if (wanted >= header->guest_high - header->guest_low) return 0;
    const uint32_t *found = find_row(entries, header->entry_count, 2, wanted);
    return found ? image + found[1] : 0;
}

/** Whether there is a translation now of the variant that a module has, with more entries than its one. */
static int has_grown(const struct module *module) {
    char path[512];
    struct translation_header header;
    int fits;
    translation_path(path, path + sizeof path, module->key, module->variant);
    int64_t fd = open_translation(path, module, module->variant, &header, &fits);
    if (fd >= 0) HOST1(close, fd);
    return fits && header.entry_count > module->entries;
}

/** Whether there is a translation now of a variant that would do for a module without one. */
static int has_appeared(const struct module *module) {
    char path[512];
    for (uint32_t variant = PROC->variant; variant <= VARIANT_ORDERED; variant++) {
        translation_path(path, path + sizeof path, module->key, variant);
        if (HOST4(faccessat, AT_CURRENT_DIRECTORY, path, 0, 0) == 0) return 1;
    }
    return 0;
}

/**
 * Looks again for translations that were missing, or of parts only: the node may have got them, or larger ones, meanwhile. What
 * is replaced stays mapped, as threads may be in it; they leave it at their next poll.
 */
static void look_again(void) {
    struct proc_state *proc = PROC;
    struct proc_private *priv = PROC_PRIVATE;
    int changed = 0, has_listed = 0;
    lock(&priv->module_lock);
    for (uint32_t i = 0; i < proc->module_count && i < MAX_MODULES; i++) {
        struct module *module = &proc->modules[i];
        if (module->status == MODULE_MISSING && has_appeared(module)) {
            module->status = MODULE_LISTED;
            has_listed = 1;
        }
        if (module->status != MODULE_LOADED || priv->replaced_count == REPLACED_IMAGES || !has_grown(module)) continue;
        struct module larger = *module;
        uint32_t status = MODULE_MISSING;
        load_variant(&larger, module->variant, &status);
        if (status != MODULE_LOADED) continue;
        priv->replaced[priv->replaced_count++] = (struct address_range){ module->host_image, module->host_image + module->host_bytes };
        module->host_bytes = larger.host_bytes;
        module->entries = larger.entries;
        __atomic_store_n(&module->host_image, larger.host_image, __ATOMIC_RELEASE);
        changed = 1;
    }
    unlock(&priv->module_lock);
    if (changed) clear_lookups();
    if (changed || has_listed) code_changed();
}

/** Asked in every lookup in vain. Threads count without a lock, so that it may come too late or twice. */
static int is_time_to_look_again(void) {
    if (PROC_PRIVATE->interpreted < INTERPRETED_BEFORE_RETRY) return 0;
    PROC_PRIVATE->interpreted = 0;
    return 1;
}

/** Counts a pc that a translation has no entry for. Unlocked, and slots are claimed by what is asked for most. */
static void note_missed(const struct module *module, uint64_t pc) {
    struct missed_entry *slot = &PROC_MISSED[pc * 0x9e3779b97f4a7c15ull >> 32 & (MISSED_ENTRIES - 1)];
    if (slot->pc == pc) {
        if (++slot->count == MISSED_ENOUGH) log_missed(module, pc);
    } else if (slot->count == 0) {
        slot->pc = pc;
        slot->count = 1;
    } else {
        slot->count--;
    }
}

/** Host address of the translation of guest address `pc`, or 0. */
uint64_t translation_lookup(uint64_t pc) {
    struct module *module = module_at(pc);
    if (!module) return 0;
    uint32_t status = __atomic_load_n(&module->status, __ATOMIC_ACQUIRE);
    if (status == MODULE_MISSING && is_time_to_look_again()) {
        look_again();
        status = module->status;
    }
    if (status == MODULE_LISTED) {
        lock(&PROC_PRIVATE->module_lock);
        if (module->status == MODULE_LISTED) load_translation(module);
        unlock(&PROC_PRIVATE->module_lock);
    }
    if (__atomic_load_n(&module->status, __ATOMIC_ACQUIRE) != MODULE_LOADED) return 0;
    uint64_t host = find_entry(module, pc);
    if (host) return host;
    note_missed(module, pc);
    if (is_time_to_look_again()) look_again();
    return 0;
}
