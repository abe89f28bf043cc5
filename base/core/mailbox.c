/* A mailbox is a stack that any thread pushes to with one compare-and-swap; the loop takes all of
 * it with one exchange and turns it round, which gives back the order of posting. Only the push
 * that finds the stack empty wakes the loop, so a burst costs one wake-up. */
#include "base/core/mailbox.h"

#include "base/core/loop_internal.h"
#include "base/core/memory.h"

struct mr_mailbox {
    struct loop_drain drain;
    struct mr_loop *loop;
    _Atomic(struct mr_mail *) newest;
    struct mr_mail *batch; /* taken, oldest first, not delivered yet; the loop's alone */
    int delivering;        /* depth: a callback may free the mailbox that calls it */
    bool is_freed;
};

static void take_all(struct mr_mailbox *mailbox)
{
    struct mr_mail *mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct mr_mail *oldest_first = NULL;

    mr_assert(mailbox->batch == NULL);
    while (mail != NULL) {
        struct mr_mail *next = mail->next;

        mail->next = oldest_first;
        oldest_first = mail;
        mail = next;
    }
    mailbox->batch = oldest_first;
}

static void deliver_batch(struct mr_mailbox *mailbox)
{
    struct mr_mail *mail;

    while ((mail = mailbox->batch) != NULL) {
        mailbox->batch = mail->next;
        mail->next = NULL;
        mail->cb(mail);
    }
}

static void on_drain(struct loop_drain *drain)
{
    struct mr_mailbox *mailbox = mr_container(drain, struct mr_mailbox, drain);

    mailbox->delivering++;
    take_all(mailbox);
    deliver_batch(mailbox); /* what comes meanwhile has woken the loop again */
    mailbox->delivering--;
    if (mailbox->is_freed) {
        mr_free(mailbox);
    }
}

int mr_mailbox_new(struct mr_loop *loop, struct mr_mailbox **ret_mailbox)
{
    struct mr_mailbox *mailbox = mr_calloc(1, sizeof *mailbox);

    if (mailbox == NULL) {
        return MR_ENOMEM;
    }
    mailbox->loop = loop;
    mailbox->drain.cb = on_drain;
    atomic_init(&mailbox->newest, NULL);
    loop_drain_add(loop, &mailbox->drain);
    *ret_mailbox = mailbox;
    return 0;
}

void mr_mailbox_free(struct mr_mailbox *mailbox)
{
    if (mailbox == NULL) {
        return;
    }
    mr_assert(!mailbox->is_freed);
    loop_drain_remove(&mailbox->drain);
    deliver_batch(mailbox); /* of the callback that we are in, if any */
    while (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) != NULL) {
        take_all(mailbox);
        deliver_batch(mailbox);
    }
    if (mailbox->delivering > 0) {
        mailbox->is_freed = true;
    } else {
        mr_free(mailbox);
    }
}

void mr_mailbox_post(struct mr_mailbox *mailbox, struct mr_mail *mail)
{
    struct mr_loop *loop = mailbox->loop; /* after the push the mailbox may be gone */
    struct mr_mail *newest;

    mr_assert(mail->cb != NULL);
    newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, mail,
                                                    memory_order_release, memory_order_relaxed));
    if (newest == NULL) {
        loop_wake(loop);
    }
}
