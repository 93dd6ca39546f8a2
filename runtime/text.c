/* Bytes and text without a libc, and the runtime's own messages, which go to the program's standard error. */
#include "runtime.h"

/* The compiler calls these by itself. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    for (; bytes >= 8; bytes -= 8, t += 8, f += 8) __builtin_memcpy(t, f, 8);
    for (; bytes; bytes--) *t++ = *f++;
    return to;
}
void *memset(void *to, int value, size_t bytes) {
    uint8_t *t = to;
    uint64_t word = 0x0101010101010101ull * (uint8_t)value;
    for (; bytes >= 8; bytes -= 8, t += 8) __builtin_memcpy(t, &word, 8);
    for (; bytes; bytes--) *t++ = (uint8_t)value;
    return to;
}
void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t <= f) {
        for (size_t i = 0; i < bytes; i++) t[i] = f[i];
    } else {
        for (size_t i = bytes; i > 0; i--) t[i - 1] = f[i - 1];
    }
    return to;
}
int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++) if (x[i] != y[i]) return x[i] - y[i];
    return 0;
}

void *memory_copy(void *to, const void *from, uint64_t bytes) { return memcpy(to, from, bytes); }
void *memory_set(void *to, int value, uint64_t bytes) { return memset(to, value, bytes); }

uint64_t text_length(const char *text) {
    uint64_t length = 0;
    while (text[length]) length++;
    return length;
}

int text_equal(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

int text_starts(const char *text, const char *prefix) {
    while (*prefix && *text == *prefix) text++, prefix++;
    return *prefix == 0;
}

/** Appends at `to`, never at or past `end - 1`, and terminates; gives the new end of the text. */
char *text_append(char *to, char *end, const char *text) {
    while (*text && to < end - 1) *to++ = *text++;
    *to = 0;
    return to;
}

char *text_append_number(char *to, char *end, uint64_t value, unsigned radix) {
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value);
    while (count && to < end - 1) *to++ = digits[--count];
    *to = 0;
    return to;
}

enum { WORD_DIGITS = 16 };

/** Appends 64-bit words, sixteen hexadecimal digits each; nothing where they have no room. */
char *text_append_words(char *to, char *end, const uint64_t *words, unsigned count) {
    if (end - to <= (int64_t)count * WORD_DIGITS) return to;
    for (unsigned word = 0; word < count; word++)
        for (int shift = 60; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[words[word] >> shift & 15];
    *to = 0;
    return to;
}

/** Reads words that text_append_words has written, and gives where they end; `at` itself, and nothing read, if it is none. */
const char *text_take_words(const char *at, uint64_t *words, unsigned count) {
    for (unsigned i = 0; i < count * WORD_DIGITS; i++)
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f'))) return at;
    for (unsigned word = 0; word < count; word++) {
        words[word] = 0;
        for (unsigned i = 0; i < WORD_DIGITS; i++, at++)
            words[word] = words[word] << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    }
    return at;
}

/** One line on the program's standard error. */
void message(const char *text, const char *more) {
    char line[512], *end = line + sizeof line - 1, *at = text_append(line, end, MESSAGE_PREFIX);
    at = text_append(at, end, text);
    at = text_append(at, end, more);
    *at++ = '\n';
    HOST3(write, 2, line, at - line);
}

/** For start-up only: afterwards a program ends by its own means or by a signal. */
_Noreturn void fatal(const char *text, const char *more) {
    message(text, more);
    for (;;) HOST1(exit_group, 127);
}
