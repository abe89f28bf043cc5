/* YAML text through the whole of the configuration: tree, values, checks, and back as a listing. */
#include "agent/config/config.h"
#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ${file:} must not read what lies around. */
static int refuse_open(struct mr_disk *disk, const char *path, int flags, mode_t mode, int *ret_fd)
{
    (void)disk;
    (void)path;
    (void)flags;
    (void)mode;
    (void)ret_fd;
    return MR_ENOENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mr_disk_ops ops = {.open = refuse_open};
    struct mr_disk disk = {&ops};
    struct config_problems problems;
    struct config *config;
    struct mr_bytes out;

    config_problems_init(&problems);
    config = config_load_text(&disk, (const char *)data, size, &problems);
    mr_assert((config == NULL) == (problems.count > 0 || problems.is_overflown));
    if (config != NULL) {
        mr_bytes_init(&out);
        config_show(config, &out);
        mr_bytes_done(&out);
    }
    config_free(config);
    config_problems_done(&problems);
    return 0;
}
