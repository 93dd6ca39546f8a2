/* What a process can have, one item a program: `belongings NAME` sets it up, prints "ready", waits until /w/go appears, and
 * looks whether everything is still there: then it prints "ok". */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef void item_function(void);
#define CHECK(what) ((what) ? (void)0 : lost(#what, __FILE__, __LINE__))
void lost(const char *what, const char *file, int line);
/** Everything is set up: comes back when the process is to look around. */
void wait_for_go(void);
void pause_ms(int milliseconds);

#define ITEMS(M) \
    M(files) M(deleted) M(directories) M(append) M(pipes) M(packets) M(fifos) M(terminal) M(groups) M(stopped) M(stoppedthreads) M(stoppedworkers) \
    M(zombies) \
    M(streams) M(datagrams) M(seqpackets) M(listening) M(passed) M(abstract) M(tcp4) M(tcp6) M(halfclosed) M(udp) M(netlink) \
    M(eventfds) M(signalfds) M(timerfds) M(epolls) M(inotify) M(memfds) M(pidfds) \
    M(sysv) M(posixshm) M(anonymous) M(flocks) M(ranges) M(ofds) M(leases) \
    M(pending) M(threadpending) M(itimers) M(posixtimers) M(stacks) \
    M(credentials) M(capabilities) M(nonewprivs) M(seccomp) M(limits) M(priorities) M(places) M(prctls) M(robust) M(mappings)
#define DECLARE(name) extern item_function item_##name;
ITEMS(DECLARE)
