/* The mailbox: order, one wake-up per burst, many posters, and freeing inside a delivery. */
#include "base/core/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/core/clock.h"
#include "tests/lib/test.h"

enum { POSTERS = 4, MAILS_EACH = 5000 };

struct numbered {
    struct mr_mail mail;
    int poster;
    int number;
};

struct tally {
    int next[POSTERS]; /* the number that each poster's next mail must have */
    int count;
    bool in_order;
};

static void on_numbered(struct mr_mail *mail)
{
    struct numbered *numbered = mr_container(mail, struct numbered, mail);
    struct tally *tally = mail->owner;

    tally->in_order = tally->in_order && tally->next[numbered->poster] == numbered->number;
    tally->next[numbered->poster] = numbered->number + 1;
    tally->count++;
}

struct poster {
    pthread_t thread;
    struct mr_mailbox *mailbox;
    struct numbered mails[MAILS_EACH];
};

static void *poster_main(void *argument)
{
    struct poster *poster = argument;

    for (int i = 0; i < MAILS_EACH; i++) {
        mr_mailbox_post(poster->mailbox, &poster->mails[i].mail);
    }
    return NULL;
}

/* Each thread's mail arrives once and in its order, whatever the threads do to each other. */
TEST(mailbox, delivers_all_mail_of_many_threads_in_each_ones_order)
{
    struct mr_loop *loop = NULL;
    struct mr_mailbox *mailbox = NULL;
    struct tally tally = {.in_order = true};
    struct poster *posters = calloc(POSTERS, sizeof *posters);

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_mailbox_new(loop, &mailbox), 0);
    for (int p = 0; p < POSTERS; p++) {
        posters[p].mailbox = mailbox;
        for (int i = 0; i < MAILS_EACH; i++) {
            posters[p].mails[i] = (struct numbered){
                .mail = {.cb = on_numbered, .owner = &tally}, .poster = p, .number = i};
        }
        CHECK_EQ(pthread_create(&posters[p].thread, NULL, poster_main, &posters[p]), 0);
    }
    for (int i = 0; i < POSTERS * MAILS_EACH && tally.count < POSTERS * MAILS_EACH; i++) {
        mr_loop_turn(loop, 10000); /* each turn is woken by at least one mail, or time is up */
    }
    for (int p = 0; p < POSTERS; p++) {
        (void)pthread_join(posters[p].thread, NULL);
    }
    CHECK_EQ(tally.count, POSTERS * MAILS_EACH);
    CHECK(tally.in_order);
    mr_mailbox_free(mailbox);
    mr_loop_free(loop);
    free(posters);
}

static void on_count(struct mr_mail *mail)
{
    (*(int *)mail->owner)++;
}

/* On a virtual loop mail comes in the turn, and the loop knows that it has something to do. */
TEST(mailbox, delivers_in_the_turn_of_a_virtual_loop)
{
    struct mr_loop *loop = NULL;
    struct mr_mailbox *mailbox = NULL;
    int count = 0;
    struct mr_mail mails[3];

    CHECK_EQ(mr_loop_new_virtual(mr_clock_system(), &loop), 0);
    CHECK_EQ(mr_mailbox_new(loop, &mailbox), 0);
    CHECK_EQ(mr_loop_next_us(loop), INT64_MAX);
    for (int i = 0; i < 3; i++) {
        mails[i] = (struct mr_mail){.cb = on_count, .owner = &count};
        mr_mailbox_post(mailbox, &mails[i]);
    }
    CHECK_EQ(count, 0);
    CHECK(mr_loop_next_us(loop) < INT64_MAX);
    mr_loop_turn(loop, 0);
    CHECK_EQ(count, 3);
    CHECK_EQ(mr_loop_next_us(loop), INT64_MAX);
    mr_mailbox_post(mailbox, &mails[0]); /* the owner's again: may be posted anew */
    mr_mailbox_free(mailbox);            /* delivers what is inside */
    CHECK_EQ(count, 4);
    mr_loop_free(loop);
}

struct freer {
    struct mr_mail mails[3];
    struct mr_mailbox *mailbox;
    int count;
};

static void on_free_mailbox(struct mr_mail *mail)
{
    struct freer *freer = mail->owner;

    freer->count++;
    if (freer->count == 1) {
        mr_mailbox_free(freer->mailbox);
        CHECK_EQ(freer->count, 3); /* the two behind it came first */
    }
}

TEST(mailbox, may_be_freed_inside_a_delivery)
{
    struct mr_loop *loop = NULL;
    struct freer freer = {0};

    CHECK_EQ(mr_loop_new_virtual(mr_clock_system(), &loop), 0);
    CHECK_EQ(mr_mailbox_new(loop, &freer.mailbox), 0);
    for (int i = 0; i < 3; i++) {
        freer.mails[i] = (struct mr_mail){.cb = on_free_mailbox, .owner = &freer};
        mr_mailbox_post(freer.mailbox, &freer.mails[i]);
    }
    mr_loop_turn(loop, 0);
    CHECK_EQ(freer.count, 3);
    mr_loop_free(loop);
}

struct echo {
    struct mr_mail mail;
    struct mr_mailbox *mailbox;
    int count;
};

static void on_echo(struct mr_mail *mail)
{
    struct echo *echo = mail->owner;

    if (++echo->count < 5) {
        mr_mailbox_post(echo->mailbox, mail);
    }
}

/* Mail posted by a delivery waits for the next turn, and is not forgotten on a real loop either. */
TEST(mailbox, wakes_the_loop_for_mail_posted_while_delivering)
{
    struct mr_loop *loop = NULL;
    struct echo echo = {0};

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_mailbox_new(loop, &echo.mailbox), 0);
    echo.mail = (struct mr_mail){.cb = on_echo, .owner = &echo};
    mr_mailbox_post(echo.mailbox, &echo.mail);
    for (int i = 1; i <= 5; i++) {
        mr_loop_turn(loop, 10000);
        CHECK_EQ(echo.count, i);
    }
    mr_mailbox_free(echo.mailbox);
    mr_loop_free(loop);
}
