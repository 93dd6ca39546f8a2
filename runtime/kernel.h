/* Numbers and structures of the Linux user ABI that the runtime uses, where both architectures agree unless a name says
 * guest (x86-64) or host (arm64). */
#pragma once
#ifndef __ASSEMBLER__
#include <stdint.h>

enum {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, E2BIG = 7, ENOEXEC = 8, EBADF = 9, EAGAIN = 11, ENOMEM = 12,
    EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENOSYS = 38,
    ENAMETOOLONG = 36, ELOOP = 40, ELIBBAD = 80, EOPNOTSUPP = 95
};

enum { AT_CURRENT_DIRECTORY = -100, AT_EACCESS_ = 0x200, AT_SYMLINK_NOFOLLOW_ = 0x100, AT_EMPTY_PATH_ = 0x1000 };
enum { O_RDONLY_ = 0, O_PATH_ = 010000000, O_WRONLY_ = 1, O_APPEND_ = 02000, O_CLOEXEC_ = 02000000 };

enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_SEM = 8, PROT_GROWSDOWN = 0x1000000, PROT_GROWSUP = 0x2000000 };
enum {
    MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_SHARED_VALIDATE = 3, MAP_TYPE = 15, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20,
    GUEST_MAP_32BIT = 0x40, GUEST_MAP_ABOVE4G = 0x80, MAP_GROWSDOWN = 0x100, MAP_NORESERVE = 0x4000,
    MAP_STACK = 0x20000, MAP_FIXED_NOREPLACE = 0x100000
};
enum { MADV_DONTNEED = 4 };
enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4 };

enum {
    SIGHUP = 1, SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGALRM = 14, SIGCHLD = 17,
    SIGSTOP = 19, SIGSYS = 31, SIGNAL_LIMIT = 64
};
enum { SIG_DFL = 0, SIG_IGN = 1 };
enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };
#define SA_NOCLDSTOP 1u
#define SA_NOCLDWAIT 2u
#define SA_SIGINFO 4u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u
#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM ((int32_t)0x80000000)

enum { SYS_SECCOMP = 1 };
enum { SI_USER = 0, SI_TKILL = -6, SI_QUEUE = -1, SI_KERNEL = 0x80 };
enum { FPE_INTDIV = 1, FPE_FLTDIV = 3, FPE_FLTOVF = 4, FPE_FLTUND = 5, FPE_FLTRES = 6, FPE_FLTINV = 7 };
enum { ILL_ILLOPN = 2, TRAP_BRKPT = 1, TRAP_TRACE = 2, BUS_ADRALN = 1, SEGV_MAPERR = 1, SEGV_ACCERR = 2 };

/** siginfo_t; 128 bytes, the same on both. */
struct siginfo {
    int32_t number, error, code, pad;
    union {
        struct { int32_t pid; uint32_t uid; uint64_t value; } sender;
        uint64_t address;
        uint8_t rest[112];
    };
};
_Static_assert(sizeof(struct siginfo) == 128, "siginfo");

/** The host's and the guest's kernel sigaction have one layout. */
struct kernel_sigaction { uint64_t handler, flags, restorer, mask; };
struct kernel_stack { uint64_t sp; int32_t flags, pad; uint64_t size; };

/** What the arm64 kernel hands to a signal handler. */
struct host_ucontext {
    uint64_t flags, link;
    struct kernel_stack stack;
    uint64_t sigmask;
    uint8_t unused[120];
    _Alignas(16) uint64_t fault_address;
    uint64_t regs[31], sp, pc, pstate;
    _Alignas(16) uint8_t reserved[4096];
};
_Static_assert(__builtin_offsetof(struct host_ucontext, fault_address) == 176, "ucontext");
_Static_assert(__builtin_offsetof(struct host_ucontext, pc) == 440, "ucontext");
_Static_assert(__builtin_offsetof(struct host_ucontext, reserved) == 464, "ucontext");

struct timespec { int64_t seconds, nanoseconds; };
struct timeval { int64_t seconds, microseconds; };
struct rlimit { uint64_t now, most; };
enum { RLIMIT_STACK_ = 3 };
enum { CLOCK_REALTIME_ = 0, CLOCK_MONOTONIC_ = 1, CLOCK_REALTIME_COARSE_ = 5, TIMER_ABSTIME_ = 1 };

/** struct stat of the two kernels. */
struct host_stat {
    uint64_t dev, ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev, pad1;
    int64_t size;
    int32_t blksize, pad2;
    int64_t blocks, atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct host_stat) == 128, "host stat");
struct guest_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad0;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    int64_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    int64_t unused[3];
};
_Static_assert(sizeof(struct guest_stat) == 144, "guest stat");

struct host_epoll_event { uint32_t events, pad; uint64_t data; };
struct guest_epoll_event { uint32_t events; uint64_t data; } __attribute__((packed));
_Static_assert(sizeof(struct guest_epoll_event) == 12, "epoll_event");

#define CLONE_VM 0x100ull
#define CLONE_SIGHAND 0x800ull
#define CLONE_PIDFD 0x1000ull
#define CLONE_VFORK 0x4000ull
#define CLONE_THREAD 0x10000ull
#define CLONE_SETTLS 0x80000ull
#define CLONE_PARENT_SETTID 0x100000ull
#define CLONE_CHILD_CLEARTID 0x200000ull
#define CLONE_CHILD_SETTID 0x1000000ull
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define CLONE_INTO_CGROUP 0x200000000ull

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf_segment { uint32_t type, flags; uint64_t offset, vaddr, paddr, filesz, memsz, align; };
enum { ELF_EXEC = 2, ELF_DYN = 3, ELF_MACHINE_X86_64 = 62, SEGMENT_LOAD = 1, SEGMENT_INTERP = 3, SEGMENT_STACK = 0x6474e551 };
enum { SEGMENT_X = 1, SEGMENT_W = 2, SEGMENT_R = 4 };

enum {
    AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7, AT_FLAGS = 8, AT_ENTRY = 9,
    AT_UID = 11, AT_EUID = 12, AT_GID = 13, AT_EGID = 14, AT_PLATFORM = 15, AT_HWCAP = 16, AT_CLKTCK = 17,
    AT_SECURE = 23, AT_RANDOM = 25, AT_HWCAP2 = 26, AT_EXECFN = 31, AT_MINSIGSTKSZ = 51
};

enum { PR_SET_NAME = 15, PR_GET_SECCOMP = 21, PR_SET_SECCOMP = 22, PR_GET_TSC = 25, PR_SET_TSC = 26, PR_SET_MM = 35, PR_SET_MM_MAP = 14 };
#endif
