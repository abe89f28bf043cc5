/* How other threads reach a loop: messages embedded in their owners, delivered in order on the loop's
 * thread. Posting never blocks; a message is in at most one mailbox at a time. */
#ifndef BASE_CORE_MAILBOX_H
#define BASE_CORE_MAILBOX_H

#include "base/core/loop.h"

struct mr_mailbox;
struct mr_mail;
typedef void (*mr_mail_cb)(struct mr_mail *mail);

struct mr_mail {
    struct mr_mail *next; /* the mailbox's */
    mr_mail_cb cb;        /* runs on the loop; the mail is the owner's again */
    void *owner;
};

int mr_mailbox_new(struct mr_loop *loop, struct mr_mailbox **ret_mailbox);
/* On the loop, also from inside a mail's callback; no thread may post any more. Mail that is still
 * inside is delivered first. */
void mr_mailbox_free(struct mr_mailbox *mailbox);
/* Any thread. */
void mr_mailbox_post(struct mr_mailbox *mailbox, struct mr_mail *mail);

#endif
