/* The runtime's own accesses to the guest's memory. A fault in hc_copy_bytes is turned into -EFAULT by the signal
 * handler (signals.c). */
#include "runtime.h"

/** Whether these are addresses of the guest's, mapped or not: under qemu user mode what is ours lies below the limit, too. */
int is_guest_memory(uint64_t address, uint64_t bytes) {
    if (address > GUEST_LIMIT || bytes > GUEST_LIMIT - address) return 0;
    uint64_t base = base_address();
    return !under_qemu() || address + (bytes ? bytes : 1) <= base || address >= base + QEMU_USER_BYTES;
}

/**
 * A guest's pointer for the kernel: one to memory that is not the guest's becomes one that faults everywhere. Bits 48 to 55
 * alone are set: enough for arm64, which may ignore the eight above them, and harmless to a value that is no pointer after all.
 */
uint64_t kernel_pointer(uint64_t pointer, uint64_t bytes) {
    return is_guest_memory(pointer, bytes) ? pointer : pointer | 0x00ff000000000000ull;
}

/** Copies from the guest; 0 or -EFAULT. */
int64_t guest_read(void *to, uint64_t from, uint64_t bytes) {
    if (!is_guest_memory(from, bytes)) return -EFAULT;
    return hc_copy_bytes(to, (const void *)from, bytes);
}

/** Copies to the guest; 0 or -EFAULT (then some bytes may have been written). */
int64_t guest_write(uint64_t to, const void *from, uint64_t bytes) {
    if (!is_guest_memory(to, bytes)) return -EFAULT;
    return hc_copy_bytes((void *)to, from, bytes);
}

/** Copies a zero-terminated text of less than `limit` bytes: its length, -EFAULT or -ENAMETOOLONG. */
int64_t guest_text(char *to, uint64_t from, uint64_t limit) {
    for (uint64_t at = 0; at < limit;) {
        /* Up to the next page, so that a text just before an unmapped page is read. */
        uint64_t chunk = PAGE - ((from + at) & (PAGE - 1));
        if (chunk > 64) chunk = 64;
        if (chunk > limit - at) chunk = limit - at;
        if (guest_read(to + at, from + at, chunk) < 0) return -EFAULT;
        for (uint64_t i = 0; i < chunk; i++) if (to[at + i] == 0) return (int64_t)(at + i);
        at += chunk;
    }
    return -ENAMETOOLONG;
}

/**
 * Reads a structure whose size the guest tells, as the kernel does: a shorter one than ours is filled up with zeros, what a longer one
 * has behind ours must be zeros. 0, -EFAULT or -E2BIG.
 */
int64_t guest_read_sized(void *to, uint64_t bytes, uint64_t from, uint64_t given) {
    uint8_t rest[64];
    memory_set(to, 0, bytes);
    if (given > PAGE) return -E2BIG;
    for (uint64_t at = bytes; at < given; at += sizeof rest) {
        uint64_t chunk = given - at < sizeof rest ? given - at : sizeof rest;
        if (guest_read(rest, from + at, chunk) < 0) return -EFAULT;
        for (uint64_t i = 0; i < chunk; i++) if (rest[i]) return -E2BIG;
    }
    return guest_read(to, from, given < bytes ? given : bytes);
}
