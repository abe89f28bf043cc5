/* The file sink: names, rotation, frames, and above all that no answered line is missing, whatever
 * the disk does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/codec/frame.h"
#include "base/core/buffer.h"
#include "base/core/memory.h"
#include "tests/lib/fake_sink_host.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test.h"

enum { LINES_MAX = 256 };

/* How often each "line N of the test" stands in a text; everything else fails the test. */
struct found {
    int counts[LINES_MAX];
    int lines;
    bool is_ordered;
};

static struct found look(const char *text)
{
    struct found found = {.is_ordered = true};
    int last = -1;

    while (*text != '\0') {
        char *end = NULL;
        CHECK_EQ(strncmp(text, "line ", 5), 0);
        long number = strtol(text + 5, &end, 10);
        CHECK(number >= 0 && number < LINES_MAX);
        CHECK_EQ(strncmp(end, " of the test\n", 13), 0);
        found.counts[number]++;
        found.lines++;
        found.is_ordered = found.is_ordered && number > last;
        last = (int)number;
        text = end + 13;
    }
    return found;
}

/* The whole file, unpacked; "" if there is none. */
static char *content_of(struct fault_disk *disk, const char *name, enum mr_codec codec)
{
    struct mr_codec_context *context = NULL;
    struct mr_bytes out;
    char *data = NULL;
    size_t size = 0;

    if (mr_disk_read_file(&disk->base, fault_disk_path(disk, "%s", name), 1 << 20, &data, &size,
                          NULL) != 0) {
        return mr_strdup("");
    }
    if (codec == MR_CODEC_NONE || size == 0) {
        return data;
    }
    mr_bytes_init(&out);
    CHECK_EQ(mr_codec_context_new(&context), 0);
    CHECK_EQ(mr_codec_decompress(context, codec, data, size, 1 << 20, &out), 0);
    mr_codec_context_free(context);
    mr_free(data);
    mr_bytes_append(&out, "", 1);
    return (char *)out.data;
}

static struct found found_in(struct fault_disk *disk, const char *name, enum mr_codec codec)
{
    char *text = content_of(disk, name, codec);
    struct found found = look(text);

    mr_free(text);
    return found;
}

/* Of a compressed file: what stands in its frames before one that is damaged. */
static struct found found_before_damage(struct fault_disk *disk, const char *name,
                                        enum mr_codec codec)
{
    struct mr_codec_context *context = NULL;
    struct mr_bytes out;
    char *data = NULL;
    size_t size = 0;
    size_t frame = 0;

    mr_bytes_init(&out);
    CHECK_EQ(mr_codec_context_new(&context), 0);
    CHECK_EQ(mr_disk_read_file(&disk->base, fault_disk_path(disk, "%s", name), 1 << 20, &data,
                               &size, NULL),
             0);
    for (size_t at = 0; at < size; at += frame) {
        const uint8_t *bytes = (const uint8_t *)data + at;
        size_t before = out.size_bytes;
        if (mr_codec_frame_size(codec, bytes, size - at, &frame) != 0 ||
            mr_codec_decompress(context, codec, bytes, frame, 1 << 20, &out) != 0) {
            break;
        }
        /* Zeros for content may decode, to nothing or to no lines: damage, too. */
        if (out.size_bytes == before || out.data[out.size_bytes - 1] != '\n') {
            out.size_bytes = before;
            break;
        }
    }
    mr_bytes_append(&out, "", 1);
    struct found found = look((const char *)out.data);
    mr_bytes_done(&out);
    mr_free(data);
    mr_codec_context_free(context);
    return found;
}

static struct fake_sink_host *open_sink(struct fault_disk *disk, const char *path,
                                        const char *compression)
{
    struct fake_sink_host *fake = fake_sink_host_new("file", &disk->base);
    struct mr_error error = {0};

    fake_sink_option(fake, "path", fault_disk_path(disk, "%s", path));
    fake_sink_option(fake, "compression", compression);
    CHECK_EQ(fake->type->check(fake->options, &error), 0);
    CHECK_OK(fake_sink_open(fake, &error), &error);
    return fake;
}

static void put_file(struct fault_disk *disk, const char *name, const void *data, size_t size)
{
    int fd = -1;

    CHECK_EQ(mr_disk_open(&disk->base, fault_disk_path(disk, "%s", name),
                          MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL),
             0);
    CHECK_EQ(mr_disk_pwrite(&disk->base, fd, data, size, 0), 0);
    mr_disk_close(&disk->base, fd);
}

TEST(file_sink, writes_each_record_to_the_file_that_its_template_names)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake =
        open_sink(disk, "{topic}/%Y-%m-%d/{node}.{partition}.{mr.file}.log", "none");
    struct fake_write *first = fake_sink_write(fake, "web", 3, 0, 4, "/var/log/a");
    struct fake_write *second = fake_sink_write(fake, "..", 0, 4, 2, NULL);

    fake_sink_settle(fake);
    CHECK_EQ(first->class, SINK_OK);
    CHECK_EQ(second->class, SINK_OK);
    CHECK_EQ(found_in(disk, "web/2025-01-01/node-1.3._var_log_a.log", MR_CODEC_NONE).lines, 4);
    CHECK_EQ(found_in(disk, "_./2025-01-01/node-1.0._.log", MR_CODEC_NONE).lines, 2);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

TEST(file_sink, writes_json_with_all_that_is_known_of_a_record)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake = fake_sink_host_new("file", &disk->base);

    fake_sink_option(fake, "path", fault_disk_path(disk, "all.json"));
    fake_sink_option(fake, "format", "json");
    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    (void)fake_sink_write(fake, "web", 3, 7, 1, "a\"b");
    fake_sink_settle(fake);
    char *text = content_of(disk, "all.json", MR_CODEC_NONE);
    CHECK_STR(text, "{\"topic\":\"web\",\"partition\":3,\"offset\":7,"
                    "\"timestamp\":\"2025-01-01T00:00:00.000Z\",\"key\":null,"
                    "\"headers\":{\"mr.file\":\"a\\\"b\"},\"value\":\"line 7 of the test\"}\n");
    mr_free(text);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

/* An fsync for each file of a job, not for each write. */
TEST(file_sink, syncs_before_it_answers_and_once_for_all_that_waited)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake = open_sink(disk, "{topic}.log", "none");

    for (int i = 0; i < 8; i++) {
        (void)fake_sink_write(fake, "web", i, i * 2, 2, NULL);
    }
    fake_sink_settle(fake);
    CHECK_EQ(disk->calls[DISK_FSYNC], 1);
    fault_disk_power_loss(disk);
    CHECK_EQ(found_in(disk, "web.log", MR_CODEC_NONE).lines, 16);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

TEST(file_sink, rotates_by_size_and_by_age_without_losing_a_line)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake = fake_sink_host_new("file", &disk->base);

    fake_sink_option(fake, "path", fault_disk_path(disk, "web.log"));
    fake_sink_option(fake, "rotate.size", "100");
    fake_sink_option(fake, "rotate.age", "30s");
    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    (void)fake_sink_write(fake, "web", 0, 0, 10, NULL); /* above 100 bytes */
    fake_sink_settle(fake);
    (void)fake_sink_write(fake, "web", 0, 10, 1, NULL);
    fake_sink_settle(fake);
    (void)fake_sink_write(fake, "web", 0, 11, 10, NULL);
    fake_sink_settle(fake);
    (void)fake_sink_write(fake, "web", 0, 21, 1, NULL); /* the same second: -1 */
    fake_sink_settle(fake);
    test_clock_advance_ms(&fake->clock, 40 * 1000);
    (void)fake_sink_write(fake, "web", 0, 22, 3, NULL);
    fake_sink_settle(fake);
    CHECK_EQ(found_in(disk, "web.log.20250101T000000Z", MR_CODEC_NONE).lines, 10);
    CHECK_EQ(found_in(disk, "web.log.20250101T000000Z-1", MR_CODEC_NONE).lines, 11);
    CHECK_EQ(found_in(disk, "web.log.20250101T000040Z", MR_CODEC_NONE).lines, 1);
    CHECK_EQ(found_in(disk, "web.log", MR_CODEC_NONE).lines, 3);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

/* What logrotate does without telling anybody. */
TEST(file_sink, begins_a_new_file_when_its_own_was_moved_or_removed)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake = open_sink(disk, "web.log", "none");

    (void)fake_sink_write(fake, "web", 0, 0, 3, NULL);
    fake_sink_settle(fake);
    CHECK_EQ(mr_disk_rename(&disk->base, fault_disk_path(disk, "web.log"),
                            fault_disk_path(disk, "web.log.1")),
             0);
    (void)fake_sink_write(fake, "web", 0, 3, 4, NULL);
    fake_sink_settle(fake);
    CHECK_EQ(found_in(disk, "web.log.1", MR_CODEC_NONE).lines, 3);
    CHECK_EQ(found_in(disk, "web.log", MR_CODEC_NONE).lines, 4);
    CHECK_EQ(mr_disk_unlink(&disk->base, fault_disk_path(disk, "web.log")), 0);
    (void)fake_sink_write(fake, "web", 0, 7, 2, NULL);
    fake_sink_settle(fake);
    CHECK_EQ(found_in(disk, "web.log", MR_CODEC_NONE).lines, 2);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

TEST(file_sink, keeps_no_more_files_open_than_it_may)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *fake = fake_sink_host_new("file", &disk->base);
    char topic[FAKE_WRITES_MAX][16];

    fake_sink_option(fake, "path", fault_disk_path(disk, "{topic}.gz"));
    fake_sink_option(fake, "compression", "gzip");
    fake_sink_option(fake, "open_files", "2");
    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    for (int i = 0; i < 30; i++) {
        (void)snprintf(topic[i], sizeof topic[i], "t%d", i % 10);
        (void)fake_sink_write(fake, topic[i], 0, i, 1, NULL);
    }
    fake_sink_settle(fake);
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d.gz", i);
        CHECK_EQ(found_in(disk, name, MR_CODEC_GZIP).lines, 3);
    }
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

static const struct {
    const char *word;
    const char *name;
    enum mr_codec codec;
} kinds[] = {{"none", "web", MR_CODEC_NONE},
             {"gzip", "web.gz", MR_CODEC_GZIP},
             {"lz4", "web.lz4", MR_CODEC_LZ4},
             {"zstd", "web.zst", MR_CODEC_ZSTD}};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

/* A file that ends anywhere inside of its last line or frame, as a crash leaves it: nothing torn
 * stays, and what was whole does. */
TEST(file_sink, cuts_a_torn_end_when_it_opens_a_file)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct fault_disk *disk = fault_disk_new(1);
        struct fake_sink_host *fake = open_sink(disk, "web", kinds[kind].word);
        char *data = NULL;
        size_t whole = 0;
        size_t both = 0;
        (void)fake_sink_write(fake, "web", 0, 0, 2, NULL);
        fake_sink_settle(fake);
        CHECK_EQ(mr_disk_read_file(&disk->base, fault_disk_path(disk, "%s", kinds[kind].name), 4096,
                                   &data, &whole, NULL),
                 0);
        mr_free(data);
        (void)fake_sink_write(fake, "web", 0, 2, 1, NULL);
        fake_sink_settle(fake);
        CHECK_EQ(mr_disk_read_file(&disk->base, fault_disk_path(disk, "%s", kinds[kind].name), 4096,
                                   &data, &both, NULL),
                 0);
        fake_sink_host_free(fake);
        for (size_t cut = whole; cut < both; cut++) {
            char copy[32];
            (void)snprintf(copy, sizeof copy, "c%zu%s", cut, kinds[kind].name + 3);
            put_file(disk, copy, data, cut);
            char path[32];
            (void)snprintf(path, sizeof path, "c%zu", cut);
            fake = open_sink(disk, path, kinds[kind].word);
            (void)fake_sink_write(fake, "web", 0, 2, 3, NULL);
            fake_sink_settle(fake);
            struct found found = found_in(disk, copy, kinds[kind].codec);
            CHECK_EQ(found.lines, 5);
            CHECK(found.is_ordered);
            fake_sink_host_free(fake);
        }
        mr_free(data);
        fault_disk_free(disk);
    }
}

TEST(file_sink, moves_a_foreign_file_aside_and_never_cuts_it)
{
    static const char text[] = "somebody's text, and no zstd frame";
    struct fault_disk *disk = fault_disk_new(1);

    put_file(disk, "web.zst", text, sizeof text - 1);
    struct fake_sink_host *fake = open_sink(disk, "web", "zstd");
    (void)fake_sink_write(fake, "web", 0, 0, 3, NULL);
    fake_sink_settle(fake);
    CHECK_EQ(found_in(disk, "web.zst", MR_CODEC_ZSTD).lines, 3);
    char *kept = content_of(disk, "web.20250101T000000Z.zst", MR_CODEC_NONE);
    CHECK_STR(kept, text);
    mr_free(kept);
    fake_sink_host_free(fake);
    fault_disk_free(disk);
}

TEST(file_sink, refuses_a_file_that_another_has)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct fake_sink_host *one = open_sink(disk, "web", "none");
    struct fake_sink_host *two = open_sink(disk, "web", "none");

    (void)fake_sink_write(one, "web", 0, 0, 3, NULL);
    fake_sink_settle(one);
    struct fake_write *write = fake_sink_write(two, "web", 0, 0, 3, NULL);
    fake_sink_settle(two);
    CHECK_EQ(write->class, SINK_RETRY);
    CHECK_HAS(write->reason, "another");
    fake_sink_host_free(one);
    fake_sink_host_free(two);
    fault_disk_free(disk);
}

/* The full disk: taken back whole, answered with the reason, and right again once there is room.
 * What waited behind it in its partition is not written; another partition's file is. */
TEST(file_sink, takes_a_write_back_when_the_disk_is_full)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct fault_disk *disk = fault_disk_new(1);
        struct fake_sink_host *fake = open_sink(disk, "web", kinds[kind].word);
        (void)fake_sink_write(fake, "web", 0, 0, 3, NULL);
        fake_sink_settle(fake);
        disk->limit_bytes = disk->used_bytes + 10;
        struct fake_write *full = fake_sink_write(fake, "web", 0, 3, 5, NULL);
        struct fake_write *behind = fake_sink_write(fake, "web", 0, 8, 1, NULL);
        fake_sink_settle(fake);
        CHECK_EQ(full->class, SINK_RETRY);
        CHECK_HAS(full->reason, "no space left");
        CHECK_EQ(behind->class, SINK_RETRY);
        CHECK_EQ(found_in(disk, kinds[kind].name, kinds[kind].codec).lines, 3);
        disk->limit_bytes = 0;
        full = fake_sink_write(fake, "web", 0, 3, 5, NULL);
        behind = fake_sink_write(fake, "web", 0, 8, 1, NULL);
        fake_sink_settle(fake);
        CHECK_EQ(full->class, SINK_OK);
        CHECK_EQ(behind->class, SINK_OK);
        struct found found = found_in(disk, kinds[kind].name, kinds[kind].codec);
        CHECK_EQ(found.lines, 9);
        CHECK(found.is_ordered);
        fake_sink_host_free(fake);
        fault_disk_free(disk);
    }
}

/* Writes 24 lines to two files, again whatever is answered with SINK_RETRY, as a flow does. Returns
 * the first line that was not answered with OK in `rounds` rounds. */
static int64_t deliver(struct fake_sink_host *fake, int64_t from, int rounds)
{
    for (int round = 0; round < rounds && from < 24; round++) {
        struct fake_write *first = fake_sink_write(fake, "web", 0, from, 4, "a");
        struct fake_write *second =
            from == 20 ? NULL : fake_sink_write(fake, "web", 0, from + 4, 4, "b");
        fake_sink_settle(fake);
        CHECK(second == NULL || first->class == SINK_OK || second->class != SINK_OK);
        from += first->class == SINK_OK ? 4 : 0;
        from += second != NULL && second->class == SINK_OK ? 4 : 0;
    }
    return from;
}

struct census {
    struct fault_disk *disk;
    enum mr_codec codec;
    int counts[LINES_MAX];
};

static int count_file(void *owner, const char *name)
{
    struct census *census = owner;
    bool is_aside = strstr(name, "Z") != NULL;
    struct found found = is_aside ? found_before_damage(census->disk, name, census->codec)
                                  : found_in(census->disk, name, census->codec);

    for (int i = 0; i < LINES_MAX; i++) {
        census->counts[i] += found.counts[i];
    }
    return 0;
}

/* Every line at least once; the files that are written are whole, and one that was moved aside is
 * so up to its damage. */
static void check_all(struct fault_disk *disk, int kind, int64_t until)
{
    struct census census = {.disk = disk, .codec = kinds[kind].codec};

    CHECK_EQ(mr_disk_list(&disk->base, fault_disk_root(disk), count_file, &census), 0);
    for (int64_t line = 0; line < until; line++) {
        CHECK_GE(census.counts[line], 1);
    }
}

/* Each disk call fails once, then heals: everything arrives, every line and frame is whole, and a
 * restart after it finds all that was answered. */
TEST(file_sink, loses_nothing_whichever_disk_call_fails)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (int nth = 1;; nth++) {
            struct fault_disk *disk = fault_disk_new((uint64_t)nth);
            struct fake_sink_host *fake = open_sink(disk, "{mr.file}", kinds[kind].word);
            fault_set(&disk->faults[DISK_ANY], nth, nth % 2 == 0 ? MR_ENOSPC : MR_EIO);
            CHECK_EQ(deliver(fake, 0, 8), 24);
            bool fired = fault_fired(&disk->faults[DISK_ANY]);
            fault_disk_heal(disk);
            fake_sink_host_free(fake);
            check_all(disk, kind, 24);
            fault_disk_free(disk);
            if (!fired) {
                CHECK_GT(nth, 8);
                break;
            }
        }
    }
}

/* Power goes at each change: what was answered is there afterwards, and the next run goes on. */
TEST(file_sink, keeps_what_it_answered_when_power_is_lost)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (int nth = 1;; nth++) {
            struct fault_disk *disk = fault_disk_new(test_seed() + (uint64_t)nth);
            disk->loss = nth % 2 == 0 ? DISK_LOSES_BY_SEED : DISK_LOSES_UNSYNCED;
            struct fake_sink_host *fake = open_sink(disk, "{mr.file}", kinds[kind].word);
            fault_set(&disk->faults[DISK_POWER], nth, MR_EIO);
            int64_t answered = deliver(fake, 0, 4);
            bool fired = fault_fired(&disk->faults[DISK_POWER]);
            fake_sink_host_free(fake);
            fault_disk_power_loss(disk);
            fault_disk_heal(disk);
            fake = open_sink(disk, "{mr.file}", kinds[kind].word);
            CHECK_EQ(deliver(fake, answered - answered % 8, 8), 24);
            fake_sink_host_free(fake);
            check_all(disk, kind, 24);
            fault_disk_free(disk);
            if (!fired) {
                CHECK_GT(nth, 4);
                break;
            }
        }
    }
}

TEST(file_sink, survives_every_failing_allocation)
{
    for (int nth = 1;; nth++) {
        struct fault_disk *disk = fault_disk_new(1);
        struct fake_sink_host *fake = open_sink(disk, "{mr.file}", "zstd");
        struct fault heap;
        fault_set(&heap, nth, MR_ENOMEM);
        fault_heap(&heap);
        int64_t until = deliver(fake, 0, 8);
        fault_heap_off();
        CHECK_EQ(until, 24);
        fake_sink_host_free(fake);
        check_all(disk, 3, 24);
        fault_disk_free(disk);
        if (!fault_fired(&heap)) {
            break;
        }
    }
}
