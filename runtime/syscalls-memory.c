/* The guest's memory map. Its addresses stay below GUEST_LIMIT, whatever the host's kernel would allow, and what the
 * runtime has mapped is out of its reach. */
#include "runtime.h"

static int host_prot(uint64_t prot) {
    int result = (int)(prot & (PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM));
    /* The interpreter reads code, and x86-64 has no pages that can be executed but not read. */
    return result & PROT_EXEC ? result | PROT_READ : result;
}

/** Whether what is mapped is memory that others may write: not the many files that programs only read. */
static int is_shared_memory(int prot, int flags, int fd) {
    enum { GET_FLAGS = 3, ACCESS_MODE = 3, TMPFS = 0x01021994, HUGETLBFS = 0x958458f6 };
    uint64_t about[15] = { 0 };
    if ((flags & MAP_TYPE) != MAP_SHARED && (flags & MAP_TYPE) != MAP_SHARED_VALIDATE) return 0;
    if (flags & MAP_ANONYMOUS || prot & PROT_WRITE || HOST3(fcntl, fd, GET_FLAGS, 0) & ACCESS_MODE) return 1;
    return HOST2(fstatfs, fd, about) == 0 && (about[0] == TMPFS || about[0] == HUGETLBFS);
}

int64_t hc_sys_mmap(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t address = args[0], bytes = args[1], offset = args[5];
    int flags = (int)args[3], fd = (int)args[4], prot = host_prot(args[2]);
    int64_t got;
    (void)cpu;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        flags &= ~(GUEST_MAP_32BIT | GUEST_MAP_ABOVE4G);
        if (bytes == 0 || address & (PAGE - 1)) return -EINVAL;
        if (!range_is_guest(address, PAGE_UP(bytes))) return -ENOMEM;
        int replace = !(flags & MAP_FIXED_NOREPLACE);
        flags &= ~(MAP_FIXED | MAP_FIXED_NOREPLACE);
        if (replace) got = HOST6(mmap, address, bytes, prot, flags | MAP_FIXED, fd, offset);
        else got = map_exactly(address, bytes, prot, flags, fd, offset);
        if (got >= 0 && replace) modules_touched(address, address + PAGE_UP(bytes), 1);
    } else {
        got = place_mapping(address, bytes, prot, flags, fd, offset);
    }
    if (got >= 0 && PROC->variant != VARIANT_ORDERED && is_shared_memory(prot, flags, fd)) need_variant(VARIANT_ORDERED);
    if (got >= 0 && prot & PROT_EXEC && !(flags & MAP_ANONYMOUS)) module_mapped(fd, (uint64_t)got, PAGE_UP(bytes), offset);
    return got;
}

int64_t hc_sys_mprotect(struct cpu_state *cpu, const uint64_t *args) {
    const uint64_t known = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP;
    if (args[2] & ~known) return -EINVAL;
    if ((args[2] & PROT_WRITE || !(args[2] & PROT_EXEC)) && range_is_guest(args[0], args[1]))
        modules_touched(args[0], args[0] + PAGE_UP(args[1]), 0);
    uint64_t start = args[0], bytes = args[1], grows = args[2] & (PROT_GROWSDOWN | PROT_GROWSUP);
    const struct address_range *stack = &PROC_PRIVATE->stack;
    if (grows == PROT_GROWSDOWN && start >= stack->start && start < stack->end) {
        bytes += start - stack->start;
        start = stack->start;
        grows = 0;
    }
    return guest_call_4(cpu, HOST_mprotect, start, bytes, (uint64_t)host_prot(args[2]) | grows, 0);
}

int64_t hc_sys_munmap(struct cpu_state *cpu, const uint64_t *args) {
    if (!range_is_guest(args[0], args[1]) || args[0] & (PAGE - 1)) return -EINVAL;
    uint64_t end = args[0] + PAGE_UP(args[1]);
    modules_touched(args[0], end, 1);
    int64_t result = guest_call_2(cpu, HOST_munmap, args[0], args[1]);
    if (result == 0) placement_freed(args[0], end);
    return result;
}

/** Grows in place if possible, else to a place of our choice. */
int64_t hc_sys_mremap(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t from = args[0], old_bytes = PAGE_UP(args[1]), new_bytes = PAGE_UP(args[2]), flags = args[3];
    (void)cpu;
    if (flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || from & (PAGE - 1) || new_bytes == 0) return -EINVAL;
    if (!range_is_guest(from, old_bytes)) return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (!range_is_guest(args[4], new_bytes)) return -EINVAL;
        modules_touched(args[4], args[4] + new_bytes, 1);
        modules_touched(from, from + old_bytes, 1);
        return HOST5(mremap, from, args[1], args[2], flags, args[4]);
    }
    int64_t got = -ENOMEM;
    if (!(flags & MREMAP_DONTUNMAP)) {
        if (new_bytes < old_bytes) modules_touched(from + new_bytes, from + old_bytes, 1);
        got = HOST5(mremap, from, args[1], args[2], 0, 0);
        if (got >= 0 && new_bytes < old_bytes) placement_freed(from + new_bytes, from + old_bytes);
    }
    if (got != -ENOMEM || !(flags & MREMAP_MAYMOVE)) return got;
    int64_t to = place_mapping(0, new_bytes, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (to < 0) return to;
    modules_touched(from, from + old_bytes, 1);
    got = HOST5(mremap, from, args[1], args[2], flags | MREMAP_MAYMOVE | MREMAP_FIXED, to);
    if (got < 0) HOST2(munmap, to, new_bytes);
    else if (!(flags & MREMAP_DONTUNMAP)) placement_freed(from, from + old_bytes);
    return got;
}

/** The heap is the runtime's to keep: the kernel's own lies behind the runtime. A failure gives the old end, as always. */
int64_t hc_sys_brk(struct cpu_state *cpu, const uint64_t *args) {
    struct proc_state *proc = PROC;
    uint64_t wanted = args[0], now = PAGE_UP(proc->brk_now), next = PAGE_UP(wanted);
    (void)cpu;
    if (wanted < proc->brk_start || next < wanted || !range_is_guest(proc->brk_start, next - proc->brk_start)) return (int64_t)proc->brk_now;
    if (next > now) {
        int64_t got = map_exactly(now, next - now, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (got != (int64_t)now) return (int64_t)proc->brk_now;
    } else if (next < now) {
        HOST2(munmap, next, now - next);
    }
    proc->brk_now = wanted;
    return (int64_t)wanted;
}

/** shmid_ds begins with ipc64_perm (48 bytes), then the segment's size. */
static int64_t segment_bytes(uint64_t id) {
    enum { IPC_STAT_ = 2 };
    uint64_t description[32];
    int64_t result = HOST3(shmctl, id, IPC_STAT_, description);
    return result < 0 ? result : (int64_t)description[6];
}

int64_t hc_sys_shmat(struct cpu_state *cpu, const uint64_t *args) {
    enum { SHM_REMAP_ = 040000 };
    need_variant(VARIANT_ORDERED);
    if (args[1]) {
        if (!range_is_guest(args[1], PAGE)) return -EINVAL;
        return guest_call_4(cpu, HOST_shmat, args[0], args[1], args[2], 0);
    }
    int64_t bytes = segment_bytes(args[0]);
    if (bytes < 0) return bytes;
    int64_t to = place_mapping(0, (uint64_t)bytes, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (to < 0) return to;
    int64_t got = HOST3(shmat, args[0], to, args[2] | SHM_REMAP_);
    if (got < 0) HOST2(munmap, to, bytes);
    return got;
}

int64_t hc_sys_shmdt(struct cpu_state *cpu, const uint64_t *args) {
    if (!range_is_guest(args[0], PAGE)) return -EINVAL;
    return guest_call_2(cpu, HOST_shmdt, args[0], 0);
}

/** semid64_ds: behind ipc64_perm (48 bytes) x86-64 has a spare word after each of the two times. */
int64_t hc_sys_semctl(struct cpu_state *cpu, const uint64_t *args) {
    enum { IPC_SET_ = 1, IPC_STAT_ = 2, SEM_STAT_ = 18, SEM_STAT_ANY_ = 20 };
    uint32_t command = (uint32_t)args[2];
    uint64_t host[11] = { 0 }, guest[13] = { 0 };
    if (command == IPC_SET_) {
        if (guest_read(guest, args[3], sizeof guest) < 0) return -EFAULT;
        memory_copy(host, guest, 48);
        return guest_call_4(cpu, HOST_semctl, args[0], args[1], command, (uint64_t)host);
    }
    if (command != IPC_STAT_ && command != SEM_STAT_ && command != SEM_STAT_ANY_) return hc_guest_call(cpu, HOST_semctl, args);
    int64_t result = guest_call_4(cpu, HOST_semctl, args[0], args[1], command, (uint64_t)host);
    if (result < 0) return result;
    memory_copy(guest, host, 48);
    guest[6] = host[6];
    guest[8] = host[7];
    guest[10] = host[8];
    return guest_write(args[3], guest, sizeof guest) < 0 ? -EFAULT : result;
}
