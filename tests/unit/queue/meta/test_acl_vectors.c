/* Our decisions against Kafka's: bindings and questions at random, answered by StandardAuthorizer
 * of Kafka 3.9.1 (tests/interop/AclJudge.java says how). ACL_VECTORS names another file of that
 * kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/meta/acl.h"
#include "tests/lib/test.h"

enum { WORDS_MAX = 10 };

struct vectors {
    struct acl_set set;
    bool allows_without_acl;
    int asked;
    int allowed;
};

static int8_t number(const char *word)
{
    return (int8_t)strtol(word, NULL, 10);
}

static void take_binding(struct vectors *vectors, char **words)
{
    const struct acl_binding binding = {.resource = number(words[1]),
                                        .pattern = number(words[2]),
                                        .name = wire_text(words[3]),
                                        .principal = wire_text(words[4]),
                                        .host = wire_text(words[5]),
                                        .operation = number(words[6]),
                                        .permission = number(words[7])};

    CHECK(acl_check(&binding) == NULL);
    CHECK_EQ(acl_add(&vectors->set, &binding), 0);
}

static bool decide(const struct vectors *vectors, char **words, const char *name)
{
    enum acl_decision decision =
        acl_decide(&vectors->set, words[1], words[2], (enum acl_operation)number(words[3]),
                   (enum acl_resource)number(words[4]), wire_text(name));

    return decision == ACL_SAYS_YES ||
           (decision == ACL_SAYS_NOTHING && vectors->allows_without_acl);
}

/* As the broker's auth_may_somewhere. */
static bool decide_somewhere(const struct vectors *vectors, char **words)
{
    return decide(vectors, words, "hardcode") ||
           acl_allows_somewhere(&vectors->set, words[1], words[2],
                                (enum acl_operation)number(words[3]),
                                (enum acl_resource)number(words[4]));
}

static void take_line(struct vectors *vectors, char *line, int place)
{
    char *words[WORDS_MAX] = {NULL};
    char *rest = NULL;
    int count = 0;
    bool is_allowed;

    for (char *word = strtok_r(line, "\t", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, "\t", &rest)) {
        words[count++] = word;
    }
    if (count == 0) {
        return;
    }
    if (strcmp(words[0], "new") == 0) {
        acl_set_done(&vectors->set);
        acl_set_init(&vectors->set);
        vectors->allows_without_acl = words[1][0] == '1';
        return;
    }
    if (strcmp(words[0], "acl") == 0) {
        take_binding(vectors, words);
        return;
    }
    is_allowed = strcmp(words[0], "ask") == 0 ? decide(vectors, words, words[5])
                                              : decide_somewhere(vectors, words);
    vectors->asked += 1;
    vectors->allowed += is_allowed;
    if (is_allowed != (strcmp(words[count - 1], "yes") == 0)) {
        test_fail(__FILE__, __LINE__, "line %d (%s %s %s %s): Kafka says %s", place, words[0],
                  words[1], words[3], words[4], words[count - 1]);
    }
}

TEST(acl_vectors, are_decided_as_kafka_does)
{
    const char *path = getenv("ACL_VECTORS");
    struct vectors vectors = {.asked = 0};
    struct mr_error error = {0};
    char *text = NULL;
    char *rest = NULL;
    size_t size = 0;
    int place = 0;

    acl_set_init(&vectors.set);
    CHECK_OK(mr_disk_read_file(mr_disk_system(),
                               path != NULL ? path : TESTS_DIR "/unit/queue/meta/acl_vectors.txt",
                               (size_t)256 << 20, &text, &size, &error),
             &error);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        take_line(&vectors, line, ++place);
    }
    CHECK_GT(vectors.asked, 1000);
    CHECK_GT(vectors.allowed, 100);
    CHECK_LT(vectors.allowed, vectors.asked);
    acl_set_done(&vectors.set);
    mr_free(text);
}
