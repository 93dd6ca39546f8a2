/* What the programs of this directory share: each prints what it observes, and the test holds the output of a native run
 * against that of a run in the runtime. So a program prints nothing that differs from run to run. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/** Prints the name of a result: the value, or the error. */
#define SHOW(expression) show(#expression, (long)(expression))
/** The same when only success or the error is the same in every run. */
#define WORKS(expression) show(#expression, (long)(expression) == -1 ? -1 : 0)

__attribute__((unused)) static void show(const char *what, long value) {
    if (value == -1) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %ld\n", what, value);
    fflush(stdout);
}
