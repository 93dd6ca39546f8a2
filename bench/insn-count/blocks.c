/* Lists the blocks of code that a program executes under qemu user mode, and how often, as a qemu plugin. At exit, into the
 * file that -D names: a line `block ADDRESS COUNT SIZE...` a block (address in hexadecimal, then the sizes of its
 * instructions in bytes), and a line `map ` with each line of /proc/self/maps.
 *
 *   cc -O2 -shared -fPIC -o blocks.so blocks.c
 *   qemu-x86_64 -plugin ./blocks.so -d plugin -D blocks.txt ./program
 *
 * Debian ships no header of the plugin interface: what is used of its version 1 is declared here. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum inline_op { INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*callback)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum inline_op op, void *at, uint64_t amount);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*callback)(plugin_id, void *), void *argument);
void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/** One block, as often as qemu has translated it. */
struct block {
    struct block *next;
    uint64_t address, executed;
    size_t count;
    uint8_t sizes[];
};

static struct block *blocks;

static void note_block(plugin_id id, struct qemu_plugin_tb *tb) {
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *block = malloc(sizeof *block + count), *first;
    (void)id;
    if (!block) abort();
    block->address = qemu_plugin_tb_vaddr(tb);
    block->executed = 0;
    block->count = count;
    for (size_t i = 0; i < count; i++) block->sizes[i] = (uint8_t)qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
    first = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
    do block->next = first;
    while (!__atomic_compare_exchange_n(&blocks, &first, block, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &block->executed, 1);
}

static void report(plugin_id id, void *argument) {
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    (void)id, (void)argument;
    for (const struct block *block = blocks; block; block = block->next) {
        int at = snprintf(line, sizeof line, "block %" PRIx64 " %" PRIu64, block->address, block->executed);
        if (block->executed == 0) continue;
        for (size_t i = 0; i < block->count && at < (int)sizeof line - 8; i++)
            at += snprintf(line + at, sizeof line - (size_t)at, " %u", block->sizes[i]);
        snprintf(line + at, sizeof line - (size_t)at, "\n");
        qemu_plugin_outs(line);
    }
    while (maps && fgets(line, sizeof line, maps)) {
        qemu_plugin_outs("map ");
        qemu_plugin_outs(line);
    }
    if (maps) fclose(maps);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, note_block);
    qemu_plugin_register_atexit_cb(id, report, NULL);
    return 0;
}
