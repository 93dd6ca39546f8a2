/* Programs that are moved while they work: `moves NAME [ROUNDS]`. Each works in rounds, checks its own results against a
 * slow way to get them where there is one, and prints a line a round that depends on nothing but the round's number. It
 * ends after ROUNDS rounds, or when /w/stop appears: so what it has printed can be held against a run that nobody moved. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef void round_function(int round);

/** Says what is wrong and ends the program. */
#define CHECK(what) ((what) ? (void)0 : failed(#what, __FILE__, __LINE__))
void failed(const char *what, const char *file, int line);

/** Adds to what the round's line shows. */
void note(uint64_t value);
void note_bytes(const void *bytes, size_t count);

/** Seeded numbers: the same in every run. */
uint64_t draw(uint64_t *seed);
static inline uint64_t seed_of(int round) { return 0x9e3779b97f4a7c15ull * (uint64_t)(round + 1); }

double seconds_now(void);
/** Sleeps, whatever interrupts. */
void pause_ms(int milliseconds);

extern round_function round_integers, round_vectors, round_masks, round_strings, round_x87, round_mmx;
extern round_function round_sleep, round_poll, round_pipes, round_sockets, round_futex, round_ipc, round_locks, round_clock;
extern round_function round_handlers, round_queued, round_nested, round_jumps, round_faults, round_timers;
extern round_function round_forks, round_vforks, round_execs, round_filters;
extern round_function round_threads, round_conditions, round_short_threads, round_epoll_threads, round_crowds;
/** What round_filters starts again. */
int filtered_child(int count, int which);
