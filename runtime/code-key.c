/* The code key: the twin of src/abi/code-key.ts, which specifies it. */
#include "runtime.h"

/** The four lanes in a vector register: every start of a program goes over all its code here. */
typedef uint32_t lanes __attribute__((vector_size(16)));

static lanes step(lanes h, lanes words) {
    lanes x = h ^ (words * 0xcc9e2d51u);
    return (x << 13 | x >> 19) * 5 + 0xe6546b64u;
}

void key_start(struct key_state *key) {
    for (uint32_t i = 0; i < 4; i++) key->lane[i] = i + 1;
}

static void block(struct key_state *key, const uint32_t words[4]) {
    lanes h, more;
    __builtin_memcpy(&h, key->lane, 16);
    __builtin_memcpy(&more, words, 16);
    h = step(h, more);
    __builtin_memcpy(key->lane, &h, 16);
}

void key_segment(struct key_state *key, uint64_t vaddr, uint64_t bytes) {
    uint32_t words[4] = { (uint32_t)vaddr, (uint32_t)(vaddr >> 32), (uint32_t)bytes, 0 };
    block(key, words);
}

/** All pieces of a segment but its last must be multiples of 16 bytes. */
void key_bytes(struct key_state *key, const uint8_t *bytes, uint64_t count) {
    lanes h, more;
    __builtin_memcpy(&h, key->lane, 16);
    for (; count >= 16; count -= 16, bytes += 16) {
        __builtin_memcpy(&more, bytes, 16);
        h = step(h, more);
    }
    __builtin_memcpy(key->lane, &h, 16);
    if (count) {
        uint32_t words[4];
        memory_set(words, 0, 16);
        memory_copy(words, bytes, count);
        block(key, words);
    }
}

void key_finish(struct key_state *key) {
    uint32_t sum = key->lane[0] + key->lane[1] + key->lane[2] + key->lane[3];
    for (unsigned i = 0; i < 4; i++) {
        uint32_t h = key->lane[i] ^ sum;
        h = (h ^ h >> 16) * 0x85ebca6bu;
        h = (h ^ h >> 13) * 0xc2b2ae35u;
        key->lane[i] = h ^ h >> 16;
    }
}
