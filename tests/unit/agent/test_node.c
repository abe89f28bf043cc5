/* The data directory as a whole: its lock, its format, its identity. */
#include "agent/node.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/memory.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test.h"

struct fixture {
    struct fault_disk *disk;
    struct mr_random_seeded random;
    struct node_directory node;
    struct mr_error error;
};

static void fixture_init(struct fixture *x)
{
    memset(x, 0, sizeof *x);
    x->disk = fault_disk_new(test_seed());
    mr_random_seeded_init(&x->random, test_seed());
}

static int open_node(struct fixture *x)
{
    return node_directory_open(&x->disk->base, &x->random.base, fault_disk_path(x->disk, "a/b"),
                               &x->node, &x->error);
}

static void close_node(struct fixture *x)
{
    node_directory_close(&x->disk->base, &x->node);
}

static void write_file(struct fixture *x, const char *name, const char *text)
{
    CHECK_EQ(mr_disk_write_file(&x->disk->base, fault_disk_path(x->disk, "a/b/%s", name), text,
                                strlen(text), NULL),
             0);
}

static char *read_file(struct fixture *x, const char *name)
{
    char *data = NULL;
    size_t size;

    CHECK_EQ(mr_disk_read_file(&x->disk->base, fault_disk_path(x->disk, "a/b/%s", name), 4096,
                               &data, &size, NULL),
             0);
    return data;
}

TEST(node, keeps_its_identity)
{
    struct fixture x;
    struct mr_uuid uuid;
    struct mr_uuid lineage;

    fixture_init(&x);
    CHECK_OK(open_node(&x), &x.error);
    uuid = x.node.uuid;
    lineage = x.node.lineage_uuid;
    CHECK(!x.node.is_cloned);
    CHECK(!mr_uuid_is_zero(&uuid));
    close_node(&x);
    fault_disk_power_loss(x.disk);
    CHECK_OK(open_node(&x), &x.error);
    CHECK(mr_uuid_equal(&x.node.uuid, &uuid));
    CHECK(mr_uuid_equal(&x.node.lineage_uuid, &lineage));
    CHECK(!x.node.is_cloned);
    close_node(&x);
    fault_disk_free(x.disk);
}

TEST(node, is_owned_by_one_process)
{
    struct fixture x;
    struct node_directory other;
    struct mr_error error = {0};

    fixture_init(&x);
    CHECK_OK(open_node(&x), &x.error);
    CHECK_EQ(node_directory_open(&x.disk->base, &x.random.base, x.node.path, &other, &error),
             MR_EBUSY);
    CHECK_HAS(error.text, "a/b is in use by another process");
    close_node(&x);
    CHECK_OK(open_node(&x), &x.error);
    close_node(&x);
    fault_disk_free(x.disk);
}

TEST(node, refuses_a_newer_format)
{
    struct fixture x;

    fixture_init(&x);
    CHECK_OK(open_node(&x), &x.error);
    close_node(&x);
    char *format = read_file(&x, "format");
    CHECK_STR(format, "1\n");
    mr_free(format);
    write_file(&x, "format", "2\n");
    CHECK_EQ(open_node(&x), MR_EUNSUPPORTED);
    CHECK_HAS(x.error.text, "newer version (format 2; this one knows 1)");
    write_file(&x, "format", "\x31\x40garbage");
    CHECK_OK(open_node(&x), &x.error);
    close_node(&x);
    write_file(&x, "format", "garbage");
    CHECK_OK(open_node(&x), &x.error); /* it always starts */
    close_node(&x);
    format = read_file(&x, "format");
    CHECK_STR(format, "1\n");
    mr_free(format);
    fault_disk_free(x.disk);
}

/* Any flipped byte of one copy, or the loss of it, changes nothing; both are whole afterwards. */
TEST(node, survives_damage_to_one_copy_of_its_identity)
{
    static const char *const names[] = {"identity", "identity.copy"};
    struct fixture x;
    struct mr_uuid uuid;
    struct mr_uuid lineage;

    fixture_init(&x);
    CHECK_OK(open_node(&x), &x.error);
    uuid = x.node.uuid;
    lineage = x.node.lineage_uuid;
    close_node(&x);
    char *whole = read_file(&x, "identity");
    for (size_t at = 0; at < 2 * strlen(whole); at++) {
        char *copy = mr_strdup(whole);
        copy[at / 2] ^= 4;
        write_file(&x, names[at % 2], copy);
        mr_free(copy);
        CHECK_OK(open_node(&x), &x.error);
        CHECK(mr_uuid_equal(&x.node.uuid, &uuid));
        CHECK(mr_uuid_equal(&x.node.lineage_uuid, &lineage));
        CHECK(!x.node.is_cloned);
        close_node(&x);
    }
    write_file(&x, "identity", whole);
    write_file(&x, "identity.copy", whole);
    CHECK_EQ(mr_disk_unlink(&x.disk->base, fault_disk_path(x.disk, "a/b/identity")), 0);
    CHECK_OK(open_node(&x), &x.error);
    CHECK(mr_uuid_equal(&x.node.uuid, &uuid));
    close_node(&x);
    char *again = read_file(&x, "identity");
    CHECK_STR(again, whole);
    mr_free(again);
    mr_free(whole);
    write_file(&x, "identity", "x");
    write_file(&x, "identity.copy", "x");
    CHECK_OK(open_node(&x), &x.error); /* still it starts, as somebody else */
    CHECK(!mr_uuid_equal(&x.node.uuid, &uuid));
    CHECK(x.node.is_cloned);
    close_node(&x);
    fault_disk_free(x.disk);
}

/* Two nodes never send under one lineage: a copy on another machine draws a new one. */
TEST(node, draws_a_new_lineage_on_another_machine)
{
    struct fixture x;
    struct mr_uuid uuid;
    struct mr_uuid lineage;
    char *text;
    char *machine;

    fixture_init(&x);
    CHECK_OK(open_node(&x), &x.error);
    uuid = x.node.uuid;
    lineage = x.node.lineage_uuid;
    close_node(&x);
    /* The same file as another machine would have written it. */
    text = read_file(&x, "identity");
    machine = strstr(text, "machine ");
    CHECK(machine != NULL);
    *strstr(machine, "\ncrc") = '\0';
    char changed[512];
    int size =
        snprintf(changed, sizeof changed, "%.*smachine other\n", (int)(machine - text), text);
    (void)snprintf(changed + size, sizeof changed - (size_t)size, "crc %08x\n",
                   (unsigned)mr_crc32c(0, changed, (size_t)size));
    write_file(&x, "identity", changed);
    CHECK_OK(open_node(&x), &x.error);
    CHECK(x.node.is_cloned);
    CHECK(mr_uuid_equal(&x.node.uuid, &uuid)); /* its sources go on */
    CHECK(!mr_uuid_equal(&x.node.lineage_uuid, &lineage));
    lineage = x.node.lineage_uuid;
    close_node(&x);
    CHECK_OK(open_node(&x), &x.error);
    CHECK(!x.node.is_cloned); /* once */
    CHECK(mr_uuid_equal(&x.node.lineage_uuid, &lineage));
    close_node(&x);
    mr_free(text);
    fault_disk_free(x.disk);
}

/* Each call of the disk fails once: the opening says so or goes on, and the next one succeeds with
 * an identity that stays. */
TEST(node, survives_a_failing_disk)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct fixture x;
        struct mr_uuid uuid;
        fixture_init(&x);
        fault_set(&x.disk->faults[DISK_ANY], nth, MR_EIO);
        int rc = open_node(&x);
        fired = fault_fired(&x.disk->faults[DISK_ANY]);
        fault_disk_heal(x.disk);
        if (rc == 0) {
            uuid = x.node.uuid;
            close_node(&x);
        }
        struct mr_uuid before = rc == 0 ? uuid : (struct mr_uuid){{0}};
        CHECK_OK(open_node(&x), &x.error);
        CHECK(rc != 0 || mr_uuid_equal(&x.node.uuid, &before));
        close_node(&x);
        fault_disk_free(x.disk);
    }
}
