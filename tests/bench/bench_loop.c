/* The bare loop: the least that any program must do to put a log file into a log of record batches,
 * on one thread. Read the file in blocks, find the newlines, encode each line as a Kafka record,
 * the lines of a block as a batch (v2, CRC-32C), write the batch to a file. No positions, no index,
 * no flow control: what the agent needs beyond this is its overhead.
 *
 *     millrace_bench_loop [--lz4] [--headers] [--block KIB] [--repeat N] INPUT OUTPUT
 *
 * Prints one JSON object per run. OUTPUT is truncated before each run and removed at the end. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_HEAD_BYTES = 61,
    CRC_AT = 17,        /* the checksum covers what follows it */
    ATTRIBUTES_AT = 21, /* where that begins */
    RECORD_OVERHEAD_BYTES_MAX = 32,
    LZ4_BLOCK_BYTES = 64 << 10,
    LZ4_HEAD_BYTES = 7,
};

struct loop {
    bool use_lz4;
    size_t headers_size; /* the encoded header part of a record: a count of 0, or three headers */
    uint8_t headers[128];
    size_t block_size;
    uint8_t *block;  /* file content; a line may begin in what the last block left over */
    uint8_t *batch;  /* header and records */
    uint8_t *packed; /* header and compressed records */
    void *lz4_state;
    int64_t base_offset;
    int64_t timestamp_ms;
    int64_t output_bytes;
    int out_fd;
};

static void die(const char *what)
{
    fprintf(stderr, "millrace_bench_loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put_u16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

/* Zigzag varint of a number that is not negative. */
static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    value <<= 1;
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static size_t varint_size(uint64_t value)
{
    int bits = 64 - __builtin_clzll(value << 1 | 1);

    return (size_t)(bits + 6) / 7;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    at = put_varint(at, size);
    memcpy(at, text, size);
    return at + size;
}

static uint8_t *put_header(uint8_t *at, const char *name, const char *value)
{
    return put_text(put_text(at, name), value);
}

/* What the agent puts on each record: about 60 bytes. */
static void prepare_headers(struct loop *loop, bool with_headers)
{
    uint8_t *at = put_varint(loop->headers, with_headers ? 3 : 0);

    if (with_headers) {
        at = put_header(at, "mr.host", "edge-1");
        at = put_header(at, "mr.source", "nginx");
        at = put_header(at, "mr.file", "/var/log/nginx/access.log");
    }
    loop->headers_size = (size_t)(at - loop->headers);
}

/* record => length attributes timestampDelta offsetDelta keyLength value headers */
static inline uint8_t *put_record(const struct loop *loop, uint8_t *at, uint64_t index,
                                  const uint8_t *line, size_t size)
{
    size_t body = 1 + 1 + varint_size(index) + 1 + varint_size(size) + size + loop->headers_size;

    at = put_varint(at, body);
    *at++ = 0; /* attributes */
    *at++ = 0; /* all lines of a block have the time of the batch */
    at = put_varint(at, index);
    *at++ = 1; /* no key: -1 */
    at = put_varint(at, size);
    memcpy(at, line, size);
    at += size;
    memcpy(at, loop->headers, loop->headers_size);
    return at + loop->headers_size;
}

/* Compresses the records behind `batch`'s header into an LZ4 frame behind `packed`'s. */
static size_t pack(struct loop *loop, size_t records_size)
{
    static const uint8_t frame_head[LZ4_HEAD_BYTES] = {4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
    const char *from = (const char *)loop->batch + BATCH_HEAD_BYTES;
    uint8_t *at = loop->packed + BATCH_HEAD_BYTES;

    memcpy(at, frame_head, sizeof frame_head);
    at += sizeof frame_head;
    for (size_t done = 0; done < records_size; done += LZ4_BLOCK_BYTES) {
        size_t left = records_size - done;
        int size = left < LZ4_BLOCK_BYTES ? (int)left : LZ4_BLOCK_BYTES;
        int packed = LZ4_compress_fast_extState(loop->lz4_state, from + done, (char *)at + 4, size,
                                                size - 1, 1);
        uint32_t head = (uint32_t)packed;

        if (packed == 0) {
            memcpy(at + 4, from + done, (size_t)size);
            packed = size;
            head = (uint32_t)size | UINT32_C(0x80000000);
        }
        head = htole32(head);
        memcpy(at, &head, sizeof head);
        at += 4 + packed;
    }
    memset(at, 0, 4);
    return (size_t)(at + 4 - (loop->packed + BATCH_HEAD_BYTES));
}

static void write_batch(struct loop *loop, uint64_t count, size_t records_size)
{
    size_t size = loop->use_lz4 ? pack(loop, records_size) : records_size;
    uint8_t *batch = loop->use_lz4 ? loop->packed : loop->batch;
    size_t total = BATCH_HEAD_BYTES + size;

    put_u64(batch, (uint64_t)loop->base_offset);
    put_u32(batch + 8, (uint32_t)(total - 12));
    put_u32(batch + 12, 0); /* leader epoch */
    batch[16] = 2;          /* magic */
    put_u16(batch + ATTRIBUTES_AT, loop->use_lz4 ? 3 : 0);
    put_u32(batch + 23, (uint32_t)(count - 1));
    put_u64(batch + 27, (uint64_t)loop->timestamp_ms);
    put_u64(batch + 35, (uint64_t)loop->timestamp_ms);
    put_u64(batch + 43, UINT64_MAX); /* no producer */
    put_u16(batch + 51, UINT16_MAX);
    put_u32(batch + 53, UINT32_MAX);
    put_u32(batch + 57, (uint32_t)count);
    put_u32(batch + CRC_AT, ~crc32_iscsi(batch + ATTRIBUTES_AT, (int)(total - ATTRIBUTES_AT), ~0u));
    for (size_t done = 0; done < total;) {
        ssize_t n = write(loop->out_fd, batch + done, total - done);

        if (n < 0) {
            die("write");
        }
        done += (size_t)n;
    }
    loop->base_offset += (int64_t)count;
    loop->output_bytes += (int64_t)total;
}

/* All whole lines of the block become one batch; returns how many bytes they take. */
static size_t take_lines(struct loop *loop, size_t size)
{
    const uint8_t *line = loop->block;
    const uint8_t *end = loop->block + size;
    uint8_t *at = loop->batch + BATCH_HEAD_BYTES;
    uint64_t count = 0;
    const uint8_t *newline;

    while (line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        at = put_record(loop, at, count++, line, (size_t)(newline - line));
        line = newline + 1;
    }
    if (count > 0) {
        write_batch(loop, count, (size_t)(at - (loop->batch + BATCH_HEAD_BYTES)));
    }
    return (size_t)(line - loop->block);
}

static int64_t read_file(struct loop *loop, int fd)
{
    int64_t total = 0;
    size_t kept = 0;

    for (;;) {
        ssize_t n = read(fd, loop->block + kept, loop->block_size - kept);
        size_t taken;

        if (n < 0) {
            die("read");
        }
        if (n == 0) {
            return total;
        }
        total += n;
        kept += (size_t)n;
        taken = take_lines(loop, kept);
        kept -= taken;
        memmove(loop->block, loop->block + taken, kept);
        if (kept == loop->block_size) {
            errno = EMSGSIZE;
            die("a line is longer than a block");
        }
    }
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run(struct loop *loop, const char *input, const char *output)
{
    int fd = open(input, O_RDONLY | O_CLOEXEC);
    struct timespec wall;
    double elapsed;
    double cpu;
    int64_t size;

    loop->out_fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || loop->out_fd < 0) {
        die(fd < 0 ? input : output);
    }
    loop->base_offset = 0;
    loop->output_bytes = 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    loop->timestamp_ms = wall.tv_sec * INT64_C(1000) + wall.tv_nsec / 1000000;
    elapsed = seconds_of(CLOCK_MONOTONIC);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    size = read_file(loop, fd);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    elapsed = seconds_of(CLOCK_MONOTONIC) - elapsed;
    close(fd);
    close(loop->out_fd);
    printf("{\"bench\":\"loop\",\"codec\":\"%s\",\"headers\":%s,\"block_kib\":%zu,"
           "\"input_bytes\":%" PRId64 ",\"output_bytes\":%" PRId64 ",\"records\":%" PRId64 ","
           "\"seconds\":%.4f,\"mb_per_s\":%.1f,\"cpu_seconds\":%.4f,\"cpu_s_per_gib\":%.3f}\n",
           loop->use_lz4 ? "lz4" : "none", loop->headers_size > 1 ? "true" : "false",
           loop->block_size >> 10, size, loop->output_bytes, loop->base_offset, elapsed,
           (double)size / elapsed / 1e6, cpu, cpu / ((double)size / (1 << 30)));
    fflush(stdout);
}

static void allocate(struct loop *loop)
{
    /* Shortest lines are empty: each byte of a block may become a record of its own. */
    size_t records_max = loop->block_size * (RECORD_OVERHEAD_BYTES_MAX + loop->headers_size + 1);

    loop->block = malloc(loop->block_size);
    loop->batch = malloc(BATCH_HEAD_BYTES + records_max);
    loop->packed = malloc(BATCH_HEAD_BYTES + LZ4_HEAD_BYTES + records_max +
                          4 * (records_max / LZ4_BLOCK_BYTES + 2));
    loop->lz4_state = malloc((size_t)LZ4_sizeofState());
    if (loop->block == NULL || loop->batch == NULL || loop->packed == NULL ||
        loop->lz4_state == NULL) {
        die("memory");
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"lz4", no_argument, NULL, 'l'},
                                            {"headers", no_argument, NULL, 'h'},
                                            {"block", required_argument, NULL, 'b'},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {0}};
    struct loop loop = {.block_size = 1 << 20};
    bool with_headers = false;
    int repeat = 1;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'l':
            loop.use_lz4 = true;
            break;
        case 'h':
            with_headers = true;
            break;
        case 'b':
            loop.block_size = (size_t)strtoul(optarg, NULL, 10) << 10;
            break;
        case 'r':
            repeat = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2 || loop.block_size == 0 || loop.block_size > 16 << 20 || repeat < 1) {
        fprintf(stderr, "usage: %s [--lz4] [--headers] [--block KIB] [--repeat N] INPUT OUTPUT\n",
                argv[0]);
        return 2;
    }
    prepare_headers(&loop, with_headers);
    allocate(&loop);
    for (int i = 0; i < repeat; i++) {
        run(&loop, argv[optind], argv[optind + 1]);
    }
    unlink(argv[optind + 1]);
    free(loop.block);
    free(loop.batch);
    free(loop.packed);
    free(loop.lz4_state);
    return 0;
}
