/* What the cluster is, as this node knows it: topics with their ids, partitions and settings,
 * users, access control lists and client quotas, and the next free producer id. Changed by records
 * alone (meta.c); read by everyone on the loop. */
#ifndef QUEUE_META_IMAGE_H
#define QUEUE_META_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/map.h"
#include "base/core/random.h"
#include "queue/meta/acl.h"
#include "queue/meta/configs.h"
#include "queue/meta/quotas.h"
#include "queue/meta/users.h"

enum {
    TOPIC_NAME_SIZE_MAX = 249,      /* as Kafka's: a directory name with "-<partition>" behind it */
    TOPIC_PARTITIONS_MAX = 10000,   /* of one topic */
    IMAGE_PARTITIONS_MAX = 1000000, /* of all */
};

struct replica_topic;

struct image_topic {
    char *name;
    struct mr_uuid id;
    int32_t partition_count;
    int16_t replication_factor;
    bool is_local;    /* fed by this node's sources, not part of the mesh */
    bool is_declared; /* named in the node's configuration (local topics) */
    struct topic_settings settings;
    struct replica_topic *replica; /* the replica manager's; NULL elsewhere */
};

struct image {
    struct image_topic **topics; /* sorted by name */
    size_t topic_count;
    size_t topic_capacity;
    struct mr_map by_id;
    int64_t partition_total;
    int64_t next_producer_id;
    struct users users;
    struct acl_set acls;
    struct quota_set quotas;
    /* Topics whose removal is recorded while directories of theirs may still be there. */
    struct mr_uuid *removed;
    size_t removed_count;
    size_t removed_capacity;
};

void image_init(struct image *image);
void image_done(struct image *image);
/* Takes everything out, as a snapshot begins. */
void image_clear(struct image *image);

struct image_topic *image_find(const struct image *image, const char *name, size_t name_size);
struct image_topic *image_find_text(const struct image *image, const char *name);
struct image_topic *image_find_id(const struct image *image, const struct mr_uuid *id);
bool image_was_removed(const struct image *image, const struct mr_uuid *id);

/* 0, MR_EEXIST or MR_ENOMEM. */
int image_add(struct image *image, const char *name, size_t name_size, const struct mr_uuid *id,
              int32_t partition_count, int16_t replication_factor, bool is_local,
              struct image_topic **ret_topic);
void image_set_partitions(struct image *image, struct image_topic *topic, int32_t count);
/* Frees the topic. */
void image_remove(struct image *image, struct image_topic *topic);
int image_note_removed(struct image *image, const struct mr_uuid *id);
/* The sweep at start is done: nothing is left of what was removed before. */
void image_forget_removed(struct image *image);

/* Kafka's rules for names: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". NULL, or why not (a
 * literal). */
const char *topic_name_check(const char *name, size_t name_size);
/* Kafka's metrics make no difference between '.' and '_', so that "a.b" forbids "a_b". */
const struct image_topic *image_find_collision(const struct image *image, const char *name,
                                               size_t name_size);
/* "__..." belongs to the program. */
bool topic_name_is_reserved(const char *name, size_t name_size);

#endif
