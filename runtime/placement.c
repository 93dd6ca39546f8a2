/* Where mappings go that name no address. The host's kernel would choose addresses that an x86-64 program cannot hold,
 * so the runtime chooses: from ranges that were freed, else downwards from a cursor, always by MAP_FIXED_NOREPLACE, so
 * that the kernel has the last word on what is free. */
#include "runtime.h"

#define LOW_LIMIT 0x10000ull
#define START_CURSOR 0x7e0000000000ull
#define START_CURSOR_QEMU 0x0ff000000000ull
#define LOW_CURSOR 0x7fff0000ull
#define TRIES 256

/** Whether [start, start + bytes) lies where the guest may map, protect and unmap. */
int range_is_guest(uint64_t start, uint64_t bytes) {
    if (start >= GUEST_LIMIT || bytes > GUEST_LIMIT - start) return 0;
    uint64_t base = base_address();
    return !under_qemu() || start + bytes <= base || start >= base + QEMU_USER_BYTES;
}

/** mmap at this address or not at all: -EEXIST when something is there. `flags` without MAP_FIXED*. */
int64_t map_exactly(uint64_t address, uint64_t bytes, int prot, int flags, int fd, uint64_t offset) {
    int64_t got = HOST6(mmap, address, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);
    if (got < 0 || got == (int64_t)address) return got;
    /* A kernel that does not know the flag, and qemu user mode, take the address as a hint. */
    HOST2(munmap, got, bytes);
    return -EEXIST;
}

static int64_t try_at(uint64_t address, uint64_t bytes, int prot, int flags, int fd, uint64_t offset) {
    if (address < LOW_LIMIT || !range_is_guest(address, bytes)) return -EEXIST;
    return map_exactly(address, bytes, prot, flags, fd, offset);
}

static int64_t from_freed(uint64_t bytes, int prot, int flags, int fd, uint64_t offset) {
    struct address_range *freed = PROC_PRIVATE->freed;
    for (unsigned i = 0; i < FREE_RANGES; i++) {
        if (freed[i].end - freed[i].start < bytes || freed[i].end == 0) continue;
        int64_t got = try_at(freed[i].end - bytes, bytes, prot, flags, fd, offset);
        if (got == -EEXIST) {
            freed[i] = (struct address_range){ 0, 0 };
            continue;
        }
        if (got > 0) freed[i].end = (uint64_t)got;
        return got;
    }
    return -EEXIST;
}

static int64_t from_cursor(uint64_t *cursor, uint64_t bytes, int prot, int flags, int fd, uint64_t offset) {
    uint64_t skip = 0x10000, at = *cursor;
    for (unsigned i = 0; i < TRIES && at > bytes + LOW_LIMIT; i++) {
        int64_t got = try_at(at - bytes, bytes, prot, flags, fd, offset);
        if (got != -EEXIST) {
            if (got > 0) *cursor = (uint64_t)got;
            return got;
        }
        if (at < skip) break;
        at -= skip;
        if (skip < 0x4000000000ull) skip += skip / 2 & ~(PAGE - 1);
    }
    return -ENOMEM;
}

/** mmap for the guest. `flags` without MAP_FIXED*; the file offset is checked by the kernel. */
int64_t place_mapping(uint64_t hint, uint64_t bytes, int prot, int flags, int fd, uint64_t offset) {
    struct proc_private *priv = PROC_PRIVATE;
    int low = flags & GUEST_MAP_32BIT;
    flags &= ~(GUEST_MAP_32BIT | GUEST_MAP_ABOVE4G);
    if (bytes == 0) return -EINVAL;
    bytes = PAGE_UP(bytes);
    if (bytes == 0 || bytes > GUEST_LIMIT) return -ENOMEM;
    if (hint) {
        int64_t got = try_at(PAGE_DOWN(hint), bytes, prot, flags, fd, offset);
        if (got != -EEXIST) return got;
    }
    while (__atomic_exchange_n(&priv->map_lock, 1, __ATOMIC_ACQUIRE)) {
        struct timespec wait = { 0, 20000 };
        HOST2(nanosleep, &wait, 0);
    }
    if (!priv->map_cursor) priv->map_cursor = under_qemu() ? START_CURSOR_QEMU : START_CURSOR;
    if (!priv->low_cursor) priv->low_cursor = LOW_CURSOR;
    int64_t got = -EEXIST;
    if (!low) got = from_freed(bytes, prot, flags, fd, offset);
    if (got == -EEXIST) got = from_cursor(low ? &priv->low_cursor : &priv->map_cursor, bytes, prot, flags, fd, offset);
    if (got == -ENOMEM) {
        /* The cursor may have run past room that was freed above it. */
        uint64_t again = low ? LOW_CURSOR : under_qemu() ? START_CURSOR_QEMU : START_CURSOR;
        got = from_cursor(&again, bytes, prot, flags, fd, offset);
    }
    __atomic_store_n(&priv->map_lock, 0, __ATOMIC_RELEASE);
    return got;
}

/** Remembers a range that the guest has unmapped, joined with its neighbours; a full table forgets the smallest. */
void placement_freed(uint64_t start, uint64_t end) {
    struct proc_private *priv = PROC_PRIVATE;
    struct address_range *freed = priv->freed, *smallest = freed;
    if (start < priv->map_cursor || start < 0x100000000ull) return;
    if (start == priv->map_cursor) {
        priv->map_cursor = end;
        return;
    }
    for (unsigned i = 0; i < FREE_RANGES; i++) {
        if (freed[i].end == start && freed[i].end) {
            freed[i].end = end;
            return;
        }
        if (freed[i].start == end && freed[i].end) {
            freed[i].start = start;
            return;
        }
        if (freed[i].end - freed[i].start < smallest->end - smallest->start) smallest = &freed[i];
    }
    if (smallest->end - smallest->start < end - start) *smallest = (struct address_range){ start, end };
}
