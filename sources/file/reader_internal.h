/* Between reader.c, take.c, inherit.c and gzip.c: the parts of reading one file. */
#ifndef SOURCES_FILE_READER_INTERNAL_H
#define SOURCES_FILE_READER_INTERNAL_H

#include "sources/file/file_internal.h"

/* ---- take.c ---- */

struct lines take_lines_of(const struct tail *tail);
bool take_is_joined(const struct file_source *fs);
/* Takes what is whole in a chunk whose data begins at the position. */
enum reader_result take_bytes(struct tail *tail, struct chunk *chunk, size_t *ret_taken);
/* Takes all of the chunk as one line that will not be finished. */
enum reader_result take_remainder(struct tail *tail, struct chunk *chunk);
/* Emits what the joiner holds. */
enum reader_result take_pending(struct tail *tail);

/* ---- boundary.c: the position at any event of a block ---- */

/* The last up to 64 bytes before `offset`, which end at `end`. */
void boundary_set_tail(struct identity *identity, const uint8_t *end, int64_t offset);
/* Behind the event at `place` of a joined block: as if `offset` were next, with what the joiner
 * holds now. `raw` holds the file's bytes from `first` on; NULL: none were read. */
void boundary_mark(struct block *block, size_t place, const struct chunk *raw, int64_t first,
                   int64_t offset, bool in_long);
/* source_block.position_at of all blocks. */
size_t boundary_position(const struct source_block *base, size_t span_count, void *data);

/* ---- reader.c ---- */

/* The tail owns the descriptor from here on. */
void reader_adopt(struct tail *tail, int fd);
void reader_forget_decoders(struct tail *tail);

/* ---- inherit.c: container lines that go on in the next file ---- */

/* Before the first byte of a file is read: takes over what its predecessor holds. False: not yet,
 * the predecessor has unread bytes. */
bool inherit_begin(struct tail *tail);
/* After a restart: feeds the joiner with the predecessor's pieces. 0 or a code. */
int inherit_replay(struct tail *tail, struct chunk *scratch);
void reader_settle_inheritance(struct position *position);

/* ---- gzip.c: a compressed file as a stream ---- */

int gzip_file_new(struct gzip_file **ret_file);
void gzip_file_free(struct gzip_file *file);
/* Fills the chunk with decompressed bytes from `offset` on, with the `tail_size` before them in
 * front. Forward only; going back starts over. On a worker. *ret_at_end: nothing follows. The
 * count, or MR_ECORRUPT, MR_ETRUNCATED (the file is still being written). */
ssize_t gzip_file_read(struct gzip_file *file, struct mr_disk *disk, int fd, int64_t offset,
                       size_t tail_size, struct chunk *chunk, bool *ret_at_end);

#endif
