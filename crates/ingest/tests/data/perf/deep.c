/* A program without a C library and without frame pointers: its stacks can be unwound by .eh_frame only.
 * gcc -O2 -fomit-frame-pointer -fno-stack-protector -nostdlib -static -Wl,--build-id,--eh-frame-hdr -o deep deep.c */
struct timespec { long seconds, nanoseconds; };

static long call(long number, long a, long b) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}

__attribute__((noinline)) void rest(long nanoseconds) {
    struct timespec time = {0, nanoseconds};
    call(35, (long)&time, 0); /* nanosleep */
    __asm__ volatile("");
}

__attribute__((noinline)) int descend(int depth) {
    volatile char room[48];
    room[depth] = 1;
    if (depth == 0) {
        rest(2000000);
        return room[0];
    }
    return descend(depth - 1) + room[depth];
}

__attribute__((noinline)) unsigned long compute(unsigned long rounds) {
    unsigned long x = rounds;
    for (unsigned long i = 0; i < rounds; i++) x = x * 2862933555777941757ul + i;
    return x;
}

volatile unsigned long sink;

__attribute__((noinline)) void work(int depth) {
    sink += descend(depth);
    sink += compute(2000000);
}

__attribute__((noreturn, used)) static void program(void) {
    for (int depth = 0; depth < 6; depth++) work(depth);
    call(60, 0, 0); /* exit */
    __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n.cfi_startproc\n.cfi_undefined rip\ncall program\nhlt\n.cfi_endproc\n");
