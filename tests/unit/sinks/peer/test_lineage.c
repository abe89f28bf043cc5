/* What is decided about a lineage, without a hub and without a network. */
#include "sinks/peer/lineage.h"

#include <string.h>

#include "tests/lib/test.h"

static struct lineage_place place_one(void)
{
    struct lineage_place place = {
        .node = {{1}}, .nodes_hash = 7, .topic_id = {{9}}, .partition = 2};

    strcpy(place.cluster, "cluster"); /* NOLINT */
    strcpy(place.topic, "web");       /* NOLINT */
    return place;
}

static struct lineage begun(int64_t offset)
{
    struct mr_random_seeded random;
    struct lineage_place place = place_one();
    struct lineage lineage;

    mr_random_seeded_init(&random, 5);
    lineage_begin(&lineage, &place, &random.base, offset);
    return lineage;
}

static enum lineage_verdict resume(const struct lineage *lineage, int64_t position, int32_t epoch,
                                   int32_t last_sequence, int64_t *ret_offset)
{
    struct lineage_view view = {.position = position,
                                .sent_offset_max = INT64_MAX,
                                .is_known = epoch >= 0,
                                .epoch = epoch,
                                .last_sequence = last_sequence,
                                .hub_end_offset = -1};

    *ret_offset = -1;
    return lineage_resume(lineage, &view, ret_offset);
}

TEST(lineage, draws_producer_ids_that_no_hub_gives)
{
    struct mr_random_seeded random;
    struct lineage_place place = place_one();
    struct lineage lineage;

    mr_random_seeded_init(&random, test_seed());
    for (int i = 0; i < 1000; i++) {
        lineage_begin(&lineage, &place, &random.base, 0);
        CHECK_EQ((uint64_t)lineage.producer_id >> 62, 1);
    }
}

TEST(lineage, survives_being_written_and_read)
{
    struct lineage lineage = begun(123456789012);
    struct lineage read;
    uint8_t bytes[LINEAGE_BYTES_MAX];
    size_t size;

    lineage.epoch = 31;
    lineage.hub_end_offset = 77;
    for (int i = 0; i < LINEAGE_BAD_MAX; i++) {
        (void)lineage_add_bad(&lineage, 123456789012 + i * 3, i * 3, 1);
    }
    size = lineage_encode(&lineage, bytes);
    CHECK_EQ(lineage_decode(bytes, size, &read), 0);
    CHECK_MEM(&read.place.node, &lineage.place.node, 16);
    CHECK_STR(read.place.cluster, "cluster");
    CHECK_STR(read.place.topic, "web");
    CHECK_EQ(read.producer_id, lineage.producer_id);
    CHECK_EQ(read.epoch, 31);
    CHECK_EQ(read.start_offset, 123456789012);
    CHECK_EQ(read.hub_end_offset, 77);
    CHECK_EQ(read.bad_count, LINEAGE_BAD_MAX);
    CHECK_EQ(read.bad[5].offset, 123456789012 + 15);

    for (size_t cut = 0; cut < size; cut++) { /* no shorter text is taken for it */
        CHECK_EQ(lineage_decode(bytes, cut, &read), MR_ECORRUPT);
    }
    bytes[0] = 2;
    CHECK_EQ(lineage_decode(bytes, size, &read), MR_EUNSUPPORTED);
}

TEST(lineage, goes_on_behind_what_the_hub_has)
{
    struct lineage lineage = begun(1000);
    int64_t offset;

    CHECK_EQ(resume(&lineage, 1000, -1, -1, &offset), LINEAGE_RESUME); /* nothing was ever sent */
    CHECK_EQ(offset, 1000);
    CHECK_EQ(resume(&lineage, 1000, 0, 49, &offset), LINEAGE_RESUME); /* sent, not yet told */
    CHECK_EQ(offset, 1050);
    CHECK_EQ(resume(&lineage, 1050, 0, 49, &offset), LINEAGE_RESUME);
    CHECK_EQ(offset, 1050);
    CHECK_EQ(resume(&lineage, 1051, 0, 49, &offset), LINEAGE_REWIND); /* the hub lost some */
    CHECK_EQ(offset, 1050);
    CHECK_EQ(resume(&lineage, 900, 0, -1, &offset), LINEAGE_RESUME); /* a split was interrupted */
    CHECK_EQ(offset, 1000);
}

/* Sequences wrap after 2^31 records: the answer is read as the one nearest to where we are. */
TEST(lineage, counts_over_the_wrap_of_sequences)
{
    const int64_t wrap = INT64_C(1) << 31;
    struct lineage lineage = begun(500);
    int64_t offset;

    CHECK_EQ(lineage_sequence(&lineage, 500 + wrap - 1), INT32_MAX);
    CHECK_EQ(lineage_sequence(&lineage, 500 + wrap), 0);
    for (int64_t wraps = 0; wraps < 5; wraps++) {
        for (int64_t back = -3; back <= 3; back++) {
            int64_t position = 500 + wraps * wrap + 10;
            int64_t there = position + back;
            int32_t last = (int32_t)((there - 1 - 500) & INT32_MAX);
            enum lineage_verdict verdict = resume(&lineage, position, 0, last, &offset);
            CHECK_EQ(verdict, back < 0 ? LINEAGE_REWIND : LINEAGE_RESUME);
            CHECK_EQ(offset, there);
        }
    }
    /* exactly at a wrap */
    CHECK_EQ(resume(&lineage, 500 + wrap, 0, INT32_MAX, &offset), LINEAGE_RESUME);
    CHECK_EQ(offset, 500 + wrap);
    CHECK_EQ(resume(&lineage, 500 + wrap, 0, 0, &offset), LINEAGE_RESUME);
    CHECK_EQ(offset, 500 + wrap + 1);
}

TEST(lineage, notices_a_hub_that_has_more_than_was_sent)
{
    struct lineage lineage = begun(0);
    struct lineage_view view = {.position = 50,
                                .sent_offset_max = 100,
                                .is_known = true,
                                .last_sequence = 99,
                                .hub_end_offset = -1};
    int64_t offset;

    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_RESUME);
    view.last_sequence = 100;
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_AHEAD);
    view.last_sequence = 0;
    view.epoch = 1; /* an epoch that we never began */
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_AHEAD);
}

/* A producer that the hub does not know: either it slept for long, or the hub lost the records. The
 * hub's end tells. */
TEST(lineage, tells_an_expired_producer_from_lost_records)
{
    struct lineage lineage = begun(100);
    struct lineage_view view = {.position = 150, .sent_offset_max = 200, .hub_end_offset = -1};
    int64_t offset;

    lineage.hub_end_offset = 1000;
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_ASK_END);
    view.hub_end_offset = 1000;
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_EXPIRED);
    CHECK_EQ(offset, 150);
    view.hub_end_offset = 999;
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_REWIND);
    CHECK_EQ(offset, 100);
    lineage.epoch = 4; /* known by an older epoch only: ours was cut off, whatever the end is */
    view.is_known = true;
    view.epoch = 3;
    view.last_sequence = 7;
    view.hub_end_offset = -1;
    CHECK_EQ(lineage_resume(&lineage, &view, &offset), LINEAGE_REWIND);
    CHECK_EQ(offset, 100);
}

TEST(lineage, gets_a_new_producer_id_behind_the_last_epoch)
{
    struct mr_random_seeded random;
    struct lineage lineage = begun(0);
    int64_t id = lineage.producer_id;

    mr_random_seeded_init(&random, 6);
    for (int i = 1; i <= LINEAGE_EPOCH_MAX; i++) {
        lineage_bump(&lineage, &random.base, i);
        CHECK_EQ(lineage.epoch, i);
        CHECK_EQ(lineage.producer_id, id);
    }
    lineage_bump(&lineage, &random.base, 9);
    CHECK_EQ(lineage.epoch, 0);
    CHECK_NE(lineage.producer_id, id);
    CHECK_EQ(lineage.start_offset, 9);
}

TEST(lineage, says_why_it_does_not_hold_any_more)
{
    struct lineage lineage = begun(0);
    struct lineage_place now = place_one();

    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_HOLDS);
    CHECK_EQ(lineage_match(&lineage, &now, 3, true), LINEAGE_FOREIGN);
    CHECK_EQ(lineage_match(&lineage, &now, 2, false), LINEAGE_RECREATED);
    now.node.bytes[3] = 4;
    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_FOREIGN);
    now = place_one();
    now.topic_id.bytes[3] = 4;
    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_RECREATED);
    now.cluster[0] = 'k';
    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_HUB_WIPED);
    now.nodes_hash = 8;
    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_MOVED);
    now = place_one();
    now.topic[0] = 'x';
    CHECK_EQ(lineage_match(&lineage, &now, 3, false), LINEAGE_RETARGETED);
}

/* The list of refused records is bounded; when it is full, what is left of the write is given up.
 */
TEST(lineage, keeps_refused_records_within_bounds)
{
    struct lineage lineage = begun(0);
    int32_t given_up = 0;

    CHECK_EQ(lineage_add_bad(&lineage, 10, 10, 90), 1);
    CHECK_EQ(lineage_add_bad(&lineage, 11, 11, 89), 1);
    CHECK_EQ(lineage.bad_count, 1);
    CHECK_EQ(lineage.bad[0].count, 2);
    for (int i = 1; given_up <= 1; i++) {
        given_up = lineage_add_bad(&lineage, 11 + 2 * i, 11 + 2 * i, 89 - 2 * i);
    }
    CHECK_EQ(lineage.bad_count, LINEAGE_BAD_MAX);
    CHECK_EQ(lineage.bad[LINEAGE_BAD_MAX - 1].count, given_up);
    lineage_settle_bad(&lineage, 12);
    CHECK_EQ(lineage.bad_count, LINEAGE_BAD_MAX - 1);
    lineage_settle_bad(&lineage, 1000);
    CHECK_EQ(lineage.bad_count, 0);
}

TEST(lineage, spreads_partitions_over_the_hub)
{
    int seen[4] = {0};

    for (int i = 0; i < 4; i++) {
        CHECK_EQ(lineage_spread(&(struct mr_uuid){{1}}, "t", i, 4, 4), i);
    }
    for (int i = 0; i < 4000; i++) {
        struct mr_uuid node = {{(uint8_t)i, (uint8_t)(i >> 8)}};
        int32_t partition = lineage_spread(&node, "t", 0, 1, 4);
        CHECK_EQ(partition, lineage_spread(&node, "t", 0, 1, 4));
        seen[partition]++;
    }
    for (int i = 0; i < 4; i++) {
        CHECK_GT(seen[i], 800);
    }
}
