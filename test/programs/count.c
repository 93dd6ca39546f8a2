/* Counts into the file that it is told, a line a step, without a C library. */
typedef long L;
static L call(L n, L a, L b, L c) { L r; __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
static char line[32];
static struct { L seconds, nanoseconds; } pause_time = { 0, 20000000 };
void begin(L *stack) {
    L fd = call(2, stack[2], 02101, 0644);
    for (L number = 1;; number++) {
        int at = 31;
        line[at] = '\n';
        for (L rest = number; rest; rest /= 10) line[--at] = '0' + rest % 10;
        call(1, fd, (L)(line + at), 32 - at);
        call(35, (L)&pause_time, 0, 0);
    }
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n call begin\n");
