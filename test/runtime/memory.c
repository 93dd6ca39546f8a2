/* The memory map. */
#include "check.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

static sigjmp_buf back;
static void fault(int number, siginfo_t *info, void *context) {
    (void)context;
    printf("fault %d code %d\n", number, info->si_code);
    siglongjmp(back, 1);
}

static int low(const void *address) { return (uint64_t)address < 0x7ffffffff000ull && (uint64_t)address >= 0x10000; }

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    char *a = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("anonymous %d\n", low(a));
    memset(a, 7, 1 << 20);
    char *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    printf("low %d\n", (uint64_t)b < 1ull << 31);
    char *c = mremap(a, 1 << 20, 8 << 20, MREMAP_MAYMOVE);
    printf("grown %d %d\n", low(c), c[5] + c[(1 << 20) - 1]);
    SHOW(mremap(c, 8 << 20, 4096, 0) == c);
    char *fixed = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(mmap(fixed + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == fixed + 4096);
    fixed[0] = fixed[8192] = 1;
    if (!sigsetjmp(back, 1)) fixed[4096] = 1;
    SHOW((long)mmap(fixed, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    SHOW(munmap(fixed, 3 * 4096));
    if (!sigsetjmp(back, 1)) fixed[0] = 1;
    SHOW((long)mmap(fixed, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == (long)fixed);
    SHOW(mprotect(fixed, 4096, PROT_NONE));
    if (!sigsetjmp(back, 1)) printf("%d\n", fixed[1]);
    SHOW(mprotect(fixed, 4096, PROT_READ));
    SHOW(mprotect((void *)0x7ffffffff000, 4096, PROT_READ));
    SHOW(munmap((void *)0x7ffffffff000, 4096));
    SHOW(munmap((void *)1, 4096));
    SHOW((long)mmap((void *)0x7ffffffff000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    SHOW((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    SHOW((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0));
    char *heap = sbrk(0);
    SHOW(sbrk(100000) == heap);
    memset(heap, 1, 100000);
    SHOW(brk(heap));
    SHOW(sbrk(0) == heap);
    int file = open("/etc/passwd", O_RDONLY);
    char *mapped = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, file, 0);
    printf("file %.5s\n", mapped);
    if (!sigsetjmp(back, 1)) printf("%d\n", mapped[4096 + 100]);
    /* Code made at run time. */
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 3; i++) {
        unsigned char text[] = { 0xb8, (unsigned char)(40 + i), 0, 0, 0, 0xc3 };
        memcpy(code, text, sizeof text);
        printf("made %d\n", ((int (*)(void))code)());
    }
    int id = shmget(IPC_PRIVATE, 100000, IPC_CREAT | 0600);
    char *shared = shmat(id, NULL, 0);
    printf("shmat %d\n", low(shared));
    if (fork() == 0) {
        strcpy(shared + 50000, "from the child");
        _exit(0);
    }
    wait(NULL);
    printf("%s\n", shared + 50000);
    SHOW(shmdt(shared));
    SHOW(shmctl(id, IPC_RMID, NULL));
    /* Many mappings, freed in another order. */
    char *many[200];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++) {
            many[i] = mmap(NULL, 4096 * (1 + (i * 7 + round) % 13), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (many[i] == MAP_FAILED || !low(many[i]) || many[i][0]) printf("wrong at %d\n", i);
            many[i][0] = 1;
        }
        for (int i = 0; i < 200; i++) munmap(many[(i * 37) % 200], 4096 * (1 + ((i * 37) % 200 * 7 + round) % 13));
    }
    char text[100];
    SHOW(readlink("/proc/self/exe", text, sizeof text) > 0);
    char deep[300000];
    memset(deep, 1, sizeof deep);
    printf("stack %d\n", deep[1000]);
    return 0;
}
