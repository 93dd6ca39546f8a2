/* Code keys of files that this process or the one that started it has hashed already. A file is known by what changes whenever
 * its bytes do: device, inode, size and both times of change. A fork inherits the list with the memory, and an execve passes
 * it on in EXEC_VARIABLE (exec.c): so a shell hashes libc once, not once a command. */
#include "runtime.h"

#define SECOND 1000000000ull
/** A file that has changed this recently may change again without its times telling. */
#define SETTLED (3 * SECOND)

int identify_file(int fd, struct file_identity *identity) {
    struct host_stat stat;
    if (HOST2(fstat, fd, &stat) < 0) return 0;
    *identity = (struct file_identity){
        .device = stat.dev, .inode = stat.ino, .bytes = (uint64_t)stat.size,
        .modified = (uint64_t)stat.mtime * SECOND + (uint64_t)stat.mtime_nsec,
        .changed = (uint64_t)stat.ctime * SECOND + (uint64_t)stat.ctime_nsec,
    };
    return 1;
}

static int same_file(const struct file_identity *a, const struct file_identity *b) {
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes && a->modified == b->modified && a->changed == b->changed;
}

/** Whether the file's key is known; then it is given. */
int known_key(const struct file_identity *identity, uint32_t key[4]) {
    for (unsigned i = 0; i < KNOWN_KEYS; i++) {
        const struct known_key *known = &PROC_PRIVATE->known_keys[i];
        if (!known->file.bytes || !same_file(&known->file, identity)) continue;
        memory_copy(key, known->key, sizeof known->key);
        return 1;
    }
    return 0;
}

/** Remembers a key; the oldest gives way. */
void remember_key(const struct file_identity *identity, const uint32_t key[4]) {
    struct proc_private *priv = PROC_PRIVATE;
    struct timespec now;
    HOST2(clock_gettime, CLOCK_REALTIME_, &now);
    uint64_t present = (uint64_t)now.seconds * SECOND + (uint64_t)now.nanoseconds;
    if (identity->changed + SETTLED > present || identity->modified + SETTLED > present) return;
    struct known_key *known = &priv->known_keys[priv->next_known_key++ % KNOWN_KEYS];
    known->file = *identity;
    memory_copy(known->key, key, sizeof known->key);
}

enum { WORDS = sizeof(struct known_key) / 8 };

/** Appends what is known to the flags of EXEC_VARIABLE: a letter and hexadecimal digits each. */
char *put_known_keys(char *to, char *end) {
    for (unsigned i = 0; i < KNOWN_KEYS; i++) {
        const struct known_key *known = &PROC_PRIVATE->known_keys[i];
        if (!known->file.bytes) continue;
        char *start = to, *words = to + 1;
        if (end - to < 2) break;
        *start = KNOWN_KEY_FLAG;
        to = text_append_words(words, end, (const uint64_t *)known, WORDS);
        if (to == words) to = start;
    }
    *to = 0;
    return to;
}

/** Takes one over from behind its letter, and gives where it ends; `at` itself if it is none. */
const char *take_known_key(const char *at) {
    struct proc_private *priv = PROC_PRIVATE;
    struct known_key known;
    const char *end = text_take_words(at, (uint64_t *)&known, WORDS);
    if (end != at) priv->known_keys[priv->next_known_key++ % KNOWN_KEYS] = known;
    return end;
}
