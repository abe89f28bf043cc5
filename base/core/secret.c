#include "base/core/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/memory.h"

/* In front of the memory that is handed out, in its first page. */
struct pages {
    size_t size_bytes;
    max_align_t memory[];
};

struct mr_secret_text {
    atomic_uint refs;
    size_t size_bytes;
    char chars[];
};

/* In ordinary memory: it holds pointers only. */
struct mr_secret {
    atomic_uint refs;
    pthread_mutex_t mutex;       /* guards what follows */
    struct mr_secret_text *text; /* one reference is ours */
};

void mr_secret_wipe(void *memory, size_t size_bytes)
{
    if (memory != NULL) {
        explicit_bzero(memory, size_bytes);
    }
}

void *mr_secret_alloc(size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct pages *pages;
    size_t size;

    if (__builtin_add_overflow(size_bytes, sizeof *pages + page - 1, &size) ||
        mr_memory_is_refused()) {
        return NULL;
    }
    size -= size % page;
    pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(pages, size, MADV_DONTDUMP);
    (void)madvise(pages, size, MADV_WIPEONFORK); /* Linux 4.14; nothing here forks */
    pages->size_bytes = size;
    return pages->memory;
}

void mr_secret_free(void *memory)
{
    struct pages *pages;
    size_t size;

    if (memory == NULL) {
        return;
    }
    pages = mr_container(memory, struct pages, memory);
    size = pages->size_bytes;
    explicit_bzero(pages, size);
    (void)munmap(pages, size);
}

static struct mr_secret_text *text_new(const char *text, size_t size_bytes)
{
    struct mr_secret_text *made = mr_secret_alloc(sizeof *made + size_bytes + 1);

    if (made != NULL) {
        atomic_init(&made->refs, 1);
        made->size_bytes = size_bytes;
        memcpy(made->chars, text, size_bytes);
    }
    return made;
}

struct mr_secret *mr_secret_new(const char *text, size_t size_bytes)
{
    struct mr_secret *secret = mr_calloc(1, sizeof *secret);

    if (secret == NULL) {
        return NULL;
    }
    secret->text = text_new(text, size_bytes);
    if (secret->text == NULL) {
        mr_free(secret);
        return NULL;
    }
    atomic_init(&secret->refs, 1);
    mr_assert(pthread_mutex_init(&secret->mutex, NULL) == 0);
    return secret;
}

struct mr_secret *mr_secret_ref(struct mr_secret *secret)
{
    atomic_fetch_add_explicit(&secret->refs, 1, memory_order_relaxed);
    return secret;
}

void mr_secret_unref(struct mr_secret *secret)
{
    if (secret == NULL || atomic_fetch_sub_explicit(&secret->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    mr_secret_drop(secret->text);
    (void)pthread_mutex_destroy(&secret->mutex);
    mr_free(secret);
}

int mr_secret_replace(struct mr_secret *secret, const char *text, size_t size_bytes)
{
    struct mr_secret_text *made = text_new(text, size_bytes);
    struct mr_secret_text *before;
    bool is_same;

    if (made == NULL) {
        return MR_ENOMEM;
    }
    (void)pthread_mutex_lock(&secret->mutex);
    before = secret->text;
    is_same = before->size_bytes == size_bytes && memcmp(before->chars, text, size_bytes) == 0;
    if (!is_same) {
        secret->text = made;
    }
    (void)pthread_mutex_unlock(&secret->mutex);
    mr_secret_drop(is_same ? made : before);
    return is_same ? 0 : 1;
}

struct mr_secret_text *mr_secret_take(struct mr_secret *secret)
{
    struct mr_secret_text *text;

    (void)pthread_mutex_lock(&secret->mutex);
    text = secret->text;
    atomic_fetch_add_explicit(&text->refs, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&secret->mutex);
    return text;
}

void mr_secret_drop(struct mr_secret_text *text)
{
    if (text != NULL && atomic_fetch_sub_explicit(&text->refs, 1, memory_order_acq_rel) == 1) {
        mr_secret_free(text);
    }
}

const char *mr_secret_chars(const struct mr_secret_text *text)
{
    return text->chars;
}

size_t mr_secret_size(const struct mr_secret_text *text)
{
    return text->size_bytes;
}
