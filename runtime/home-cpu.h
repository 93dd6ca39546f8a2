/* The CPU that cpuid, rdtsc and /proc/cpuinfo answer for. */
#pragma once

/** What the time stamp counter counts in a second. */
#define COUNTER_HZ 2000000000ull
