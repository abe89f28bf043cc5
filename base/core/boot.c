#include "base/core/boot.h"

#include "base/core/disk.h"
#include "base/core/random.h"

enum { BOOT_ID_TEXT_SIZE = 36 };

/* The value of a hexadecimal digit, or -1. */
static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mr_boot_id(struct mr_disk *disk, struct mr_uuid *ret_boot_id)
{
    struct mr_uuid id = {0};
    char text[BOOT_ID_TEXT_SIZE];
    int digits = 0;
    ssize_t got;
    int fd = -1;
    int rc = mr_disk_open(disk, "/proc/sys/kernel/random/boot_id", MR_DISK_READ, &fd, NULL);

    if (rc != 0) {
        return rc;
    }
    got = mr_disk_pread(disk, fd, text, sizeof text, 0);
    mr_disk_close(disk, fd);
    for (ssize_t i = 0; i < got && digits < 32; i++) {
        int value = digit(text[i]);

        if (value >= 0) {
            id.bytes[digits / 2] = (uint8_t)(id.bytes[digits / 2] << 4 | value);
            digits++;
        }
    }
    if (digits != 32) {
        return got < 0 ? (int)got : MR_ECORRUPT;
    }
    *ret_boot_id = id;
    return 0;
}
