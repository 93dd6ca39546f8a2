/* Sockets and the descriptors that stand for something else. */
#include "belongings.h"
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static int gets_text(int fd, const char *text) {
    char got[256];
    ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
    return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}
static void put(int fd, const char *text) { CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text)); }

static socklen_t unix_address(struct sockaddr_un *address, const char *name) {
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (name[0] == '@') {
        strcpy(address->sun_path + 1, name + 1);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    }
    strcpy(address->sun_path, name);
    return sizeof *address;
}

static void pair_of(int type) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
    int size = 50000, got;
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    put(ends[0], "there"), put(ends[1], "and back");
    wait_for_go();
    socklen_t length = sizeof got;
    CHECK(getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &got, &length) == 0 && got == 100000);
    CHECK(gets_text(ends[1], "there") && gets_text(ends[0], "and back"));
    put(ends[0], "again");
    CHECK(gets_text(ends[1], "again"));
}
void item_streams(void) { pair_of(SOCK_STREAM); }
void item_seqpackets(void) { pair_of(SOCK_SEQPACKET); }

void item_datagrams(void) {
    struct sockaddr_un address;
    socklen_t size = unix_address(&address, "/w/datagrams");
    int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(server, (struct sockaddr *)&address, size) == 0 && connect(client, (struct sockaddr *)&address, size) == 0);
    put(client, "one"), put(client, "two");
    wait_for_go();
    CHECK(gets_text(server, "one") && gets_text(server, "two"));
    put(client, "three");
    CHECK(gets_text(server, "three"));
}

static void listening_at(const char *name) {
    struct sockaddr_un address;
    socklen_t size = unix_address(&address, name);
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), early = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(server, (struct sockaddr *)&address, size) == 0 && listen(server, 5) == 0);
    CHECK(connect(early, (struct sockaddr *)&address, size) == 0);
    int accepted = accept(server, NULL, NULL);
    put(early, "hello");
    wait_for_go();
    CHECK(gets_text(accepted, "hello"));
    CHECK(connect(client, (struct sockaddr *)&address, size) == 0);
    CHECK(accept(server, NULL, NULL) >= 0);
}
void item_listening(void) { listening_at("/w/listening"); }
void item_abstract(void) { listening_at("@abstract"); }

/* Descriptors under way in messages. */
void item_passed(void) {
    int ends[2], carried[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && pipe(carried) == 0);
    union { char bytes[CMSG_SPACE(sizeof carried)]; struct cmsghdr align; } control = { { 0 } };
    struct iovec part = { (char *)"fds", 3 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof carried);
    memcpy(CMSG_DATA(head), carried, sizeof carried);
    CHECK(write(carried[1], "inside", 6) == 6 && sendmsg(ends[0], &message, 0) == 3);
    close(carried[0]), close(carried[1]);
    wait_for_go();
    char text[8];
    part = (struct iovec){ text, sizeof text };
    message.msg_controllen = sizeof control.bytes;
    CHECK(recvmsg(ends[1], &message, 0) == 3 && (head = CMSG_FIRSTHDR(&message)) && head->cmsg_type == SCM_RIGHTS);
    memcpy(carried, CMSG_DATA(head), sizeof carried);
    CHECK(read(carried[0], text, 8) == 6 && memcmp(text, "inside", 6) == 0);
}

static int tcp_pair(int family, int ends[2]) {
    struct sockaddr_storage address = { .ss_family = (sa_family_t)family };
    socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET) ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
    int server = socket(family, SOCK_STREAM, 0);
    ends[0] = socket(family, SOCK_STREAM, 0);
    CHECK(bind(server, (struct sockaddr *)&address, size) == 0 && listen(server, 5) == 0);
    CHECK(getsockname(server, (struct sockaddr *)&address, &size) == 0 && connect(ends[0], (struct sockaddr *)&address, size) == 0);
    ends[1] = accept(server, NULL, NULL);
    CHECK(ends[1] >= 0);
    return server;
}
static void tcp_over(int family) {
    int ends[2], server = tcp_pair(family, ends), on = 1, got;
    CHECK(setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 && setsockopt(ends[1], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
    put(ends[0], "there"), put(ends[1], "and back");
    wait_for_go();
    socklen_t size = sizeof got;
    CHECK(getsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &got, &size) == 0 && got == 1);
    CHECK(getsockopt(ends[1], SOL_SOCKET, SO_KEEPALIVE, &got, &size) == 0 && got == 1);
    CHECK(gets_text(ends[1], "there") && gets_text(ends[0], "and back"));
    put(ends[0], "again");
    pause_ms(100);
    CHECK(gets_text(ends[1], "again"));
    struct sockaddr_storage address;
    size = sizeof address;
    int more = socket(family, SOCK_STREAM, 0);
    CHECK(getsockname(server, (struct sockaddr *)&address, &size) == 0 && connect(more, (struct sockaddr *)&address, size) == 0);
    CHECK(accept(server, NULL, NULL) >= 0);
}
void item_tcp4(void) { tcp_over(AF_INET); }
void item_tcp6(void) { tcp_over(AF_INET6); }
void item_halfclosed(void) {
    int ends[2];
    tcp_pair(AF_INET, ends);
    put(ends[0], "last words");
    CHECK(shutdown(ends[0], SHUT_WR) == 0);
    pause_ms(50);
    wait_for_go();
    char byte;
    CHECK(gets_text(ends[1], "last words") && recv(ends[1], &byte, 1, 0) == 0);
    put(ends[1], "reply");
    pause_ms(100);
    CHECK(gets_text(ends[0], "reply"));
}

void item_udp(void) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(server, (struct sockaddr *)&address, size) == 0 && getsockname(server, (struct sockaddr *)&address, &size) == 0);
    CHECK(connect(client, (struct sockaddr *)&address, size) == 0);
    wait_for_go();
    put(client, "datagram");
    CHECK(gets_text(server, "datagram"));
}

void item_netlink(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct sockaddr_nl address = { .nl_family = AF_NETLINK };
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    wait_for_go();
    struct { struct nlmsghdr head; unsigned char family; char pad[3]; } request = { { sizeof request, 18, 0x301, 1, 0 }, 0, { 0 } };
    char answer[8192];
    CHECK(send(fd, &request, sizeof request, 0) == sizeof request && recv(fd, answer, sizeof answer, 0) > 16);
}

void item_eventfds(void) {
    int fd = eventfd(41, EFD_NONBLOCK), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    wait_for_go();
    uint64_t n;
    CHECK(read(fd, &n, 8) == 8 && n == 41 && read(fd, &n, 8) == -1 && errno == EAGAIN);
    CHECK(read(semaphore, &n, 8) == 8 && n == 1 && read(semaphore, &n, 8) == 8 && n == 1 && read(semaphore, &n, 8) == -1);
}

void item_signalfds(void) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN + 1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 99 }) == 0);
    wait_for_go();
    struct signalfd_siginfo info;
    CHECK(read(fd, &info, sizeof info) == sizeof info && (int)info.ssi_signo == SIGRTMIN + 1 && info.ssi_int == 99);
    CHECK(read(fd, &info, sizeof info) == -1 && kill(getpid(), SIGUSR1) == 0 && read(fd, &info, sizeof info) == sizeof info);
}

void item_timerfds(void) {
    int once = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), each = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), later = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
    struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } }, often = { { 0, 5000000 }, { 0, 5000000 } }, far = { { 7, 0 }, { 5000, 0 } }, now;
    CHECK(timerfd_settime(once, 0, &soon, NULL) == 0 && timerfd_settime(each, 0, &often, NULL) == 0 && timerfd_settime(later, 0, &far, NULL) == 0);
    pause_ms(30);
    wait_for_go();
    uint64_t n;
    CHECK(read(once, &n, 8) == 8 && n == 1 && read(each, &n, 8) == 8 && n >= 4);
    CHECK(timerfd_gettime(later, &now) == 0 && now.it_interval.tv_sec == 7 && now.it_value.tv_sec > 4000 && now.it_value.tv_sec <= 5000);
    pause_ms(30);
    CHECK(read(each, &n, 8) == 8 && n >= 2);
}

void item_epolls(void) {
    int poller = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0), a[2], b[2], c[2];
    CHECK(pipe(a) == 0 && pipe(b) == 0 && pipe(c) == 0);
    struct epoll_event edge = { EPOLLIN | EPOLLET, { .u64 = 0x1122334455667788ull } }, shot = { EPOLLIN | EPOLLONESHOT, { .u64 = ~0ull - 5 } }, plain = { EPOLLIN, { .ptr = &poller } }, inner = { EPOLLIN, { .u64 = 3 } };
    CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, a[0], &edge) == 0 && epoll_ctl(poller, EPOLL_CTL_ADD, b[0], &shot) == 0);
    CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, c[0], &plain) == 0 && epoll_ctl(outer, EPOLL_CTL_ADD, poller, &inner) == 0);
    wait_for_go();
    struct epoll_event got[8];
    CHECK(epoll_wait(outer, got, 8, 0) == 0 && write(c[1], "x", 1) == 1);
    CHECK(epoll_wait(outer, got, 8, 1000) == 1 && got[0].data.u64 == 3);
    CHECK(epoll_wait(poller, got, 8, 1000) == 1 && got[0].data.ptr == &poller && read(c[0], got, 1) == 1);
    CHECK(write(b[1], "xy", 2) == 2 && epoll_wait(poller, got, 8, 1000) == 1 && got[0].data.u64 == ~0ull - 5);
    CHECK(epoll_wait(poller, got, 8, 0) == 0 && write(a[1], "x", 1) == 1);
    CHECK(epoll_wait(poller, got, 8, 1000) == 1 && got[0].data.u64 == 0x1122334455667788ull && epoll_wait(poller, got, 8, 0) == 0);
}

void item_inotify(void) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int watch = inotify_add_watch(fd, "/tmp", IN_CREATE | IN_DELETE);
    CHECK(watch >= 0);
    wait_for_go();
    CHECK(close(open("/tmp/noticed", O_CREAT | O_WRONLY, 0600)) == 0);
    _Alignas(8) char bytes[4096];
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        CHECK(n > 0);
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *event = (struct inotify_event *)(bytes + at);
            if (event->wd == watch && (event->mask & IN_CREATE) && strcmp(event->name, "noticed") == 0) return;
            at += (ssize_t)sizeof *event + event->len;
        }
    }
}

void item_memfds(void) {
    int fd = memfd_create("named", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, "sealed", 6) == 6 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    wait_for_go();
    char got[6];
    map[0] = 'S';
    CHECK(pread(fd, got, 6, 0) == 6 && memcmp(got, "Sealed", 6) == 0 && fcntl(fd, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK));
    CHECK(ftruncate(fd, 100) == -1 && errno == EPERM);
}

void item_pidfds(void) {
    pid_t pid = fork();
    if (pid == 0) for (;;) pause();
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(fd >= 0);
    wait_for_go();
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_status == SIGKILL);
}
