/* The boot id: the same in one run of the system, and an error where it cannot be had. */
#include "base/core/boot.h"

#include "base/core/disk.h"
#include "base/core/random.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test.h"

TEST(boot, has_one_id)
{
    struct mr_uuid first = {0};
    struct mr_uuid second = {0};

    CHECK_EQ(mr_boot_id(mr_disk_system(), &first), 0);
    CHECK_EQ(mr_boot_id(mr_disk_system(), &second), 0);
    CHECK(!mr_uuid_is_zero(&first));
    CHECK(mr_uuid_equal(&first, &second));
}

TEST(boot, says_when_it_cannot_be_read)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct mr_uuid id = {0};

    fault_set(&disk->faults[DISK_OPEN], 1, MR_EACCES);
    CHECK_EQ(mr_boot_id(&disk->base, &id), MR_EACCES);
    fault_set(&disk->faults[DISK_READ], 1, MR_EIO);
    CHECK_EQ(mr_boot_id(&disk->base, &id), MR_EIO);
    CHECK(mr_uuid_is_zero(&id));
    fault_disk_free(disk);
}
