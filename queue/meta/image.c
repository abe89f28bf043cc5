#include "queue/meta/image.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/order.h"

static void topic_free(struct image_topic *topic)
{
    topic_settings_done(&topic->settings);
    mr_free(topic->name);
    mr_free(topic);
}

void image_init(struct image *image)
{
    memset(image, 0, sizeof *image);
    mr_map_init(&image->by_id);
    users_init(&image->users);
    acl_set_init(&image->acls);
    quota_set_init(&image->quotas);
    image->next_producer_id = 1; /* 0 is legal, but looks like a field that nobody set */
}

/* What was resolved from the old ones must not look as if it were of the new ones. */
static void image_clear_quotas(struct image *image)
{
    uint64_t generation = image->quotas.generation;

    quota_set_done(&image->quotas);
    quota_set_init(&image->quotas);
    image->quotas.generation = generation + 1;
}

void image_clear(struct image *image)
{
    for (size_t i = 0; i < image->topic_count; i++) {
        topic_free(image->topics[i]);
    }
    image->topic_count = 0;
    image->partition_total = 0;
    image->removed_count = 0;
    mr_map_done(&image->by_id);
    mr_map_init(&image->by_id);
    users_done(&image->users);
    users_init(&image->users);
    acl_set_done(&image->acls);
    image_clear_quotas(image);
}

void image_done(struct image *image)
{
    image_clear(image);
    mr_map_done(&image->by_id);
    users_done(&image->users);
    quota_set_done(&image->quotas);
    mr_free(image->topics);
    mr_free(image->removed);
    memset(image, 0, sizeof *image);
}

static int order_of(const void *item, const void *wanted)
{
    struct image_topic *const *topic = item;

    return wire_string_compare(wire_text((*topic)->name), *(const struct wire_string *)wanted);
}

/* The place of the name, or where it would be. */
static size_t place_of(const struct image *image, const char *name, size_t size, bool *ret_found)
{
    struct wire_string wanted = {name, (int32_t)size};

    return mr_order_place(image->topics, image->topic_count, sizeof(struct image_topic *), order_of,
                          &wanted, ret_found);
}

struct image_topic *image_find(const struct image *image, const char *name, size_t name_size)
{
    bool found;
    size_t place = place_of(image, name, name_size, &found);

    return found ? image->topics[place] : NULL;
}

struct image_topic *image_find_text(const struct image *image, const char *name)
{
    return image_find(image, name, strlen(name));
}

struct image_topic *image_find_id(const struct image *image, const struct mr_uuid *id)
{
    return mr_map_get(&image->by_id, id->bytes, sizeof id->bytes);
}

bool image_was_removed(const struct image *image, const struct mr_uuid *id)
{
    for (size_t i = 0; i < image->removed_count; i++) {
        if (mr_uuid_equal(&image->removed[i], id)) {
            return true;
        }
    }
    return false;
}

int image_add(struct image *image, const char *name, size_t name_size, const struct mr_uuid *id,
              int32_t partition_count, int16_t replication_factor, bool is_local,
              struct image_topic **ret_topic)
{
    struct image_topic *topic;
    bool found;
    size_t place = place_of(image, name, name_size, &found);

    if (found || image_find_id(image, id) != NULL) {
        return MR_EEXIST;
    }
    if (mr_grow(&image->topics, &image->topic_capacity, image->topic_count + 1,
                sizeof(struct image_topic *)) != 0) {
        return MR_ENOMEM;
    }
    topic = mr_calloc(1, sizeof *topic);
    if (topic == NULL) {
        return MR_ENOMEM;
    }
    topic->name = mr_strndup(name, name_size);
    if (topic->name == NULL ||
        mr_map_put(&image->by_id, id->bytes, sizeof id->bytes, topic, NULL) != 0) {
        topic_free(topic);
        return MR_ENOMEM;
    }
    topic->id = *id;
    topic->partition_count = partition_count;
    topic->replication_factor = replication_factor;
    topic->is_local = is_local;
    memmove(image->topics + place + 1, image->topics + place,
            (image->topic_count - place) * sizeof(struct image_topic *));
    image->topics[place] = topic;
    image->topic_count += 1;
    image->partition_total += partition_count;
    *ret_topic = topic;
    return 0;
}

void image_set_partitions(struct image *image, struct image_topic *topic, int32_t count)
{
    image->partition_total += count - topic->partition_count;
    topic->partition_count = count;
}

void image_remove(struct image *image, struct image_topic *topic)
{
    bool found;
    size_t place = place_of(image, topic->name, strlen(topic->name), &found);

    mr_assert(found && image->topics[place] == topic);
    image->topic_count -= 1;
    memmove(image->topics + place, image->topics + place + 1,
            (image->topic_count - place) * sizeof(struct image_topic *));
    image->partition_total -= topic->partition_count;
    (void)mr_map_remove(&image->by_id, topic->id.bytes, sizeof topic->id.bytes);
    topic_free(topic);
}

int image_note_removed(struct image *image, const struct mr_uuid *id)
{
    if (mr_grow(&image->removed, &image->removed_capacity, image->removed_count + 1,
                sizeof(struct mr_uuid)) != 0) {
        return MR_ENOMEM;
    }
    image->removed[image->removed_count++] = *id;
    return 0;
}

void image_forget_removed(struct image *image)
{
    image->removed_count = 0;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

const char *topic_name_check(const char *name, size_t name_size)
{
    if (name_size == 0) {
        return "the empty string is not allowed";
    }
    if (name_size > TOPIC_NAME_SIZE_MAX) {
        return "the name is longer than 249 characters";
    }
    if ((name_size == 1 && name[0] == '.') || (name_size == 2 && memcmp(name, "..", 2) == 0)) {
        return "'.' and '..' are not allowed";
    }
    for (size_t i = 0; i < name_size; i++) {
        if (!is_name_char(name[i])) {
            return "only letters, digits, '.', '_' and '-' are allowed";
        }
    }
    return NULL;
}

const struct image_topic *image_find_collision(const struct image *image, const char *name,
                                               size_t name_size)
{
    for (size_t i = 0; i < image->topic_count; i++) {
        const char *other = image->topics[i]->name;
        size_t at = 0;
        if (strlen(other) != name_size || memcmp(other, name, name_size) == 0) {
            continue;
        }
        while (at < name_size &&
               (other[at] == name[at] ||
                ((other[at] == '.' || other[at] == '_') && (name[at] == '.' || name[at] == '_')))) {
            at += 1;
        }
        if (at == name_size) {
            return image->topics[i];
        }
    }
    return NULL;
}

bool topic_name_is_reserved(const char *name, size_t name_size)
{
    return name_size >= 2 && name[0] == '_' && name[1] == '_';
}
