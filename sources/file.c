/* source: file. Tails files as they grow, rotate, are truncated, and go.
 *
 * The room sources/file/ has the parts; here is what holds them together: start and end, the queue
 * of files that have something to read, and the blocks at the host. */
#include <stdio.h>
#include <string.h>

#include "sources/file/file_internal.h"
#include "sources/file/find_internal.h"
#include "sources/file/reader_internal.h"

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/text/regex.h"

enum {
    TURN_FILES_MAX = 8,
    TICK_MS = 500,
};

/* ---- blocks at the host ---- */

static void on_ack(struct source_block *base, enum source_outcome outcome)
{
    struct block *block = base->owner;
    struct tail *tail = block->tail;
    struct file_source *fs = tail->fs;

    (void)outcome; /* canceled: the host closes, and nothing of this run counts */
    pool_block_release(&fs->pool, block);
    fs->under_way--;
    tail->under_way--;
    if (fs->is_closing) {
        file_check_closed(fs);
        return;
    }
    if (tail->under_way == 0 && tail->fd < 0 && tail->stream != NULL) {
        fs->host->ops->stream_close(fs->host, tail->stream);
        tail->stream = NULL;
    }
    if (tail->under_way == 0 && tail->is_copy && tail->is_finished) {
        copy_drained(tail);
    }
    if (fs->is_starved) {
        fs->is_starved = false;
        file_wake(fs);
    }
    if (fs->under_way == 0 && mr_list_is_empty(&fs->ready) && mr_list_is_empty(&fs->urgent)) {
        pool_trim(&fs->pool);
    }
}

static int offer_now(struct file_source *fs, struct block *block)
{
    struct tail *tail = block->tail;

    if (tail->stream == NULL) {
        struct source_header header = {"mr.file", tail->origin};

        tail->stream =
            fs->host->ops->stream_open(fs->host, tail->key, sizeof tail->key, &header, 1);
        if (tail->stream == NULL) {
            return MR_ENOMEM;
        }
    }
    block->base.stream = tail->stream;
    return fs->host->ops->offer(fs->host, &block->base);
}

void file_offer(struct file_source *fs, struct block *block)
{
    int rc = MR_EAGAIN;

    block->base.position_at = boundary_position;
    block->base.acked = on_ack;
    block->base.owner = block;
    block->tail->is_kept = true;
    block->tail->under_way++;
    fs->under_way++;
    if (mr_list_is_empty(&fs->parked)) {
        rc = offer_now(fs, block);
    }
    if (rc != 0) {
        mr_list_append(&fs->parked, &block->link);
        fs->is_blocked = true;
        if (rc != MR_EAGAIN) {
            file_tick_soon(fs); /* no resume() will come for that */
        }
    }
}

int file_offer_position(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct block *block = pool_block(&fs->pool, NULL, true);

    if (block == NULL) {
        return MR_ENOMEM;
    }
    block->tail = tail;
    block->base.buf = fs->pool.empty;
    block->base.spans = block->spans;
    block->after = tail->position;
    file_offer(fs, block);
    return 0;
}

static void source_resume(struct source *source)
{
    struct file_source *fs = (struct file_source *)source;

    if (fs->is_closing) {
        return;
    }
    fs->is_blocked = false;
    while (!mr_list_is_empty(&fs->parked)) {
        struct block *block = mr_container(fs->parked.next, struct block, link);
        int rc;

        mr_list_remove(&block->link);
        rc = offer_now(fs, block);
        if (rc != 0) {
            mr_list_prepend(&fs->parked, &block->link);
            fs->is_blocked = true;
            if (rc != MR_EAGAIN) {
                file_tick_soon(fs);
            }
            return;
        }
    }
    file_wake(fs);
}

/* ---- whose turn it is ---- */

static bool has_ready(const struct file_source *fs)
{
    return !mr_list_is_empty(&fs->ready) || !mr_list_is_empty(&fs->urgent);
}

void file_wake(struct file_source *fs)
{
    if (!fs->is_closing && !fs->is_blocked && !fs->is_starved && has_ready(fs)) {
        mr_task_post(&fs->turn_task);
    }
}

/* Rotated files go first, the oldest before all: their lines come before those of the file that
 * took their place, and their bytes may go away. The others take turns. */
static void enqueue(struct tail *tail, bool first)
{
    struct file_source *fs = tail->fs;
    struct mr_link *place = &fs->urgent;

    mr_list_remove(&tail->queue_link);
    if (!first) {
        mr_list_append(&fs->ready, &tail->queue_link);
        file_wake(fs);
        return;
    }
    mr_list_each(&fs->urgent, link, next)
    {
        if (mr_container(link, struct tail, queue_link)->content_us > tail->content_us) {
            place = link;
            break;
        }
    }
    mr_list_insert_before(place, &tail->queue_link);
    file_wake(fs);
}

void file_ready(struct tail *tail, bool first)
{
    switch ((enum tail_state)tail_state(tail)) {
    case TAIL_IDLE:
        mr_state_move(&tail->machine, TAIL_READY, tail->path);
        enqueue(tail, first);
        return;
    case TAIL_READY:
        if (first && mr_link_is_linked(&tail->queue_link)) {
            enqueue(tail, true);
        }
        tail->is_dirty = true;
        return;
    default:
        tail->is_dirty = true; /* looked at when it is idle again */
        return;
    }
}

/* All that is there was taken. */
static void on_idle(struct tail *tail)
{
    struct file_source *fs = tail->fs;

    if (tail->error_code != 0) {
        find_poll(tail);
        return;
    }
    if (tail->is_dirty) {
        file_ready(tail, false);
        return;
    }
    if (tail->joiner != NULL && joiner_has_pending(tail->joiner)) {
        file_flush_at(tail, fs->options->multiline.timeout_ms);
    } else if (fs->options->partial_timeout_ms > 0 && tail->position.offset < tail->size_bytes) {
        file_flush_at(tail, fs->options->partial_timeout_ms);
    }
    if (tail->is_copy && !tail->is_finished) {
        if (reader_finish(tail) != READER_IDLE) {
            find_poll(tail);
            return;
        }
        tail->is_finished = true;
        if (tail->under_way == 0) {
            copy_drained(tail);
        }
    }
}

void reader_turned(struct tail *tail, enum reader_result result)
{
    struct file_source *fs = tail->fs;

    if (tail_state(tail) == TAIL_READY && result == READER_LOADING) {
        mr_state_move(&tail->machine, TAIL_LOADING, tail->path);
        return;
    }
    if (tail_state(tail) == TAIL_READY) {
        mr_state_move(&tail->machine, TAIL_IDLE, tail->path);
    }
    switch (result) {
    case READER_MORE:
        file_ready(tail, tail->is_detached);
        return;
    case READER_STARVED:
        fs->is_starved = true;
        file_tick_soon(fs); /* should no ack come */
        file_ready(tail, true);
        return;
    case READER_CHANGED:
        copy_changed(tail);
        return;
    case READER_HELD:
        mr_state_move(&tail->machine, TAIL_HELD, tail->path);
        mr_list_append(&fs->held, &tail->queue_link);
        file_tick_soon(fs);
        return;
    case READER_IDLE:
    case READER_LOADING:
        on_idle(tail);
        return;
    }
}

static void on_turn(struct mr_task *task)
{
    struct file_source *fs = task->owner;

    for (int i = 0; i < TURN_FILES_MAX && !fs->is_blocked && !fs->is_starved; i++) {
        struct mr_link *link = mr_list_pop(&fs->urgent);
        struct tail *tail;

        link = link != NULL ? link : mr_list_pop(&fs->ready);
        if (link == NULL) {
            return;
        }
        tail = mr_container(link, struct tail, queue_link);
        file_flush_at(tail, -1);
        reader_turned(tail, reader_turn(tail));
    }
    file_wake(fs);
}

/* ---- time ---- */

void file_tick_soon(struct file_source *fs)
{
    if (!mr_timer_is_running(&fs->tick_timer) && !fs->is_closing) {
        int64_t interval = fs->options->scan_interval_ms;

        (void)mr_timer_start(&fs->tick_timer, interval < TICK_MS ? interval : TICK_MS);
    }
}

static void on_tick(struct mr_timer *timer)
{
    struct file_source *fs = timer->owner;

    fs->is_starved = false;
    if (fs->is_blocked) {
        source_resume(&fs->base); /* perhaps it was memory that failed */
    }
    find_tick(fs);
    file_wake(fs);
}

static void plan_flush(struct file_source *fs)
{
    int64_t due = INT64_MAX;
    int64_t now = mr_loop_now_ms(fs->host->loop);

    mr_list_each(&fs->flushing, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, flush_link);

        due = tail->flush_at_ms < due ? tail->flush_at_ms : due;
    }
    if (due != INT64_MAX) {
        (void)mr_timer_start(&fs->flush_timer, due > now ? due - now : 1);
    }
}

void file_flush_at(struct tail *tail, int64_t delay_ms)
{
    struct file_source *fs = tail->fs;

    if (delay_ms < 0) {
        mr_list_remove(&tail->flush_link);
        tail->flush_at_ms = 0;
        return;
    }
    tail->flush_at_ms = mr_loop_now_ms(fs->host->loop) + delay_ms;
    if (!mr_link_is_linked(&tail->flush_link)) {
        mr_list_append(&fs->flushing, &tail->flush_link);
    }
    if (!mr_timer_is_running(&fs->flush_timer)) {
        (void)mr_timer_start(&fs->flush_timer, delay_ms);
    }
}

static void on_flush(struct mr_timer *timer)
{
    struct file_source *fs = timer->owner;
    int64_t now = mr_loop_now_ms(fs->host->loop);

    mr_list_each(&fs->flushing, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, flush_link);

        if (tail->flush_at_ms > now || fs->is_blocked || tail_state(tail) != TAIL_IDLE) {
            continue;
        }
        file_flush_at(tail, -1);
        if (reader_flush(tail) == READER_STARVED) {
            file_flush_at(tail, TICK_MS);
        }
    }
    plan_flush(fs);
}

/* ---- start and end ---- */

static int compile_rule(const char *pattern, struct mr_regex **ret_regex, struct mr_error *error)
{
    return pattern == NULL ? 0 : mr_regex_compile(pattern, 0, ret_regex, error);
}

static int open_rules(struct file_source *fs, struct mr_error *error)
{
    const struct file_options *options = fs->options;
    const struct multiline_options *multiline = &options->multiline;
    bool joins = multiline->start != NULL || multiline->proceed != NULL;
    int rc;

    fs->rules = (struct joiner_rules){
        .format = options->format,
        .lines_max = (size_t)multiline->lines_max,
        .event_size_bytes_max =
            (size_t)(joins ? multiline->size_bytes_max : options->line_size_bytes_max),
        .pending_size_bytes_max = 8 * 1024 * 1024,
        .strip_cr = options->strip_cr,
    };
    rc = compile_rule(multiline->start, &fs->rules.start, error);
    return rc != 0 ? rc : compile_rule(multiline->proceed, &fs->rules.proceed, error);
}

/* The largest line must fit; where events are joined, all that one line can bring out. */
static size_t chunk_size(const struct file_source *fs)
{
    size_t size = (size_t)fs->options->line_size_bytes_max + 8;

    if (take_is_joined(fs)) {
        size += fs->rules.event_size_bytes_max + 8;
    }
    size = size < CHUNK_SIZE_MIN ? CHUNK_SIZE_MIN : size;
    return (size + 4095) & ~(size_t)4095;
}

static void refresh_metrics(struct mr_metric_set *set)
{
    struct file_source *fs = set->owner;
    int64_t behind = 0;
    int64_t unreadable = 0;

    mr_list_each(&fs->all, link, next)
    {
        const struct tail *tail = mr_container(link, struct tail, all_link);

        behind += reader_behind(tail);
        unreadable += tail->error_code != 0;
    }
    fs->counts[FILE_BEHIND_BYTES] = behind;
    fs->counts[FILE_UNREADABLE] = unreadable;
}

static void init_lists(struct file_source *fs)
{
    mr_map_init(&fs->by_path);
    mr_map_init(&fs->by_inode);
    mr_map_init(&fs->by_head);
    mr_map_init(&fs->aliases);
    mr_map_init(&fs->descendants);
    mr_list_init(&fs->all);
    mr_list_init(&fs->ready);
    mr_list_init(&fs->urgent);
    mr_list_init(&fs->held);
    mr_list_init(&fs->open);
    mr_list_init(&fs->lost);
    mr_list_init(&fs->deleted);
    mr_list_init(&fs->missing);
    mr_list_init(&fs->flushing);
    mr_list_init(&fs->parked);
}

static void free_texts(struct mr_map *map)
{
    size_t cursor = 0;
    const struct mr_map_entry *entry;

    while ((entry = mr_map_next(map, &cursor)) != NULL) {
        mr_free(entry->value);
    }
    mr_map_done(map);
}

static void on_closed(struct mr_task *task)
{
    struct file_source *fs = task->owner;
    struct mr_link *link;

    while ((link = mr_list_pop(&fs->parked)) != NULL) { /* the host never took them */
        pool_block_release(&fs->pool, mr_container(link, struct block, link));
    }
    find_free_all(fs);
    watch_close(fs);
    mr_map_done(&fs->by_path);
    mr_map_done(&fs->by_inode);
    mr_map_done(&fs->by_head);
    free_texts(&fs->aliases);
    free_texts(&fs->descendants);
    path_set_done(&fs->paths);
    mr_regex_free(fs->rules.start);
    mr_regex_free(fs->rules.proceed);
    pool_done(&fs->pool);
    mr_metric_set_free(fs->metrics);
    fs->metrics = NULL;
    if (fs->closed != NULL) {
        fs->closed(fs->closed_owner);
    }
}

static int source_open(struct source *source, struct mr_error *error)
{
    struct file_source *fs = (struct file_source *)source;
    struct source_host *host = source->host;
    int rc;

    fs->options = source->options;
    fs->host = host;
    fs->disk = host->disk;
    init_lists(fs);
    mr_task_init(&fs->turn_task, host->loop, on_turn, fs);
    mr_task_init(&fs->closed_task, host->loop, on_closed, fs);
    mr_timer_init(&fs->tick_timer, host->loop, on_tick, fs);
    mr_timer_init(&fs->flush_timer, host->loop, on_flush, fs);
    fs->metrics =
        mr_metric_set_new(host->metrics, file_metrics, FILE_METRIC_COUNT, &host->source_id, 1);
    fs->counts = fs->metrics != NULL ? fs->metrics->values : fs->own_counts;
    if (fs->metrics != NULL) {
        fs->metrics->refresh = refresh_metrics;
        fs->metrics->owner = fs;
    }
    rc = file_options_check(fs->options, error);
    if (rc == 0) {
        rc = path_set_init(&fs->paths, &fs->options->paths, &fs->options->exclude, error);
    }
    if (rc == 0) {
        rc = open_rules(fs, error);
    }
    if (rc == 0) {
        rc = pool_init(&fs->pool, chunk_size(fs), take_is_joined(fs),
                       (size_t)fs->options->memory_bytes);
    }
    if (rc == 0) {
        find_restore(fs);
        inherit_restore(fs);
        rc = watch_open(fs, error);
    }
    if (rc != 0) {
        on_closed(&fs->closed_task);
    }
    return rc;
}

void file_check_closed(struct file_source *fs)
{
    int64_t parked = 0;

    if (!fs->is_closing) {
        return;
    }
    mr_list_each(&fs->parked, link, next)
    {
        parked++;
    }
    if (fs->loads == 0 && fs->under_way == parked && !watch_is_busy(fs)) {
        mr_task_post(&fs->closed_task);
    }
}

static void source_close(struct source *source, source_close_cb done, void *owner)
{
    struct file_source *fs = (struct file_source *)source;

    fs->is_closing = true;
    fs->closed = done;
    fs->closed_owner = owner;
    mr_task_cancel(&fs->turn_task);
    mr_timer_stop(&fs->tick_timer);
    mr_timer_stop(&fs->flush_timer);
    watch_stop(fs);
    file_check_closed(fs);
}

static const char *shown_state(const struct tail *tail)
{
    if (tail->error_code != 0) {
        return "unreadable";
    }
    if (tail_state(tail) == TAIL_IDLE && tail->is_detached) {
        return tail->is_deleted ? "deleted" : "rotated";
    }
    return mr_machine_name(&tail->machine);
}

static void source_status(struct source *source, source_status_cb cb, void *owner)
{
    struct file_source *fs = (struct file_source *)source;

    mr_list_each(&fs->all, link, next)
    {
        const struct tail *tail = mr_container(link, struct tail, all_link);
        const struct identity *id = &tail->position.identity;
        char identity[96];
        struct source_status status = {
            .path = tail->path != NULL ? tail->path : tail->origin,
            .identity = identity,
            .state = shown_state(tail),
            .detail = tail->error_code != 0 ? mr_code_text(tail->error_code) : NULL,
            .position_bytes = tail->position.offset,
            .size_bytes = tail->size_bytes,
            .last_read_ms = tail->read_wall_ms,
        };

        (void)snprintf(identity, sizeof identity, "%llu:%llu:%016llx",
                       (unsigned long long)id->device, (unsigned long long)id->inode,
                       (unsigned long long)id->head_hash);
        cb(owner, &status);
    }
}

const struct source_type source_type_file = {
    .name = "file",
    .help = "Reads files line by line as they grow, through rotation and truncation.",
    .options = file_options,
    .options_size_bytes = sizeof(struct file_options),
    .size_bytes = sizeof(struct file_source),
    .check = file_options_check,
    .open = source_open,
    .resume = source_resume,
    .close = source_close,
    .status = source_status,
};
