/* What a loopback connection can carry from the page cache: a file sent by sendfile, and by pread
 * and write, to a thread that reads and forgets. Fetches are held against the better of the two.
 *
 *     millrace_bench_loopback [--repeat N] [--block KIB] FILE
 *
 * Prints one JSON object per run and mode; runs of the modes alternate. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Blocks begin on a page: a buffer 16 bytes behind one, which is what malloc gives, halves the
 * speed of copies from the page cache on some processors, and would flatter whoever is held against
 * this. */
enum { READER_BLOCK_BYTES = 1 << 20, PAGE_BYTES = 4096 };

struct reader {
    int fd;
    int64_t bytes;
    double cpu_seconds;
};

static void die(const char *what)
{
    fprintf(stderr, "millrace_bench_loopback: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *reader_run(void *owner)
{
    struct reader *reader = owner;
    char *block = aligned_alloc(PAGE_BYTES, READER_BLOCK_BYTES);
    ssize_t n;

    if (block == NULL) {
        die("memory");
    }
    while ((n = read(reader->fd, block, READER_BLOCK_BYTES)) > 0) {
        reader->bytes += n;
    }
    free(block);
    reader->cpu_seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void send_by_sendfile(int file, int socket, int64_t size, size_t block_size)
{
    off_t at = 0;

    while (at < size) {
        if (sendfile(socket, file, &at, block_size) <= 0) {
            die("sendfile");
        }
    }
}

static void send_by_copy(int file, int socket, int64_t size, size_t block_size)
{
    char *block = aligned_alloc(PAGE_BYTES, block_size);
    int64_t at = 0;

    if (block == NULL) {
        die("memory");
    }
    while (at < size) {
        ssize_t n = pread(file, block, block_size, at);

        if (n <= 0) {
            die("pread");
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t sent = write(socket, block + done, (size_t)(n - done));

            if (sent < 0) {
                die("write");
            }
            done += sent;
        }
        at += n;
    }
    free(block);
}

static void connect_pair(int *ret_sender, int *ret_reader)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *ret_sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || *ret_sender < 0 || bind(listener, (void *)&address, size) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (void *)&address, &size) != 0 ||
        connect(*ret_sender, (void *)&address, size) != 0) {
        die("socket");
    }
    *ret_reader = accept(listener, NULL, NULL);
    if (*ret_reader < 0) {
        die("accept");
    }
    close(listener);
}

static void run(const char *path, bool use_sendfile, size_t block_size)
{
    struct reader reader = {0};
    struct stat stat;
    pthread_t thread;
    double elapsed;
    double cpu;
    int sender;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0 || fstat(file, &stat) != 0) {
        die(path);
    }
    connect_pair(&sender, &reader.fd);
    if (pthread_create(&thread, NULL, reader_run, &reader) != 0) {
        die("thread");
    }
    elapsed = seconds_of(CLOCK_MONOTONIC);
    cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    (use_sendfile ? send_by_sendfile : send_by_copy)(file, sender, stat.st_size, block_size);
    cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    shutdown(sender, SHUT_WR);
    pthread_join(thread, NULL);
    elapsed = seconds_of(CLOCK_MONOTONIC) - elapsed;
    close(sender);
    close(reader.fd);
    close(file);
    if (reader.bytes != stat.st_size) {
        fprintf(stderr, "millrace_bench_loopback: %" PRId64 " bytes arrived\n", reader.bytes);
        exit(1);
    }
    printf("{\"bench\":\"loopback\",\"mode\":\"%s\",\"block_kib\":%zu,\"bytes\":%" PRId64 ","
           "\"seconds\":%.4f,\"gb_per_s\":%.3f,\"sender_cpu_s_per_gib\":%.3f,"
           "\"reader_cpu_s_per_gib\":%.3f}\n",
           use_sendfile ? "sendfile" : "copy", block_size >> 10, reader.bytes, elapsed,
           (double)reader.bytes / elapsed / 1e9, cpu / ((double)reader.bytes / (1 << 30)),
           reader.cpu_seconds / ((double)reader.bytes / (1 << 30)));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"repeat", required_argument, NULL, 'r'}, {"block", required_argument, NULL, 'b'}, {0}};
    size_t block_size = 256 << 10;
    int repeat = 3;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'r':
            repeat = atoi(optarg);
            break;
        case 'b':
            block_size = (size_t)strtoul(optarg, NULL, 10) << 10;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 1 || block_size == 0 || block_size % PAGE_BYTES != 0 || repeat < 1) {
        fprintf(stderr, "usage: %s [--repeat N] [--block KIB] FILE\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < repeat; i++) {
        run(argv[optind], true, block_size);
        run(argv[optind], false, block_size);
    }
    return 0;
}
