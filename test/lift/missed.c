/* A function that nothing in the file refers to: its address is computed, and its first instruction reads flags that it has
 * not set, so it does not look like a start either. */
__asm__(".text\n"
        ".globl visible\n"
        "visible: lea 1(%rdi), %rax\n ret\n"
        ".balign 16\n"
        ".local hidden\n"
        "hidden: setc %al\n movzbl %al, %eax\n lea 7(%rax,%rdi,2), %rax\n xor $3, %rax\n ret\n");

long visible(long);
static volatile unsigned long distance = 16;

static long system_call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

__attribute__((force_align_arg_pointer)) void _start(void) {
    long sum = 0;
    for (long i = 0; i < 20000; i++) {
        long (*function)(long) = (long (*)(long))((unsigned long)visible + distance);
        sum += function(i) & 0xff;
    }
    char text[20];
    int at = 20;
    text[--at] = '\n';
    for (; sum; sum /= 10) text[--at] = (char)('0' + sum % 10);
    system_call(1, 1, (long)(text + at), 20 - at);
    system_call(231, 0, 0, 0);
}
