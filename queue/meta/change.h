/* Whether a change is allowed, what records it is (change.c), and what it does (apply.c). For
 * meta.c. */
#ifndef QUEUE_META_CHANGE_H
#define QUEUE_META_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

struct batch_builder;
struct image;
struct image_topic;
struct meta_change;
struct mr_link;
struct mr_random;
struct topic_settings;

/* Checks a change against the image; 0, or a Kafka code, and change->reason says why. Draws the id
 * of a topic that is to be created. */
int16_t change_check(const struct image *image, struct meta_change *change, int32_t node_count,
                     struct mr_random *random);
/* Whether it is about a topic that has a name and an id. */
bool change_is_of_topic(const struct meta_change *change);
/* Whether there is nothing to write: settings are altered, and none is named. */
bool change_is_empty(const struct meta_change *change);
/* The records of a checked change to anything but a local topic, that is not empty. 0 or as
 * batch_builder_add. */
int change_records(const struct image *image, const struct meta_change *change,
                   struct batch_builder *builder, int64_t now_ms);

/* Puts a checked change into the image and tells the listeners (of struct meta_listener). 0, or
 * what went wrong on the way: MR_ENOMEM. */
int change_apply(struct image *image, struct mr_link *listeners, const struct meta_change *change);
/* meta_declare_local. */
int topic_declare_local(struct mr_link *listeners, struct image_topic *topic,
                        const struct topic_settings *settings);

#endif
