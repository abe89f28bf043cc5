/* The table of positions, what one batch changes of it, and the bytes of both. */
#include <stdio.h>
#include <string.h>

#include "agent/flow/positions.h"
#include "base/core/memory.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

static struct mr_uuid uuid_of(uint8_t byte)
{
    struct mr_uuid uuid;

    memset(uuid.bytes, byte, sizeof uuid.bytes);
    return uuid;
}

static void set(struct position_change *change, const char *key, uint32_t skip, const char *value)
{
    CHECK_EQ(position_change_set(change, key, strlen(key), skip, value, strlen(value)), 0);
}

static void check_position(const struct positions *positions, const char *key, uint32_t skip,
                           const char *value)
{
    const struct position *position = positions_get(positions, "src", key, strlen(key));

    CHECK(position != NULL);
    CHECK_EQ(position->skip, skip);
    CHECK_EQ(position->size, strlen(value));
    if (position->size > 0) {
        CHECK_MEM(position->value, value, position->size);
    }
}

struct fixture {
    struct positions positions;
    struct position_change *change;
    struct mr_bytes header;
    struct mr_uuid uuid;
};

static void fixture_init(struct fixture *x)
{
    x->uuid = uuid_of(7);
    positions_init(&x->positions, &x->uuid);
    x->change = mr_calloc(1, sizeof *x->change);
    CHECK(x->change != NULL);
    mr_bytes_init(&x->header);
}

static void fixture_done(struct fixture *x)
{
    positions_done(&x->positions);
    position_change_done(x->change);
    mr_free(x->change);
    mr_bytes_done(&x->header);
}

static void encode(struct fixture *x)
{
    mr_bytes_clear(&x->header);
    position_change_encode(x->change, &x->uuid, "src", &x->header);
    CHECK_EQ(x->header.failed, 0);
}

static int apply(struct fixture *x, int64_t events, int64_t next_offset)
{
    return positions_apply(&x->positions, x->header.data, x->header.size_bytes, events,
                           next_offset);
}

/* Two streams and two reasons, as a batch of 10 records would carry them. */
static void fill(struct fixture *x)
{
    set(x->change, "a", 0, "position of a");
    set(x->change, "b", 3, "");
    position_drop_add(x->change->drops, &x->change->drop_count, "disk_full", 5, 500);
    position_drop_add(x->change->drops, &x->change->drop_count, "too_large", 1, 9000);
    encode(x);
}

TEST(positions, take_what_a_batch_says)
{
    struct fixture x;

    fixture_init(&x);
    fill(&x);
    CHECK_EQ(apply(&x, 10, 10), 0);
    check_position(&x.positions, "a", 0, "position of a");
    check_position(&x.positions, "b", 3, "");
    CHECK(positions_get(&x.positions, "src", "c", 1) == NULL);
    CHECK(positions_get(&x.positions, "other", "a", 1) == NULL);
    position_change_clear(x.change);
    set(x.change, "b", 0, "later");
    set(x.change, "b", 1, "");
    set(x.change, "b", 2, "much later, and longer than before");
    encode(&x);
    CHECK_EQ(apply(&x, 4, 14), 0);
    check_position(&x.positions, "a", 0, "position of a");
    check_position(&x.positions, "b", 2, "much later, and longer than before");
    const struct position_source *source = positions_source(&x.positions, "src", false);
    CHECK_EQ(source->delivered_events, 14);
    CHECK_EQ(source->drop_count, 2);
    CHECK_STR(source->drops[0].reason, "disk_full");
    CHECK_EQ(source->drops[0].events, 5);
    CHECK_EQ(source->drops[1].bytes, 9000);
    CHECK_EQ(x.positions.offset, 14);
    CHECK_EQ(x.positions.unattributed, 0);
    CHECK(x.positions.is_dirty);
    positions_forget(&x.positions, "src", "a", 1);
    CHECK(positions_get(&x.positions, "src", "a", 1) == NULL);
    fixture_done(&x);
}

/* Records that no source accounts for are shown. */
TEST(positions, count_records_that_nobody_claims)
{
    struct fixture x;

    fixture_init(&x);
    fill(&x);
    CHECK_EQ(apply(&x, 10, 10), 0);
    CHECK_EQ(apply(&x, 10, 25), 0); /* 5 lie between */
    CHECK_EQ(x.positions.unattributed, 5);
    positions_pass(&x.positions, 25);
    CHECK_EQ(x.positions.unattributed, 5);
    positions_pass(&x.positions, 30);
    CHECK_EQ(x.positions.unattributed, 10);
    CHECK_EQ(x.positions.offset, 30);
    CHECK_EQ(positions_source(&x.positions, "src", false)->delivered_events + 10, 30);
    fixture_done(&x);
}

TEST(positions, ignore_what_another_node_says)
{
    struct fixture x;
    struct mr_uuid other = uuid_of(8);

    fixture_init(&x);
    fill(&x);
    mr_bytes_clear(&x.header);
    position_change_encode(x.change, &other, "src", &x.header);
    CHECK_EQ(apply(&x, 10, 10), 0);
    CHECK(positions_source(&x.positions, "src", false) == NULL);
    CHECK_EQ(x.positions.offset, 0);
    fixture_done(&x);
}

/* A value that is cut anywhere, or has a byte too many, is refused, and changes nothing. */
TEST(positions, refuse_a_value_that_is_cut)
{
    struct fixture x;
    uint8_t copy[512];

    fixture_init(&x);
    set(x.change, "a", 0, "old");
    encode(&x);
    CHECK_EQ(apply(&x, 1, 1), 0);
    fill(&x);
    size_t whole = x.header.size_bytes;
    CHECK_LT(whole, sizeof copy);
    memcpy(copy, x.header.data, whole);
    copy[whole] = 0;
    for (size_t size = 0; size <= whole + 1; size++) {
        if (size == whole) {
            continue;
        }
        uint8_t *exact = mr_malloc(size); /* so that a sanitizer sees a step too far */
        memcpy(exact, copy, size);
        CHECK_EQ(positions_apply(&x.positions, exact, size, 10, 11), MR_ECORRUPT);
        mr_free(exact);
        check_position(&x.positions, "a", 0, "old");
        CHECK_EQ(x.positions.offset, 1);
        CHECK_EQ(positions_source(&x.positions, "src", false)->delivered_events, 1);
        CHECK_EQ(positions_source(&x.positions, "src", false)->drop_count, 0);
    }
    fixture_done(&x);
}

/* Without memory a value is taken whole or not at all, at each allocation. */
TEST(positions, survive_failing_allocations)
{
    struct fixture x;
    struct fault heap;
    bool fired = true;

    fixture_init(&x);
    set(x.change, "a", 0, "old");
    encode(&x);
    CHECK_EQ(apply(&x, 1, 1), 0);
    fill(&x);
    for (int nth = 1; fired; nth++) {
        fault_set(&heap, nth, MR_ENOMEM);
        fault_heap(&heap);
        int rc = apply(&x, 10, 11);
        fault_heap_off();
        fired = fault_fired(&heap);
        if (fired) {
            CHECK_EQ(rc, MR_ENOMEM);
            check_position(&x.positions, "a", 0, "old");
            CHECK_EQ(x.positions.offset, 1);
            CHECK_EQ(positions_source(&x.positions, "src", false)->drop_count, 0);
        } else {
            CHECK_EQ(rc, 0);
        }
    }
    check_position(&x.positions, "a", 0, "position of a");
    check_position(&x.positions, "b", 3, "");
    fixture_done(&x);
}

static bool is_b_newer(void *owner, const void *key, size_t key_size)
{
    (void)owner;
    return key_size == 1 && memcmp(key, "b", 1) == 0;
}

/* What a dropped batch said goes with the next one, but for what somebody knows better. */
TEST(positions, come_back_from_a_dropped_batch)
{
    struct fixture x;

    fixture_init(&x);
    fill(&x);
    set(x.change, "c", 0, "at the batch");
    encode(&x);
    position_change_clear(x.change);
    set(x.change, "c", 0, "newer");
    position_drop_add(x.change->drops, &x.change->drop_count, "disk_full", 10, 1000);
    CHECK_EQ(position_change_return(x.change, x.header.data, x.header.size_bytes, is_b_newer, NULL),
             0);
    CHECK_EQ(x.change->entry_count, 2);
    CHECK(position_change_get(x.change, "b", 1) == NULL);
    CHECK_MEM(position_change_get(x.change, "c", 1)->value, "newer", 5);
    CHECK_MEM(position_change_get(x.change, "a", 1)->value, "position of a", 13);
    CHECK_EQ(x.change->drop_count, 2);
    CHECK_EQ(x.change->drops[0].events, 15);
    fixture_done(&x);
}

TEST(positions, find_a_stream_in_a_value)
{
    struct fixture x;
    struct position_view view;

    fixture_init(&x);
    fill(&x);
    CHECK(position_header_find(x.header.data, x.header.size_bytes, "b", 1, &view));
    CHECK_EQ(view.skip, 3);
    CHECK_EQ(view.size, 0);
    CHECK(position_header_find(x.header.data, x.header.size_bytes, "a", 1, &view));
    CHECK_EQ(view.size, 13);
    CHECK(!position_header_find(x.header.data, x.header.size_bytes, "ab", 2, &view));
    fixture_done(&x);
}

/* A change knows how large it is, and when it is full. */
TEST(positions, bound_what_a_batch_says)
{
    struct fixture x;
    uint8_t big[SOURCE_POSITION_SIZE_MAX] = {1};
    uint8_t key[SOURCE_KEY_SIZE_MAX] = {0};
    size_t empty;

    fixture_init(&x);
    encode(&x);
    empty = x.header.size_bytes;
    for (int i = 0; i < POSITIONS_ENTRIES_MAX; i++) {
        memcpy(key, &i, sizeof i);
        CHECK_EQ(position_change_reserve(x.change, key, sizeof key), 0);
        CHECK_EQ(position_change_set(x.change, key, sizeof key, 1, big, (size_t)i), 0);
        encode(&x);
        CHECK_EQ(x.header.size_bytes, empty + x.change->entry_bytes);
    }
    memset(key, 0xff, sizeof key);
    CHECK_EQ(position_change_reserve(x.change, key, sizeof key), MR_EFULL);
    CHECK_EQ(position_change_set(x.change, key, sizeof key, 1, big, 1), MR_EFULL);
    memset(key, 0, sizeof key);
    CHECK_EQ(position_change_set(x.change, key, sizeof key, 1, big, sizeof big), 0);
    encode(&x);
    CHECK_EQ(x.header.size_bytes, empty + x.change->entry_bytes);
    CHECK_EQ(apply(&x, 1, 1), 0);
    CHECK_EQ(positions_get(&x.positions, "src", key, sizeof key)->size, sizeof big);
    fixture_done(&x);
}

/* More reasons than there is room for go to the last one: nothing is uncounted. */
TEST(positions, count_all_drops)
{
    struct fixture x;
    int64_t events = 0;

    fixture_init(&x);
    for (int i = 0; i < 40; i++) {
        char reason[64];
        (void)snprintf(reason, sizeof reason, "a reason with a rather long name, number %d", i);
        position_drop_add(x.change->drops, &x.change->drop_count, reason, 1, 2);
    }
    encode(&x);
    CHECK_EQ(apply(&x, 0, 0), 0);
    const struct position_source *source = positions_source(&x.positions, "src", false);
    for (size_t i = 0; i < source->drop_count; i++) {
        events += source->drops[i].events;
    }
    CHECK_EQ(events, 40);
    fixture_done(&x);
}

static void checkpoint(struct fixture *x, struct mr_bytes *out)
{
    fill(x);
    CHECK_EQ(apply(x, 10, 12), 0);
    mr_bytes_init(out);
    positions_encode(&x->positions, 42, out);
    CHECK_EQ(out->failed, 0);
}

TEST(positions, come_back_from_a_checkpoint)
{
    struct fixture x;
    struct positions copy;
    struct mr_bytes bytes;
    uint64_t generation = 0;

    fixture_init(&x);
    checkpoint(&x, &bytes);
    CHECK_EQ(bytes.size_bytes % 16384, 0);
    positions_init(&copy, &x.uuid);
    CHECK_EQ(positions_decode(&copy, bytes.data, bytes.size_bytes, &generation), 0);
    CHECK_EQ(generation, 42);
    CHECK_EQ(copy.offset, 12);
    CHECK_EQ(copy.unattributed, 2);
    check_position(&copy, "a", 0, "position of a");
    check_position(&copy, "b", 3, "");
    CHECK_EQ(positions_source(&copy, "src", false)->delivered_events, 10);
    CHECK_EQ(positions_source(&copy, "src", false)->drops[1].bytes, 9000);
    struct mr_uuid other = uuid_of(9);
    positions_done(&copy);
    positions_init(&copy, &other);
    CHECK_EQ(positions_decode(&copy, bytes.data, bytes.size_bytes, &generation), MR_ECORRUPT);
    CHECK_EQ(copy.sources.count, 0);
    positions_done(&copy);
    mr_bytes_done(&bytes);
    fixture_done(&x);
}

/* One flipped bit anywhere, or a cut at any place, is found. */
TEST(positions, find_damage_in_a_checkpoint)
{
    struct fixture x;
    struct positions copy;
    struct mr_bytes bytes;
    uint64_t generation = 7;

    fixture_init(&x);
    checkpoint(&x, &bytes);
    positions_init(&copy, &x.uuid);
    for (size_t at = 0; at < bytes.size_bytes; at += at < 256 ? 1 : 97) {
        bytes.data[at] ^= (uint8_t)(1 << at % 8);
        CHECK_EQ(positions_decode(&copy, bytes.data, bytes.size_bytes, &generation), MR_ECORRUPT);
        CHECK_EQ(copy.sources.count, 0);
        bytes.data[at] ^= (uint8_t)(1 << at % 8);
        CHECK_EQ(positions_decode(&copy, bytes.data, at, &generation), MR_ECORRUPT);
    }
    CHECK_EQ(generation, 7);
    CHECK_EQ(positions_decode(&copy, bytes.data, bytes.size_bytes, &generation), 0);
    positions_done(&copy);
    mr_bytes_done(&bytes);
    fixture_done(&x);
}
