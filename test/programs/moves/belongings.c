#include "belongings.h"

static const struct { const char *name; item_function *run; } items[] = {
#define ROW(name) { #name, item_##name },
    ITEMS(ROW)
};
static const char *item_name;

void lost(const char *what, const char *file, int line) {
    int error = errno;
    printf("%s LOST: %s (%s:%d, errno %d)\n", item_name, what, file, line, error);
    fflush(stdout);
    _exit(99);
}

void pause_ms(int milliseconds) {
    struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    while (nanosleep(&left, &left) != 0) if (errno != EINTR) lost("nanosleep", __FILE__, __LINE__);
}

void wait_for_go(void) {
    printf("ready\n");
    fflush(stdout);
    while (access("/w/go", F_OK) != 0) pause_ms(50);
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        if (argc < 2) puts(items[i].name);
        else if (strcmp(argv[1], items[i].name) == 0) {
            item_name = argv[1];
            items[i].run();
            printf("ok\n");
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
