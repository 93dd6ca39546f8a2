/* Four threads change the same words with every locked instruction; what they add up to is the same in every run. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define THREADS 4
#define TURNS 20000

static struct {
    _Alignas(64) uint64_t add, sub, inc, dec, adc, sbb, xadd, exchange, compare, xor, or_and, bits, negations, inverted;
    _Alignas(16) uint64_t pair[2];
    uint8_t byte;
    uint16_t word;
    uint32_t lock, guarded, double_word;
} shared;
static uint64_t bits_won[THREADS], exchanged[THREADS];

static void *work(void *argument) {
    uint64_t me = (uint64_t)argument;
    for (int i = 0; i < TURNS; i++) {
        uint64_t one = 1, value = me * TURNS + (uint64_t)i;
        __asm__ volatile("lock addq %1, %0" : "+m"(shared.add) : "r"(value) : "cc");
        __asm__ volatile("lock subq %1, %0" : "+m"(shared.sub) : "r"(value) : "cc");
        __asm__ volatile("lock incq %0" : "+m"(shared.inc)::"cc");
        __asm__ volatile("lock decq %0" : "+m"(shared.dec)::"cc");
        __asm__ volatile("stc; lock adcq $2, %0" : "+m"(shared.adc)::"cc");
        __asm__ volatile("stc; lock sbbq $2, %0" : "+m"(shared.sbb)::"cc");
        __asm__ volatile("lock xaddq %1, %0" : "+m"(shared.xadd), "+r"(one)::"cc");
        __asm__ volatile("xchgq %1, %0" : "+m"(shared.exchange), "+r"(value)::"cc");
        exchanged[me] += value;
        __asm__ volatile("lock xorq %1, %0" : "+m"(shared.xor) : "r"(value * 0 + (me + 1) * 0x1111 * (uint64_t)i) : "cc");
        __asm__ volatile("lock orb %1, %0" : "+m"(((uint8_t *)&shared.or_and)[me]) : "q"((uint8_t)i) : "cc");
        __asm__ volatile("lock andb %1, %0" : "+m"(((uint8_t *)&shared.or_and)[me]) : "q"((uint8_t)(i >> 3)) : "cc");
        __asm__ volatile("lock negq %0" : "+m"(shared.negations)::"cc");
        __asm__ volatile("lock notq %0" : "+m"(shared.inverted)::"cc");
        __asm__ volatile("lock incb %0" : "+m"(shared.byte)::"cc");
        __asm__ volatile("lock addw $3, %0" : "+m"(shared.word)::"cc");
        __asm__ volatile("lock addl $5, %0" : "+m"(shared.double_word)::"cc");
        uint8_t was_set;
        __asm__ volatile("lock btsq %2, %0; setc %1" : "+m"(shared.bits), "=q"(was_set) : "r"((uint64_t)i & 63) : "cc", "memory");
        if (!was_set) {
            bits_won[me]++;
            __asm__ volatile("lock btrq %1, %0" : "+m"(shared.bits) : "r"((uint64_t)i & 63) : "cc", "memory");
        }
        uint64_t old = shared.compare, desired;
        uint8_t done;
        do {
            desired = old + 7;
            __asm__ volatile("lock cmpxchgq %3, %0; sete %1" : "+m"(shared.compare), "=q"(done), "+a"(old) : "r"(desired) : "cc", "memory");
        } while (!done);
        uint64_t low = shared.pair[0], high = shared.pair[1];
        do {
            uint64_t next_low = low + 1, next_high = high + 3;
            __asm__ volatile("lock cmpxchg16b %0; sete %1"
                             : "+m"(shared.pair), "=q"(done), "+a"(low), "+d"(high)
                             : "b"(next_low), "c"(next_high)
                             : "cc", "memory");
        } while (!done);
        uint32_t taken = 1;
        for (;;) {
            __asm__ volatile("xchgl %1, %0" : "+m"(shared.lock), "+r"(taken)::"memory");
            if (!taken) break;
            __asm__ volatile("pause");
            taken = 1;
        }
        shared.guarded += 11;
        __asm__ volatile("movl $0, %0" : "=m"(shared.lock)::"memory");
    }
    return 0;
}

int main(void) {
    pthread_t threads[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
    uint64_t exchanges = shared.exchange;
    for (int i = 0; i < THREADS; i++) exchanges += exchanged[i];
    printf("add %lx sub %lx inc %lx dec %lx adc %lx sbb %lx xadd %lx exchanges %lx compare %lx xor %lx\n", shared.add, shared.sub, shared.inc,
        shared.dec, shared.adc, shared.sbb, shared.xadd, exchanges, shared.compare, shared.xor);
    printf("or and %lx neg %lx not %lx byte %x word %x double %x pair %lx %lx bits %lx guarded %x\n", shared.or_and, shared.negations,
        shared.inverted, shared.byte, shared.word, shared.double_word, shared.pair[0], shared.pair[1], shared.bits, shared.guarded);
    return 0;
}
