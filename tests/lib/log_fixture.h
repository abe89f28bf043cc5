/* One log on a fault disk and a virtual loop, with records that know their own number: the n-th
 * record that a fixture makes has the value "record n" and, padded, the size that is asked for. */
#ifndef TESTS_LIB_LOG_FIXTURE_H
#define TESTS_LIB_LOG_FIXTURE_H

#include "base/core/loop.h"
#include "base/core/workers.h"
#include "queue/log/log.h"
#include "queue/wire/batch_builder.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test_clock.h"

struct log_fixture {
    struct fault_disk *disk;
    struct test_clock clock;
    struct mr_random_seeded random;
    struct mr_loop *loop;
    struct mr_workers *fsync_workers;
    struct mr_workers *io_workers;
    struct mr_metrics *metrics;
    struct log_budget budget;
    struct log_env env;
    struct log_config config; /* small segments; change it before open */
    struct log *log;          /* NULL while it is closed */
    char directory[512];
    int on_space_count;
};

/* Never NULL. The log is not open yet. */
struct log_fixture *log_fixture_new(uint64_t seed);
/* Closes what is open. */
void log_fixture_free(struct log_fixture *f);

int log_fixture_open(struct log_fixture *f);
/* In good order. */
void log_fixture_close(struct log_fixture *f);
/* As kill -9: what was written is there, nothing more is. */
void log_fixture_kill(struct log_fixture *f);
/* As a power cut: what was not fsynced is lost, as disk->loss says, and the boot id is another one.
 */
void log_fixture_power_loss(struct log_fixture *f);
int log_fixture_reopen(struct log_fixture *f); /* close and open */

/* Turns until nothing is to do at once. */
void log_fixture_turn(struct log_fixture *f);
/* Turns and moves the clock until the flag is set; false after many rounds. */
bool log_fixture_wait(struct log_fixture *f, const bool *flag);

/* A batch of `count` records numbered from `first`; each value is padded to value_size bytes. */
struct mr_buf *log_fixture_batch(struct log_fixture *f, int64_t first, int count, size_t value_size,
                                 const struct batch_builder_identity *identity);

struct log_fixture_append {
    struct log_append append;
    bool is_done;
};
/* Appends and waits for the callback; the code of log_append or of the callback. */
int log_fixture_append(struct log_fixture *f, struct mr_buf *batch, int flags,
                       struct log_fixture_append *ret_append);
/* A batch of `count` records numbered by the offsets that they will have. */
int log_fixture_append_next(struct log_fixture *f, int count, size_t value_size);
int log_fixture_sync(struct log_fixture *f);

/* Called for each record; the number is the one in its value. */
typedef void (*log_fixture_record_cb)(void *owner, int64_t offset, int64_t number);
/* Reads everything from the start offset on, checking checksums, order and contiguity of ranges;
 * the number of records, or an error. */
int64_t log_fixture_read_all(struct log_fixture *f, int64_t max_bytes, log_fixture_record_cb cb,
                             void *owner);
/* All records are there whose numbers are their offsets: [start, end) without a gap. */
void log_fixture_check_whole(struct log_fixture *f);

/* Bytes of a file of the log, for tests that damage it. */
void log_fixture_flip(struct log_fixture *f, const char *name, int64_t position, uint8_t mask);
int64_t log_fixture_file_size(struct log_fixture *f, const char *name); /* -1: none */
void log_fixture_cut(struct log_fixture *f, const char *name, int64_t size_bytes);
void log_fixture_remove(struct log_fixture *f, const char *name);

#endif
