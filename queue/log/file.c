/* A descriptor with a count: a segment that was deleted or cut stays readable for those who were
 * given a range of it. */
#include "queue/log/log_internal.h"

#include "base/core/memory.h"

struct log_file *file_new(struct mr_disk *disk, int fd)
{
    struct log_file *file = mr_malloc(sizeof *file);

    mr_assert(fd >= 0);
    if (file != NULL) {
        *file = (struct log_file){.disk = disk, .refs = 1, .fd = fd};
    }
    return file;
}

struct log_file *file_ref(struct log_file *file)
{
    mr_assert(file->refs > 0);
    file->refs++;
    return file;
}

void file_unref(struct log_file *file)
{
    if (file == NULL) {
        return;
    }
    mr_assert(file->refs > 0);
    file->refs--;
    if (file->refs == 0) {
        mr_disk_close(file->disk, file->fd);
        mr_free(file);
    }
}
