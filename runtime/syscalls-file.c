/* System calls on files and descriptors whose flags or structures differ, or that only have a newer form on the host. */
#include "runtime.h"

int64_t hc_sys_open(struct cpu_state *cpu, const uint64_t *args) {
    int64_t fd = guest_call_4(cpu, HOST_openat, (uint64_t)AT_CURRENT_DIRECTORY, special_path(cpu, args[0]), open_flags_to_host((uint32_t)args[1]), args[2]);
    return opened_file(args[0], args[1], fd);
}

int64_t hc_sys_openat(struct cpu_state *cpu, const uint64_t *args) {
    int64_t fd = guest_call_4(cpu, HOST_openat, args[0], special_path(cpu, args[1]), open_flags_to_host((uint32_t)args[2]), args[3]);
    return opened_file(args[1], args[2], fd);
}

int64_t hc_sys_openat2(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t how[3]; /* flags, mode, resolve */
    if (args[3] < sizeof how) return -EINVAL;
    int64_t result = guest_read_sized(how, sizeof how, args[2], args[3]);
    if (result < 0) return result;
    uint64_t flags = how[0];
    how[0] = (how[0] & ~0xffffffffull) | open_flags_to_host((uint32_t)how[0]);
    int64_t fd = guest_call_4(cpu, HOST_openat2, args[0], special_path(cpu, args[1]), (uint64_t)how, sizeof how);
    return opened_file(args[1], flags, fd);
}

static int64_t give_stat(uint64_t to, const struct host_stat *host) {
    struct guest_stat stat = {
        .dev = host->dev, .ino = host->ino, .nlink = host->nlink, .mode = host->mode, .uid = host->uid, .gid = host->gid,
        .rdev = host->rdev, .size = host->size, .blksize = host->blksize, .blocks = host->blocks,
        .atime = host->atime, .atime_nsec = host->atime_nsec, .mtime = host->mtime, .mtime_nsec = host->mtime_nsec,
        .ctime = host->ctime, .ctime_nsec = host->ctime_nsec,
    };
    return guest_write(to, &stat, sizeof stat);
}

static int64_t stat_at(struct cpu_state *cpu, uint64_t directory, uint64_t path, uint64_t to, uint64_t flags) {
    struct host_stat stat;
    int64_t result = guest_call_4(cpu, HOST_newfstatat, directory, path, (uint64_t)&stat, flags);
    return result < 0 ? result : give_stat(to, &stat);
}

int64_t hc_sys_stat(struct cpu_state *cpu, const uint64_t *args) {
    return stat_at(cpu, (uint64_t)AT_CURRENT_DIRECTORY, special_path(cpu, args[0]), args[1], 0);
}

int64_t hc_sys_lstat(struct cpu_state *cpu, const uint64_t *args) {
    return stat_at(cpu, (uint64_t)AT_CURRENT_DIRECTORY, args[0], args[1], AT_SYMLINK_NOFOLLOW_);
}

int64_t hc_sys_newfstatat(struct cpu_state *cpu, const uint64_t *args) {
    uint64_t path = args[3] & AT_SYMLINK_NOFOLLOW_ ? args[1] : special_path(cpu, args[1]);
    return stat_at(cpu, args[0], path, args[2], args[3]);
}

int64_t hc_sys_fstat(struct cpu_state *cpu, const uint64_t *args) {
    struct host_stat stat;
    int64_t result = guest_call_2(cpu, HOST_fstat, args[0], (uint64_t)&stat);
    return result < 0 ? result : give_stat(args[1], &stat);
}

static int64_t read_link(struct cpu_state *cpu, uint64_t directory, uint64_t path, uint64_t to, uint64_t bytes) {
    uint64_t special = special_path(cpu, path);
    if (special == path) return guest_call_4(cpu, HOST_readlinkat, directory, path, to, bytes);
    if ((int32_t)bytes <= 0) return -EINVAL;
    uint64_t length = text_length((const char *)special);
    if (length > bytes) length = bytes;
    return guest_write(to, (const void *)special, length) < 0 ? -EFAULT : (int64_t)length;
}

int64_t hc_sys_readlink(struct cpu_state *cpu, const uint64_t *args) {
    return read_link(cpu, (uint64_t)AT_CURRENT_DIRECTORY, args[0], args[1], args[2]);
}

int64_t hc_sys_readlinkat(struct cpu_state *cpu, const uint64_t *args) {
    return read_link(cpu, args[0], args[1], args[2], args[3]);
}

/** dup3 refuses equal descriptors; dup2 gives them back if they are open. */
int64_t hc_sys_dup2(struct cpu_state *cpu, const uint64_t *args) {
    enum { F_GETFD_ = 1 };
    if ((uint32_t)args[0] != (uint32_t)args[1]) return guest_call_4(cpu, HOST_dup3, args[0], args[1], 0, 0);
    int64_t open = guest_call_2(cpu, HOST_fcntl, args[0], F_GETFD_);
    return open < 0 ? open : (int64_t)(uint32_t)args[0];
}

int64_t hc_sys_fcntl(struct cpu_state *cpu, const uint64_t *args) {
    enum { F_GETFL_ = 3, F_SETFL_ = 4 };
    uint32_t command = (uint32_t)args[1];
    uint64_t value = command == F_SETFL_ ? open_flags_to_host((uint32_t)args[2]) : args[2];
    int64_t result = guest_call_4(cpu, HOST_fcntl, args[0], args[1], value, 0);
    return command == F_GETFL_ && result >= 0 ? (int64_t)open_flags_to_guest((uint32_t)result) : result;
}

/** The old record has the type in its last byte instead of before the name; both have the same length. */
int64_t hc_sys_getdents(struct cpu_state *cpu, const uint64_t *args) {
    uint8_t buffer[16384];
    uint64_t bytes = (uint32_t)args[2] < sizeof buffer ? (uint32_t)args[2] : sizeof buffer;
    int64_t filled = guest_call_4(cpu, HOST_getdents64, args[0], (uint64_t)buffer, bytes, 0);
    for (int64_t at = 0; at + 19 <= filled;) {
        uint8_t *record = buffer + at;
        uint16_t length;
        memory_copy(&length, record + 16, 2);
        if (length < 20 || at + length > filled) break;
        uint8_t type = record[18];
        for (unsigned i = 18; i + 1 < length; i++) record[i] = record[i + 1];
        record[length - 1] = type;
        at += length;
    }
    if (filled > 0 && guest_write(args[1], buffer, (uint64_t)filled) < 0) return -EFAULT;
    return filled;
}

static int64_t set_times(struct cpu_state *cpu, uint64_t directory, uint64_t path, const struct timespec *times) {
    return guest_call_4(cpu, HOST_utimensat, directory, path, (uint64_t)times, 0);
}

int64_t hc_sys_utime(struct cpu_state *cpu, const uint64_t *args) {
    int64_t seconds[2];
    if (!args[1]) return set_times(cpu, (uint64_t)AT_CURRENT_DIRECTORY, args[0], 0);
    if (guest_read(seconds, args[1], sizeof seconds) < 0) return -EFAULT;
    struct timespec times[2] = { { seconds[0], 0 }, { seconds[1], 0 } };
    return set_times(cpu, (uint64_t)AT_CURRENT_DIRECTORY, args[0], times);
}

static int64_t set_times_micro(struct cpu_state *cpu, uint64_t directory, uint64_t path, uint64_t pointer) {
    struct timeval values[2];
    if (!pointer) return set_times(cpu, directory, path, 0);
    if (guest_read(values, pointer, sizeof values) < 0) return -EFAULT;
    struct timespec times[2];
    for (unsigned i = 0; i < 2; i++) {
        if (values[i].microseconds < 0 || values[i].microseconds >= 1000000) return -EINVAL;
        times[i] = (struct timespec){ values[i].seconds, values[i].microseconds * 1000 };
    }
    return set_times(cpu, directory, path, times);
}

int64_t hc_sys_utimes(struct cpu_state *cpu, const uint64_t *args) {
    return set_times_micro(cpu, (uint64_t)AT_CURRENT_DIRECTORY, args[0], args[1]);
}

int64_t hc_sys_futimesat(struct cpu_state *cpu, const uint64_t *args) {
    return set_times_micro(cpu, args[0], args[1], args[2]);
}

int64_t hc_sys_epoll_create(struct cpu_state *cpu, const uint64_t *args) {
    if ((int32_t)args[0] <= 0) return -EINVAL;
    return guest_call_2(cpu, HOST_epoll_create1, 0, 0);
}

int64_t hc_sys_epoll_ctl(struct cpu_state *cpu, const uint64_t *args) {
    enum { EPOLL_CTL_DEL_ = 2 };
    struct guest_epoll_event guest;
    struct host_epoll_event host = { 0 };
    if ((int32_t)args[1] == EPOLL_CTL_DEL_) return guest_call_4(cpu, HOST_epoll_ctl, args[0], args[1], args[2], 0);
    if (guest_read(&guest, args[3], sizeof guest) < 0) return -EFAULT;
    host.events = guest.events;
    host.data = guest.data;
    return guest_call_4(cpu, HOST_epoll_ctl, args[0], args[1], args[2], (uint64_t)&host);
}
