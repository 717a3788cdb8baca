// Six threads read from a file through a ring of their own each (io_uring), past the cache, four pieces at a time.
//   ring FILE SECONDS
// To be built with -luring -lpthread -fno-omit-frame-pointer.
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 6, PIECES = 4, PIECE = 16384, FILE_SIZE = 64 << 20 };

static const char *file;
static double until;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void *serve(void *argument) {
    long number = (long)argument;
    unsigned seed = number + 1;
    char name[16];
    snprintf(name, sizeof name, "serve-%ld", number);
    prctl(PR_SET_NAME, name);
    struct io_uring ring;
    void *buffer;
    int fd = open(file, O_RDONLY | O_DIRECT);
    if (fd < 0 || io_uring_queue_init(8, &ring, 0) || posix_memalign(&buffer, 4096, PIECES * PIECE))
        exit(1);
    printf("%.6f serve-%ld is %ld\n", now(), number, syscall(SYS_gettid));
    while (now() < until) {
        double begin = now();
        for (int i = 0; i < PIECES; i++) {
            long offset = (long)(rand_r(&seed) % (FILE_SIZE / PIECE)) * PIECE;
            io_uring_prep_read(io_uring_get_sqe(&ring), fd, (char *)buffer + i * PIECE, PIECE, offset);
        }
        io_uring_submit_and_wait(&ring, PIECES);
        for (int i = 0; i < PIECES; i++) {
            struct io_uring_cqe *done;
            if (io_uring_wait_cqe(&ring, &done) || done->res != PIECE)
                exit(1);
            io_uring_cqe_seen(&ring, done);
        }
        double end = now();
        if (end - begin > 0.06)
            printf("%.6f SLOW serve-%ld %.0f ms\n", end, number, 1e3 * (end - begin));
        usleep(8000);
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    file = arguments[1];
    until = now() + atof(arguments[2]);
    printf("%.6f pid %d\n", now(), getpid());
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, serve, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
