/* A node in small: asks processes to quiesce from outside their pid namespace, shows that they park, lets them go on.
 * Arguments: address of the process area, then process ids. */
#include "../check.h"
#include "abi.h"

static uint32_t field(int pid, uint64_t address) {
    char path[64];
    uint32_t value = ~0u;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY);
    pread(fd, &value, sizeof value, (off_t)address);
    close(fd);
    return value;
}

int main(int argc, char **argv) {
    uint64_t area = strtoull(argv[1], NULL, 0);
    int parked = 0;
    for (int i = 2; i < argc; i++) kill(atoi(argv[i]), QUIESCE_SIGNAL);
    for (int i = 2; i < argc; i++) {
        int pid = atoi(argv[i]), tries = 0;
        while (field(pid, area + offsetof(struct proc_state, parked)) != 1 && tries++ < 500) usleep(10000);
        parked += field(pid, area + offsetof(struct proc_state, parked)) == 1 && field(pid, area + offsetof(struct proc_state, threads)) == 1;
    }
    usleep(300000);
    for (int i = 2; i < argc; i++) {
        char path[64];
        uint32_t zero = 0;
        snprintf(path, sizeof path, "/proc/%s/mem", argv[i]);
        int fd = open(path, O_WRONLY);
        pwrite(fd, &zero, sizeof zero, (off_t)(area + offsetof(struct proc_state, quiesce)));
        close(fd);
    }
    printf("%d of %d parked\n", parked, argc - 2);
    return 0;
}
