/* A signal of faults that is ignored stays so across an exec: under qemu user mode it is qemu's. */
#include "../check.h"

int main(void) {
    signal(SIGSEGV, SIG_IGN);
    printf("ignored across exec: %d\n", WEXITSTATUS(system("kill -SEGV $$; exit 8")));
    return 0;
}
