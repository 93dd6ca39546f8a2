/* With this processor as the home CPU, the cpuid of a process abroad tells no feature that this processor lacks, and the places of the
 * state components, the vendor, the name and the signature that it has. With an Intel one like Linux knows them, Intel's places. */
#include "abi.h"
#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void hc_helper_cpuid(struct cpu_state *state, uint64_t argument);

static struct cpu_state state;
static int wrong;

static void own(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) { __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]); }
static void told(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    state.gpr[0] = leaf, state.gpr[1] = subleaf;
    hc_helper_cpuid(&state, 0);
    out[0] = (uint32_t)state.gpr[0], out[1] = (uint32_t)state.gpr[3], out[2] = (uint32_t)state.gpr[1], out[3] = (uint32_t)state.gpr[2];
}
static void check(const char *what, int holds) {
    if (holds) return;
    printf("wrong: %s\n", what);
    wrong = 1;
}

int main(void) {
    struct home_cpu home = {.vendor = 3, .components = 0xe7};
    uint32_t a[4], b[4], mask, high;
    state.home_cpu = (uint64_t)&home;
    own(0, 0, a);
    if (a[1] == 0x756e6547) home.vendor = 1;
    if (a[1] == 0x68747541) home.vendor = 2;
    own(1, 0, a), home.signature = a[0], home.leaf1_ecx = a[2], home.leaf1_edx = a[3];
    own(7, 0, a), home.leaf7_ebx = a[1], home.leaf7_ecx = a[2], home.leaf7_edx = a[3];
    own(0xd, 1, a), home.leafd1_eax = a[0];
    own(0x80000001, 0, a), home.extended_ecx = a[2], home.extended_edx = a[3];
    for (uint32_t i = 0; i < 3; i++) own(0x80000002 + i, 0, (uint32_t *)(void *)home.name + 4 * i);
    __asm__("xgetbv" : "=a"(mask), "=d"(high) : "c"(0));
    home.components = mask;
    own(0xd, 5, a), home.has_gap = a[1] == 1088;

    static const uint32_t FEATURES[][3] = {{1, 2, 3}, {7, 1, 3}, {0x80000001, 2, 3}};
    for (unsigned i = 0; i < 3; i++) {
        own(FEATURES[i][0], 0, a), told(FEATURES[i][0], 0, b);
        for (unsigned r = FEATURES[i][1]; r <= FEATURES[i][2]; r++) check("a feature that this processor lacks", (b[r] & ~a[r]) == 0);
        check("no features", (b[1] | b[2] | b[3]) != 0);
    }
    own(1, 0, a), told(1, 0, b), check("signature", a[0] == b[0]);
    if (home.vendor != 3) own(0, 0, a), told(0, 0, b), check("vendor", !memcmp(a + 1, b + 1, 12));
    for (uint32_t i = 0; i < 3; i++) own(0x80000002 + i, 0, a), told(0x80000002 + i, 0, b), check("name", !memcmp(a, b, 16));
    for (uint32_t i = 2; i < 8; i++) {
        if (!(0xe4 >> i & 1)) continue;
        own(0xd, i, a), told(0xd, i, b);
        check("a component's size and place", a[0] == b[0] && a[1] == b[1]);
    }
    told(0xd, 0, b), check("components", b[0] == (mask & 0xe7) && b[1] == b[2]);

    home.vendor = 1, home.components = 0x2e7, home.has_gap = 1;
    told(0xd, 0, b), check("the size with a gap", b[0] == 0xe7 && b[1] == 2688);
    told(0xd, 7, b), check("the place behind a gap", b[0] == 1024 && b[1] == 1664);
    home.components = 7;
    told(0xd, 0, b), check("the size without AVX-512", b[0] == 7 && b[1] == 832);
    told(0xd, 6, b), check("no AVX-512", b[0] == 0 && b[1] == 0);
    told(4, 0, b), check("Intel's caches", (b[0] & 31) == 1 && b[2] == 63);
    return wrong;
}
