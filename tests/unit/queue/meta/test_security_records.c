/* Users and access control lists as records: what is written is what is read back, and what is
 * damaged is refused. */
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "queue/meta/image.h"
#include "queue/meta/records.h"
#include "queue/wire/batch.h"
#include "queue/wire/batch_builder.h"
#include "tests/lib/test.h"

static void set_user(struct image *image, const char *name, enum mr_scram_mechanism mechanism)
{
    struct mr_scram_credential credential;

    CHECK_EQ(mr_scram_derive(mechanism, name, strlen(name), (const uint8_t *)"salt", 4, 4096,
                             &credential),
             0);
    CHECK_EQ(users_set(&image->users, name, strlen(name), &credential), 0);
}

static void add_acl(struct image *image, const char *name)
{
    struct acl_binding binding = {ACL_TOPIC,       ACL_PREFIXED,        ACL_WRITE,     ACL_ALLOW,
                                  wire_text(name), wire_text("User:a"), wire_text("*")};

    CHECK_EQ(acl_add(&image->acls, &binding), 0);
}

/* Takes a snapshot of one image and replays it into another. */
static void copy_image(const struct image *image, struct image *copy)
{
    struct batch_builder_options options = {.size_bytes_max = 1024 * 1024};
    struct batch_builder builder;
    struct batch_header header;
    struct batch_iterator iterator;
    struct batch_record record;
    struct mr_buf *batch;
    int rc;

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1), 0);
    CHECK_EQ(meta_records_snapshot(image, &builder, 1), 0);
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    CHECK_EQ(batch_header_parse(batch->data, batch->size_bytes, &header), 0);
    batch_iterator_init(&iterator, &header, batch->data + BATCH_HEADER_SIZE,
                        batch->size_bytes - BATCH_HEADER_SIZE);
    while ((rc = batch_iterator_next(&iterator, &record)) == 1) {
        CHECK_EQ(meta_record_apply(copy, record.value, (size_t)record.value_size), 0);
        /* Cut short, nothing crashes and nothing is believed. */
        for (int32_t size = 0; size < record.value_size; size++) {
            struct image other;
            image_init(&other);
            CHECK_LT(meta_record_apply(&other, record.value, (size_t)size), 0);
            image_done(&other);
        }
    }
    CHECK_EQ(rc, 0);
    mr_buf_unref(batch);
    batch_builder_done(&builder);
}

TEST(security_records, a_snapshot_holds_users_and_bindings)
{
    struct image image;
    struct image copy;
    const struct mr_scram_credential *credential;

    image_init(&image);
    image_init(&copy);
    set_user(&image, "alice", MR_SCRAM_SHA_256);
    set_user(&image, "alice", MR_SCRAM_SHA_512);
    set_user(&image, "bob", MR_SCRAM_SHA_512);
    image.users.has_secret = true;
    memset(image.users.secret, 7, sizeof image.users.secret);
    add_acl(&image, "web.");
    add_acl(&image, "app.");
    set_user(&copy, "eve", MR_SCRAM_SHA_512); /* a snapshot voids what was known */
    copy_image(&image, &copy);
    CHECK_EQ(copy.users.by_name.count, 2);
    CHECK(users_find(&copy.users, "eve", 3) == NULL);
    CHECK(users_credential(&copy.users, "bob", 3, MR_SCRAM_SHA_256) == NULL);
    credential = users_credential(&copy.users, "alice", 5, MR_SCRAM_SHA_512);
    CHECK(credential != NULL && mr_scram_is_password(credential, "alice", 5));
    CHECK(copy.users.has_secret);
    CHECK_EQ(copy.users.secret[31], 7);
    CHECK_EQ(copy.acls.count, 2);
    CHECK_STR(copy.acls.items[0].name, "app.");
    image_done(&image);
    image_done(&copy);
}

TEST(security_records, a_user_without_credentials_is_none)
{
    struct image image;
    struct mr_scram_credential credential;

    image_init(&image);
    set_user(&image, "alice", MR_SCRAM_SHA_256);
    set_user(&image, "alice", MR_SCRAM_SHA_512);
    CHECK(users_remove(&image.users, "alice", 5, MR_SCRAM_SHA_256));
    CHECK(!users_remove(&image.users, "alice", 5, MR_SCRAM_SHA_256));
    CHECK(users_challenge(&image.users, "alice", 5, MR_SCRAM_SHA_512, &credential));
    CHECK(!users_challenge(&image.users, "alice", 5, MR_SCRAM_SHA_256, &credential));
    CHECK(users_remove(&image.users, "alice", 5, MR_SCRAM_SHA_512));
    CHECK(users_find(&image.users, "alice", 5) == NULL);
    image_done(&image);
}
