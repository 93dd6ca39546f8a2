/* Writes to a file that it has mapped shared, all the time and on every page, and never tells the kernel. Each value must be
 * there at the next round. Answers each line of a connection with the number of rounds and the number of values lost. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGES 8
#define WORDS (4096 / sizeof(uint64_t))

int main(void) {
    int one = 1, file = open("/data/shared", O_RDWR | O_CREAT | O_TRUNC, 0600), server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7000) };
    struct pollfd fds[16] = { { .fd = server, .events = POLLIN } };
    unsigned long rounds = 0, lost = 0;
    int count = 1;
    if (file < 0 || ftruncate(file, PAGES * 4096) < 0) return 1;
    volatile uint64_t *words = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (words == MAP_FAILED) return 2;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 8) < 0) return 3;
    for (;;) {
        for (int page = 0; page < PAGES; page++) {
            uint64_t in_file = 0, in_memory = words[page * WORDS];
            if (pread(file, &in_file, sizeof in_file, page * 4096) != sizeof in_file || in_file != rounds || in_memory != rounds) lost++;
        }
        rounds++;
        for (int page = 0; page < PAGES; page++) words[page * WORDS] = rounds;
        if (poll(fds, (nfds_t)count, 1) <= 0) continue;
        if (fds[0].revents && count < 16) {
            int client = accept(server, 0, 0);
            if (client >= 0) fds[count++] = (struct pollfd){ .fd = client, .events = POLLIN };
        }
        for (int i = 1; i < count; i++) {
            char line[64];
            if (!fds[i].revents) continue;
            if (read(fds[i].fd, line, sizeof line) <= 0) {
                close(fds[i].fd);
                fds[i--] = fds[--count];
                continue;
            }
            dprintf(fds[i].fd, "{\"rounds\":%lu,\"lost\":%lu}\n", rounds, lost);
        }
    }
}
