/* The bare receive loop: what it costs to take bytes from a loopback connection, checksum them and
 * write them to a file, with one thread and one buffer that stays in the cache. What a hub spends
 * on Produce is held against this, on the same file system.
 *
 *     millrace_bench_receive [--repeat N] [--block KIB] [--size MIB] [--segment MIB] DIRECTORY
 *
 * The sender (a child process) sends blocks from memory. A file is begun for each segment, as a log
 * does. Prints one JSON object per run; seconds of CPU are the receiver's, user and system apart.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 }; /* blocks begin on one, as in millrace_bench_loopback */

struct bench {
    const char *directory;
    size_t block_bytes;
    int64_t total_bytes;
    int64_t segment_bytes;
};

static void die(const char *what)
{
    fprintf(stderr, "millrace_bench_receive: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static void send_blocks(const struct bench *bench, const struct sockaddr_in *address)
{
    uint8_t *block = aligned_alloc(PAGE_BYTES, bench->block_bytes);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int64_t left = bench->total_bytes;

    if (block == NULL || fd < 0 || connect(fd, (const void *)address, sizeof *address) != 0) {
        die("sender");
    }
    for (size_t i = 0; i < bench->block_bytes; i++) {
        block[i] = (uint8_t)i;
    }
    while (left > 0) {
        size_t size = left < (int64_t)bench->block_bytes ? (size_t)left : bench->block_bytes;
        ssize_t sent = send(fd, block, size, MSG_NOSIGNAL);

        if (sent <= 0) {
            die("send");
        }
        left -= sent;
    }
    _exit(0);
}

static int segment_open(const struct bench *bench, int number)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof path, "%s/receive-%d", bench->directory, number);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        die(path);
    }
    (void)unlink(path); /* gone with the descriptor */
    return fd;
}

/* Fills the block, so that each write is as large as it can be. */
static size_t receive_block(int fd, uint8_t *block, size_t size)
{
    size_t filled = 0;

    while (filled < size) {
        ssize_t got = recv(fd, block + filled, size - filled, 0);

        if (got < 0) {
            die("recv");
        }
        if (got == 0) {
            break;
        }
        filled += (size_t)got;
    }
    return filled;
}

static uint32_t receive(const struct bench *bench, int fd)
{
    uint8_t *block = aligned_alloc(PAGE_BYTES, bench->block_bytes);
    int *segments = calloc((size_t)(bench->total_bytes / bench->segment_bytes) + 1, sizeof(int));
    int count = 0;
    uint32_t crc = 0;
    int64_t at = bench->segment_bytes; /* so that the first block begins one */
    int64_t total = 0;
    size_t size;

    if (block == NULL || segments == NULL) {
        die("memory");
    }
    while ((size = receive_block(fd, block, bench->block_bytes)) > 0) {
        if (at >= bench->segment_bytes) {
            segments[count] = segment_open(bench, count);
            count++;
            at = 0;
        }
        crc = crc32_iscsi(block, (int)size, crc);
        if (pwrite(segments[count - 1], block, size, at) != (ssize_t)size) {
            die("pwrite");
        }
        at += (int64_t)size;
        total += (int64_t)size;
    }
    if (total != bench->total_bytes) {
        fprintf(stderr, "millrace_bench_receive: %" PRId64 " bytes arrived\n", total);
        exit(1);
    }
    while (count > 0) {
        close(segments[--count]);
    }
    free(segments);
    free(block);
    return crc;
}

static void run(const struct bench *bench)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rusage before;
    struct rusage after;
    double gib = (double)bench->total_bytes / (1 << 30);
    double elapsed;
    uint32_t crc;
    pid_t child;
    int fd;
    int status;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (void *)&address, size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (void *)&address, &size) != 0) {
        die("listen");
    }
    child = fork();
    if (child == 0) {
        send_blocks(bench, &address);
    }
    fd = accept(listener, NULL, NULL);
    if (child < 0 || fd < 0) {
        die("accept");
    }
    elapsed = seconds_now();
    getrusage(RUSAGE_SELF, &before);
    crc = receive(bench, fd);
    getrusage(RUSAGE_SELF, &after);
    elapsed = seconds_now() - elapsed;
    if (waitpid(child, &status, 0) != child || status != 0) {
        die("the sender");
    }
    close(fd);
    close(listener);
    printf("{\"bench\":\"receive\",\"block_kib\":%zu,\"bytes\":%" PRId64 ",\"seconds\":%.4f,"
           "\"gb_per_s\":%.3f,\"user_s_per_gib\":%.3f,\"system_s_per_gib\":%.3f,\"crc\":%u}\n",
           bench->block_bytes >> 10, bench->total_bytes, elapsed,
           (double)bench->total_bytes / elapsed / 1e9,
           (seconds_of(after.ru_utime) - seconds_of(before.ru_utime)) / gib,
           (seconds_of(after.ru_stime) - seconds_of(before.ru_stime)) / gib, crc);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"repeat", required_argument, NULL, 'r'},
                                            {"block", required_argument, NULL, 'b'},
                                            {"size", required_argument, NULL, 's'},
                                            {"segment", required_argument, NULL, 'g'},
                                            {0}};
    struct bench bench = {
        .block_bytes = 256 << 10, .total_bytes = 256 << 20, .segment_bytes = 1 << 30};
    int repeat = 3;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'r':
            repeat = atoi(optarg);
            break;
        case 'b':
            bench.block_bytes = (size_t)strtoul(optarg, NULL, 10) << 10;
            break;
        case 's':
            bench.total_bytes = atoll(optarg) << 20;
            break;
        case 'g':
            bench.segment_bytes = atoll(optarg) << 20;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 1 || bench.block_bytes == 0 || bench.block_bytes % PAGE_BYTES != 0 ||
        bench.total_bytes <= 0 || bench.segment_bytes <= 0 || repeat < 1) {
        fprintf(stderr,
                "usage: %s [--repeat N] [--block KIB] [--size MIB] [--segment MIB] DIRECTORY\n",
                argv[0]);
        return 2;
    }
    bench.directory = argv[optind];
    for (int i = 0; i < repeat; i++) {
        run(&bench);
    }
    return 0;
}
