/* Restartable sequences. The host's kernel never hears of the guest's area: it would send threads to addresses that only
 * mean something to the guest. It is kept for the way home, where the kernel is told of it again; abroad it says that
 * there is no CPU number, so whoever uses restartable sequences goes the long way. Registering succeeds nevertheless,
 * since a C library that could register its first thread takes a failure in a later one for fatal. */
#include "runtime.h"

enum { RSEQ_BYTES = 32, UNREGISTER = 1 };

/** The kernel's struct rseq as far as it has always been. */
struct rseq_area { uint32_t cpu_id_start; int32_t cpu_id; uint64_t critical_section; uint32_t flags, node_id, mm_cid, pad; };

int64_t hc_sys_rseq(struct cpu_state *cpu, const uint64_t *args) {
    struct thread_state *thread = thread_of(cpu);
    uint64_t address = args[0];
    uint32_t bytes = (uint32_t)args[1], flags = (uint32_t)args[2], signature = (uint32_t)args[3];
    struct rseq_area area = { 0, -1, 0, 0, 0, 0, 0 };
    if (flags & UNREGISTER) {
        if (flags != UNREGISTER || !thread->rseq_addr || thread->rseq_addr != address || thread->rseq_len != bytes) return -EINVAL;
        if (thread->rseq_sig != signature) return -EPERM;
        if (guest_write(address, &area, 24) < 0) return -EFAULT;
        thread->rseq_addr = 0;
        thread->rseq_len = thread->rseq_sig = 0;
        return 0;
    }
    if (flags) return -EINVAL;
    if (thread->rseq_addr) {
        if (thread->rseq_addr != address || thread->rseq_len != bytes) return -EINVAL;
        return thread->rseq_sig != signature ? -EPERM : -EBUSY;
    }
    if (bytes < RSEQ_BYTES || address % RSEQ_BYTES || !address) return -EINVAL;
    if (!range_is_guest(address, bytes) || guest_write(address, &area, 8) < 0) return -EFAULT;
    thread->rseq_addr = address;
    thread->rseq_len = bytes;
    thread->rseq_sig = signature;
    return 0;
}
