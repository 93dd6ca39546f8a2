/* Guest pointers on their way to the kernel. It must not read or write what is ours for the guest, so a pointer there becomes
 * one that faults (kernel_pointer), and the kernel gives the error in its own order. Structures that hold pointers are copied
 * first. Which argument is what: src/abi/syscall-pointers.ts. */
#include "runtime.h"

enum { MOST_RW_BYTES = 0x7ffff000, MOST_VECTORS = 1024, MOST_FUTEXES = 128, SCRATCH_BYTES = 20480 };

#define BAD_POINTER 0x00ffffffffff0000ull

struct io_vector { uint64_t base, bytes; };
struct message_header { uint64_t name; uint32_t name_bytes, pad; uint64_t vectors, count, control, control_bytes; uint32_t flags, pad2; };
_Static_assert(sizeof(struct message_header) == 56, "msghdr");
struct message_slot { struct message_header header; uint32_t bytes, pad; };
_Static_assert(sizeof(struct message_slot) == 64, "mmsghdr");
struct futex_waiter { uint64_t value, address; uint32_t flags, reserved; };
_Static_assert(sizeof(struct futex_waiter) == 24, "futex_waitv");

/** Plain pointers; those of nested kinds are checked as such, too, where the copy is not used. */
void check_pointers(const struct syscall_row *row, const uint64_t *from, uint64_t *to) {
    for (unsigned i = 0; i < 6; i++) to[i] = from[i];
    for (unsigned i = 0; i < 6 && row->pointers[i]; i++) {
        uint64_t next = i < 5 ? from[i + 1] : 0;
        switch (row->pointers[i]) {
        case '-':
        case 'o': break;
        case 'b': to[i] = kernel_pointer(from[i], next); break;
        case 'c': to[i] = kernel_pointer(from[i], next > MOST_RW_BYTES ? MOST_RW_BYTES : next); break;
        default: to[i] = kernel_pointer(from[i], 0); break;
        }
    }
}

/** Memory for copies: this much of it is on the stack, more is mapped. */
struct scratch { uint8_t bytes[SCRATCH_BYTES]; uint64_t used, mapped, mapped_bytes, mapped_used; };

static void scratch_start(struct scratch *scratch) { scratch->used = scratch->mapped = scratch->mapped_bytes = scratch->mapped_used = 0; }
static void scratch_end(struct scratch *scratch) {
    if (scratch->mapped) HOST2(munmap, scratch->mapped, scratch->mapped_bytes);
}

/** Room, or 0 when the kernel has none. `more` is what may still be asked for, when it has to be mapped. */
static void *scratch_take(struct scratch *scratch, uint64_t bytes, uint64_t more) {
    if (!scratch->mapped && bytes <= SCRATCH_BYTES - scratch->used) {
        scratch->used += bytes;
        return scratch->bytes + scratch->used - bytes;
    }
    if (!scratch->mapped) {
        scratch->mapped_bytes = PAGE_UP(bytes + more);
        int64_t at = HOST6(mmap, 0, scratch->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at < 0) return 0;
        scratch->mapped = (uint64_t)at;
    }
    if (bytes > scratch->mapped_bytes - scratch->mapped_used) return 0;
    scratch->mapped_used += bytes;
    return (void *)(scratch->mapped + scratch->mapped_used - bytes);
}

/** The address of a checked copy of an array of vectors. What the kernel refuses anyhow is left to it. */
static uint64_t copy_vectors(struct scratch *scratch, uint64_t from, uint64_t count, uint64_t more) {
    if (count == 0 || count > MOST_VECTORS) return kernel_pointer(from, 0);
    struct io_vector *to = scratch_take(scratch, count * sizeof *to, more);
    if (!to || guest_read(to, from, count * sizeof *to) < 0) return BAD_POINTER;
    for (uint64_t i = 0; i < count; i++) to[i].base = kernel_pointer(to[i].base, to[i].bytes);
    return (uint64_t)to;
}

static void check_header(struct scratch *scratch, struct message_header *header, uint64_t more) {
    header->name = kernel_pointer(header->name, 0);
    header->control = kernel_pointer(header->control, 0);
    header->vectors = copy_vectors(scratch, header->vectors, header->count, more);
}

/** What receiving changes in a header; the guest's pointers stay as they are. */
static int64_t give_header(uint64_t to, const struct message_header *header) {
    if (guest_write(to + __builtin_offsetof(struct message_header, name_bytes), &header->name_bytes, 4) < 0) return -EFAULT;
    if (guest_write(to + __builtin_offsetof(struct message_header, control_bytes), &header->control_bytes, 8) < 0) return -EFAULT;
    return guest_write(to + __builtin_offsetof(struct message_header, flags), &header->flags, 4);
}

static int64_t call_with_message(struct cpu_state *cpu, const struct syscall_row *row, uint64_t *args, struct scratch *scratch) {
    struct message_header header;
    uint64_t guest = args[1];
    if (guest_read(&header, guest, sizeof header) < 0) {
        args[1] = BAD_POINTER;
        return hc_guest_call(cpu, row->host, args);
    }
    check_header(scratch, &header, 0);
    args[1] = (uint64_t)&header;
    int64_t result = hc_guest_call(cpu, row->host, args);
    if (result >= 0 && row->host == HOST_recvmsg && give_header(guest, &header) < 0) return -EFAULT;
    return result;
}

static int64_t call_with_messages(struct cpu_state *cpu, const struct syscall_row *row, uint64_t *args, struct scratch *scratch) {
    enum { MOST = 1024 };
    uint64_t guest = args[1], count = (uint32_t)args[2] > MOST ? MOST : (uint32_t)args[2], read = 0, vectors = 0;
    struct message_slot *slots = scratch_take(scratch, count * sizeof *slots, 0);
    if (!slots) return -ENOMEM;
    while (read < count && guest_read(&slots[read], guest + read * sizeof *slots, sizeof *slots) == 0) {
        vectors += slots[read].header.count <= MOST_VECTORS ? slots[read].header.count : 0;
        read++;
    }
    for (uint64_t i = 0; i < read; i++) {
        struct message_header *header = &slots[i].header;
        uint64_t own = header->count <= MOST_VECTORS ? header->count : 0;
        vectors -= own;
        check_header(scratch, header, vectors * sizeof(struct io_vector));
    }
    args[1] = read || count == 0 ? (uint64_t)slots : BAD_POINTER;
    /* An unreadable slot ends the call there, as in the kernel; only as the first one it is an error. */
    args[2] = read ? read : count;
    int64_t result = hc_guest_call(cpu, row->host, args);
    for (int64_t i = 0; i < result; i++) {
        uint64_t to = guest + (uint64_t)i * sizeof *slots;
        if (guest_write(to + __builtin_offsetof(struct message_slot, bytes), &slots[i].bytes, 4) < 0) return i ? i : -EFAULT;
        if (row->host == HOST_recvmmsg && give_header(to, &slots[i].header) < 0) return i ? i : -EFAULT;
    }
    return result;
}

static uint64_t copy_futexes(struct scratch *scratch, uint64_t from, uint64_t count) {
    if (count == 0 || count > MOST_FUTEXES) return from;
    struct futex_waiter *to = scratch_take(scratch, count * sizeof *to, 0);
    if (!to || guest_read(to, from, count * sizeof *to) < 0) return BAD_POINTER;
    for (uint64_t i = 0; i < count; i++) to[i].address = kernel_pointer(to[i].address, 0);
    return (uint64_t)to;
}

/** /proc/PID/mem at addresses that are not the guest's has nothing mapped. Other files may be that large. */
static uint64_t check_offset(uint64_t fd, uint64_t offset) {
    enum { PROC_SUPER_MAGIC_ = 0x9fa0 };
    uint64_t description[16];
    if (is_guest_memory(offset, 0) || (int64_t)offset < 0) return offset;
    if (HOST2(fstatfs, fd, description) < 0 || (uint32_t)description[0] != PROC_SUPER_MAGIC_) return offset;
    return kernel_pointer(offset, 0);
}

/** A call of which an argument points to pointers, or is an offset. */
int64_t nested_call(struct cpu_state *cpu, const struct syscall_row *row, uint64_t *args) {
    struct scratch scratch;
    int64_t result = 0;
    int message = 0;
    scratch_start(&scratch);
    for (unsigned i = 0; i < 6 && row->pointers[i]; i++) {
        switch (row->pointers[i]) {
        case 'i': args[i] = copy_vectors(&scratch, args[i], args[i + 1], 0); break;
        case 'w': args[i] = copy_futexes(&scratch, args[i], (uint32_t)args[i + 1]); break;
        case 'v': args[i] = copy_futexes(&scratch, args[i], 2); break;
        case 'o': args[i] = check_offset(args[0], args[i]); break;
        case 'm':
        case 'M': message = row->pointers[i]; break;
        default: break;
        }
    }
    if (message == 'm') result = call_with_message(cpu, row, args, &scratch);
    else if (message == 'M') result = call_with_messages(cpu, row, args, &scratch);
    else result = hc_guest_call(cpu, row->host, args);
    scratch_end(&scratch);
    return result;
}

/** The offset that a file is left at must not let the next read or write of /proc/PID/mem reach what is ours. */
int64_t hc_sys_lseek(struct cpu_state *cpu, const uint64_t *args) {
    enum { SEEK_SET_ = 0, SEEK_CUR_ = 1 };
    uint64_t offset = args[1], whence = (uint32_t)args[2];
    if (whence == SEEK_CUR_ && offset) {
        int64_t now = HOST3(lseek, args[0], 0, SEEK_CUR_);
        uint64_t sum = (uint64_t)now + offset;
        if (now >= 0 && check_offset(args[0], sum) != sum) offset = sum, whence = SEEK_SET_;
    }
    uint64_t checked = whence == SEEK_SET_ ? check_offset(args[0], offset) : offset;
    int64_t result = guest_call_4(cpu, HOST_lseek, args[0], checked, whence, 0);
    return checked != offset && result == (int64_t)checked ? (int64_t)offset : result;
}

/**
 * Requests of userfaultfd name ranges of addresses, and some for network interfaces a buffer, in their structures. A bad one goes on
 * in a copy, for the kernel to refuse.
 */
int64_t hc_sys_ioctl(struct cpu_state *cpu, const uint64_t *args) {
    enum { USERFAULT_TYPE = 0xaa, UFFDIO_COPY_ = 3, UFFDIO_MOVE_ = 5, UFFDIO_API_ = 0x3f, SIOCGIFCONF_ = 0x8912, SIOCETHTOOL_ = 0x8946 };
    uint32_t request = (uint32_t)args[1], number = request & 0xff;
    uint64_t words[5] = { 0 };
    unsigned pointers = 0, at = 0, bytes = 16;
    int copies = number == UFFDIO_COPY_ || number == UFFDIO_MOVE_;
    if ((request >> 8 & 0xff) == USERFAULT_TYPE && number != UFFDIO_API_) pointers = copies ? 2 : 1, bytes = copies ? 40 : 16;
    else if (request == SIOCGIFCONF_) pointers = 1, at = 1;
    else if (request == SIOCETHTOOL_) pointers = 1, at = 2, bytes = 40;
    if (!pointers || guest_read(words, args[2], bytes) < 0) return hc_guest_call(cpu, HOST_ioctl, args);
    uint64_t range = request == SIOCGIFCONF_ ? (uint32_t)words[0] : request == SIOCETHTOOL_ ? 0 : words[pointers];
    int bad = 0;
    for (unsigned i = at; i < at + pointers; i++) {
        uint64_t first = words[i];
        words[i] = kernel_pointer(first, range);
        bad |= words[i] != first;
    }
    uint64_t changed[6] = { args[0], args[1], bad ? (uint64_t)words : args[2] };
    return hc_guest_call(cpu, HOST_ioctl, changed);
}
