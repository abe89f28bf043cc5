/* A Kafka producer that makes one batch of 1 KiB records and sends it again and again: what a node
 * takes from a client that costs next to nothing itself.
 *
 *     millrace_bench_produce --port N --topic NAME [--partitions N] [--size MIB] [--tls CA.pem]
 *
 * One connection, five requests in flight, acks=1, as Kafka's own producer has it; the partitions
 * take turns. Prints one JSON object. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_client.h"

enum {
    BATCH_BYTES_MAX = 1000000, /* librdkafka's, and below Kafka's bound of a message */
    BATCH_HEAD_BYTES = 61,
    VALUE_BYTES = 1023,
    IN_FLIGHT = 5,
    HEAD_BYTES_MAX = 512, /* of a request, before its batch */
};

struct bench {
    uint16_t port;
    const char *topic;
    int partitions;
    int64_t bytes;
    SSL_CTX *tls; /* NULL: plain */
};

static uint8_t *put_varint(uint8_t *at, int32_t value)
{
    uint32_t left = (uint32_t)value << 1 ^ (uint32_t)(value >> 31);

    for (; left >= 0x80; left >>= 7) {
        *at++ = (uint8_t)(left | 0x80);
    }
    *at++ = (uint8_t)left;
    return at;
}

static uint8_t *put_record(uint8_t *at, int32_t offset_delta)
{
    uint8_t body[VALUE_BYTES + 32];
    uint8_t *end = body;

    *end++ = 0;               /* attributes */
    end = put_varint(end, 0); /* timestamp */
    end = put_varint(end, offset_delta);
    end = put_varint(end, -1); /* no key */
    end = put_varint(end, VALUE_BYTES);
    memset(end, 'x', VALUE_BYTES);
    end = put_varint(end + VALUE_BYTES, 0); /* headers */
    at = put_varint(at, (int32_t)(end - body));
    memcpy(at, body, (size_t)(end - body));
    return at + (end - body);
}

/* Format 2; returns the size. */
static size_t make_batch(uint8_t *batch)
{
    uint8_t *at = batch + BATCH_HEAD_BYTES;
    int32_t count = 0;

    while (at - batch + VALUE_BYTES + 32 <= BATCH_BYTES_MAX) {
        at = put_record(at, count++);
    }
    (void)bench_put(batch, 0, 8);                               /* base offset */
    (void)bench_put(batch + 8, (uint64_t)(at - batch - 12), 4); /* length */
    (void)bench_put(batch + 12, UINT32_MAX, 4);                 /* leader epoch: none */
    batch[16] = 2;                                              /* magic */
    (void)bench_put(batch + 21, 0, 2);                          /* attributes */
    (void)bench_put(batch + 23, (uint64_t)count - 1, 4);        /* last offset delta */
    (void)bench_put(batch + 27, 1700000000000, 8);              /* timestamps */
    (void)bench_put(batch + 35, 1700000000000, 8);
    memset(batch + 43, 0xff, 14); /* no producer id */
    (void)bench_put(batch + 57, (uint64_t)count, 4);
    (void)bench_put(batch + 17,
                    crc32_iscsi(batch + 21, (int)(at - batch - 21), 0xffffffff) ^ 0xffffffff, 4);
    return (size_t)(at - batch);
}

/* Produce version 3, up to the batch; returns what lies behind. */
static uint8_t *put_head(const struct bench *bench, uint8_t *frame, int partition,
                         size_t batch_size)
{
    uint8_t *at = frame + 4;

    at = bench_put(at, 0, 2); /* Produce */
    at = bench_put(at, 3, 2); /* version */
    at = bench_put(at, 1, 4); /* correlation id */
    at = bench_put_text(at, "bench");
    at = bench_put(at, UINT16_MAX, 2); /* no transaction */
    at = bench_put(at, 1, 2);          /* acks */
    at = bench_put(at, 30000, 4);
    at = bench_put(at, 1, 4); /* topics */
    at = bench_put_text(at, bench->topic);
    at = bench_put(at, 1, 4); /* partitions */
    at = bench_put(at, (uint64_t)partition, 4);
    at = bench_put(at, batch_size, 4);
    (void)bench_put(frame, (uint64_t)(at - frame - 4) + batch_size, 4);
    return at;
}

static void receive_answer(const struct bench *bench, struct bench_client *client)
{
    uint8_t answer[1024];
    size_t size;

    bench_receive_all(client, answer, 4);
    size = bench_get(answer, 4);
    if (size > sizeof answer) {
        errno = 0;
        bench_die("the answer is too long");
    }
    bench_receive_all(client, answer, size);
    /* correlation, topics, name, partitions, index, error */
    if (bench_get(answer + 4 + 4 + 2 + strlen(bench->topic) + 4 + 4, 2) != 0) {
        errno = 0;
        bench_die("the request was answered with an error");
    }
}

static void run(const struct bench *bench)
{
    uint8_t *batch = malloc(BATCH_BYTES_MAX + HEAD_BYTES_MAX);
    uint8_t *frame = malloc(BATCH_BYTES_MAX + HEAD_BYTES_MAX);
    struct bench_client client;
    int64_t sent = 0;
    int in_flight = 0;
    size_t size;
    double elapsed;
    double cpu;

    if (batch == NULL || frame == NULL) {
        bench_die("memory");
    }
    size = make_batch(batch);
    bench_connect(&client, bench->port, bench->tls);
    memcpy(put_head(bench, frame, 0, size), batch, size);
    elapsed = bench_now_s();
    cpu = bench_cpu_s();
    for (int64_t i = 0; sent < bench->bytes; i++) {
        uint8_t *end = put_head(bench, frame, (int)(i % bench->partitions), size) + size;

        if (in_flight == IN_FLIGHT) {
            receive_answer(bench, &client);
            in_flight--;
        }
        bench_send_all(&client, frame, (size_t)(end - frame));
        in_flight++;
        sent += (int64_t)size;
    }
    for (; in_flight > 0; in_flight--) {
        receive_answer(bench, &client);
    }
    elapsed = bench_now_s() - elapsed;
    cpu = bench_cpu_s() - cpu;
    printf("{\"bench\":\"produce\",\"bytes\":%" PRId64
           ",\"seconds\":%.4f,\"gb_per_s\":%.3f,\"producer_cpu_s_per_gib\":%.3f}\n",
           sent, elapsed, (double)sent / elapsed / 1e9, cpu / ((double)sent / (1 << 30)));
    bench_disconnect(&client);
    free(frame);
    free(batch);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},       {"topic", required_argument, NULL, 't'},
        {"partitions", required_argument, NULL, 'n'}, {"size", required_argument, NULL, 'b'},
        {"tls", required_argument, NULL, 's'},        {0}};
    struct bench bench = {.partitions = 1, .bytes = 256 << 20};
    int option;

    bench_program = "millrace_bench_produce";
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'p':
            bench.port = (uint16_t)atoi(optarg);
            break;
        case 't':
            bench.topic = optarg;
            break;
        case 'n':
            bench.partitions = atoi(optarg);
            break;
        case 'b':
            bench.bytes = atoll(optarg) << 20;
            break;
        case 's':
            bench.tls = bench_tls_new(optarg);
            break;
        default:
            return 2;
        }
    }
    if (optind != argc || bench.port == 0 || bench.topic == NULL || strlen(bench.topic) > 249 ||
        bench.partitions < 1 || bench.bytes < 1) {
        fprintf(stderr,
                "usage: %s --port N --topic NAME [--partitions N] [--size MIB] [--tls CA.pem]\n",
                argv[0]);
        return 2;
    }
    run(&bench);
    SSL_CTX_free(bench.tls);
    return 0;
}
