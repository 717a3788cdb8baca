int leaf(int x);
static int seen;
static inline __attribute__((always_inline)) int inner(int x) {
    return leaf(x) * 3;
}
__attribute__((noinline)) int outer(int x) {
    return inner(x) + 1;
}
__attribute__((noinline)) int leaf(int x) {
    __asm__ volatile("" ::: "memory");
    return x ^ ++seen;
}
int main(int argc, char **argv) {
    return outer(argc) + !argv;
}
