/* Computes the same in two ways, over and over, until its input ends; with an argument, in two threads. Says how often the
 * two did not agree. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t table[256];

static uint32_t __attribute__((noinline)) by_bits(const uint8_t *bytes, int count) {
    uint32_t crc = ~0u;
    for (int i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static uint32_t __attribute__((noinline)) by_table(const uint8_t *bytes, int count) {
    uint32_t crc = ~0u;
    for (int i = 0; i < count; i++) crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static int __attribute__((noinline)) print_and_read(uint32_t number) {
    char text[40], again[40];
    unsigned whole;
    double part;
    snprintf(text, sizeof text, "%u %g", number, number / 7.0);
    if (sscanf(text, "%u %lg", &whole, &part) != 2) return 1;
    snprintf(again, sizeof again, "%u %g", whole, part);
    return strcmp(text, again) != 0;
}

static void *work(void *unused) {
    struct pollfd input = { .fd = 0, .events = POLLIN };
    uint32_t seed = 1;
    long wrong = 0;
    (void)unused;
    do {
        uint8_t bytes[200];
        for (int i = 0; i < 200; i++) bytes[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
        if (by_bits(bytes, 200) != by_table(bytes, 200)) wrong++;
        wrong += print_and_read(seed);
    } while (poll(&input, 1, 0) == 0);
    return (void *)wrong;
}

int main(int count, char **arguments) {
    pthread_t other;
    void *wrong = 0;
    (void)arguments;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    if (count > 1 && pthread_create(&other, 0, work, 0) != 0) return 1;
    long own = (long)work(0);
    if (count > 1) pthread_join(other, &wrong);
    printf("%ld wrong\n", own + (long)wrong);
    return 0;
}
