/* The files of /proc that would show a translated process what it is not: the link exe of a program that the runtime has
 * loaded, the maps with what is ours above the guest's addresses, the host's cpuinfo. Reading goes to a copy made when the
 * file is opened. */
#include "home-cpu.h"
#include "runtime.h"

/** The name behind "/proc/PID/", with the process's number; 0 if the path is no such. "self" is this process. */
static const char *behind_process(const char *path, int64_t *pid) {
    if (!text_starts(path, "/proc/")) return 0;
    path += 6;
    *pid = 0;
    if (text_starts(path, "self/")) return *pid = HOST0(getpid), path + 5;
    if (text_starts(path, "thread-self/")) return *pid = HOST0(getpid), path + 12;
    for (; *path >= '0' && *path <= '9' && *pid < 100000000; path++) *pid = *pid * 10 + (*path - '0');
    return *pid && *path == '/' ? path + 1 : 0;
}

/** Reads the program's path from another translated process that its exe link shows to be the runtime. */
static int program_of(int64_t pid, char *path) {
    char link[32], *end = link + sizeof link;
    struct { uint64_t base, bytes; } local = { (uint64_t)path, sizeof PROC->program_path }, remote = { (uint64_t)PROC->program_path, local.bytes };
    text_append(text_append_number(text_append(link, end, "/proc/"), end, (uint64_t)pid, 10), end, "/exe");
    int64_t length = HOST4(readlinkat, AT_CURRENT_DIRECTORY, link, path, local.bytes - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!text_equal(path, NODE_MOUNT "/" RUNTIME_FILE)) return 0;
    if (HOST6(process_vm_readv, pid, &local, 1, &remote, 1, 0) != (int64_t)local.bytes) return 0;
    path[local.bytes - 1] = 0;
    return path[0] != 0;
}

/**
 * The path that stands for a guest path that names a process's exe link, where the runtime loaded its program: else the path itself.
 * It is good until the thread's next call of this.
 */
uint64_t special_path(struct cpu_state *cpu, uint64_t path) {
    char text[40];
    int64_t pid;
    if (guest_read(text, path, 6) < 0) return path;
    text[6] = 0;
    if (!text_equal(text, "/proc/") || guest_text(text, path, sizeof text) < 0) return path;
    const char *name = behind_process(text, &pid);
    if (!name || !text_equal(name, "exe")) return path;
    if (pid == HOST0(getpid)) return PROC->program_path[0] ? (uint64_t)PROC->program_path : path;
    return program_of(pid, private_of(cpu)->path) ? (uint64_t)private_of(cpu)->path : path;
}

/** Text that is gathered into a file. */
struct writer { int64_t fd; uint64_t used; char bytes[4096]; };

static void flush(struct writer *writer) {
    HOST3(write, writer->fd, writer->bytes, writer->used);
    writer->used = 0;
}
static void put_bytes(struct writer *writer, const char *bytes, uint64_t count) {
    while (count--) {
        if (writer->used == sizeof writer->bytes) flush(writer);
        writer->bytes[writer->used++] = *bytes++;
    }
}
static void put(struct writer *writer, const char *text) { put_bytes(writer, text, text_length(text)); }
static void put_number(struct writer *writer, const char *name, uint64_t number) {
    char digits[24];
    put(writer, name);
    text_append_number(digits, digits + sizeof digits, number, 10);
    put(writer, digits);
    put(writer, "\n");
}

static uint64_t hexadecimal(const char *text) {
    uint64_t value = 0;
    for (;; text++) {
        if (*text >= '0' && *text <= '9') value = value << 4 | (uint64_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f') value = value << 4 | (uint64_t)(*text - 'a' + 10);
        else return value;
    }
}

/** Whether a line begins a mapping: only then it has a dash behind hexadecimal digits. */
static int begins_mapping(const char *line) {
    while ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f')) line++;
    return *line == '-' || *line == ' ';
}

/** Copies maps, smaps or numa_maps but for what is ours. The kernel gives whole lines, so a mapping's name is never cut. */
static void copy_maps(struct writer *writer, int64_t from) {
    char bytes[8192], line[4608];
    uint64_t length = 0;
    int hidden = 0;
    for (;;) {
        int64_t count = HOST3(read, from, bytes, sizeof bytes);
        if (count <= 0) break;
        for (int64_t i = 0; i < count; i++) {
            if (length < sizeof line - 1) line[length++] = bytes[i];
            if (bytes[i] != '\n') continue;
            line[length] = 0;
            if (begins_mapping(line)) hidden = !is_guest_memory(hexadecimal(line), 1);
            if (!hidden) put_bytes(writer, line, length);
            length = 0;
        }
    }
}

/** The names that Linux gives to the bits of cpuid, from bit 0 on; a dash has none. */
struct feature_word { uint32_t leaf, subleaf, which; const char *names; };
static const struct feature_word FEATURES[] = {
    { 1, 0, 2, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe" },
    { 0x80000001, 0, 2, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow" },
    { 1, 0, 1, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor" },
    { 0x80000001, 0, 1, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext" },
    { 7, 0, 3, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt - - avx512cd sha_ni avx512bw avx512vl" },
    { 0xd, 1, 0, "xsaveopt xsavec xgetbv1 xsaves" },
    { 7, 1, 0, "- - - - avx_vnni avx512_bf16" },
    { 0x80000008, 0, 3, "clzero irperf xsaveerptr rdpru - - - - - wbnoinvd" },
    { 7, 0, 1, "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid" },
    { 7, 0, 2, "- - - - fsrm - - - avx512_vp2intersect - - - - - serialize" },
};

/** Register `which` (0 eax, 1 ecx, 2 edx, 3 ebx) of the CPU that cpuid answers for. */
static uint32_t cpu_word(uint32_t leaf, uint32_t subleaf, unsigned which) {
    struct cpu_state asked;
    asked.home_cpu = (uint64_t)&PROC->home_cpu;
    asked.gpr[0] = leaf;
    asked.gpr[1] = subleaf;
    hc_helper_cpuid(&asked, 0);
    return (uint32_t)asked.gpr[which];
}

static void put_features(struct writer *writer) {
    put(writer, "flags\t\t:");
    for (unsigned i = 0; i < sizeof FEATURES / sizeof FEATURES[0]; i++) {
        uint32_t word = cpu_word(FEATURES[i].leaf, FEATURES[i].subleaf, FEATURES[i].which);
        const char *name = FEATURES[i].names;
        for (; *name; word >>= 1) {
            const char *end = name;
            while (*end && *end != ' ') end++;
            if (word & 1 && *name != '-') {
                put(writer, " ");
                put_bytes(writer, name, (uint64_t)(end - name));
            }
            name = *end ? end + 1 : end;
        }
    }
    put(writer, " constant_tsc rep_good nopl nonstop_tsc cpuid\n");
}

static void put_processor(struct writer *writer, uint64_t number, uint64_t all) {
    uint32_t vendor[4] = { cpu_word(0, 0, 3), cpu_word(0, 0, 2), cpu_word(0, 0, 1), 0 }, brand[13] = { 0 }, signature = cpu_word(1, 0, 0);
    static const uint8_t order[4] = { 0, 3, 1, 2 };
    for (unsigned i = 0; i < 12; i++) brand[i] = cpu_word(0x80000002 + i / 4, 0, order[i % 4]);
    uint32_t family = signature >> 8 & 15, model = signature >> 4 & 15;
    if (family == 15) family += signature >> 20 & 255;
    if (family >= 6) model += (signature >> 16 & 15) << 4;
    put_number(writer, "processor\t: ", number);
    put(writer, "vendor_id\t: ");
    put(writer, (const char *)vendor);
    put_number(writer, "\ncpu family\t: ", family);
    put_number(writer, "model\t\t: ", model);
    put(writer, "model name\t: ");
    put(writer, (const char *)brand);
    put_number(writer, "\nstepping\t: ", signature & 15);
    put_number(writer, "cpu MHz\t\t: ", COUNTER_HZ / 1000000);
    put_number(writer, "cache size\t: ", cpu_word(0x80000006, 0, 1) >> 16);
    writer->used--; /* its unit comes before the end of the line */
    put(writer, " KB\nphysical id\t: 0\n");
    put_number(writer, "siblings\t: ", all);
    put_number(writer, "core id\t\t: ", number);
    put_number(writer, "cpu cores\t: ", all);
    put_number(writer, "apicid\t\t: ", number);
    put_number(writer, "initial apicid\t: ", number);
    put(writer, "fpu\t\t: yes\nfpu_exception\t: yes\n");
    put_number(writer, "cpuid level\t: ", cpu_word(0, 0, 0));
    put(writer, "wp\t\t: yes\n");
    put_features(writer);
    put_number(writer, "bugs\t\t:\nbogomips\t: ", COUNTER_HZ / 500000);
    put(writer, "clflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n");
}

/** The same processors as the host's file tells, as what cpuid tells. */
static void write_processors(struct writer *writer, int64_t from) {
    char bytes[1024];
    uint64_t count = 0;
    int64_t length;
    const char *name = "\nprocessor", *at = name + 1;
    while ((length = HOST3(read, from, bytes, sizeof bytes)) > 0) {
        for (int64_t i = 0; i < length; i++) {
            at = bytes[i] == *at ? at + 1 : bytes[i] == '\n' ? name + 1 : name;
            if (*at) continue;
            count++;
            at = name;
        }
    }
    for (uint64_t i = 0; i < count; i++) put_processor(writer, i, count);
}

enum { PROC_PLAIN, PROC_MAPS, PROC_PROCESSORS };

/** What an open file of /proc is, by its own path: whatever links and directories led to it. */
static int kind_of_file(int64_t fd) {
    enum { PROC_SUPER_MAGIC_ = 0x9fa0 };
    char link[48], path[80], *end = link + sizeof link;
    uint64_t description[16];
    if (HOST2(fstatfs, fd, description) < 0 || (uint32_t)description[0] != PROC_SUPER_MAGIC_) return PROC_PLAIN;
    text_append_number(text_append(link, end, "/proc/self/fd/"), end, (uint64_t)fd, 10);
    int64_t length = HOST4(readlinkat, AT_CURRENT_DIRECTORY, link, path, sizeof path - 1);
    if (length <= 0) return PROC_PLAIN;
    path[length] = 0;
    const char *name = path;
    unsigned depth = 0;
    for (const char *at = path; *at; at++) if (*at == '/') name = at + 1, depth++;
    if (depth == 2 && text_equal(name, "cpuinfo")) return PROC_PROCESSORS;
    if (depth >= 3 && (text_equal(name, "maps") || text_equal(name, "smaps") || text_equal(name, "numa_maps"))) return PROC_MAPS;
    return PROC_PLAIN;
}

/** Whether a guest path ends like one of the files that are shown differently, so that all others cost nothing. */
static int may_be_shown_differently(uint64_t path) {
    char text[256];
    int64_t length = guest_text(text, path, sizeof text);
    return (length >= 4 && text_equal(text + length - 4, "maps")) || (length >= 7 && text_equal(text + length - 7, "cpuinfo"));
}

/** After an open: the descriptor that the guest is to have, which is another file under the same number for some of /proc. */
int64_t opened_file(uint64_t path, uint64_t flags, int64_t fd) {
    enum { MFD_CLOEXEC_ = 1, F_SETFL_ = 4 };
    if (fd < 0 || flags & (3 | O_PATH_ | GUEST_O_DIRECTORY) || !may_be_shown_differently(path)) return fd;
    int kind = kind_of_file(fd);
    if (kind == PROC_PLAIN) return fd;
    struct writer writer = { .used = 0 };
    writer.fd = HOST2(memfd_create, kind == PROC_MAPS ? "maps" : "cpuinfo", MFD_CLOEXEC_);
    if (writer.fd < 0) return fd;
    if (kind == PROC_MAPS) copy_maps(&writer, fd);
    else write_processors(&writer, fd);
    flush(&writer);
    HOST3(lseek, writer.fd, 0, 0);
    HOST3(dup3, writer.fd, fd, flags & O_CLOEXEC_);
    HOST1(close, writer.fd);
    return fd;
}
