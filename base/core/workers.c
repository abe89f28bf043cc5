/* A pool of threads around one queue. Threads start when work finds none of them idle, and stay.
 *
 * They block all signals: those belong to the loop that asked for them. On a virtual loop there are
 * no threads; a task runs the queue inside the loop's turn, so that a simulation stays in order. */
#include "base/core/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/core/loop_internal.h"
#include "base/core/memory.h"

enum { THREAD_NAME_SIZE = 16 }; /* the kernel's limit, with the NUL */

struct mr_workers {
    struct mr_mailbox *mailbox; /* brings finished work to the loop */
    struct mr_task turn;        /* virtual loops: runs the queue */
    bool is_virtual;
    bool is_closing; /* the loop's */
    int thread_limit;
    char name[THREAD_NAME_SIZE];

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wanted;
    struct mr_link queue;
    size_t queued;
    int idle_count;
    int thread_count;
    bool stopping;
    pthread_t threads[];
};

static void on_work_done(struct mr_mail *mail)
{
    struct mr_work *work = mr_container(mail, struct mr_work, mail);

    work->done(work);
}

static struct mr_work *queue_pop(struct mr_workers *workers)
{
    struct mr_link *link = mr_list_pop(&workers->queue);

    if (link == NULL) {
        return NULL;
    }
    workers->queued--;
    return mr_container(link, struct mr_work, link);
}

static void *thread_main(void *argument)
{
    struct mr_workers *workers = argument;

    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        struct mr_work *work = queue_pop(workers);

        if (work != NULL) {
            pthread_mutex_unlock(&workers->mutex);
            work->run(work);
            mr_mailbox_post(workers->mailbox, &work->mail);
            pthread_mutex_lock(&workers->mutex);
        } else if (workers->stopping) {
            break; /* only once the queue is empty: each work gets its turn */
        } else {
            workers->idle_count++;
            pthread_cond_wait(&workers->wanted, &workers->mutex);
            workers->idle_count--;
        }
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

static void on_virtual_turn(struct mr_task *task)
{
    struct mr_workers *workers = task->owner;
    struct mr_work *work;

    while ((work = queue_pop(workers)) != NULL) {
        work->run(work);
        mr_mailbox_post(workers->mailbox, &work->mail);
    }
}

int mr_workers_new(struct mr_loop *loop, const char *name, int thread_count,
                   struct mr_workers **ret_workers)
{
    struct mr_workers *workers;
    int rc;

    mr_assert(thread_count > 0);
    workers = mr_calloc(1, sizeof *workers + (size_t)thread_count * sizeof workers->threads[0]);
    if (workers == NULL) {
        return MR_ENOMEM;
    }
    rc = mr_mailbox_new(loop, &workers->mailbox);
    if (rc != 0) {
        mr_free(workers);
        return rc;
    }
    workers->is_virtual = mr_loop_is_virtual(loop);
    workers->thread_limit = thread_count;
    (void)snprintf(workers->name, sizeof workers->name, "%s", name);
    mr_task_init(&workers->turn, loop, on_virtual_turn, workers);
    mr_list_init(&workers->queue);
    rc = pthread_mutex_init(&workers->mutex, NULL);
    mr_assert(rc == 0); /* with default attributes neither asks for anything */
    rc = pthread_cond_init(&workers->wanted, NULL);
    mr_assert(rc == 0);
    *ret_workers = workers;
    return 0;
}

void mr_workers_free(struct mr_workers *workers)
{
    if (workers == NULL) {
        return;
    }
    mr_assert(!workers->is_closing);
    workers->is_closing = true;
    mr_task_cancel(&workers->turn);
    if (workers->is_virtual) {
        on_virtual_turn(&workers->turn);
    }
    pthread_mutex_lock(&workers->mutex);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->wanted);
    pthread_mutex_unlock(&workers->mutex);
    for (int i = 0; i < workers->thread_count; i++) {
        (void)pthread_join(workers->threads[i], NULL);
    }
    mr_mailbox_free(workers->mailbox); /* delivers every done() */
    pthread_cond_destroy(&workers->wanted);
    pthread_mutex_destroy(&workers->mutex);
    mr_free(workers);
}

/* With the mutex held. */
static int thread_start(struct mr_workers *workers)
{
    pthread_t *thread = &workers->threads[workers->thread_count];
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
    rc = pthread_create(thread, NULL, thread_main, workers);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return MR_EAGAIN;
    }
    (void)pthread_setname_np(*thread, workers->name);
    workers->thread_count++;
    return 0;
}

int mr_workers_submit(struct mr_workers *workers, struct mr_work *work)
{
    int rc = 0;

    mr_assert(work->run != NULL);
    mr_assert(work->done != NULL);
    if (workers->is_closing) {
        return MR_ECANCELED;
    }
    work->mail.cb = on_work_done;
    pthread_mutex_lock(&workers->mutex);
    if (!workers->is_virtual && (size_t)workers->idle_count <= workers->queued &&
        workers->thread_count < workers->thread_limit) {
        rc = thread_start(workers);
        if (workers->thread_count > 0) {
            rc = 0; /* the others will do it */
        }
    }
    if (rc == 0) {
        mr_list_append(&workers->queue, &work->link);
        workers->queued++;
        pthread_cond_signal(&workers->wanted);
    }
    pthread_mutex_unlock(&workers->mutex);
    if (rc == 0 && workers->is_virtual) {
        mr_task_post(&workers->turn);
    }
    return rc;
}
