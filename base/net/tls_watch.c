/* Certificates that are replaced while the node runs: their files are looked at from time to time,
 * and what has changed is taken.
 *
 * Happy path: a look finds another size, time or file than was taken last; a second look a moment
 * later finds the same again, so whoever writes is done; the files are read. Failure: what was in
 * use stays, the reason is said once, and every look tries again until it is mended (a pair that
 * was written one file after the other mends itself).
 *
 * By stat, not by inotify: that one misses network file systems and directories that are swapped
 * behind a symbolic link, and four stats every ten seconds cost nothing. Files are read on the
 * loop: they are small and belong on a local disk. */
#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/net/net_internal.h"
#include "base/net/tls.h"
#include "base/net/tls_internal.h"

enum { SETTLE_MS = 1000, DAY_MS = 24 * 3600 * 1000, WARN_DAYS = 14 };

static struct tls_stamp stamp_of(struct mr_disk *disk, const char *path)
{
    struct tls_stamp stamp = {.is_there = false};
    struct mr_disk_stat stat;

    if (path != NULL && mr_disk_stat(disk, path, &stat) == 0) {
        stamp =
            (struct tls_stamp){true, stat.device, stat.inode, stat.size_bytes, stat.modified_us};
    }
    return stamp;
}

static void look(const struct tls_watched *watched, struct tls_stamp stamps[TLS_FILES])
{
    const struct mr_tls_config *config = tls_context_config(watched->context);
    struct mr_disk *disk = config->disk != NULL ? config->disk : mr_disk_system();
    const char *const paths[TLS_FILES] = {config->cert, config->key, config->ca, config->crl};

    for (int i = 0; i < TLS_FILES; i++) {
        stamps[i] = stamp_of(disk, paths[i]);
    }
}

static bool are_same(const struct tls_stamp *left, const struct tls_stamp *right)
{
    for (int i = 0; i < TLS_FILES; i++) {
        if (left[i].is_there != right[i].is_there || left[i].device != right[i].device ||
            left[i].inode != right[i].inode || left[i].size_bytes != right[i].size_bytes ||
            left[i].modified_us != right[i].modified_us) {
            return false;
        }
    }
    return true;
}

static void reload(struct tls_watched *watched, bool is_asked)
{
    const char *name = tls_context_config(watched->context)->name;
    struct mr_error error = {0};

    look(watched,
         watched->taken); /* before reading: what changes meanwhile is seen the next time */
    if (mr_tls_context_reload(watched->context, &error) == 0) {
        watched->reason[0] = '\0';
        mr_info("certificates read again", KV_STR("tls", name));
    } else if (is_asked || strcmp(watched->reason, error.text) != 0) {
        (void)snprintf(watched->reason, sizeof watched->reason, "%s", error.text);
        mr_error("certificates could not be taken; the old ones stay", KV_STR("tls", name),
                 KV_STR("reason", error.text));
    }
}

/* Once a day, beginning two weeks before: time to make another. */
static void warn_of_end(struct tls_watched *watched, int64_t wall_ms)
{
    int64_t ends_ms = mr_tls_context_expires_ms(watched->context);
    int64_t left_ms = ends_ms - wall_ms;

    if (ends_ms == 0 || left_ms > (int64_t)WARN_DAYS * DAY_MS ||
        wall_ms / DAY_MS == watched->warned_day) {
        return;
    }
    watched->warned_day = wall_ms / DAY_MS;
    if (left_ms > 0) {
        mr_warn("a certificate ends soon",
                KV_STR("tls", tls_context_config(watched->context)->name),
                KV_I64("days_left", left_ms / DAY_MS));
    } else {
        mr_error("a certificate has ended, and is refused by others",
                 KV_STR("tls", tls_context_config(watched->context)->name));
    }
}

/* Whether it must be looked at again in a moment. */
static bool check(struct tls_watched *watched)
{
    struct tls_stamp now[TLS_FILES];
    bool is_settled;

    look(watched, now);
    is_settled = are_same(now, watched->seen);
    memcpy(watched->seen, now, sizeof now);
    if (are_same(now, watched->taken) && watched->reason[0] == '\0') {
        return false;
    }
    if (is_settled) {
        reload(watched, false);
    }
    return !is_settled;
}

void tls_watch_on_timer(struct mr_timer *timer)
{
    struct mr_net *net = timer->owner;
    int64_t wall_ms = mr_loop_wall_ms(net->loop);
    bool is_moving = false;

    mr_list_each(&net->tls_contexts, link, next)
    {
        struct tls_watched *watched = mr_container(link, struct tls_watched, link);

        is_moving = check(watched) || is_moving;
        warn_of_end(watched, wall_ms);
    }
    /* A timer that has fired can be started again without memory. */
    (void)mr_timer_start(
        timer, is_moving && SETTLE_MS < net->tls_interval_ms ? SETTLE_MS : net->tls_interval_ms);
}

static bool is_watching(const struct mr_net *net)
{
    return net->tls_contexts.next != NULL; /* a simulated network has no files */
}

void mr_tls_watch(struct mr_net *net, struct mr_tls_context *context)
{
    struct tls_watched *watched = tls_context_watched(context);

    if (!is_watching(net)) {
        return;
    }
    watched->context = context;
    look(watched, watched->taken);
    memcpy(watched->seen, watched->taken, sizeof watched->seen);
    mr_list_append(&net->tls_contexts, &watched->link);
    warn_of_end(watched, mr_loop_wall_ms(net->loop));
}

int mr_tls_watch_every(struct mr_net *net, int64_t interval_ms)
{
    net->tls_interval_ms = interval_ms;
    mr_timer_stop(&net->tls_timer);
    return interval_ms > 0 && is_watching(net) ? mr_timer_start(&net->tls_timer, interval_ms) : 0;
}

void mr_tls_watch_now(struct mr_net *net)
{
    if (is_watching(net)) {
        mr_list_each(&net->tls_contexts, link, next)
        {
            reload(mr_container(link, struct tls_watched, link), true);
        }
    }
}

int mr_tls_watch_health(struct mr_net *net, struct mr_error *error)
{
    int64_t wall_ms = mr_loop_wall_ms(net->loop);

    if (!is_watching(net)) {
        return 0;
    }
    mr_list_each(&net->tls_contexts, link, next)
    {
        const struct tls_watched *watched = mr_container(link, struct tls_watched, link);
        const char *name = tls_context_config(watched->context)->name;
        int64_t ends_ms = mr_tls_context_expires_ms(watched->context);

        if (watched->reason[0] != '\0') {
            return mr_fail_text(
                error, MR_ECONFIG,
                "tls of %s: the old certificate is used, as the files cannot be: %s", name,
                watched->reason);
        }
        if (ends_ms != 0 && ends_ms <= wall_ms) {
            return mr_fail_text(error, MR_ECONFIG, "tls of %s: the certificate has ended", name);
        }
    }
    return 0;
}
