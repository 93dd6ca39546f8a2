/* qemu user mode makes a fork of a vfork: the child gets a copy of the memory, and its parent goes on at once. But a child that
 * cannot execute what it should tells its parent so by writing to the stack that they share (posix_spawn). So the parent waits here
 * until the child executes something or ends, and what an ending child has changed in the parent's frames comes through a pipe. */
#include "runtime.h"

/** Of the parent's frames, so much above its stack pointer. */
#define FRAME_BYTES 16384ull
#define FRAME_WORDS (FRAME_BYTES / 8)
/** Descriptors that programs hardly use: they may close all that they do not know of. */
enum { HIGH_DESCRIPTOR = 900, F_DUPFD_CLOEXEC_ = 1030 };

struct change { uint64_t address, value; };

static int move_up(int fd) {
    int64_t high = HOST3(fcntl, fd, F_DUPFD_CLOEXEC_, HIGH_DESCRIPTOR);
    if (high < 0) return fd;
    HOST1(close, fd);
    return (int)high;
}

/** Words of the frames that can be read: all, or up to the end of the stack. */
static uint64_t read_frames(uint64_t from, uint64_t *words) {
    uint64_t count = FRAME_WORDS;
    while (count > 0 && guest_read(words, from, count * 8) < 0) count /= 2;
    return count;
}

/** Before `child` is made of the calling thread. Without a pipe or memory it is made all the same. */
void vfork_prepare(struct cpu_state *cpu, struct cpu_state *child) {
    struct vfork_link *link = &private_of(child)->vfork;
    int ends[2];
    int64_t copy = HOST6(mmap, 0, FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy < 0) return;
    if (HOST2(pipe2, ends, O_CLOEXEC_) < 0) {
        HOST2(munmap, copy, FRAME_BYTES);
        return;
    }
    link->copy = (uint64_t *)copy;
    link->from = cpu->gpr[4] & ~7ull;
    link->words = read_frames(link->from, link->copy);
    link->in = move_up(ends[0]);
    link->out = move_up(ends[1]);
}

/** In the parent: waits for the child, takes its changes, and forgets the link. */
void vfork_follow(struct cpu_state *child, int is_made) {
    struct vfork_link *link = &private_of(child)->vfork;
    struct change change;
    if (!link->copy) return;
    HOST1(close, link->out);
    while (is_made) {
        int64_t got = HOST3(read, link->in, &change, sizeof change);
        if (got == -EINTR) continue;
        if (got != sizeof change || !change.address) break;
        guest_write(change.address, &change.value, sizeof change.value);
    }
    HOST1(close, link->in);
    HOST2(munmap, link->copy, FRAME_BYTES);
    memory_set(link, 0, sizeof *link);
}

/** In a child that ends: tells its parent what has changed. */
void vfork_tell(struct cpu_state *cpu) {
    struct vfork_link *link = &private_of(cpu)->vfork;
    for (uint64_t i = 0; link->copy && i < link->words; i++) {
        struct change change = { link->from + 8 * i, 0 };
        if (guest_read(&change.value, change.address, 8) < 0) break;
        if (change.value != link->copy[i]) HOST3(write, link->out, &change, sizeof change);
    }
    /* Its own children may have the pipe, too, and live on. */
    struct change last = { 0, 0 };
    if (link->copy) HOST3(write, link->out, &last, sizeof last);
}

/** In a child of such a child. */
void vfork_forget(struct cpu_state *cpu) {
    struct vfork_link *link = &private_of(cpu)->vfork;
    if (!link->copy) return;
    HOST1(close, link->in);
    HOST1(close, link->out);
    memory_set(link, 0, sizeof *link);
}
