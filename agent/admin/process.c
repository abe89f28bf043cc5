/* Read from /proc and getrusage when the page is made, never in between. */
#include "agent/admin/process.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/core/disk.h"
#include "base/core/loop.h"
#include "base/core/metric.h"

enum {
    PROCESS_RESIDENT_BYTES,
    PROCESS_OPEN_FDS,
    PROCESS_MAX_FDS,
    PROCESS_CPU_MS,
    PROCESS_UPTIME_SECONDS,
    PROCESS_METRIC_COUNT
};

static const struct mr_metric_def process_defs[PROCESS_METRIC_COUNT] = {
    [PROCESS_RESIDENT_BYTES] = {"millrace_process_resident_bytes", MR_GAUGE,
                                "Memory of the process that is in RAM.", NULL},
    [PROCESS_OPEN_FDS] = {"millrace_process_open_fds", MR_GAUGE, "Descriptors that are open.",
                          NULL},
    [PROCESS_MAX_FDS] = {"millrace_process_max_fds", MR_GAUGE,
                         "Descriptors that the system allows.", NULL},
    [PROCESS_CPU_MS] = {"millrace_process_cpu_milliseconds_total", MR_COUNTER,
                        "Processor time spent, user and system.", NULL},
    [PROCESS_UPTIME_SECONDS] = {"millrace_process_uptime_seconds", MR_GAUGE,
                                "Time since the start.", NULL},
};

static const struct mr_metric_def build_defs[] = {
    {"millrace_build_info", MR_GAUGE, "Always 1; the labels tell the build.", "version,compiler"},
};

/* The second number of /proc/self/statm, in pages. */
static int64_t resident_bytes(void)
{
    struct mr_disk *disk = mr_disk_system();
    char text[128] = "";
    char *end = text;
    ssize_t size;
    int fd = -1;

    if (mr_disk_open(disk, "/proc/self/statm", MR_DISK_READ, &fd, NULL) != 0) {
        return 0;
    }
    size = mr_disk_pread(disk, fd, text, sizeof text - 1, 0);
    mr_disk_close(disk, fd);
    if (size <= 0) {
        return 0;
    }
    text[size] = '\0';
    (void)strtoll(text, &end, 10);
    return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int count_one(void *owner, const char *name)
{
    (void)name;
    (*(int64_t *)owner)++;
    return 0;
}

static int64_t open_fds(void)
{
    int64_t count = 0;

    (void)mr_disk_system()->ops->list(mr_disk_system(), "/proc/self/fd", count_one, &count);
    return count > 0 ? count - 1 : 0; /* less the one that listed them */
}

static int64_t milliseconds(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_usec / 1000;
}

static void refresh(struct mr_metric_set *set)
{
    const struct process_metrics *self = set->owner;
    struct rlimit limit = {0};
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage); /* cannot fail with these arguments */
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    set->values[PROCESS_RESIDENT_BYTES] = resident_bytes();
    set->values[PROCESS_OPEN_FDS] = open_fds();
    set->values[PROCESS_MAX_FDS] = (int64_t)limit.rlim_cur;
    set->values[PROCESS_CPU_MS] = milliseconds(&usage.ru_utime) + milliseconds(&usage.ru_stime);
    set->values[PROCESS_UPTIME_SECONDS] = (mr_loop_now_ms(self->loop) - self->started_ms) / 1000;
}

void process_metrics_init(struct process_metrics *self, struct mr_metrics *metrics,
                          struct mr_loop *loop)
{
    static const char *const build_labels[] = {MR_VERSION, __VERSION__};

    self->loop = loop;
    self->started_ms = mr_loop_now_ms(loop);
    self->process = mr_metric_set_new(metrics, process_defs, PROCESS_METRIC_COUNT, NULL, 0);
    self->build = mr_metric_set_new(metrics, build_defs, 1, build_labels, 2);
    if (self->process != NULL) {
        self->process->refresh = refresh;
        self->process->owner = self;
    }
    if (self->build != NULL) {
        self->build->values[0] = 1;
    }
}

void process_metrics_done(struct process_metrics *self)
{
    mr_metric_set_free(self->process);
    mr_metric_set_free(self->build);
}
