/* Between recover.c and recover_tail.c. */
#ifndef QUEUE_LOG_RECOVER_INTERNAL_H
#define QUEUE_LOG_RECOVER_INTERNAL_H

#include "queue/log/log_internal.h"

/* What the checkpoint knows of the segment of this name, or NULL. */
const struct checkpoint_segment *recover_find(const struct checkpoint *checkpoint,
                                              int64_t base_offset);
/* Whether the last close left nothing to check. There is a segment. */
bool recover_is_clean(const struct log *log, const struct checkpoint *checkpoint);
/* Reads and checks what is behind the recovery offset. There is a segment. */
int recover_tail(struct log *log, const struct checkpoint *checkpoint, bool has_checkpoint,
                 struct mr_error *error);
/* The log goes on at least where the checkpoint says that it was. */
int recover_end(struct log *log, const struct checkpoint *checkpoint, struct mr_error *error);

#endif
