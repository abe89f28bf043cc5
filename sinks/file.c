/* Records as lines in files whose names come from a template.
 *
 * write() queues. A job takes what waits (at most JOB_WRITES_MAX) to a worker thread: each write's
 * lines go into their files, then every file is fsynced once, and only then are the writes
 * answered. One job at a time; while it runs, the store and the job's list are the worker's, else
 * the loop's.
 *
 * A write that fails (full disk, no permission) is taken out of its files again and answered with
 * SINK_RETRY, as is all of its partition that waits behind it: had these been written, the retry
 * would repeat them, out of order.
 *
 * At least once: after a crash between the fsync and the commit of the position, or a failure whose
 * lines could not be taken back, lines are there twice. A file has no place for a position that
 * would be changed together with it (see README.md, Why). */
#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "base/text/template.h"
#include "sinks/file_store.h"
#include "sinks/line.h"
#include "sinks/sink.h"

enum {
    JOB_WRITES_MAX = 32,
    WRITE_BYTES_MAX =
        128 << 10,         /* as it lies in the log: text unpacks to ten times that and more */
    FIELD_BYTES_MAX = 200, /* of a field's value in a name: file names end at 255 */
    REASON_SIZE = 256,
};

struct file_rotate {
    int64_t size_bytes;
    int64_t age_ms;
};

struct file_options {
    const char *path;
    int format;      /* enum line_format */
    int compression; /* place in compression_words */
    struct file_rotate rotate;
    bool is_synced;
    int64_t open_files;
};

static const char *const compression_words[] = {"none", "gzip", "lz4", "zstd", NULL};
static const enum mr_codec compression_codecs[] = {MR_CODEC_NONE, MR_CODEC_GZIP, MR_CODEC_LZ4,
                                                   MR_CODEC_ZSTD};

enum { FIELD_TOPIC, FIELD_PARTITION, FIELD_NODE, FIELD_HEADERS };
/* From FIELD_HEADERS on, a field is the header of the same name. */
static const char *const path_fields[] = {"topic",     "partition", "node", "mr.host",
                                          "mr.source", "mr.file",   NULL};

enum { FILE_OPEN, FILE_ROTATIONS, FILE_CUT_BYTES, FILE_METRIC_COUNT };
static const struct mr_metric_def file_metrics[FILE_METRIC_COUNT] = {
    [FILE_OPEN] = {"millrace_sink_file_open_files", MR_GAUGE, "Files that a file sink has open.",
                   "sink"},
    [FILE_ROTATIONS] = {"millrace_sink_file_rotations_total", MR_COUNTER,
                        "Files that a file sink has moved aside.", "sink"},
    [FILE_CUT_BYTES] = {"millrace_sink_file_cut_bytes_total", MR_COUNTER,
                        "Bytes of torn lines and frames that a file sink has cut off.", "sink"},
};

struct file_sink {
    struct sink sink;
    struct mr_template *path;
    bool has_record_path; /* the path depends on the record, not only on its partition */
    struct file_store *store;
    struct mr_metric_set *metrics;
    struct mr_link writes; /* waiting */
    struct mr_task task;
    struct mr_work work;
    bool is_working;
    char error[REASON_SIZE]; /* the last failure, "" none */
    sink_close_cb closed;
    void *closed_owner;
    /* The job's. */
    struct mr_link job;
    int64_t job_wall_ms;
    struct mr_bytes job_path;
    char job_error[REASON_SIZE];
};

static struct file_sink *file_sink_of(struct sink *sink)
{
    return (struct file_sink *)sink;
}

static struct sink_write *write_of(struct mr_link *link)
{
    return mr_container(link, struct sink_write, link);
}

/* What became of a write, kept in it until it is answered. */
static void set_rc(struct sink_write *write, int rc)
{
    write->sink_data[0] = (void *)(intptr_t)rc;
}

static int rc_of(const struct sink_write *write)
{
    return (int)(intptr_t)write->sink_data[0];
}

static bool is_same_partition(const struct sink_write *left, const struct sink_write *right)
{
    return left->partition == right->partition && strcmp(left->topic, right->topic) == 0;
}

/* ---- the path of a record (on the worker) ---- */

struct path_source {
    const struct file_sink *file;
    const struct sink_write *write;
    const struct sink_record *record;
};

/* A value is one part of a name: it brings no slash, no dot in front (nor a whole ".."), and no
 * control characters. */
static void put_value(struct mr_bytes *out, const void *data, size_t size)
{
    size_t start = out->size_bytes;

    mr_bytes_append(out, data, size > FIELD_BYTES_MAX ? FIELD_BYTES_MAX : size);
    if (size == 0) {
        mr_bytes_text(out, "_");
    }
    for (size_t i = start; out->failed == 0 && i < out->size_bytes; i++) {
        uint8_t byte = out->data[i];
        if (byte == '/' || byte < 0x20 || byte == 0x7f || (byte == '.' && i == start)) {
            out->data[i] = '_';
        }
    }
}

static void put_header(struct mr_bytes *out, const struct sink_record *record, const char *name)
{
    size_t size = strlen(name);

    for (uint32_t i = 0; i < record->header_count; i++) {
        const struct sink_header *header = &record->headers[i];
        if (header->name.size == size && memcmp(header->name.data, name, size) == 0) {
            put_value(out, header->value.data, header->value.size);
            return;
        }
    }
    put_value(out, "", 0);
}

static void put_path_field(void *owner, int field, const char *name, struct mr_bytes *out)
{
    const struct path_source *source = owner;
    const char *text;

    switch (field) {
    case FIELD_TOPIC:
        put_value(out, source->write->topic, strlen(source->write->topic));
        return;
    case FIELD_PARTITION:
        mr_bytes_printf(out, "%d", (int)source->write->partition);
        return;
    case FIELD_NODE:
        text = source->file->sink.host->node_name;
        put_value(out, text, strlen(text));
        return;
    default:
        put_header(out, source->record, name);
    }
}

static int render_path(struct file_sink *file, const struct sink_write *write,
                       const struct sink_record *record)
{
    const struct file_options *options = file->sink.options;
    struct path_source source = {file, write, record};
    struct mr_bytes *path = &file->job_path;
    const char *ending = file_store_ending(compression_codecs[options->compression]);
    size_t ending_size = strlen(ending);
    int64_t time_ms = record->timestamp_ms < 0 ? file->job_wall_ms : record->timestamp_ms;

    mr_bytes_clear(path);
    mr_template_render(file->path, time_ms * 1000, put_path_field, &source, path);
    if (path->failed == 0 &&
        (path->size_bytes < ending_size ||
         memcmp(path->data + path->size_bytes - ending_size, ending, ending_size) != 0)) {
        mr_bytes_append(path, ending, ending_size);
    }
    mr_bytes_append(path, "", 1);
    return path->failed;
}

/* ---- a job (on the worker) ---- */

static int put_records(struct file_sink *file, const struct sink_write *write,
                       struct mr_error *error)
{
    const struct file_options *options = file->sink.options;
    int rc = 0;

    for (int64_t i = 0; i < write->record_count; i++) {
        const struct sink_record *record = &write->records[i];
        if (i == 0 || file->has_record_path) {
            rc = render_path(file, write, record);
            if (rc != 0) {
                return mr_fail(error, rc, "render the path");
            }
        }
        struct mr_bytes *lines =
            file_store_lines(file->store, (const char *)file->job_path.data, &rc, error);
        if (lines == NULL) {
            return rc;
        }
        line_append((enum line_format)options->format, write, record, lines);
        if (lines->failed != 0) {
            return mr_fail(error, lines->failed, "gather lines");
        }
    }
    return 0;
}

static bool is_behind_failure(struct file_sink *file, const struct sink_write *write)
{
    for (struct mr_link *link = file->job.next; link != &write->link; link = link->next) {
        const struct sink_write *earlier = write_of(link);
        if (rc_of(earlier) != 0 && is_same_partition(earlier, write)) {
            return true;
        }
    }
    return false;
}

static int do_write(struct file_sink *file, struct sink_write *write, struct mr_error *error)
{
    int rc;

    if (is_behind_failure(file, write)) {
        return MR_ECANCELED;
    }
    rc = put_records(file, write, error);
    if (rc == 0) {
        rc = file_store_end_write(file->store, error);
    } else {
        file_store_undo_write(file->store);
    }
    return rc;
}

static void job_run(struct mr_work *work)
{
    struct file_sink *file = work->owner;
    struct mr_error error = {0};
    bool has_failed = false;
    int rc;

    file_store_begin(file->store, file->job_wall_ms);
    mr_list_each(&file->job, link, next)
    {
        set_rc(write_of(link), do_write(file, write_of(link), &error));
    }
    rc = file_store_sync(file->store, &error);
    mr_list_each(&file->job, link, next)
    {
        if (rc_of(write_of(link)) == 0) {
            set_rc(write_of(link), rc);
        }
        has_failed = has_failed || rc_of(write_of(link)) != 0;
    }
    /* What went wrong and was mended (a directory that had to be made) has left words, too. */
    (void)snprintf(file->job_error, sizeof file->job_error, "%s", has_failed ? error.text : "");
}

/* ---- answers (on the loop) ---- */

static void job_start(struct file_sink *file);

/* What waits behind a failed write is taken back with it. */
static void join_failed(struct file_sink *file, struct mr_link *answers)
{
    mr_list_each(&file->writes, link, next)
    {
        struct sink_write *write = write_of(link);
        bool is_failed = false;
        mr_list_each(answers, answer, next_answer)
        {
            is_failed = is_failed || (rc_of(write_of(answer)) != 0 &&
                                      is_same_partition(write_of(answer), write));
        }
        if (is_failed) {
            mr_list_remove(link);
            set_rc(write, MR_ECANCELED);
            mr_list_append(answers, link);
        }
    }
}

static void answer_all(struct file_sink *file, struct mr_link *answers)
{
    struct sink_outcome retry = {.class = SINK_RETRY, .reason = file->error};
    static const struct sink_outcome ok = {.class = SINK_OK};
    struct mr_link *link;

    while ((link = mr_list_pop(answers)) != NULL) {
        struct sink_write *write = write_of(link);
        write->done(write, rc_of(write) == 0 ? &ok : &retry);
    }
}

static void take_all(struct mr_link *from, struct mr_link *to)
{
    struct mr_link *link;

    while ((link = mr_list_pop(from)) != NULL) {
        mr_list_append(to, link);
    }
}

static void show_counts(struct file_sink *file)
{
    struct file_store_counts counts = file_store_counts(file->store);

    if (file->metrics != NULL) {
        file->metrics->values[FILE_OPEN] = counts.open_files;
        file->metrics->values[FILE_ROTATIONS] = counts.rotations;
        file->metrics->values[FILE_CUT_BYTES] = counts.cut_bytes;
    }
}

static void job_done(struct mr_work *work)
{
    struct file_sink *file = work->owner;
    struct mr_link answers;

    file->is_working = false;
    memcpy(file->error, file->job_error, sizeof file->error);
    show_counts(file);
    mr_list_init(&answers);
    take_all(&file->job, &answers);
    join_failed(file, &answers);
    mr_task_post(&file->task);
    answer_all(file, &answers);
}

static void job_start(struct file_sink *file)
{
    struct mr_link answers;
    int rc;

    for (int i = 0; i < JOB_WRITES_MAX && !mr_list_is_empty(&file->writes); i++) {
        mr_list_append(&file->job, mr_list_pop(&file->writes));
    }
    file->job_wall_ms = mr_loop_wall_ms(file->sink.host->loop);
    file->work = (struct mr_work){.run = job_run, .done = job_done, .owner = file};
    rc = mr_workers_submit(file->sink.host->workers, &file->work);
    file->is_working = rc == 0;
    if (rc == 0) {
        return;
    }
    mr_list_init(&answers);
    take_all(&file->job, &answers);
    take_all(&file->writes, &answers);
    mr_list_each(&answers, link, next)
    {
        set_rc(write_of(link), rc);
    }
    (void)snprintf(file->error, sizeof file->error, "no worker thread: %s", mr_code_text(rc));
    answer_all(file, &answers);
}

static void file_done(struct file_sink *file)
{
    mr_task_cancel(&file->task);
    mr_template_free(file->path);
    file_store_free(file->store);
    mr_bytes_done(&file->job_path);
    mr_metric_set_free(file->metrics);
    file->path = NULL;
    file->store = NULL;
    file->metrics = NULL;
}

static void on_task(struct mr_task *task)
{
    struct file_sink *file = task->owner;

    if (file->is_working) {
        return; /* job_done posts again */
    }
    if (!mr_list_is_empty(&file->writes)) {
        job_start(file);
        if (file->is_working) {
            return;
        }
    }
    if (file->closed != NULL && mr_list_is_empty(&file->writes)) {
        sink_close_cb closed = file->closed;
        file->closed = NULL;
        file_done(file);
        closed(file->closed_owner);
    }
}

/* ---- the contract ---- */

static int file_check(const void *given, struct mr_error *error)
{
    const struct file_options *options = given;
    struct mr_template *path = NULL;
    size_t size = strlen(options->path);
    int rc;

    if (size == 0 || options->path[size - 1] == '/') {
        return mr_fail_text(error, MR_EINVAL, "path: the name of a file is wanted here");
    }
    rc = mr_template_parse(options->path, path_fields, &path, error);
    if (rc != 0) {
        (void)mr_error_context(error, "path");
        return rc;
    }
    mr_template_free(path);
    return 0;
}

static int file_open_sink(struct sink *sink, struct mr_error *error)
{
    struct file_sink *file = file_sink_of(sink);
    const struct file_options *options = sink->options;
    struct sink_host *host = sink->host;
    const struct file_store_config config = {
        .disk = host->disk,
        .codec = compression_codecs[options->compression],
        .rotate_size_bytes = options->rotate.size_bytes,
        .rotate_age_ms = options->rotate.age_ms,
        .open_files_max = options->open_files,
        .is_synced = options->is_synced,
    };
    int rc = mr_template_parse(options->path, path_fields, &file->path, error);

    if (rc != 0) {
        return rc;
    }
    rc = file_store_new(&config, &file->store);
    if (rc != 0) {
        mr_template_free(file->path);
        return mr_fail(error, rc, "open");
    }
    file->has_record_path = mr_template_has_time(file->path);
    for (int i = FIELD_HEADERS; path_fields[i] != NULL; i++) {
        file->has_record_path = file->has_record_path || mr_template_has_field(file->path, i);
    }
    file->metrics =
        mr_metric_set_new(host->metrics, file_metrics, FILE_METRIC_COUNT, &host->sink_id, 1);
    mr_list_init(&file->writes);
    mr_list_init(&file->job);
    mr_bytes_init(&file->job_path);
    mr_task_init(&file->task, host->loop, on_task, file);
    return 0;
}

static void file_write(struct sink *sink, struct sink_write *write)
{
    struct file_sink *file = file_sink_of(sink);

    set_rc(write, 0);
    mr_list_append(&file->writes, &write->link);
    mr_task_post(&file->task);
}

static void file_close_sink(struct sink *sink, sink_close_cb done, void *owner)
{
    struct file_sink *file = file_sink_of(sink);

    file->closed = done;
    file->closed_owner = owner;
    mr_task_post(&file->task);
}

static void file_status(struct sink *sink, struct sink_status *ret_status)
{
    const struct file_sink *file = file_sink_of(sink);
    const struct file_options *options = sink->options;

    ret_status->state = file->is_working ? "writing" : "running";
    ret_status->error = file->error[0] == '\0' ? NULL : file->error;
    ret_status->destination = options->path;
}

static const struct mr_option rotate_options[] = {
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct file_rotate, size_bytes),
     .fallback = "0",
     .example = "1GiB",
     .help = "A file of this size is renamed to <path>.<time> before the next write. 0: never."},
    {.name = "age",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct file_rotate, age_ms),
     .fallback = "0",
     .example = "1d",
     .help = "And one that was begun so long ago, when something is next written to it. 0: never."},
    {0}};

static const struct mr_option file_options[] = {
    {.name = "path",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct file_options, path),
     .is_required = true,
     .example = "/var/log/archive/{topic}/%Y-%m-%d.{partition}.log",
     .help = "The file that a record goes to: {topic}, {partition}, {node}, the headers {mr.host}, "
             "{mr.source} and {mr.file}, and strftime by the record's timestamp, in UTC. "
             "Directories are made. A slash in a value becomes an underscore."},
    {.name = "format",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct file_options, format),
     .words = line_format_words,
     .fallback = "raw",
     .help = LINE_FORMAT_HELP},
    {.name = "compression",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct file_options, compression),
     .words = compression_words,
     .fallback = "none",
     .help = "Lines are written as whole frames, so that what is there can be read at any time. "
             "The ending .gz, .lz4 or .zst is added to the path unless it is there."},
    {.name = "rotate",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct file_options, rotate),
     .children = rotate_options,
     .help = "When a file is moved aside and a new one begun."},
    {.name = "fsync",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct file_options, is_synced),
     .fallback = "true",
     .help = "Whether lines are forced to the disk before they count as delivered."},
    {.name = "open_files",
     .type = MR_OPT_INT,
     .offset = offsetof(struct file_options, open_files),
     .fallback = "128",
     .min = 1,
     .max = 100000,
     .help = "Most files that are kept open; the one unused for longest is closed first."},
    {0}};

const struct sink_type sink_type_file = {
    .name = "file",
    .help = "Writes records as lines to files named by a template; at least once.",
    .options = file_options,
    .options_size_bytes = sizeof(struct file_options),
    .size_bytes = sizeof(struct file_sink),
    .wants = SINK_WANTS_RECORDS,
    .in_flight_max = 4,
    .write_bytes_max = WRITE_BYTES_MAX,
    .check = file_check,
    .open = file_open_sink,
    .write = file_write,
    .close = file_close_sink,
    .status = file_status,
};
