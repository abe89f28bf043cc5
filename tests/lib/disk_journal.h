/* What a disk has been told but has not been made to keep: for each file the changes since its last
 * fsync, for each directory the names changed since its last fsync. From that, a power loss is
 * played.
 *
 * The changes themselves are made at once and for real, so that everybody reads what was written
 * and sendfile has true descriptors. The journal keeps what is needed to take them back:
 * overwritten and cut bytes, and, in a directory of its own beside the root, the files whose names
 * were removed.
 *
 * Directories are remembered by descriptor, not by path: renaming one does not confuse it. A model
 * of POSIX and not of one file system: a new name lasts when its directory was fsynced, not before.
 */
#ifndef TESTS_LIB_DISK_JOURNAL_H
#define TESTS_LIB_DISK_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/core/random.h"

struct disk_journal;

/* The attic is an existing directory on the same file system, outside of what is watched. */
struct disk_journal *disk_journal_new(const char *attic_path);
void disk_journal_free(struct disk_journal *journal);

/* ---- content: call before the change ---- */

void disk_journal_write(struct disk_journal *journal, int fd, int64_t offset, size_t size_bytes);
void disk_journal_truncate(struct disk_journal *journal, int fd, int64_t size_bytes);
/* The file's content is safe now, unless an earlier fsync of it has failed: as on Linux, the
 * changes of then count as written although they are not, and no later fsync brings them back. */
void disk_journal_fsync(struct disk_journal *journal, int fd);
void disk_journal_fsync_failed(struct disk_journal *journal, int fd);

/* ---- names: the first two are told, the others do it; 0 or an errno ---- */

void disk_journal_created(struct disk_journal *journal, const char *path);
void disk_journal_made_directory(struct disk_journal *journal, const char *path);
int disk_journal_unlink(struct disk_journal *journal, const char *path);
int disk_journal_rmdir(struct disk_journal *journal, const char *path);
int disk_journal_rename(struct disk_journal *journal, const char *from, const char *to);
void disk_journal_fsync_directory(struct disk_journal *journal, const char *path);

/* Takes back everything that is not safe (random NULL), or what the random numbers choose: of the
 * names all after some point in time, of each file all after some write, which may be torn, or any
 * mixture of its writes, with zeros where a later one stayed. */
void disk_journal_power_loss(struct disk_journal *journal, struct mr_random *random);

#endif
