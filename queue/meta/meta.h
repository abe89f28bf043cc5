/* The one door through which the cluster's metadata changes: append the records of a change to
 * __cluster_metadata-0, synced, then apply them to the image, then tell the listeners and the one
 * who asked. A replicated quorum will be put under this door; what stands above it will not notice.
 *
 * Local topics are this node's own affair and go to the file local-topics instead (one line each:
 * name, id, partitions), through the same door.
 *
 * The log does not grow: when it has grown by a bound since the last snapshot, a snapshot batch is
 * appended and what lies before it is deleted. Lives on one loop. */
#ifndef QUEUE_META_META_H
#define QUEUE_META_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"
#include "base/core/random.h"
#include "queue/meta/image.h"
#include "queue/wire/types.h"

struct log_env;
struct meta;
struct meta_change;
struct mr_error;

enum { META_PRODUCER_ID_BLOCK = 1000 }; /* ids reserved by one record */

enum meta_change_kind {
    META_CREATE_TOPIC,
    META_DELETE_TOPIC,
    META_ADD_PARTITIONS,
    META_ALTER_CONFIGS,
    META_TAKE_PRODUCER_ID,
    META_SET_SCRAM,    /* a user's credential: name, credential */
    META_REMOVE_SCRAM, /* name, mechanism */
    META_ADD_ACL,      /* acl, and name again: bindings of one resource go one after the other */
    META_REMOVE_ACL,
    META_ALTER_QUOTA, /* quota */
};

struct meta_setting {
    struct wire_string name;
    struct wire_string value; /* null: back to the default */
};

typedef void (*meta_change_cb)(struct meta_change *change);

/* The caller's until cb, with all that it points to. */
struct meta_change {
    enum meta_change_kind kind;
    struct wire_string name; /* of the topic, the user, the resource */
    struct mr_uuid id;       /* CREATE: zero draws one; set when done */
    int32_t partition_count; /* CREATE: how many; ADD_PARTITIONS: the new total */
    int16_t replication_factor;
    bool is_local; /* CREATE */
    bool is_own;   /* by the program itself: reserved names are allowed */
    bool validate_only;
    struct meta_setting *settings; /* tidied when they are checked */
    size_t setting_count;
    const struct mr_scram_credential *credential; /* SET_SCRAM */
    enum mr_scram_mechanism mechanism;            /* REMOVE_SCRAM */
    const struct acl_binding *acl;                /* ADD_ACL, REMOVE_ACL */
    const struct quota_change *quota;             /* ALTER_QUOTA: was checked */
    meta_change_cb cb;                            /* exactly once, later, on the loop */
    void *owner;
    /* results */
    int16_t error;    /* enum kafka_error */
    char reason[256]; /* words for the client; "" if none */
    int64_t producer_id;
    uint8_t secret[MR_SCRAM_SECRET_SIZE]; /* SET_SCRAM: the first user's draws one */
    bool has_secret;
    struct mr_link link; /* meta's */
};

/* Told after the change is durable and in the image. */
struct meta_listener {
    void (*on_topic_added)(struct meta_listener *listener, struct image_topic *topic);
    void (*on_topic_changed)(struct meta_listener *listener, struct image_topic *topic);
    void (*on_topic_removed)(struct meta_listener *listener, const struct image_topic *topic);
    void (*on_quotas_changed)(struct meta_listener *listener);
    struct mr_link link; /* meta's */
};

struct meta_config {
    const struct log_env *env;
    const char *data_directory;
    int32_t node_id;
    int32_t node_count; /* how many replicas a topic can have: 1 */
};

/* Replays log and file. Blocks. */
int meta_open(const struct meta_config *config, struct meta **ret_meta, struct mr_error *error);
/* Changes that are waiting get their callback with an error; then done, later. */
void meta_close(struct meta *meta, void (*done)(void *owner), void *owner);

const struct image *meta_image(const struct meta *meta);
const char *meta_cluster_id(const struct meta *meta); /* Kafka's text form of a uuid */
void meta_listen(struct meta *meta, struct meta_listener *listener);
void meta_unlisten(struct meta_listener *listener);

void meta_submit(struct meta *meta, struct meta_change *change);
/* For the start, before the loop runs: validates, appends, and applies at once, without waiting for
 * the disk (a topic that a power loss takes back is found again by its directories). No callback. 0
 * or MR_EINVAL and change->error is set. */
int meta_submit_now(struct meta *meta, struct meta_change *change);
/* Adopts the id that a partition's directory has, for directories whose topic is in no record. */
int meta_adopt_topic(struct meta *meta, const char *name, const struct mr_uuid *id,
                     int32_t partition_count);
/* Local topics: marks one as named in the configuration, and sets what it says. */
int meta_declare_local(struct meta *meta, struct image_topic *topic,
                       const struct topic_settings *settings);
/* No directory of a removed topic is left. */
void meta_forget_removed(struct meta *meta);

#endif
