/* Kafka consumers that read one partition from its start to a given offset and forget the bytes:
 * what a node gives to readers that cost next to nothing themselves.
 *
 *     millrace_bench_fetch --port N --topic NAME --until OFFSET [--consumers N] [--max-bytes N]
 *                          [--tls CA.pem] [--wait-ms N]
 *
 * Each consumer is a thread with one connection and one request in flight, as Kafka's own consumers
 * are. It reads into one block of 1 MiB, as the reader of millrace_bench_loopback does, and looks
 * at nothing but the heads of the batches. Prints one JSON object. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_client.h"

enum {
    BLOCK_BYTES = 1 << 20,
    PAGE_BYTES = 4096, /* blocks begin on one, as in millrace_bench_loopback */
    BATCH_HEAD_BYTES = 61,
    CONSUMERS_MAX = 10000,
    THREAD_STACK_BYTES = 256 << 10,
};

struct bench {
    uint16_t port;
    const char *topic;
    int64_t until;
    int consumers;
    int32_t max_bytes;
    int32_t wait_ms;
    SSL_CTX *tls; /* NULL: plain */
    pthread_barrier_t begin;
};

struct consumer {
    struct bench *bench;
    pthread_t thread;
    struct bench_client client;
    uint8_t *block;
    int64_t offset;
    int64_t bytes; /* of record batches */
    uint64_t fetches;
};

/* ---- fetching ---- */

/* Fetch version 4: one topic, one partition. */
static void ask(struct consumer *consumer)
{
    const struct bench *bench = consumer->bench;
    uint8_t frame[512];
    uint8_t *at = frame + 4;

    at = bench_put(at, 1, 2); /* Fetch */
    at = bench_put(at, 4, 2); /* version */
    at = bench_put(at, 1, 4); /* correlation id */
    at = bench_put_text(at, "bench");
    at = bench_put(at, UINT32_MAX, 4); /* replica id: none */
    at = bench_put(at, (uint64_t)bench->wait_ms, 4);
    at = bench_put(at, 1, 4); /* min bytes */
    at = bench_put(at, (uint64_t)bench->max_bytes, 4);
    *at++ = 0;                /* read uncommitted */
    at = bench_put(at, 1, 4); /* topics */
    at = bench_put_text(at, bench->topic);
    at = bench_put(at, 1, 4); /* partitions */
    at = bench_put(at, 0, 4);
    at = bench_put(at, (uint64_t)consumer->offset, 8);
    at = bench_put(at, (uint64_t)bench->max_bytes, 4);
    bench_put(frame, (uint64_t)(at - frame - 4), 4);
    bench_send_all(&consumer->client, frame, (size_t)(at - frame));
}

/* Reads the answer up to its records and returns their size. */
static size_t receive_head(struct consumer *consumer)
{
    uint8_t head[512];
    size_t topic_size = strlen(consumer->bench->topic);
    /* length, correlation, throttle, topics, name, partitions, index, error, high watermark, last
     * stable offset, aborted transactions, size of the records */
    size_t fixed = 4 + 4 + 4 + 4 + 2 + topic_size + 4 + 4 + 2 + 8 + 8;
    int64_t aborted;

    bench_receive_all(&consumer->client, head, fixed + 8);
    if (bench_get(head + fixed - 18, 2) != 0) {
        errno = 0;
        bench_die("the fetch was answered with an error");
    }
    aborted = (int32_t)bench_get(head + fixed, 4);
    if (aborted > 0) {
        errno = 0;
        bench_die("transactions are not expected here");
    }
    return bench_get(head + fixed + 4, 4);
}

/* Reads the records in blocks; only batch heads are looked at, wherever the blocks cut them. */
static void receive_records(struct consumer *consumer, size_t size)
{
    uint8_t head[BATCH_HEAD_BYTES];
    size_t head_filled = 0;
    size_t skip = 0; /* of the batch whose head is known */
    int64_t next_offset = consumer->offset;
    bool is_pending = false;

    consumer->bytes += (int64_t)size;
    while (size > 0) {
        size_t got = bench_receive(&consumer->client, consumer->block,
                                   size < BLOCK_BYTES ? size : BLOCK_BYTES);

        size -= got;
        for (size_t at = 0; at < got;) {
            size_t step = skip > 0 ? skip : BATCH_HEAD_BYTES - head_filled;

            step = step < got - at ? step : got - at;
            if (skip > 0) {
                skip -= step;
            } else {
                memcpy(head + head_filled, consumer->block + at, step);
                head_filled += step;
            }
            at += step;
            if (skip == 0 && head_filled == BATCH_HEAD_BYTES) {
                head_filled = 0;
                is_pending = true;
                skip = bench_get(head + 8, 4) + 12 - BATCH_HEAD_BYTES;
                next_offset = (int64_t)(bench_get(head, 8) + bench_get(head + 23, 4) + 1);
            }
            if (skip == 0 && is_pending) { /* the batch is whole */
                consumer->offset = next_offset;
                is_pending = false;
            }
        }
    }
}

static void *consumer_run(void *owner)
{
    struct consumer *consumer = owner;
    const struct bench *bench = consumer->bench;

    bench_connect(&consumer->client, bench->port, bench->tls);
    pthread_barrier_wait(&consumer->bench->begin);
    while (consumer->offset < bench->until) {
        ask(consumer);
        receive_records(consumer, receive_head(consumer));
        consumer->fetches += 1;
    }
    bench_disconnect(&consumer->client);
    return NULL;
}

static void run(struct bench *bench)
{
    struct consumer *consumers = calloc((size_t)bench->consumers, sizeof *consumers);
    double elapsed;
    double cpu;
    double gib;
    int64_t bytes = 0;
    uint64_t fetches = 0;
    pthread_attr_t attributes;

    if (consumers == NULL || pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES) != 0 ||
        pthread_barrier_init(&bench->begin, NULL, (unsigned)bench->consumers + 1) != 0) {
        bench_die("memory");
    }
    for (int i = 0; i < bench->consumers; i++) {
        consumers[i].bench = bench;
        consumers[i].block = aligned_alloc(PAGE_BYTES, BLOCK_BYTES);
        if (consumers[i].block == NULL) {
            bench_die("memory");
        }
        memset(consumers[i].block, 0, BLOCK_BYTES); /* no page faults later */
        if (pthread_create(&consumers[i].thread, &attributes, consumer_run, &consumers[i]) != 0) {
            bench_die("thread");
        }
    }
    pthread_barrier_wait(&bench->begin);
    elapsed = bench_now_s();
    cpu = bench_cpu_s();
    for (int i = 0; i < bench->consumers; i++) {
        pthread_join(consumers[i].thread, NULL);
        bytes += consumers[i].bytes;
        fetches += consumers[i].fetches;
        free(consumers[i].block);
    }
    elapsed = bench_now_s() - elapsed;
    cpu = bench_cpu_s() - cpu;
    gib = (double)bytes / (1 << 30);
    printf("{\"bench\":\"fetch\",\"consumers\":%d,\"bytes\":%" PRId64 ",\"fetches\":%" PRIu64
           ",\"seconds\":%.4f,\"gb_per_s\":%.3f,\"reader_cpu_s_per_gib\":%.3f}\n",
           bench->consumers, bytes, fetches, elapsed, (double)bytes / elapsed / 1e9, cpu / gib);
    free(consumers);
    pthread_barrier_destroy(&bench->begin);
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},      {"topic", required_argument, NULL, 't'},
        {"until", required_argument, NULL, 'u'},     {"consumers", required_argument, NULL, 'c'},
        {"max-bytes", required_argument, NULL, 'm'}, {"tls", required_argument, NULL, 's'},
        {"wait-ms", required_argument, NULL, 'w'},   {0}};
    struct bench bench = {.consumers = 1, .max_bytes = 8 << 20, .wait_ms = 500};
    int option;

    bench_program = "millrace_bench_fetch";
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'p':
            bench.port = (uint16_t)atoi(optarg);
            break;
        case 't':
            bench.topic = optarg;
            break;
        case 'u':
            bench.until = atoll(optarg);
            break;
        case 'c':
            bench.consumers = atoi(optarg);
            break;
        case 'm':
            bench.max_bytes = atoi(optarg);
            break;
        case 's':
            bench.tls = bench_tls_new(optarg);
            break;
        case 'w':
            bench.wait_ms = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (optind != argc || bench.port == 0 || bench.topic == NULL || strlen(bench.topic) > 249 ||
        bench.consumers < 1 || bench.consumers > CONSUMERS_MAX || bench.max_bytes < 1 ||
        bench.wait_ms < 0) {
        fprintf(stderr,
                "usage: %s --port N --topic NAME --until OFFSET [--consumers N] [--max-bytes N]\n"
                "       [--tls CA.pem] [--wait-ms N]\n",
                argv[0]);
        return 2;
    }
    run(&bench);
    SSL_CTX_free(bench.tls);
    return 0;
}
