#include "queue/meta/local_topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/meta/image.h"

enum { FILE_SIZE_MAX = 64 * 1024 * 1024 };

static int load_line(struct image *image, const char *line)
{
    char name[TOPIC_NAME_SIZE_MAX + 1];
    char id_text[MR_UUID_TEXT_SIZE];
    struct image_topic *topic;
    struct mr_uuid id;
    int32_t partitions;

    if (sscanf(line, "%249s %22s %" SCNd32, name, id_text, &partitions) != 3 ||
        topic_name_check(name, strlen(name)) != NULL || mr_uuid_parse(id_text, &id) != 0 ||
        partitions < 1 || partitions > TOPIC_PARTITIONS_MAX) {
        return MR_ECORRUPT;
    }
    return image_add(image, name, strlen(name), &id, partitions, 1, true, &topic);
}

int local_topics_load(struct mr_disk *disk, const char *data_directory, struct image *image,
                      struct mr_error *error)
{
    char *path = mr_asprintf("%s/local-topics", data_directory);
    char *data = NULL;
    size_t size;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "local topics");
    }
    rc = mr_disk_read_file(disk, path, FILE_SIZE_MAX, &data, &size, error);
    mr_free(path);
    if (rc == MR_ENOENT) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    for (char *line = data, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        rc = load_line(image, line);
        if (rc == MR_ENOMEM) {
            break;
        }
        if (rc != 0) {
            mr_warn("line of local-topics skipped", KV_ERR(rc));
            rc = 0;
        }
    }
    mr_free(data);
    return rc == 0 ? 0 : mr_fail(error, rc, "local topics");
}

int local_topics_save(struct mr_disk *disk, const char *data_directory, const struct image *image,
                      struct mr_error *error)
{
    char *path = mr_asprintf("%s/local-topics", data_directory);
    struct mr_bytes text;
    int rc = MR_ENOMEM;

    mr_bytes_init(&text);
    for (size_t i = 0; i < image->topic_count; i++) {
        const struct image_topic *topic = image->topics[i];
        char id[MR_UUID_TEXT_SIZE];
        if (topic->is_local) {
            mr_uuid_format(&topic->id, id);
            mr_bytes_printf(&text, "%s %s %" PRId32 "\n", topic->name, id, topic->partition_count);
        }
    }
    if (path != NULL && text.failed == 0) {
        rc = mr_disk_write_file(disk, path, text.data != NULL ? text.data : (const uint8_t *)"",
                                text.size_bytes, error);
    }
    mr_bytes_done(&text);
    mr_free(path);
    return rc;
}
