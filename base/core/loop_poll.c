/* Descriptors and signals, over libuv.
 *
 * libuv's handles must stay where they are until their close callback has run, which is in a later
 * turn; ours are embedded in owners that may vanish at once. So each has a small handle on the heap
 * that points back, and stopping cuts that pointer. */
#include "base/core/loop_internal.h"
#include "base/core/memory.h"

struct io_handle {
    uv_poll_t poll;
    struct mr_io *io; /* NULL once stopped */
};

struct signal_handle {
    uv_signal_t signal;
    struct mr_signal *owner; /* NULL once stopped */
};

static void on_poll_closed(uv_handle_t *handle)
{
    mr_free(handle->data);
}

static int events_of_uv(int events)
{
    return ((events & UV_READABLE) != 0 ? MR_IO_READ : 0) |
           ((events & UV_WRITABLE) != 0 ? MR_IO_WRITE : 0) |
           ((events & UV_DISCONNECT) != 0 ? MR_IO_HANGUP : 0);
}

static int events_to_uv(int events)
{
    return ((events & MR_IO_READ) != 0 ? UV_READABLE : 0) |
           ((events & MR_IO_WRITE) != 0 ? UV_WRITABLE : 0) |
           ((events & MR_IO_HANGUP) != 0 ? UV_DISCONNECT : 0);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_apply(struct io_handle *handle, int wanted)
{
    int rc;

    if (wanted == 0) {
        rc = uv_poll_stop(&handle->poll);
    } else {
        rc = uv_poll_start(&handle->poll, events_to_uv(wanted), on_poll);
    }
    mr_assert(rc == 0); /* both only fail for a handle that is closing */
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct io_handle *handle = poll->data;
    struct mr_io *io = handle->io;

    if (io == NULL) {
        return;
    }
    if (status < 0) {
        /* libuv has stopped the handle; go on as level-triggered polling does: the owner meets the
         * error in its next read or write, and stops. */
        poll_apply(handle, io->wanted);
        io->cb(io, MR_IO_READ | MR_IO_WRITE);
        return;
    }
    events = events_of_uv(events) & io->wanted;
    if (events != 0) {
        io->cb(io, events);
    }
}

int mr_io_start(struct mr_io *io, struct mr_loop *loop, int fd, mr_io_cb cb, void *owner)
{
    struct io_handle *handle;
    int rc;

    mr_assert(fd >= 0);
    mr_assert(cb != NULL);
    *io = (struct mr_io){.loop = loop, .cb = cb, .owner = owner, .fd = fd};
    if (loop->is_virtual) {
        return MR_EUNSUPPORTED;
    }
    handle = mr_calloc(1, sizeof *handle);
    if (handle == NULL) {
        return MR_ENOMEM;
    }
    rc = uv_poll_init(&loop->uv, &handle->poll, fd);
    if (rc != 0) {
        mr_free(handle);
        return mr_code_of_errno(-rc);
    }
    handle->poll.data = handle;
    handle->io = io;
    io->handle = handle;
    loop->handle_count++;
    return 0;
}

void mr_io_want(struct mr_io *io, int events)
{
    mr_assert(io->handle != NULL);
    if (events != io->wanted) {
        io->wanted = events;
        poll_apply(io->handle, events);
    }
}

void mr_io_stop(struct mr_io *io)
{
    struct io_handle *handle = io->handle;

    if (handle == NULL) {
        return;
    }
    io->handle = NULL;
    io->wanted = 0;
    io->loop->handle_count--;
    handle->io = NULL;
    uv_close((uv_handle_t *)&handle->poll, on_poll_closed); /* leaves epoll at once */
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct signal_handle *handle = signal->data;

    if (handle->owner != NULL) {
        handle->owner->cb(handle->owner, number);
    }
}

int mr_signal_start(struct mr_signal *signal, struct mr_loop *loop, int number, mr_signal_cb cb,
                    void *owner)
{
    struct signal_handle *handle;
    int rc;

    mr_assert(cb != NULL);
    *signal = (struct mr_signal){.cb = cb, .owner = owner};
    if (loop->is_virtual) {
        return MR_EUNSUPPORTED;
    }
    handle = mr_calloc(1, sizeof *handle);
    if (handle == NULL) {
        return MR_ENOMEM;
    }
    rc = uv_signal_init(&loop->uv, &handle->signal);
    if (rc != 0) {
        mr_free(handle);
        return mr_code_of_errno(-rc);
    }
    handle->signal.data = handle;
    rc = uv_signal_start(&handle->signal, on_signal, number);
    if (rc != 0) {
        uv_close((uv_handle_t *)&handle->signal, on_poll_closed);
        return mr_code_of_errno(-rc);
    }
    handle->owner = signal;
    signal->handle = handle;
    signal->loop = loop;
    loop->handle_count++;
    return 0;
}

void mr_signal_stop(struct mr_signal *signal)
{
    struct signal_handle *handle = signal->handle;

    if (handle == NULL) {
        return;
    }
    signal->handle = NULL;
    signal->loop->handle_count--;
    handle->owner = NULL;
    uv_close((uv_handle_t *)&handle->signal, on_poll_closed);
}
