/* Everything in base/core that allocates, with each allocation failing in turn: the call says
 * MR_ENOMEM, leaves nothing behind (ASan looks), and works when asked again. */
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "tests/lib/fault.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test.h"

static bool heap_fails(void *owner)
{
    return fault_hit(owner) != 0;
}

static void on_timer(struct mr_timer *timer)
{
    (*(int *)timer->owner)++;
}

static void on_work(struct mr_work *work)
{
    (void)work;
}

static void on_done(struct mr_work *work)
{
    (*(int *)work->owner)++;
}

/* Loop, timer, mailbox, pool; frees all that was made. 0 when all went well. */
static int make_and_use(bool is_virtual, int *fired, int *dones)
{
    struct mr_loop *loop = NULL;
    struct mr_workers *workers = NULL;
    struct mr_work work = {.run = on_work, .done = on_done, .owner = dones};
    struct mr_timer timer;
    int rc;

    rc = is_virtual ? mr_loop_new_virtual(mr_clock_system(), &loop)
                    : mr_loop_new(mr_clock_system(), &loop, NULL);
    if (rc != 0) {
        return rc;
    }
    mr_timer_init(&timer, loop, on_timer, fired);
    rc = mr_timer_start(&timer, 0);
    if (rc == 0) {
        mr_loop_turn(loop, 0);
        rc = mr_workers_new(loop, "heap", 1, &workers);
    }
    if (rc == 0) {
        rc = mr_workers_submit(workers, &work);
    }
    mr_timer_stop(&timer);
    mr_workers_free(workers);
    mr_loop_free(loop);
    return rc;
}

TEST(core_heap, loops_and_pools_survive_each_failing_allocation)
{
    for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
        bool fired = true;

        for (int nth = 1; fired; nth++) {
            struct fault fault;
            int timers = 0;
            int dones = 0;
            int rc;

            fault_set(&fault, nth, MR_ENOMEM);
            mr_memory_set_fault(heap_fails, &fault);
            rc = make_and_use(is_virtual != 0, &timers, &dones);
            mr_memory_set_fault(NULL, NULL);
            fired = fault_fired(&fault);
            CHECK_EQ(rc, fired ? MR_ENOMEM : 0);
            CHECK_EQ(dones, rc == 0 ? 1 : 0);
            CHECK(nth < 100);
        }
    }
}

/* Reading, replacing, making and removing, on a disk whose descriptors are counted. */
static int use_disk(struct fault_disk *disk)
{
    struct mr_error error = {0};
    char *data = NULL;
    size_t size_bytes = 0;
    int rc;

    rc = mr_disk_make_directories(&disk->base, fault_disk_path(disk, "a/b"), 0750, &error);
    if (rc == 0) {
        rc = mr_disk_write_file(&disk->base, fault_disk_path(disk, "a/b/f"), "x", 1, &error);
    }
    if (rc == 0) {
        rc = mr_disk_read_file(&disk->base, fault_disk_path(disk, "a/b/f"), 10, &data, &size_bytes,
                               &error);
        mr_free(data);
    }
    if (rc == 0) {
        rc = mr_disk_remove_tree(&disk->base, fault_disk_path(disk, "a"), &error);
    }
    CHECK_EQ(error.code, rc); /* and the words say the same */
    return rc;
}

TEST(core_heap, files_survive_each_failing_allocation)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct fault_disk *disk = fault_disk_new(1);
        struct fault fault;
        int rc;

        fault_set(&fault, nth, MR_ENOMEM);
        mr_memory_set_fault(heap_fails, &fault);
        rc = use_disk(disk);
        mr_memory_set_fault(NULL, NULL);
        fired = fault_fired(&fault);
        CHECK_EQ(rc, fired ? MR_ENOMEM : 0);
        CHECK_EQ(use_disk(disk), 0);
        CHECK_EQ(disk->used_bytes, 0);
        CHECK(nth < 100);
        fault_disk_free(disk);
    }
}

/* The same with each call of the disk failing in turn. */
TEST(core_heap, files_survive_each_failing_call_of_the_disk)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct fault_disk *disk = fault_disk_new(1);
        int rc;

        fault_set(&disk->faults[DISK_ANY], nth, MR_EIO);
        rc = use_disk(disk);
        fired = fault_fired(&disk->faults[DISK_ANY]);
        fault_disk_heal(disk);
        CHECK_EQ(rc, fired ? MR_EIO : 0);
        CHECK_EQ(use_disk(disk), 0);
        CHECK(nth < 200);
        fault_disk_free(disk);
    }
}
