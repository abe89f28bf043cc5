/* Memory for bytes and spans: bounded for the whole source, used again last in first out, so that a
 * source that keeps up stays in the processor's cache with a few chunks. */
#include "sources/file/file_internal.h"

#include "base/core/memory.h"

static size_t chunk_cost(const struct pool *pool)
{
    return sizeof(struct chunk) + TAIL_SIZE_MAX + pool->chunk_size_bytes;
}

int pool_init(struct pool *pool, size_t chunk_size_bytes, bool has_marks, size_t limit_bytes)
{
    size_t marks = has_marks ? MARKS_MAX * sizeof(struct mark) : 0;
    size_t least;

    *pool = (struct pool){.chunk_size_bytes = chunk_size_bytes,
                          .block_size_bytes = sizeof(struct block) + marks};
    /* With less, nothing would ever be read: joined events go from one chunk to another. */
    least = (has_marks ? 2 : 1) * (chunk_cost(pool) + pool->block_size_bytes);
    pool->limit_bytes = limit_bytes > least ? limit_bytes : least;
    mr_list_init(&pool->free_chunks);
    mr_list_init(&pool->free_blocks);
    pool->empty = mr_buf_new(1);
    return pool->empty == NULL ? MR_ENOMEM : 0;
}

/* The last reference is gone, perhaps on another thread: nothing of the pool is touched here. */
static void chunk_free(struct mr_buf *buf)
{
    mr_free(mr_container(buf, struct chunk, buf));
}

static bool free_one_block(struct pool *pool)
{
    struct mr_link *link = mr_list_pop(&pool->free_blocks);

    if (link == NULL) {
        return false;
    }
    pool->used_bytes -= pool->block_size_bytes;
    mr_free(mr_container(link, struct block, link));
    return true;
}

void pool_trim(struct pool *pool)
{
    struct mr_link *link;

    while ((link = mr_list_pop(&pool->free_chunks)) != NULL) {
        struct chunk *chunk = mr_container(link, struct chunk, link);

        pool->used_bytes -= chunk_cost(pool);
        mr_buf_unref(&chunk->buf);
    }
    while (free_one_block(pool)) {
    }
}

void pool_done(struct pool *pool)
{
    if (pool->empty == NULL) {
        return;
    }
    pool_trim(pool);
    mr_buf_unref(pool->empty);
    pool->empty = NULL;
}

struct chunk *pool_chunk(struct pool *pool, bool beyond)
{
    struct mr_link *link = mr_list_pop(&pool->free_chunks);
    struct chunk *chunk;

    if (link != NULL) {
        chunk = mr_container(link, struct chunk, link);
        chunk->users = 1;
        return chunk;
    }
    /* Room for a block with it, or the chunk could not be handed over. Unused blocks, of many
     * positions without bytes, must not keep chunks out. */
    while (!beyond &&
           pool->used_bytes + chunk_cost(pool) + pool->block_size_bytes > pool->limit_bytes) {
        if (!free_one_block(pool)) {
            return NULL;
        }
    }
    chunk = mr_malloc(chunk_cost(pool));
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct chunk){.pool = pool, .users = 1};
    atomic_init(&chunk->buf.refs, 1);
    chunk->buf.capacity_bytes = pool->chunk_size_bytes;
    chunk->buf.release = chunk_free;
    chunk->buf.data = chunk->memory + TAIL_SIZE_MAX;
    pool->used_bytes += chunk_cost(pool);
    return chunk;
}

void pool_chunk_release(struct pool *pool, struct chunk *chunk)
{
    if (chunk == NULL || --chunk->users > 0) {
        return;
    }
    chunk->buf.size_bytes = 0;
    if (atomic_load(&chunk->buf.refs) == 1 && pool->used_bytes <= pool->limit_bytes) {
        mr_list_prepend(&pool->free_chunks, &chunk->link);
        return;
    }
    pool->used_bytes -= chunk_cost(pool);
    mr_buf_unref(&chunk->buf); /* someone still looks at the bytes: they are his now */
}

struct block *pool_block(struct pool *pool, struct chunk *chunk, bool beyond)
{
    struct mr_link *link = mr_list_pop(&pool->free_blocks);
    struct block *block;

    if (link != NULL) {
        block = mr_container(link, struct block, link);
    } else {
        if (!beyond && pool->used_bytes + pool->block_size_bytes > pool->limit_bytes) {
            return NULL;
        }
        block = mr_malloc(pool->block_size_bytes);
        if (block == NULL) {
            return NULL;
        }
        pool->used_bytes += pool->block_size_bytes;
    }
    block->base = (struct source_block){0};
    block->link = (struct mr_link){0};
    block->tail = NULL;
    block->is_marked = false;
    block->chunk = chunk;
    if (chunk != NULL) {
        chunk->users++;
    }
    return block;
}

void pool_block_release(struct pool *pool, struct block *block)
{
    if (block == NULL) {
        return;
    }
    pool_chunk_release(pool, block->chunk);
    if (pool->used_bytes > pool->limit_bytes) {
        pool->used_bytes -= pool->block_size_bytes;
        mr_free(block);
        return;
    }
    mr_list_prepend(&pool->free_blocks, &block->link);
}
