/* The build for qemu user mode is told by variables of the environment what a node's runtime finds in its mount. The guest
 * does not see them; the programs that it executes are told the same. */
#include "runtime.h"

struct variable { const char *name; char *value; uint64_t bytes; };

/** The variable of this number; 0 behind the last. */
static int variable_at(unsigned number, struct variable *variable) {
    struct proc_private *priv = PROC_PRIVATE;
    switch (number) {
    case 0: *variable = (struct variable){ "HCONTAINER_QEMU_USER=", priv->qemu_path, sizeof priv->qemu_path }; return 1;
    case 1: *variable = (struct variable){ "HCONTAINER_TRANSLATIONS=", priv->translations, sizeof priv->translations }; return 1;
    case 2: *variable = (struct variable){ "HCONTAINER_MODULE_LOG=", priv->module_log, sizeof priv->module_log }; return 1;
    case 3: *variable = (struct variable){ "HCONTAINER_LOG_EXECUTED=", priv->log_executed, sizeof priv->log_executed }; return 1;
    default: return 0;
    }
}

static int take_variable(const char *text) {
    struct variable variable;
    for (unsigned i = 0; variable_at(i, &variable); i++) {
        if (!text_starts(text, variable.name)) continue;
        text_append(variable.value, variable.value + variable.bytes, text + text_length(variable.name));
        return 1;
    }
    return 0;
}

/** Takes our variables off the environment, and puts it into the order that it had before qemu turned it around. */
void take_qemu_variables(char **envp) {
    struct proc_private *priv = PROC_PRIVATE;
    char **keep = envp;
    for (char **from = envp; *from; from++) if (!take_variable(*from)) *keep++ = *from;
    *keep = 0;
    while (envp < --keep) {
        char *first = *envp;
        *envp++ = *keep;
        *keep = first;
    }
    HOST4(readlinkat, AT_CURRENT_DIRECTORY, "/proc/self/exe", priv->runtime_path, sizeof priv->runtime_path - 1);
}

/** Writes the variable of this number at `to`; 0 behind the last, else its end. */
char *put_qemu_variable(unsigned number, char *to, char *end) {
    struct variable variable;
    if (!variable_at(number, &variable)) return 0;
    return text_append(text_append(to, end, variable.name), end, variable.value);
}

static void log_line(char *line, uint64_t length) {
    int64_t log = HOST4(openat, AT_CURRENT_DIRECTORY, PROC_PRIVATE->module_log, O_WRONLY_ | O_APPEND_ | O_CLOEXEC_, 0);
    if (log < 0) return;
    line[length] = '\n';
    HOST3(write, log, line, length + 1);
    HOST1(close, log);
}

/** Notes the file of a module, so that it can be translated before it runs again. */
void log_module(int fd) {
    char link[48], path[4097], *at = text_append(link, link + sizeof link, "/proc/self/fd/");
    if (!PROC_PRIVATE->module_log[0]) return;
    text_append_number(at, link + sizeof link, (uint64_t)fd, 10);
    int64_t length = HOST4(readlinkat, AT_CURRENT_DIRECTORY, link, path, sizeof path - 1);
    if (length > 0) log_line(path, (uint64_t)length);
}

/** Notes that a process needs a variant of its code. What it has executed it will execute in that, too. */
void log_variant(uint32_t variant) {
    char line[32], *end = line + sizeof line - 1;
    if (!PROC_PRIVATE->module_log[0]) return;
    if (PROC_PRIVATE->log_executed[0]) memory_set(PROC_EXECUTED, 0, PROC_EXECUTED_BYTES);
    char *at = text_append(line, end, variant == VARIANT_ORDERED ? "variant ordered" : "variant precise");
    log_line(line, (uint64_t)(at - line));
}

/** Appends a line of a word, a module's code key and an address in its file to the log. */
static void log_address(const char *word, const struct module *module, uint64_t pc) {
    char line[96], *end = line + sizeof line - 1;
    if (!PROC_PRIVATE->module_log[0]) return;
    char *at = text_append(line, end, word);
    at = append_key(at, end, module->key);
    at = text_append(at, end, " ");
    at = text_append_number(at, end, pc - module->guest_bias, 16);
    log_line(line, (uint64_t)(at - line));
}

/** Notes a pc that a module's translation should have an entry for. */
void log_missed(const struct module *module, uint64_t pc) { log_address("missed ", module, pc); }

/** Sets a bit of PROC_EXECUTED; whether it was set before. */
static int was_set(uint64_t hash) {
    uint64_t bit = hash % (PROC_EXECUTED_BYTES * 8);
    uint8_t *byte = PROC_EXECUTED + bit / 8, old = *byte;
    *byte = old | (uint8_t)(1u << bit % 8);
    return old >> bit % 8 & 1;
}

/** Adds to a counter of four bits in PROC_EXECUTED, unless it is as high as `most`; gives what it is then. */
static unsigned count_up(uint64_t hash, unsigned most) {
    uint64_t counter = hash % (PROC_EXECUTED_BYTES * 2);
    uint8_t *byte = PROC_EXECUTED + counter / 2;
    unsigned shift = counter % 2 * 4, old = *byte >> shift & 15;
    if (old <= most) *byte = (uint8_t)(*byte + (1u << shift));
    return old + 1;
}

/** Whether a pc is seen for the `times`th time, from 1 to 14. A few are taken for others: then it is too early, or never. */
static int is_seen(uint64_t pc, unsigned times) {
    uint64_t hash = pc * 0x9e3779b97f4a7c15ull;
    uint64_t one = hash >> 40, other = hash >> 16 & 0xffffff;
    if (times <= 1) return !(was_set(one) & was_set(other));
    unsigned a = count_up(one, times), b = count_up(other, times);
    return (a < b ? a : b) == times;
}

/** Notes a pc from which the interpreter goes on the wanted number of times, and the variant that its process wants. */
void log_executed(uint64_t pc) {
    const char *digits = PROC_PRIVATE->log_executed;
    if (!digits[0]) return;
    const struct module *module = module_at(pc);
    unsigned times = digits[1] ? (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0') : (unsigned)(digits[0] - '0');
    if (!module || !is_seen(pc, times > 14 ? 14 : times)) return;
    uint32_t variant = wanted_variant();
    log_address(variant == VARIANT_ORDERED ? "executed-ordered " : variant == VARIANT_PRECISE ? "executed-precise " : "executed ", module, pc);
}
