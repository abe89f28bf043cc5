/* Three small files: `lock` (held while the process lives), `format` (a number), and `identity`:
 *
 *     uuid <22 characters>
 *     lineage <22 characters>
 *     machine <machine-id>
 *
 * A copied or restored directory on another machine keeps its uuid, so that sources go on where
 * they stood, but draws a new lineage: two nodes must never send under one producer id. */
#include "agent/node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum { NODE_FILE_SIZE_MAX = 4096, MACHINE_ID_SIZE = 64 };

static void read_machine_id(struct mr_disk *disk, char *text)
{
    char *data = NULL;
    size_t size = 0;

    text[0] = '\0';
    if (mr_disk_read_file(disk, "/etc/machine-id", NODE_FILE_SIZE_MAX, &data, &size, NULL) == 0) {
        (void)snprintf(text, MACHINE_ID_SIZE, "%.*s", (int)strcspn(data, "\r\n \t"), data);
    }
    mr_free(data);
    if (text[0] == '\0') {
        (void)snprintf(text, MACHINE_ID_SIZE, "none");
    }
}

static int lock_directory(struct mr_disk *disk, struct node_directory *directory,
                          struct mr_error *error)
{
    char *path = mr_asprintf("%s/lock", directory->path);
    int rc = path == NULL ? mr_fail(error, MR_ENOMEM, "lock")
                          : mr_disk_open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE,
                                         &directory->lock_fd, error);

    mr_free(path);
    if (rc != 0) {
        return rc;
    }
    rc = disk->ops->lock(disk, directory->lock_fd);
    if (rc == MR_EBUSY) {
        return mr_fail_text(error, rc, "%s is in use by another process", directory->path);
    }
    return rc == 0 ? 0 : mr_fail(error, rc, "lock %s", directory->path);
}

static int check_format(struct mr_disk *disk, const char *directory, struct mr_error *error)
{
    char *path = mr_asprintf("%s/format", directory);
    char text[16];
    char *data = NULL;
    size_t size = 0;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "format");
    }
    rc = mr_disk_read_file(disk, path, NODE_FILE_SIZE_MAX, &data, &size, error);
    if (rc == 0 && strtol(data, NULL, 10) > NODE_FORMAT) {
        rc = mr_fail_text(error, MR_EUNSUPPORTED,
                          "%s was written by a newer version (format %ld; this one knows %d)",
                          directory, strtol(data, NULL, 10), NODE_FORMAT);
    } else if (rc == MR_ENOENT) {
        int written = snprintf(text, sizeof text, "%d\n", NODE_FORMAT);
        rc = mr_disk_write_file(disk, path, text, (size_t)written, error);
    }
    mr_free(data);
    mr_free(path);
    return rc;
}

static bool parse_identity(const char *text, struct node_directory *directory, char *machine)
{
    char uuid[64] = "";
    char lineage[64] = "";

    static_assert(MACHINE_ID_SIZE == 64, "the widths below say 63");
    return sscanf(text, "uuid %63s lineage %63s machine %63s", uuid, lineage, machine) == 3 &&
           mr_uuid_parse(uuid, &directory->uuid) == 0 &&
           mr_uuid_parse(lineage, &directory->lineage_uuid) == 0;
}

static int write_identity(struct mr_disk *disk, const char *path,
                          const struct node_directory *directory, const char *machine,
                          struct mr_error *error)
{
    char uuid[MR_UUID_TEXT_SIZE];
    char lineage[MR_UUID_TEXT_SIZE];
    char text[256];
    int size;

    mr_uuid_format(&directory->uuid, uuid);
    mr_uuid_format(&directory->lineage_uuid, lineage);
    size = snprintf(text, sizeof text, "uuid %s\nlineage %s\nmachine %s\n", uuid, lineage, machine);
    return mr_disk_write_file(disk, path, text, (size_t)size, error);
}

static int load_identity(struct mr_disk *disk, struct mr_random *random,
                         struct node_directory *directory, struct mr_error *error)
{
    char *path = mr_asprintf("%s/identity", directory->path);
    char machine[MACHINE_ID_SIZE];
    char before[MACHINE_ID_SIZE] = "";
    char *data = NULL;
    size_t size = 0;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "identity");
    }
    read_machine_id(disk, machine);
    rc = mr_disk_read_file(disk, path, NODE_FILE_SIZE_MAX, &data, &size, error);
    if (rc == 0 && parse_identity(data, directory, before)) {
        directory->is_cloned = strcmp(machine, before) != 0;
    } else if (rc == 0 || rc == MR_ENOENT) {
        if (rc == 0) {
            mr_error("the identity file is damaged: this node gets a new one",
                     KV_STR("path", path));
        }
        directory->uuid = mr_uuid_random(random);
        directory->is_cloned = rc == 0;
        rc = 0;
        before[0] = '\0';
    }
    if (rc == 0 && strcmp(machine, before) != 0) {
        directory->lineage_uuid = mr_uuid_random(random);
        rc = write_identity(disk, path, directory, machine, error);
    }
    if (directory->is_cloned) {
        mr_warn("the data directory comes from another machine: lineages to hubs begin anew",
                KV_STR("path", directory->path));
    }
    mr_free(data);
    mr_free(path);
    return rc;
}

int node_directory_open(struct mr_disk *disk, struct mr_random *random, const char *path,
                        struct node_directory *ret_directory, struct mr_error *error)
{
    struct node_directory directory = {.path = mr_strdup(path), .lock_fd = -1};
    int rc = directory.path == NULL ? mr_fail(error, MR_ENOMEM, "%s", path)
                                    : mr_disk_make_directories(disk, path, 0750, error);

    if (rc == 0) {
        rc = lock_directory(disk, &directory, error);
    }
    if (rc == 0) {
        rc = check_format(disk, path, error);
    }
    if (rc == 0) {
        rc = load_identity(disk, random, &directory, error);
    }
    if (rc != 0) {
        node_directory_close(disk, &directory);
        return rc;
    }
    *ret_directory = directory;
    return 0;
}

void node_directory_close(struct mr_disk *disk, struct node_directory *directory)
{
    mr_disk_close(disk, directory->lock_fd);
    mr_free(directory->path);
    directory->path = NULL;
    directory->lock_fd = -1;
}
