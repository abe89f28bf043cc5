/* Damage of every kind: a flipped byte anywhere, any file cut anywhere or missing, after a clean
 * close and after a kill. The log opens, serves every record that is whole at its own offset, never
 * gives an offset twice, and takes new appends. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "queue/log/log.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

enum { FILES_MAX = 64, RECORDS = 63, BATCH = 3, NAME_MAX_SIZE = 96 };

/* ---- a template of a log, and copies of it ---- */

struct template_file {
    char name[NAME_MAX_SIZE];
    uint8_t *data;
    long size;
};

struct template
{
    struct template_file files[FILES_MAX];
    int count;
};

static void template_take(struct log_fixture *f, struct template *template)
{
    DIR *directory = opendir(f->directory);
    struct dirent *entry;

    CHECK(directory != NULL);
    template->count = 0;
    while ((entry = readdir(directory)) != NULL) {
        struct template_file *file = &template->files[template->count];
        char path[1024];
        FILE *in;

        if (entry->d_name[0] == '.') {
            continue;
        }
        CHECK_LT(template->count, FILES_MAX);
        (void)snprintf(file->name, sizeof file->name, "%s", entry->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", f->directory, entry->d_name);
        in = fopen(path, "rb");
        CHECK(in != NULL);
        CHECK_EQ(fseek(in, 0, SEEK_END), 0);
        file->size = ftell(in);
        rewind(in);
        file->data = malloc((size_t)file->size + 1);
        CHECK(file->data != NULL);
        CHECK_EQ(fread(file->data, 1, (size_t)file->size, in), (size_t)file->size);
        (void)fclose(in);
        template->count++;
    }
    (void)closedir(directory);
}

static void template_put(struct log_fixture *f, const struct template *template)
{
    CHECK_EQ(mr_disk_remove_tree(mr_disk_system(), f->directory, NULL), 0);
    CHECK_EQ(mkdir(f->directory, 0700), 0);
    for (int i = 0; i < template->count; i++) {
        char path[1024];
        FILE *out;

        (void)snprintf(path, sizeof path, "%s/%s", f->directory, template->files[i].name);
        out = fopen(path, "wb");
        CHECK(out != NULL);
        CHECK_EQ(fwrite(template->files[i].data, 1, (size_t) template->files[i].size, out),
                 (size_t) template->files[i].size);
        CHECK_EQ(fclose(out), 0);
    }
}

static void template_free(struct template *template)
{
    for (int i = 0; i < template->count; i++) {
        free(template->files[i].data);
    }
}

static struct log_fixture *damage_fixture(struct template *template, bool is_clean)
{
    struct log_fixture *f = log_fixture_new(1);

    f->env.disk = mr_disk_system(); /* the files are changed behind its back, many times */
    f->config.segment_size_bytes = 1500;
    f->config.index_interval_bytes = 300;
    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < RECORDS; i += BATCH) {
        CHECK_EQ(log_fixture_append_next(f, BATCH, 60), 0);
    }
    if (is_clean) {
        log_fixture_close(f);
    } else {
        CHECK_EQ(log_fixture_sync(f), 0);
    }
    template_take(f, template);
    log_fixture_close(f);
    return f;
}

/* ---- what must still be there ---- */

struct seen {
    bool records[RECORDS + 64];
};

static void on_seen(void *owner, int64_t offset, int64_t number)
{
    struct seen *seen = owner;

    CHECK_EQ(offset, number); /* every record at its own offset */
    CHECK_LT(offset, RECORDS + 64);
    CHECK(!seen->records[offset]);
    seen->records[offset] = true;
}

/* Opens and reads in two ways; all records but those of [lost_from, lost_to) must be there. */
static void check_survivors(struct log_fixture *f, int64_t lost_from, int64_t lost_to,
                            int64_t end_min)
{
    for (int round = 0; round < 2; round++) {
        struct seen seen = {0};
        int64_t end;

        CHECK_EQ(log_fixture_open(f), 0);
        end = log_end_offset(f->log);
        CHECK_GE(end, end_min);
        CHECK_LE(log_start_offset(f->log), lost_from > 0 ? 0 : lost_to);
        CHECK_GE(log_fixture_read_all(f, round == 0 ? 1 << 20 : 100, on_seen, &seen), 0);
        for (int64_t i = 0; i < RECORDS; i++) {
            if (!seen.records[i] && (i < lost_from || i >= lost_to)) {
                test_fail(__FILE__, __LINE__, "record %d is gone, lost are %d to %d", (int)i,
                          (int)lost_from, (int)lost_to);
            }
        }
        CHECK_EQ(log_fixture_append_next(f, 1, 20), 0);
        CHECK_EQ(log_end_offset(f->log), end + 1);
        log_fixture_close(f);
        end_min = end + 1;
    }
}

static int64_t base_of(const char *name)
{
    return strtoll(name, NULL, 10);
}

static bool is_log(const char *name)
{
    return strlen(name) == 24 && strcmp(name + 20, ".log") == 0;
}

/* All batches of the template have the same size. */
static void lost_of(const struct template *template, const struct template_file *file,
                    long position, int64_t *ret_from, int64_t *ret_to)
{
    long batch_size = 0;

    for (int i = 0; i < template->count; i++) {
        const struct template_file *first = &template->files[i];

        if (is_log(first->name) && first->size > 0) {
            batch_size = (long)(((uint32_t)first->data[10] << 8) + first->data[11] + 12);
        }
    }
    *ret_from = base_of(file->name) + position / batch_size * BATCH;
    *ret_to = *ret_from + BATCH;
}

static void sweep_flips(bool is_clean, long stride)
{
    struct template template;
    struct log_fixture *f = damage_fixture(&template, is_clean);
    static const uint8_t masks[] = {0x01, 0x80, 0xff};

    for (int i = 0; i < template.count; i++) {
        const struct template_file *file = &template.files[i];

        for (long position = 0; position < file->size; position += stride) {
            uint8_t mask = masks[(size_t)position % sizeof masks];
            int64_t from = 0;
            int64_t to = 0;

            if (is_log(file->name)) {
                lost_of(&template, file, position, &from, &to);
            }
            template_put(f, &template);
            log_fixture_flip(f, file->name, position, mask);
            check_survivors(f, from, to, to == RECORDS ? RECORDS - BATCH : RECORDS);
        }
    }
    template_free(&template);
    log_fixture_free(f);
}

TEST(damage, a_flipped_byte_after_a_clean_close_costs_its_batch_alone)
{
    sweep_flips(true, 1);
}

TEST(damage, a_flipped_byte_after_a_kill_costs_its_batch_alone)
{
    sweep_flips(false, 5);
}

/* Every file, cut to every length. */
TEST(damage, a_cut_file_costs_what_was_cut)
{
    struct template template;
    struct log_fixture *f = damage_fixture(&template, true);

    for (int i = 0; i < template.count; i++) {
        const struct template_file *file = &template.files[i];

        for (long size = 0; size < file->size; size += 1 + file->size / 100) {
            int64_t from = 0;
            int64_t to = 0;

            if (is_log(file->name)) {
                lost_of(&template, file, size, &from, &to);
                lost_of(&template, file, file->size - 1, &(int64_t){0}, &to);
            }
            template_put(f, &template);
            log_fixture_cut(f, file->name, size);
            check_survivors(f, from, to, RECORDS);
        }
    }
    template_free(&template);
    log_fixture_free(f);
}

TEST(damage, a_missing_file_costs_what_was_in_it)
{
    for (int is_clean = 0; is_clean < 2; is_clean++) {
        struct template template;
        struct log_fixture *f = damage_fixture(&template, is_clean);

        for (int i = 0; i < template.count; i++) {
            const struct template_file *file = &template.files[i];
            int64_t from = 0;
            int64_t to = 0;

            if (is_log(file->name) && file->size > 0) {
                lost_of(&template, file, 0, &from, &to);
                lost_of(&template, file, file->size - 1, &(int64_t){0}, &to);
            }
            template_put(f, &template);
            log_fixture_remove(f, file->name);
            check_survivors(f, from, to, RECORDS);
        }
        template_free(&template);
        log_fixture_free(f);
    }
}

/* Nothing but the .log files is left: all is made again, and nothing begins at 0. */
TEST(damage, segments_alone_are_enough)
{
    struct template template;
    struct log_fixture *f = damage_fixture(&template, true);

    template_put(f, &template);
    for (int i = 0; i < template.count; i++) {
        if (!is_log(template.files[i].name)) {
            log_fixture_remove(f, template.files[i].name);
        }
    }
    check_survivors(f, 0, 0, RECORDS);
    template_free(&template);
    log_fixture_free(f);
}

/* All segments gone, the checkpoint is left: offsets go on where they were. */
TEST(damage, a_checkpoint_alone_keeps_offsets_from_being_used_again)
{
    struct template template;
    struct log_fixture *f = damage_fixture(&template, true);

    template_put(f, &template);
    for (int i = 0; i < template.count; i++) {
        if (is_log(template.files[i].name)) {
            log_fixture_remove(f, template.files[i].name);
        }
    }
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), RECORDS);
    CHECK_EQ(log_start_offset(f->log), RECORDS);
    template_free(&template);
    log_fixture_free(f);
}

/* Whatever bytes stand in the files. */
TEST(damage, noise_is_survived)
{
    struct template template;
    struct log_fixture *f = damage_fixture(&template, true);
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (int round = 0; round < 150; round++) {
        template_put(f, &template);
        for (int i = 0; i < 6; i++) {
            const struct template_file *file =
                &template.files[mr_random_below(&random.base, (uint64_t) template.count)];

            if (file->size > 0) {
                log_fixture_flip(f, file->name,
                                 (int64_t)mr_random_below(&random.base, (uint64_t)file->size),
                                 (uint8_t)(1 + mr_random_below(&random.base, 255)));
            }
        }
        check_survivors(f, 0, RECORDS, 0);
    }
    template_free(&template);
    log_fixture_free(f);
}
