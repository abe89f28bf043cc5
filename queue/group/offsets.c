#include "queue/group/offsets.h"

#include <string.h>

#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "queue/group/offset_map.h"
#include "queue/meta/meta.h"
#include "queue/meta/replay.h"
#include "queue/replica/manager.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/records.h"
#include "queue/wire/writer.h"

enum {
    OFFSETS_BATCH_SIZE = 1024 * 1024,
    OFFSETS_GROWTH_MIN = 1024 * 1024, /* a log is rewritten after at least this much ... */
    OFFSETS_GROWTH_FACTOR = 4,        /* ... and this many times what is alive in it */
    OFFSETS_EXPIRY_CHECK_MS = 600 * 1000,
    OFFSETS_ARENA_SIZE = 256 * 1024, /* of one record, as far as it is decoded here */
};

static const int64_t expiry_ms = INT64_C(7) * 24 * 3600 * 1000;

/* Inside of this file: the log has refused the append, and its callback will say why. */
enum { OFFSETS_REFUSED = 1 };

/* One log of __consumer_offsets. */
struct offsets_log {
    int64_t appended_bytes; /* since it was last rewritten */
    bool is_rewriting;
};

struct group_offsets {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct meta *meta;
    struct replicas *replicas;
    struct offset_map map;
    struct offsets_log logs[OFFSETS_PARTITIONS];
    struct batch_builder builder;
    struct mr_timer expiry_timer;
    struct mr_clock_trust clock_trust;
    struct meta_listener listener;
    int pending;              /* appends under way */
    group_used_at used_at_ms; /* whom groups with members belong to; NULL: nobody */
    group_idle_cb on_idle;
    void *watcher;
};

bool group_id_fits(struct wire_string id)
{
    return id.size == 0 || (id.size > 0 && id.size <= GROUP_ID_SIZE_MAX &&
                            memchr(id.data, 0, (size_t)id.size) == NULL);
}

/* ---- records ---- */

/* Adds one record to the batch; value NULL: a tombstone. */
static int add_record(struct group_offsets *offsets, const struct wire_record_type *type,
                      const void *key, const struct wire_bytes *value)
{
    struct batch_builder_record record = {.timestamp_ms = mr_loop_wall_ms(offsets->loop),
                                          .value = value->data,
                                          .value_size = value->size};
    struct wire_writer writer;
    int rc;

    wire_writer_init(&writer);
    rc = wire_record_key_write(type, key, &writer);
    record.key = writer.bytes.data;
    record.key_size = (int32_t)writer.bytes.size_bytes;
    if (rc == 0) {
        rc = batch_builder_add(&offsets->builder, &record);
    }
    wire_writer_done(&writer);
    return rc;
}

static int add_offset(struct group_offsets *offsets, struct wire_string group,
                      const struct offsets_item *item, int64_t commit_time_ms)
{
    const struct wire_record_type *type = &wire_offset_commit_record;
    struct offset_commit_key key = {group, item->topic, item->partition};
    struct wire_bytes bytes = {NULL, -1};
    struct offset_commit_value value;
    struct wire_writer writer;
    int rc = 0;

    offset_commit_value_init(&value);
    value.offset = item->offset;
    value.leader_epoch = item->leader_epoch;
    value.metadata = item->metadata.size < 0 ? wire_text("") : item->metadata;
    value.commit_timestamp = commit_time_ms;
    wire_writer_init(&writer);
    if (item->offset >= 0) {
        rc = wire_record_value_write(type, type->value_version_written, &value, &writer);
        bytes = (struct wire_bytes){writer.bytes.data, (int32_t)writer.bytes.size_bytes};
    }
    if (rc == 0) {
        rc = add_record(offsets, type, &key, &bytes);
    }
    wire_writer_done(&writer);
    return rc;
}

static int add_group(struct group_offsets *offsets, struct wire_string group,
                     struct wire_bytes value)
{
    struct group_metadata_key key = {group};

    return add_record(offsets, &wire_group_metadata_record, &key, &value);
}

static int take_offset(struct group_offsets *offsets, const struct batch_record *record,
                       struct wire_arena *arena)
{
    const struct wire_record_type *type = &wire_offset_commit_record;
    struct offset_commit_key key;
    struct offset_commit_value value;
    struct offsets_item item;
    int rc = wire_record_key_read(type, record->key, (size_t)record->key_size, arena, &key);

    if (rc != 0 || !offset_map_fits(key.topic) || !group_id_fits(key.group)) {
        return rc;
    }
    if (record->value_size < 0) {
        offset_map_remove(&offsets->map, key.group, key.topic, key.partition);
        return 0;
    }
    rc = wire_record_value_read(type, record->value, (size_t)record->value_size, arena, &value);
    item = (struct offsets_item){key.topic, key.partition, value.offset, value.leader_epoch,
                                 value.metadata};
    return rc == 0 ? offset_map_put(&offsets->map, key.group, &item, value.commit_timestamp) : rc;
}

static int take_group(struct group_offsets *offsets, const struct batch_record *record,
                      struct wire_arena *arena)
{
    struct wire_bytes value = {record->value, record->value_size};
    struct group_metadata_key key;
    int rc = wire_record_key_read(&wire_group_metadata_record, record->key,
                                  (size_t)record->key_size, arena, &key);

    return rc == 0 && group_id_fits(key.group)
               ? offset_map_put_value(&offsets->map, key.group, value)
               : rc;
}

/* What cannot be read, or is of a kind that is not known, is passed over. */
static int on_record(void *owner, const struct batch_header *header,
                     const struct batch_record *record)
{
    struct group_offsets *offsets = owner;
    const struct wire_record_type *type;
    struct wire_arena arena;
    int rc = 0;

    (void)header;
    if (record->key_size < 2 ||
        wire_offsets_record_find(record->key, (size_t)record->key_size, &type) != 0) {
        return 0;
    }
    wire_arena_init(&arena, OFFSETS_ARENA_SIZE);
    if (type == &wire_offset_commit_record) {
        rc = take_offset(offsets, record, &arena);
    } else if (type == &wire_group_metadata_record) {
        rc = take_group(offsets, record, &arena);
    }
    wire_arena_done(&arena);
    return rc == MR_ENOMEM ? rc : 0;
}

/* ---- appending ---- */

struct offsets_append {
    struct partition_append append;
    struct group_offsets *offsets;
    struct offsets_commit *commit; /* NULL: part of a rewrite, or tombstones of our own */
    int32_t log;
    int64_t delete_before; /* the last batch of a rewrite: everything below goes; else -1 */
};

static void maybe_rewrite(struct group_offsets *offsets, int32_t place);

static struct partition *find_partition(const struct group_offsets *offsets, int32_t place)
{
    const struct image_topic *topic =
        image_find_text(meta_image(offsets->meta), "__consumer_offsets");

    return topic != NULL ? replicas_partition(topic, place) : NULL;
}

static void rewrite_done(struct offsets_append *append)
{
    struct offsets_log *log = &append->offsets->logs[append->log];
    struct mr_error error = {0};

    log->is_rewriting = false;
    if (append->append.log.rc != 0) {
        mr_warn("offsets could not be rewritten", KV_I64("partition", append->log),
                KV_ERR(append->append.log.rc));
        return;
    }
    if (partition_delete_before(append->append.partition, append->delete_before, &error) != 0) {
        mr_warn("old offsets stay", KV_STR("reason", error.text));
    }
}

static void on_appended(struct partition_append *partition_append)
{
    struct offsets_append *append = partition_append->owner;
    struct group_offsets *offsets = append->offsets;
    struct offsets_commit *commit = append->commit;
    int32_t place = append->log;
    int rc = partition_append->log.rc;

    offsets->pending -= 1;
    mr_buf_unref(partition_append->log.batch.buf);
    if (append->delete_before >= 0) {
        rewrite_done(append);
    }
    mr_free(append);
    if (commit != NULL) {
        commit->rc = rc;
        commit->cb(commit);
    }
    if (rc == 0) {
        maybe_rewrite(offsets, place);
    }
}

/* Appends what the builder holds. *ret_base is where. */
static int append_batch(struct group_offsets *offsets, int32_t place, struct offsets_commit *commit,
                        bool is_synced, int64_t delete_before, int64_t *ret_base)
{
    struct partition *partition = find_partition(offsets, place);
    struct offsets_append *append;
    struct mr_error error = {0};
    struct mr_buf *batch;
    int rc;

    if (partition == NULL) {
        return MR_EAGAIN;
    }
    rc = replicas_need(offsets->replicas, partition, &error);
    if (rc != 0) {
        mr_error("offsets cannot be stored", KV_STR("reason", error.text));
        return rc;
    }
    append = mr_calloc(1, sizeof *append);
    if (append == NULL) {
        return MR_ENOMEM;
    }
    rc = batch_builder_finish(&offsets->builder, NULL, NULL, 0, 0, &batch);
    if (rc != 0) {
        mr_free(append);
        return rc;
    }
    append->offsets = offsets;
    append->commit = commit;
    append->log = place;
    append->delete_before = delete_before;
    append->append.log.batch = (struct mr_slice){batch, batch->data, batch->size_bytes};
    append->append.log.flags = LOG_APPEND_OVER_LIMIT | (is_synced ? LOG_APPEND_SYNC : 0);
    append->append.cb = on_appended;
    append->append.owner = append;
    rc = partition_append(partition, &append->append);
    if (rc != 0) {
        mr_buf_unref(batch);
        mr_free(append);
        return rc;
    }
    offsets->pending += 1;
    offsets->logs[place].appended_bytes += (int64_t)batch->size_bytes;
    if (ret_base != NULL) {
        *ret_base = append->append.log.base_offset;
    }
    return append->append.log.rc == 0 ? 0 : OFFSETS_REFUSED;
}

static void remember(struct group_offsets *offsets, const struct offsets_commit *commit,
                     int64_t now_ms)
{
    int rc = 0;

    if (commit->has_group_value) {
        rc = offset_map_put_value(&offsets->map, commit->group, commit->group_value);
    }
    for (size_t i = 0; i < commit->item_count; i++) {
        const struct offsets_item *item = &commit->items[i];
        if (item->offset < 0) {
            offset_map_remove(&offsets->map, commit->group, item->topic, item->partition);
        } else if (offset_map_put(&offsets->map, commit->group, item, now_ms) != 0) {
            rc = MR_ENOMEM;
        }
    }
    if (rc != 0) {
        mr_error("what a group committed is in the log, but not in memory: out of memory");
    }
}

int group_offsets_commit(struct group_offsets *offsets, struct offsets_commit *commit)
{
    int64_t now_ms = mr_loop_wall_ms(offsets->loop);
    int32_t place = group_offsets_partition(commit->group);
    int rc = batch_builder_begin(&offsets->builder, now_ms);

    mr_assert(commit->item_count > 0 || commit->has_group_value);
    if (!group_id_fits(commit->group)) {
        return MR_EINVAL;
    }
    if (rc == 0 && commit->has_group_value) {
        rc = add_group(offsets, commit->group, commit->group_value);
    }
    for (size_t i = 0; rc == 0 && i < commit->item_count; i++) {
        rc = offset_map_fits(commit->items[i].topic)
                 ? add_offset(offsets, commit->group, &commit->items[i], now_ms)
                 : MR_EINVAL;
    }
    if (rc == 0) {
        rc = append_batch(offsets, place, commit, commit->is_synced, -1, NULL);
    }
    if (rc == OFFSETS_REFUSED) {
        return 0; /* refused by the log: the callback says why, the memory stays as it is */
    }
    if (rc == 0) {
        remember(offsets, commit, now_ms);
    }
    return rc == MR_EFULL ? MR_ETOOLARGE : rc;
}

/* ---- rewriting ---- */

struct rewrite {
    struct group_offsets *offsets;
    int32_t place;
    int64_t first_base; /* of the first batch; -1: none is appended yet */
};

/* The batch is full: the next begins. */
static int rewrite_next(struct rewrite *rewrite)
{
    struct group_offsets *offsets = rewrite->offsets;
    int64_t base;
    int rc = append_batch(offsets, rewrite->place, NULL, false, -1, &base);

    if (rc != 0) {
        /* Refused: nothing is deleted, and the next growth tries again. */
        return rc == OFFSETS_REFUSED ? MR_EAGAIN : rc;
    }
    if (rewrite->first_base < 0) {
        rewrite->first_base = base;
    }
    return batch_builder_begin(&offsets->builder, mr_loop_wall_ms(offsets->loop));
}

static int rewrite_offset(struct rewrite *rewrite, struct wire_string group,
                          const struct offsets_item *item, int64_t commit_time_ms)
{
    int rc = add_offset(rewrite->offsets, group, item, commit_time_ms);

    if (rc == MR_EFULL) {
        rc = rewrite_next(rewrite);
        rc = rc == 0 ? add_offset(rewrite->offsets, group, item, commit_time_ms) : rc;
    }
    return rc;
}

static int rewrite_value(struct rewrite *rewrite, const struct offset_group *group)
{
    struct wire_bytes value = {group->value, group->value_size_bytes};
    int rc = add_group(rewrite->offsets, wire_text(group->id), value);

    if (rc == MR_EFULL) {
        rc = rewrite_next(rewrite);
        rc = rc == 0 ? add_group(rewrite->offsets, wire_text(group->id), value) : rc;
    }
    return rc;
}

static int rewrite_group(struct rewrite *rewrite, const struct offset_group *group)
{
    const struct group_offset *offset;
    struct wire_string topic;
    int32_t partition;
    size_t cursor = 0;
    int rc = group->value != NULL ? rewrite_value(rewrite, group) : 0;

    while (rc == 0 && (offset = offset_group_next(group, &cursor, &topic, &partition)) != NULL) {
        struct offsets_item item = {topic,
                                    partition,
                                    offset->offset,
                                    offset->leader_epoch,
                                    {offset->metadata, offset->metadata_size_bytes}};
        rc = rewrite_offset(rewrite, wire_text(group->id), &item, offset->commit_time_ms);
    }
    return rc;
}

/* All appends of a rewrite are made in this turn, so that no commit comes between the first and the
 * last, and the memory is what the log holds up to here. */
static int rewrite_log(struct group_offsets *offsets, int32_t place)
{
    struct partition *partition = find_partition(offsets, place);
    struct rewrite rewrite = {offsets, place, -1};
    const struct offset_group *group;
    size_t cursor = 0;
    int rc = partition == NULL || partition->log == NULL
                 ? MR_ENOENT
                 : batch_builder_begin(&offsets->builder, mr_loop_wall_ms(offsets->loop));

    while (rc == 0 && (group = offset_map_next(&offsets->map, &cursor)) != NULL) {
        if (group_offsets_partition(wire_text(group->id)) == place) {
            rc = rewrite_group(&rewrite, group);
        }
    }
    if (rc != 0) {
        return rc;
    }
    if (rewrite.first_base < 0) {
        rewrite.first_base = log_end_offset(partition->log);
    }
    if (batch_builder_count(&offsets->builder) == 0) {
        offsets->logs[place].is_rewriting = false;
        return partition_delete_before(partition, rewrite.first_base, NULL);
    }
    rc = append_batch(offsets, place, NULL, true, rewrite.first_base, NULL);
    return rc == OFFSETS_REFUSED ? 0 : rc;
}

static void maybe_rewrite(struct group_offsets *offsets, int32_t place)
{
    struct offsets_log *log = &offsets->logs[place];
    int64_t bound = offsets->map.live_bytes[place] * OFFSETS_GROWTH_FACTOR;
    int rc;

    if (log->is_rewriting ||
        log->appended_bytes < (bound > OFFSETS_GROWTH_MIN ? bound : OFFSETS_GROWTH_MIN)) {
        return;
    }
    log->is_rewriting = true;
    log->appended_bytes = 0;
    rc = rewrite_log(offsets, place);
    if (rc != 0) {
        log->is_rewriting = false;
        mr_warn("offsets could not be rewritten", KV_I64("partition", place), KV_ERR(rc));
    }
}

/* ---- expiry, and topics that go ---- */

typedef bool (*offset_test)(const struct group_offsets *offsets, const struct offset_group *group,
                            struct wire_string topic, const struct group_offset *offset,
                            const void *argument);

static bool is_expired(const struct group_offsets *offsets, const struct offset_group *group,
                       struct wire_string topic, const struct group_offset *offset,
                       const void *argument)
{
    int64_t used_at_ms = offset->commit_time_ms;

    (void)argument;
    if (strncmp(group->id, "sink.", 5) == 0) {
        return false;
    }
    if (offsets->used_at_ms != NULL) {
        int64_t at_ms = offsets->used_at_ms(offsets->watcher, wire_text(group->id), topic);
        used_at_ms = at_ms > used_at_ms ? at_ms : used_at_ms;
    }
    return used_at_ms < mr_loop_wall_ms(offsets->loop) - expiry_ms;
}

static bool is_of_topic(const struct group_offsets *offsets, const struct offset_group *group,
                        struct wire_string topic, const struct group_offset *offset,
                        const void *argument)
{
    (void)offsets;
    (void)group;
    (void)offset;
    return wire_string_is(topic, argument);
}

/* Finds one entry that passes; entries go one at a time, since removing may free the group. */
static bool find_entry(const struct group_offsets *offsets, offset_test test, const void *argument,
                       struct wire_string *ret_group, struct offsets_item *ret_item)
{
    const struct offset_group *group;
    const struct group_offset *offset;
    size_t cursor = 0;

    while ((group = offset_map_next(&offsets->map, &cursor)) != NULL) {
        size_t place = 0;
        while ((offset = offset_group_next(group, &place, &ret_item->topic,
                                           &ret_item->partition)) != NULL) {
            if (test(offsets, group, ret_item->topic, offset, argument)) {
                *ret_group = wire_text(group->id);
                return true;
            }
        }
    }
    return false;
}

static void on_tombstone(struct offsets_commit *commit)
{
    mr_free(commit);
}

static void remove_entries(struct group_offsets *offsets, offset_test test, const void *argument)
{
    struct offsets_item item = {.offset = -1};
    struct wire_string group;

    while (find_entry(offsets, test, argument, &group, &item)) {
        struct offsets_commit *commit = mr_calloc(1, sizeof *commit);
        if (commit == NULL) {
            return;
        }
        /* The names lie in what is being removed: the records are made first. */
        *commit = (struct offsets_commit){
            .group = group, .items = &item, .item_count = 1, .cb = on_tombstone};
        if (group_offsets_commit(offsets, commit) != 0) {
            mr_free(commit);
            return;
        }
    }
}

/* Groups of which nothing is left but that they have been. One that cannot be removed stays until
 * the next time. */
static void remove_idle_groups(struct group_offsets *offsets)
{
    const struct offset_group *group;
    size_t cursor = 0;

    while ((group = offset_map_next(&offsets->map, &cursor)) != NULL) {
        struct offsets_commit *commit;
        if (group->offsets.count > 0 || offsets->on_idle == NULL ||
            !offsets->on_idle(offsets->watcher, wire_text(group->id))) {
            continue;
        }
        commit = mr_calloc(1, sizeof *commit);
        if (commit == NULL) {
            return;
        }
        *commit = (struct offsets_commit){.group = wire_text(group->id),
                                          .has_group_value = true,
                                          .group_value = {NULL, -1},
                                          .cb = on_tombstone};
        if (group_offsets_commit(offsets, commit) != 0) {
            mr_free(commit);
            return;
        }
    }
}

static void on_expiry(struct mr_timer *timer)
{
    struct group_offsets *offsets = timer->owner;
    int64_t jump_ms;

    if (mr_clock_is_trusted(&offsets->clock_trust, mr_loop_clock(offsets->loop), &jump_ms)) {
        remove_entries(offsets, is_expired, NULL); /* a clock that is set wrong forgets no one */
    }
    remove_idle_groups(offsets);
    (void)mr_timer_start(timer, OFFSETS_EXPIRY_CHECK_MS);
}

/* A topic of the same name begins anew: its readers must not go on at the old one's offsets. */
static void on_topic_removed(struct meta_listener *listener, const struct image_topic *topic)
{
    struct group_offsets *offsets = mr_container(listener, struct group_offsets, listener);

    remove_entries(offsets, is_of_topic, topic->name);
}

/* ---- life ---- */

static int create_topic(struct group_offsets *offsets, struct mr_error *error)
{
    struct meta_setting settings[] = {
        {{"cleanup.policy", 14}, {"compact", 7}},
        {{"segment.bytes", 13}, {"1048576", 7}}, /* small, as only whole segments are given back */
        {{"max.message.bytes", 17}, {"16777216", 8}},
    };
    struct meta_change change = {
        .kind = META_CREATE_TOPIC,
        .name = wire_text("__consumer_offsets"),
        .partition_count = OFFSETS_PARTITIONS,
        .replication_factor = 1,
        .is_own = true,
        .settings = settings,
        .setting_count = sizeof settings / sizeof settings[0],
    };
    int rc;

    if (image_find_text(meta_image(offsets->meta), "__consumer_offsets") != NULL) {
        return 0;
    }
    rc = meta_submit_now(offsets->meta, &change);
    return rc == 0 ? 0 : mr_fail(error, rc, "__consumer_offsets");
}

static int load(struct group_offsets *offsets, struct mr_error *error)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < OFFSETS_PARTITIONS; i++) {
        struct partition *partition = find_partition(offsets, i);
        if (partition != NULL && partition->log != NULL) {
            rc = replay_records(partition->log, offsets->disk, log_start_offset(partition->log),
                                on_record, offsets, error);
            offsets->logs[i].appended_bytes = log_size_bytes(partition->log);
        }
    }
    return rc;
}

int group_offsets_open(const struct group_offsets_config *config,
                       struct group_offsets **ret_offsets, struct mr_error *error)
{
    struct batch_builder_options options = {.size_bytes_max = OFFSETS_BATCH_SIZE};
    struct group_offsets *offsets = mr_calloc(1, sizeof *offsets);
    int64_t jump_ms;
    int rc;

    if (offsets == NULL) {
        return mr_fail(error, MR_ENOMEM, "offsets");
    }
    offsets->loop = config->loop;
    offsets->disk = config->disk;
    offsets->meta = config->meta;
    offsets->replicas = config->replicas;
    offsets->listener.on_topic_removed = on_topic_removed;
    mr_list_init(&offsets->listener.link);
    offset_map_init(&offsets->map);
    batch_builder_init(&offsets->builder, &options);
    mr_timer_init(&offsets->expiry_timer, config->loop, on_expiry, offsets);
    rc = create_topic(offsets, error);
    if (rc == 0) {
        rc = load(offsets, error);
    }
    if (rc != 0) {
        group_offsets_close(offsets);
        return rc;
    }
    meta_listen(offsets->meta, &offsets->listener);
    (void)mr_clock_is_trusted(&offsets->clock_trust, mr_loop_clock(offsets->loop), &jump_ms);
    (void)mr_timer_start(&offsets->expiry_timer, OFFSETS_EXPIRY_CHECK_MS);
    *ret_offsets = offsets;
    return 0;
}

void group_offsets_close(struct group_offsets *offsets)
{
    if (offsets == NULL) {
        return;
    }
    mr_assert(offsets->pending == 0);
    meta_unlisten(&offsets->listener);
    mr_timer_stop(&offsets->expiry_timer);
    offset_map_done(&offsets->map);
    batch_builder_done(&offsets->builder);
    mr_free(offsets);
}

/* ---- looking ---- */

const struct group_offset *group_offsets_get(const struct group_offsets *offsets,
                                             struct wire_string group, struct wire_string topic,
                                             int32_t partition)
{
    return offset_map_get(&offsets->map, group, topic, partition);
}

bool group_offsets_has_group(const struct group_offsets *offsets, struct wire_string group)
{
    return offset_map_group(&offsets->map, group) != NULL;
}

size_t group_offsets_group_count(const struct group_offsets *offsets)
{
    return offsets->map.groups.count;
}

void group_offsets_each_group(const struct group_offsets *offsets, group_offsets_group_cb cb,
                              void *owner)
{
    const struct offset_group *group;
    size_t cursor = 0;

    while ((group = offset_map_next(&offsets->map, &cursor)) != NULL) {
        cb(owner, wire_text(group->id), group->offsets.count);
    }
}

size_t group_offsets_count(const struct group_offsets *offsets, struct wire_string group)
{
    const struct offset_group *found = offset_map_group(&offsets->map, group);

    return found != NULL ? found->offsets.count : 0;
}

void group_offsets_each(const struct group_offsets *offsets, struct wire_string group,
                        group_offsets_cb cb, void *owner)
{
    const struct offset_group *found = offset_map_group(&offsets->map, group);
    const struct group_offset *offset;
    struct wire_string topic;
    int32_t partition;
    size_t cursor = 0;

    while (found != NULL &&
           (offset = offset_group_next(found, &cursor, &topic, &partition)) != NULL) {
        cb(owner, topic, partition, offset);
    }
}

struct wire_bytes group_offsets_group_value(const struct group_offsets *offsets,
                                            struct wire_string group)
{
    const struct offset_group *found = offset_map_group(&offsets->map, group);

    return found != NULL && found->value != NULL
               ? (struct wire_bytes){found->value, found->value_size_bytes}
               : (struct wire_bytes){NULL, -1};
}

void group_offsets_watch(struct group_offsets *offsets, group_used_at used_at_ms,
                         group_idle_cb on_idle, void *owner)
{
    offsets->used_at_ms = used_at_ms;
    offsets->on_idle = on_idle;
    offsets->watcher = owner;
}
