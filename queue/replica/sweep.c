#include "queue/replica/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/meta/image.h"

enum { METADATA_SIZE_MAX = 4096 };

struct names {
    char **items;
    size_t count;
    size_t capacity;
};

/* "<topic>-<index>": the last dash parts them. */
static int parse_name(const char *name, char *topic, size_t topic_capacity, int32_t *ret_index)
{
    const char *dash = strrchr(name, '-');
    char *end;
    long index;
    size_t size;

    if (dash == NULL || dash == name || dash[1] < '0' || dash[1] > '9') {
        return MR_EINVAL;
    }
    index = strtol(dash + 1, &end, 10);
    size = (size_t)(dash - name);
    if (*end != '\0' || index >= TOPIC_PARTITIONS_MAX || size >= topic_capacity ||
        topic_name_check(name, size) != NULL) {
        return MR_EINVAL;
    }
    memcpy(topic, name, size);
    topic[size] = '\0';
    *ret_index = (int32_t)index;
    return 0;
}

static int on_name(void *owner, const char *name)
{
    struct names *names = owner;
    char topic[TOPIC_NAME_SIZE_MAX + 1];
    int32_t index;

    if (parse_name(name, topic, sizeof topic, &index) != 0) {
        return 0;
    }
    if (mr_grow(&names->items, &names->capacity, names->count + 1, sizeof(char *)) != 0) {
        return MR_ENOMEM;
    }
    names->items[names->count] = mr_strdup(name);
    if (names->items[names->count] == NULL) {
        return MR_ENOMEM;
    }
    names->count += 1;
    return 0;
}

static int read_id(struct mr_disk *disk, const char *data_directory, const char *name,
                   struct mr_uuid *ret_id)
{
    char *path = mr_asprintf("%s/%s/partition.metadata", data_directory, name);
    char *text = NULL;
    char word[MR_UUID_TEXT_SIZE];
    const char *at;
    size_t size;
    int rc;

    if (path == NULL) {
        return MR_ENOMEM;
    }
    rc = mr_disk_read_file(disk, path, METADATA_SIZE_MAX, &text, &size, NULL);
    mr_free(path);
    if (rc != 0) {
        return rc;
    }
    at = strstr(text, "topic_id: ");
    rc = at != NULL && sscanf(at, "topic_id: %22s", word) == 1 ? mr_uuid_parse(word, ret_id)
                                                               : MR_ECORRUPT;
    mr_free(text);
    return rc;
}

int sweep_partitions(struct mr_disk *disk, const char *data_directory, sweep_cb cb, void *owner,
                     struct mr_error *error)
{
    struct names names = {0};
    int rc = disk->ops->list(disk, data_directory, on_name, &names);

    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        char topic[TOPIC_NAME_SIZE_MAX + 1];
        struct mr_uuid id;
        int32_t index;
        if (parse_name(names.items[i], topic, sizeof topic, &index) == 0 &&
            read_id(disk, data_directory, names.items[i], &id) == 0) {
            rc = cb(owner, topic, index, &id);
        }
    }
    for (size_t i = 0; i < names.count; i++) {
        mr_free(names.items[i]);
    }
    mr_free(names.items);
    return rc == 0 ? 0 : mr_fail(error, rc, "sweep of %s", data_directory);
}
