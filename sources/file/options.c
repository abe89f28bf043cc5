/* What the file source can be told, and what it counts. */
#include <stddef.h>

#include "sources/file/file_internal.h"

#include "base/core/error.h"

enum { PARTS_MAX = MARKS_MAX - 100 }; /* events that one line can become */

static const char *const format_words[] = {"plain", "cri", "docker", NULL};
static const char *const start_words[] = {"beginning", "end", NULL};
static const char *const watch_words[] = {"auto", "poll", NULL};

static const struct mr_option multiline_options[] = {
    {"start", MR_OPT_REGEX, offsetof(struct multiline_options, start),
     .example = "'^\\d{4}-\\d\\d-\\d\\d '",
     .help = "A line that matches begins an event; without `continue`, all others go on with it."},
    {"continue", MR_OPT_REGEX, offsetof(struct multiline_options, proceed), .example = "'^\\s'",
     .help = "A line that matches goes on with the event before it; without `start`, all others "
             "begin one."},
    {"timeout", MR_OPT_DURATION, offsetof(struct multiline_options, timeout_ms), .fallback = "1s",
     .min = 1, .max = 3600 * 1000,
     .help = "The last event of a file is complete when nothing follows for so long."},
    {"max_lines", MR_OPT_INT, offsetof(struct multiline_options, lines_max), .fallback = "1000",
     .min = 1, .max = 1000000, .help = "An event of more lines is cut, and its parts flagged."},
    {"max_size", MR_OPT_SIZE, offsetof(struct multiline_options, size_bytes_max),
     .fallback = "256KiB", .min = 1024, .max = 16 * 1024 * 1024,
     .help = "A larger event is cut, and its parts flagged."},
    {0}};

const struct mr_option file_options[] = {
    {"paths", MR_OPT_STRING_LIST, offsetof(struct file_options, paths), .is_required = true,
     .example = "[/var/log/nginx/*.log, \"/srv/app/**/*.log\"]",
     .help = "Globs of the files to read; ** crosses directories, {a,b} are alternatives."},
    {"exclude", MR_OPT_STRING_LIST, offsetof(struct file_options, exclude), .example = "[\"*.gz\"]",
     .help = "Globs of files and directories to leave out; without a slash: names anywhere."},
    {"start_at", MR_OPT_ENUM, offsetof(struct file_options, start_at), .fallback = "beginning",
     .words = start_words,
     .help = "Where to start in files that were there before the very first start. Files that "
             "appear later are always read from their first byte."},
    {"ignore_older", MR_OPT_DURATION, offsetof(struct file_options, ignore_older_ms),
     .fallback = "0s", .example = "7d",
     .help = "Unknown files that were not written to for so long are left alone; 0: none."},
    {"format", MR_OPT_ENUM, offsetof(struct file_options, format), .fallback = "plain",
     .words = format_words,
     .help = "plain lines; cri (containerd, CRI-O) or docker (json-file): the runtime's frame is "
             "taken off, its time and stream kept, and its partial lines are joined."},
    {"multiline", MR_OPT_TABLE, offsetof(struct file_options, multiline),
     .children = multiline_options, .children_size = sizeof(struct multiline_options),
     .help = "Which lines belong together."},
    {"max_line", MR_OPT_SIZE, offsetof(struct file_options, line_size_bytes_max),
     .fallback = "256KiB", .min = 16, .max = 16 * 1024 * 1024,
     .help = "A longer line is delivered in parts, cut between characters and flagged."},
    {"strip_cr", MR_OPT_BOOL, offsetof(struct file_options, strip_cr), .fallback = "true",
     .help = "Whether a CR before the LF belongs to the line's end."},
    {"gzip", MR_OPT_BOOL, offsetof(struct file_options, gzip), .fallback = "true",
     .help = "Whether gzip'ed files are read as what they hold; they are told by their first "
             "bytes."},
    {"partial_timeout", MR_OPT_DURATION, offsetof(struct file_options, partial_timeout_ms),
     .fallback = "0s",
     .help = "Deliver a last line without line end after so long, flagged as partial; 0: when the "
             "file is rotated or deleted."},
    {"watch", MR_OPT_ENUM, offsetof(struct file_options, watch), .fallback = "auto",
     .words = watch_words,
     .help = "auto: inotify where it works, else polling; poll: never inotify."},
    {"scan_interval", MR_OPT_DURATION, offsetof(struct file_options, scan_interval_ms),
     .fallback = "1s", .min = 10, .max = 3600 * 1000,
     .help = "How often directories are looked through where inotify does not work."},
    {"max_open_files", MR_OPT_INT, offsetof(struct file_options, open_files_max), .fallback = "512",
     .min = 1, .max = 1000000,
     .help =
         "Handles of idle files beyond this are closed; files that were rotated or deleted keep "
         "theirs."},
    {"close_idle", MR_OPT_DURATION, offsetof(struct file_options, close_idle_ms), .fallback = "5m",
     .min = 0,
     .help = "Handles of files that did not grow for so long are closed; 0: only by "
             "max_open_files."},
    {"rotated_wait", MR_OPT_DURATION, offsetof(struct file_options, rotated_wait_ms),
     .fallback = "5s", .min = 0,
     .help = "A rotated file counts as complete when it did not grow for so long."},
    {"deleted_max_age", MR_OPT_DURATION, offsetof(struct file_options, deleted_age_ms_max),
     .fallback = "1h", .min = 0,
     .help = "A deleted file that could not be read to its end for so long is given up, and its "
             "unread bytes are counted; 0: never."},
    {"deleted_max_files", MR_OPT_INT, offsetof(struct file_options, deleted_files_max),
     .fallback = "256", .min = 1, .max = 100000,
     .help = "The same beyond this number of deleted files held open."},
    {"memory", MR_OPT_SIZE, offsetof(struct file_options, memory_bytes), .fallback = "8MiB",
     .min = 1024 * 1024,
     .help = "What bytes on their way to the log may use at most, but not less than the longest "
             "line needs."},
    {0}};

const struct mr_metric_def file_metrics[FILE_METRIC_COUNT] = {
    [FILE_READ_BYTES] = {"millrace_file_read_bytes_total", MR_COUNTER, "Bytes read from files.",
                         "source"},
    [FILE_LINES] = {"millrace_file_lines_total", MR_COUNTER, "Lines read from files.", "source"},
    [FILE_EVENTS] = {"millrace_file_events_total", MR_COUNTER,
                     "Events handed over: lines, or what was joined or cut of them.", "source"},
    [FILE_WATCHED] = {"millrace_file_known", MR_GAUGE, "Files that are known.", "source"},
    [FILE_OPEN] = {"millrace_file_open", MR_GAUGE, "Files with an open handle.", "source"},
    [FILE_DELETED_OPEN] = {"millrace_file_deleted_open", MR_GAUGE,
                           "Deleted files that are held open until they are read.", "source"},
    [FILE_DELETED_OPEN_BYTES] = {"millrace_file_deleted_open_bytes", MR_GAUGE,
                                 "Unread bytes of deleted files.", "source"},
    [FILE_BEHIND_BYTES] = {"millrace_file_behind_bytes", MR_GAUGE,
                           "Bytes seen in files and not yet taken.", "source"},
    [FILE_ROTATIONS] = {"millrace_file_rotations_total", MR_COUNTER, "Files that left their path.",
                        "source"},
    [FILE_TRUNCATIONS] = {"millrace_file_truncations_total", MR_COUNTER,
                          "Files that were truncated or rewritten.", "source"},
    [FILE_COPIES] = {"millrace_file_copies_total", MR_COUNTER,
                     "Copies that were read on where their original stood.", "source"},
    [FILE_SCANS] = {"millrace_file_scans_total", MR_COUNTER, "Walks over the directories.",
                    "source"},
    [FILE_OVERFLOWS] = {"millrace_file_event_overflows_total", MR_COUNTER,
                        "Overflows of the kernel's event queue, each answered by a walk.",
                        "source"},
    [FILE_UNREADABLE] = {"millrace_file_unreadable", MR_GAUGE, "Files that cannot be read now.",
                         "source"},
    [FILE_CUT_LINES] = {"millrace_file_cut_lines_total", MR_COUNTER,
                        "Lines beyond max_line, delivered in parts.", "source"},
    [FILE_PARTIAL_EVENTS] = {"millrace_file_partial_events_total", MR_COUNTER,
                             "Events delivered without their end.", "source"},
    [FILE_MALFORMED_LINES] = {"millrace_file_malformed_lines_total", MR_COUNTER,
                              "Lines that are not in the container format; delivered as they are.",
                              "source"},
};

int file_options_check(const void *raw, struct mr_error *error)
{
    const struct file_options *options = raw;
    struct path_set paths;
    int rc = path_set_init(&paths, &options->paths, &options->exclude, error);

    if (rc != 0) {
        return rc;
    }
    path_set_done(&paths);
    for (size_t i = 0; i < options->paths.count; i++) {
        if (options->paths.items[i][0] != '/') {
            return mr_fail_text(error, MR_ECONFIG, "paths: '%s' is not absolute: begin it with /",
                                options->paths.items[i]);
        }
    }
    if ((options->multiline.start != NULL || options->multiline.proceed != NULL) &&
        options->line_size_bytes_max / options->multiline.size_bytes_max > PARTS_MAX) {
        return mr_fail_text(error, MR_ECONFIG,
                            "multiline.max_size: at least %d-th of max_line, or one line fills "
                            "too many events",
                            PARTS_MAX);
    }
    if (options->paths.count == 0) {
        return mr_fail_text(error, MR_ECONFIG, "paths: give at least one");
    }
    return 0;
}
