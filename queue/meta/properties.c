#include "queue/meta/properties.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

static bool parse(const char *text, char ret_cluster_id[MR_UUID_TEXT_SIZE])
{
    const char *at = strstr(text, "cluster.id=");
    struct mr_uuid id;
    char word[MR_UUID_TEXT_SIZE] = "";

    if (at == NULL || sscanf(at, "cluster.id=%22s", word) != 1 || mr_uuid_parse(word, &id) != 0) {
        return false;
    }
    memcpy(ret_cluster_id, word, sizeof word);
    return true;
}

static int make(struct mr_disk *disk, struct mr_random *random, const char *path, int32_t node_id,
                char ret_cluster_id[MR_UUID_TEXT_SIZE], struct mr_error *error)
{
    struct mr_uuid id = mr_uuid_random(random);
    char text[128];

    mr_uuid_format(&id, ret_cluster_id);
    (void)snprintf(text, sizeof text, "version=1\ncluster.id=%s\nnode.id=%d\n", ret_cluster_id,
                   (int)node_id);
    return mr_disk_write_file(disk, path, text, strlen(text), error);
}

int properties_open(struct mr_disk *disk, struct mr_random *random, const char *data_directory,
                    int32_t node_id, char ret_cluster_id[MR_UUID_TEXT_SIZE], struct mr_error *error)
{
    char *path = mr_asprintf("%s/meta.properties", data_directory);
    char *data = NULL;
    size_t size;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "metadata");
    }
    rc = mr_disk_read_file(disk, path, 64 * 1024, &data, &size, error);
    if (rc == MR_ENOENT) {
        rc = make(disk, random, path, node_id, ret_cluster_id, error);
    } else if (rc == 0 && !parse(data, ret_cluster_id)) {
        mr_warn("meta.properties is damaged: the cluster gets a new id");
        rc = make(disk, random, path, node_id, ret_cluster_id, error);
    }
    mr_free(data);
    mr_free(path);
    return rc;
}
