/* Client quotas: which one counts (Kafka's order), what is refused, and that they are read back
 * from records. */
#include <math.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "queue/meta/image.h"
#include "queue/meta/records.h"
#include "queue/wire/batch.h"
#include "queue/wire/batch_builder.h"
#include "tests/lib/test.h"

/* "*" is the default, NULL absent. */
static struct quota_entity entity_of(const char *user, const char *client_id, const char *ip)
{
    const char *const names[] = {user, client_id, ip};
    struct quota_entity entity = {{0}, {{0}}};

    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        if (names[type] != NULL) {
            bool is_default = strcmp(names[type], "*") == 0;
            entity.kinds[type] = is_default ? QUOTA_DEFAULT : QUOTA_NAMED;
            entity.names[type] = wire_text(is_default ? NULL : names[type]);
        }
    }
    return entity;
}

static void put(struct quota_set *set, const char *user, const char *client_id, const char *ip,
                enum quota_rate rate, double value)
{
    struct quota_entity entity = entity_of(user, client_id, ip);

    CHECK_EQ(quota_set_put(set, &entity, rate, value), 0);
}

static double produce_rate(const struct quota_set *set, const char *user, const char *client_id,
                           int *ret_scope)
{
    return quota_set_rate(set, QUOTA_PRODUCER_BYTE_RATE, wire_text(user), wire_text(client_id),
                          ret_scope);
}

/* KIP-55's table: each level hides those below it. */
TEST(quotas, the_most_precise_one_counts)
{
    static const struct {
        const char *user;
        const char *client_id;
        int scope;
    } levels[] = {
        {NULL, "*", QUOTA_PER_CLIENT},
        {NULL, "c", QUOTA_PER_CLIENT},
        {"*", NULL, QUOTA_PER_USER},
        {"*", "*", QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {"*", "c", QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {"u", NULL, QUOTA_PER_USER},
        {"u", "*", QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {"u", "c", QUOTA_PER_USER | QUOTA_PER_CLIENT},
    };
    struct quota_set set;
    int scope;

    quota_set_init(&set);
    CHECK(produce_rate(&set, "u", "c", &scope) == 0);
    CHECK_EQ(scope, 0);
    for (int i = 0; i < 8; i++) {
        put(&set, levels[i].user, levels[i].client_id, NULL, QUOTA_PRODUCER_BYTE_RATE, 100 + i);
        CHECK(produce_rate(&set, "u", "c", &scope) == 100 + i);
        CHECK_EQ(scope, levels[i].scope);
        /* A level that has another rate only says nothing about this one. */
        CHECK(quota_set_rate(&set, QUOTA_CONSUMER_BYTE_RATE, wire_text("u"), wire_text("c"),
                             &scope) == 0);
    }
    CHECK(produce_rate(&set, "other", "c", &scope) == 104);
    CHECK(produce_rate(&set, "other", "d", &scope) == 103);
    CHECK(produce_rate(&set, "u", "d", &scope) == 106);
    CHECK(produce_rate(&set, "u", NULL, &scope) ==
          106); /* who names no client id has the default */
    for (int i = 7; i >= 0; i--) {
        CHECK(produce_rate(&set, "u", "c", &scope) == 100 + i);
        put(&set, levels[i].user, levels[i].client_id, NULL, QUOTA_PRODUCER_BYTE_RATE, 0);
    }
    CHECK_EQ(set.count, 0);
    CHECK_EQ(set.rate_counts[QUOTA_PRODUCER_BYTE_RATE], 0);
    quota_set_done(&set);
}

TEST(quotas, addresses)
{
    struct quota_set set;

    quota_set_init(&set);
    CHECK(quota_set_host_rate(&set, wire_text("10.0.0.1")) == 0);
    put(&set, NULL, NULL, "*", QUOTA_CONNECTION_CREATION_RATE, 5);
    put(&set, NULL, NULL, "10.0.0.1", QUOTA_CONNECTION_CREATION_RATE, 50);
    CHECK(quota_set_host_rate(&set, wire_text("10.0.0.1")) == 50);
    CHECK(quota_set_host_rate(&set, wire_text("10.0.0.2")) == 5);
    CHECK(quota_set_host_rate(&set, wire_text("unix")) == 5);
    quota_set_done(&set);
}

TEST(quotas, an_address_has_one_form)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: none */
    } cases[] = {
        {"10.0.0.1", "10.0.0.1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"::ffff:a00:1", "10.0.0.1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::1", "::1"},
        {"localhost", NULL},
        {"10.0.0", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {"", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", NULL},
    };
    char host[QUOTA_HOST_SIZE];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_one = quota_host_normalise(wire_text(cases[i].text), host);
        CHECK_EQ(is_one, cases[i].host != NULL);
        if (is_one) {
            CHECK_STR(host, cases[i].host);
        }
    }
    CHECK(!quota_host_normalise((struct wire_string){"10.0.0.1\0x", 10}, host));
    CHECK(!quota_host_normalise(wire_text(NULL), host));
}

TEST(quotas, what_cannot_be_set)
{
    static const char long_name[QUOTA_NAME_SIZE_MAX + 2];
    struct quota_entity user = entity_of("u", NULL, NULL);
    struct quota_entity ip = entity_of(NULL, NULL, "*");
    struct quota_entity bad[] = {
        entity_of(NULL, NULL, NULL),
        entity_of("u", NULL, "10.0.0.1"),
        entity_of(NULL, "c", "*"),
        entity_of("", NULL, NULL),
        entity_of(NULL, NULL, "somewhere"),
        {.kinds = {QUOTA_NAMED}, .names = {{long_name, QUOTA_NAME_SIZE_MAX + 1}}},
    };
    char host[QUOTA_HOST_SIZE];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(quota_entity_check(&bad[i], host) != NULL);
    }
    CHECK(quota_entity_check(&user, host) == NULL);
    CHECK(quota_entity_check(&ip, host) == NULL);
    CHECK(quota_rate_check(&user, QUOTA_PRODUCER_BYTE_RATE, 1) == NULL);
    CHECK(quota_rate_check(&user, QUOTA_PRODUCER_BYTE_RATE, 1.5) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_PRODUCER_BYTE_RATE, 1e30) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_REQUEST_PERCENTAGE, 0.5) == NULL);
    CHECK(quota_rate_check(&user, QUOTA_CONTROLLER_MUTATION_RATE, 0) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_CONTROLLER_MUTATION_RATE, -1) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_CONTROLLER_MUTATION_RATE, NAN) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_CONTROLLER_MUTATION_RATE, INFINITY) != NULL);
    CHECK(quota_rate_check(&user, QUOTA_CONNECTION_CREATION_RATE, 1) != NULL);
    CHECK(quota_rate_check(&ip, QUOTA_CONNECTION_CREATION_RATE, 1) == NULL);
    CHECK(quota_rate_check(&ip, QUOTA_CONNECTION_CREATION_RATE, 1e10) != NULL);
    CHECK(quota_rate_check(&ip, QUOTA_CONSUMER_BYTE_RATE, 1) != NULL);
}

static void apply_all(struct image *image, const struct mr_buf *batch)
{
    struct batch_header header;
    struct batch_iterator iterator;
    struct batch_record record;
    int rc;

    CHECK_EQ(batch_header_parse(batch->data, batch->size_bytes, &header), 0);
    batch_iterator_init(&iterator, &header, batch->data + BATCH_HEADER_SIZE,
                        batch->size_bytes - BATCH_HEADER_SIZE);
    while ((rc = batch_iterator_next(&iterator, &record)) == 1) {
        CHECK_EQ(meta_record_apply(image, record.value, (size_t)record.value_size), 0);
        for (int32_t size = 0; size < record.value_size; size++) {
            struct image other;
            image_init(&other);
            CHECK_LT(meta_record_apply(&other, record.value, (size_t)size), 0);
            CHECK_EQ(other.quotas.count, 0);
            image_done(&other);
        }
    }
    CHECK_EQ(rc, 0);
}

TEST(quotas, records_are_read_back)
{
    struct batch_builder_options options = {.size_bytes_max = 1024 * 1024};
    struct batch_builder builder;
    struct image image;
    struct image copy;
    struct quota_entity entity = entity_of("alice", "*", NULL);
    const struct quota *found;
    struct mr_buf *batch;
    uint64_t generation;

    image_init(&image);
    image_init(&copy);
    put(&image.quotas, "alice", "*", NULL, QUOTA_PRODUCER_BYTE_RATE, 1000);
    put(&image.quotas, "alice", "*", NULL, QUOTA_REQUEST_PERCENTAGE, 12.5);
    put(&image.quotas, NULL, NULL, "::1", QUOTA_CONNECTION_CREATION_RATE, 3);
    put(&copy.quotas, "eve", NULL, NULL, QUOTA_PRODUCER_BYTE_RATE, 1);
    generation = copy.quotas.generation;
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1), 0);
    CHECK_EQ(meta_records_snapshot(&image, &builder, 1), 0);
    CHECK_EQ(meta_record_add_quota(&builder, &entity, QUOTA_REQUEST_PERCENTAGE, 0, 1), 0);
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    apply_all(&copy, batch);
    CHECK_EQ(copy.quotas.count, 2);
    CHECK_LT(generation, copy.quotas.generation);
    found = quota_set_find(&copy.quotas, &entity);
    CHECK(found != NULL && found->rates[QUOTA_PRODUCER_BYTE_RATE] == 1000);
    CHECK(found != NULL && found->rates[QUOTA_REQUEST_PERCENTAGE] == 0);
    CHECK(found != NULL && wire_string_is(found->entity.names[QUOTA_USER], "alice"));
    CHECK_EQ(copy.quotas.rate_counts[QUOTA_REQUEST_PERCENTAGE], 0);
    CHECK(quota_set_host_rate(&copy.quotas, wire_text("::1")) == 3);
    mr_buf_unref(batch);
    batch_builder_done(&builder);
    image_done(&image);
    image_done(&copy);
}
