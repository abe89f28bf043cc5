/* A disk for tests: the real one, under a temporary directory, that fails when told, fills up, and
 * loses power. Descriptors are the kernel's own. Safe for calls from several threads.
 *
 *     struct fault_disk *disk = fault_disk_new(seed);
 *     fault_set(&disk->faults[DISK_WRITE], 3, MR_ENOSPC);
 *     ... open(&disk->base, fault_disk_path(disk, "log")) ...
 *     fault_disk_power_loss(disk);   // descriptors of before are dead: close them
 *     fault_disk_free(disk);         // removes the directory
 *
 * A sweep over one door sets its fault; a sweep over all of them, DISK_ANY. A sweep over the moment
 * of a power cut sets DISK_POWER: from that change on nothing reaches the disk and all calls fail,
 * until fault_disk_power_loss plays the loss and switches it on again. */
#ifndef TESTS_LIB_FAULT_DISK_H
#define TESTS_LIB_FAULT_DISK_H

#include <pthread.h>

#include "base/core/disk.h"
#include "base/core/random.h"
#include "tests/lib/fault.h"

enum fault_disk_door {
    DISK_ANY, /* counts the calls of all doors below, but not DISK_POWER */
    DISK_OPEN,
    DISK_READ,
    DISK_WRITE, /* a failing one may have written a part, by the seed */
    DISK_FSYNC,
    DISK_TRUNCATE,
    DISK_PREALLOCATE,
    DISK_RENAME,
    DISK_UNLINK,
    DISK_MKDIR,
    DISK_RMDIR,
    DISK_FSYNC_DIRECTORY,
    DISK_LIST,
    DISK_POWER, /* counts changes and fsyncs, which end in a power cut */
    DISK_DOOR_END
};

enum fault_disk_loss {
    DISK_LOSES_UNSYNCED, /* everything that was not fsynced */
    DISK_LOSES_BY_SEED,  /* any part of it */
};

struct disk_journal;

struct fault_disk {
    struct mr_disk base;
    struct fault faults[DISK_DOOR_END];
    int64_t limit_bytes; /* of all files together; 0: none. A write beyond it fails, part-written */
    enum fault_disk_loss loss;

    /* Read by tests. */
    int64_t calls[DISK_DOOR_END]; /* those that failed included */
    int64_t written_bytes;
    int64_t used_bytes;

    /* Its own. */
    pthread_mutex_t mutex;
    struct mr_random_seeded random;
    struct disk_journal *journal;
    char *top;  /* the temporary directory */
    char *root; /* what the code under test sees of it */
    bool is_off;
    int generation;   /* one more at each power loss */
    int *generations; /* by descriptor: when it was opened; 0: not ours */
    int generations_count;
};

/* Never NULL; aborts when it cannot be made. */
struct fault_disk *fault_disk_new(uint64_t seed);
void fault_disk_free(struct fault_disk *disk);

/* The directory that tests work in: always absolute, without symbolic links. */
const char *fault_disk_root(struct fault_disk *disk);
/* A path in it, from a small ring of buffers: good until the eighth call after. */
const char *fault_disk_path(struct fault_disk *disk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The machine goes down and comes up: files and names that were not fsynced are lost as disk->loss
 * says. Descriptors that are open now answer MR_EIO from here on. Locks are those of the
 * descriptors: close them before opening anew. */
void fault_disk_power_loss(struct fault_disk *disk);
/* Ends all faults that are set. */
void fault_disk_heal(struct fault_disk *disk);

#endif
