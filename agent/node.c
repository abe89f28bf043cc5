/* Small files: `lock` (held while the process lives), `format` (a number), and `identity`, which is
 * kept twice, as all source positions depend on it:
 *
 *     uuid <22 characters>
 *     lineage <22 characters>
 *     machine <machine-id>
 *     crc <CRC-32C of the lines above, 8 hexadecimal digits>
 *
 * A copied or restored directory on another machine keeps its uuid, so that sources go on where
 * they stood, but draws a new lineage: two nodes must never send under one producer id. */
#include "agent/node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/crc32c.h"
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
    long format;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "format");
    }
    rc = mr_disk_read_file(disk, path, NODE_FILE_SIZE_MAX, &data, &size, error);
    format = rc == 0 ? strtol(data, NULL, 10) : 0;
    if (rc == 0 && format < 1) {
        mr_error("the format file is damaged and is written anew", KV_STR("path", path));
    }
    if (format > NODE_FORMAT) {
        rc = mr_fail_text(error, MR_EUNSUPPORTED,
                          "%s was written by a newer version (format %ld; this one knows %d)",
                          directory, format, NODE_FORMAT);
    } else if (rc == MR_ENOENT || (rc == 0 && format < 1)) {
        int written = snprintf(text, sizeof text, "%d\n", NODE_FORMAT);
        rc = mr_disk_write_file(disk, path, text, (size_t)written, error);
    }
    mr_free(data);
    mr_free(path);
    return rc;
}

enum { IDENTITY_COPIES = 2 };
static const char *const identity_names[IDENTITY_COPIES] = {"identity", "identity.copy"};

static bool parse_identity(const char *text, struct node_directory *directory, char *machine)
{
    const char *end = strstr(text, "\ncrc ");
    unsigned crc = 0;
    char uuid[64] = "";
    char lineage[64] = "";

    static_assert(MACHINE_ID_SIZE == 64, "the widths below say 63");
    return end != NULL && sscanf(end, "\ncrc %8x\n", &crc) == 1 &&
           crc == mr_crc32c(0, text, (size_t)(end + 1 - text)) &&
           sscanf(text, "uuid %63s lineage %63s machine %63s", uuid, lineage, machine) == 3 &&
           mr_uuid_parse(uuid, &directory->uuid) == 0 &&
           mr_uuid_parse(lineage, &directory->lineage_uuid) == 0;
}

/* Each file is replaced as a whole, one after the other: an error leaves at least one that is. */
static int write_identity(struct mr_disk *disk, const struct node_directory *directory,
                          const char *machine, struct mr_error *error)
{
    char uuid[MR_UUID_TEXT_SIZE];
    char lineage[MR_UUID_TEXT_SIZE];
    char text[320];
    int size;
    int rc = 0;

    mr_uuid_format(&directory->uuid, uuid);
    mr_uuid_format(&directory->lineage_uuid, lineage);
    size = snprintf(text, sizeof text, "uuid %s\nlineage %s\nmachine %s\n", uuid, lineage, machine);
    size += snprintf(text + size, sizeof text - (size_t)size, "crc %08x\n",
                     (unsigned)mr_crc32c(0, text, (size_t)size));
    for (int i = 0; i < IDENTITY_COPIES && rc == 0; i++) {
        char *path = mr_asprintf("%s/%s", directory->path, identity_names[i]);
        rc = path == NULL ? mr_fail(error, MR_ENOMEM, "identity")
                          : mr_disk_write_file(disk, path, text, (size_t)size, error);
        mr_free(path);
    }
    return rc;
}

/* 0 and the content; MR_ENOENT; MR_ECORRUPT; or what else kept it from being read. */
static int read_identity(struct mr_disk *disk, const char *name, struct node_directory *directory,
                         char *machine, struct mr_error *error)
{
    char *path = mr_asprintf("%s/%s", directory->path, name);
    char *data = NULL;
    size_t size = 0;
    int rc = path == NULL ? mr_fail(error, MR_ENOMEM, "identity")
                          : mr_disk_read_file(disk, path, NODE_FILE_SIZE_MAX, &data, &size, error);

    if (rc == MR_ETOOLARGE || (rc == 0 && !parse_identity(data, directory, machine))) {
        mr_error("an identity file is damaged", KV_STR("path", path));
        rc = MR_ECORRUPT;
    }
    mr_free(data);
    mr_free(path);
    return rc;
}

static int load_identity(struct mr_disk *disk, struct mr_random *random,
                         struct node_directory *directory, struct mr_error *error)
{
    char machine[MACHINE_ID_SIZE];
    char before[MACHINE_ID_SIZE] = "";
    char machine_found[MACHINE_ID_SIZE] = "";
    bool is_found = false;
    bool is_damaged = false;
    bool is_incomplete = false;

    read_machine_id(disk, machine);
    for (int i = 0; i < IDENTITY_COPIES; i++) {
        struct node_directory copy = *directory;
        int rc = read_identity(disk, identity_names[i], &copy, machine_found, error);
        if (rc != 0 && rc != MR_ENOENT && rc != MR_ECORRUPT) {
            return rc;
        }
        if (rc == 0 && !is_found) {
            *directory = copy;
            (void)snprintf(before, sizeof before, "%s", machine_found);
        }
        is_found = is_found || rc == 0;
        is_damaged = is_damaged || rc == MR_ECORRUPT;
        is_incomplete = is_incomplete || rc != 0;
    }
    directory->is_cloned = is_found ? strcmp(machine, before) != 0 : is_damaged;
    if (!is_found) {
        directory->uuid = mr_uuid_random(random);
    }
    if (!is_found || directory->is_cloned) {
        directory->lineage_uuid = mr_uuid_random(random);
    }
    if (!is_found && is_damaged) {
        mr_error("this node gets a new identity: its sources read from the start again",
                 KV_STR("path", directory->path));
    } else if (directory->is_cloned) {
        mr_warn("the data directory comes from another machine: lineages to hubs begin anew",
                KV_STR("path", directory->path));
    }
    return is_incomplete || directory->is_cloned ? write_identity(disk, directory, machine, error)
                                                 : 0;
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
