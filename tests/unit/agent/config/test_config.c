/* YAML -> a checked plan: what is taken, and what is said about what is not. */
#include "agent/config/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/secret.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#define MINIMAL "node: {data: /x}\n"
#define SOURCE  "sources: {s: {type: file, topic: t, paths: [/var/log/x]}}\n"

/* All problems as "line:column: text" lines; "" if there are none, and then *ret_config is set. */
static char *problems_of(const char *text, size_t size, struct config **ret_config)
{
    struct config_problems problems;
    struct config *config;
    struct mr_bytes out;

    config_problems_init(&problems);
    mr_bytes_init(&out);
    config = config_load_text(mr_disk_system(), text, size, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        CHECK(problems.items[i].place.file == NULL ||
              strcmp(problems.items[i].place.file, "text") == 0 ||
              strcmp(problems.items[i].place.file, "default") == 0);
        mr_bytes_printf(&out, "%d:%d: %s\n", problems.items[i].place.line,
                        problems.items[i].place.column, problems.items[i].text);
    }
    CHECK_EQ(config == NULL, problems.count > 0 || problems.is_overflown);
    config_problems_done(&problems);
    mr_bytes_append(&out, "", 1);
    if (ret_config != NULL) {
        *ret_config = config;
    } else {
        config_free(config);
    }
    return (char *)out.data;
}

static void check_problem(const char *text, const char *part)
{
    char *found = problems_of(text, strlen(text), NULL);

    CHECK_HAS(found, part);
    mr_free(found);
}

static struct config *load(const char *text)
{
    struct config *config = NULL;
    char *found = problems_of(text, strlen(text), &config);

    CHECK_STR(found, "");
    mr_free(found);
    return config;
}

TEST(config, has_safe_defaults)
{
    struct config *config = load(MINIMAL SOURCE);

    CHECK_STR(config->node.data, "/x");
    CHECK(config->node.name[0] != '\0');
    CHECK_EQ(config->node.id, 1);
    CHECK_EQ(config->listen.count, 0);
    CHECK_EQ(config->disk.keep_ms, 3600000);
    CHECK_EQ(config->shutdown_ms, 4000);
    CHECK(config->admin.address == NULL);
    CHECK_EQ(config->source_count, 1);
    CHECK_STR(config->sources[0].id, "s");
    CHECK_STR(config->sources[0].type_name, "file");
    CHECK_EQ(config->sources[0].batch.linger_ms, 2);
    CHECK_STR(config->sources[0].headers.items[0], "all");
    CHECK(config_topic_find(config, "t") == NULL);
    config_free(config);
}

TEST(config, takes_every_type_of_option)
{
    struct config *config =
        load("node: {data: /x, id: 17, name: web-1}\n"
             "listen:\n"
             "  - {address: 127.0.0.1:9092, connections: 5}\n"
             "  - {address: 'unix:/run/x.sock', advertise: hub:9, insecure: yes}\n"
             "disk: {limit: 10GiB, keep: 90m}\n"
             "topics:\n"
             "  a.b: {partitions: 6, retention: {time: 7d, size: 1GB}, fsync: 250ms,\n"
             "        when_full: drop_new, compression: zstd}\n"
             "  c:\n"
             "sinks: {n: {type: null, topics: [a.b, 'c*'], retry: {max: 1m}}}\n"
             "sources: {s: {type: file, topic: c, paths: /one, headers: [host, file]}}\n");
    const struct config_listen *listen = config->listen.items;
    const struct config_topic *topic = config_topic_find(config, "a.b");

    CHECK_EQ(config->node.id, 17);
    CHECK_EQ(config->listen.count, 2);
    CHECK_EQ(listen[0].connections_max, 5);
    CHECK_EQ(listen[1].connections_max, 20000);
    CHECK(listen[1].is_insecure);
    CHECK_STR(listen[1].advertise, "hub:9");
    CHECK_EQ(config->disk.limit_bytes, INT64_C(10) << 30);
    CHECK_EQ(config->disk.keep_ms, 90 * 60000);
    CHECK_EQ(topic->partitions, 6);
    CHECK_EQ(topic->replicas, -1);
    CHECK_EQ(topic->retention.time_ms, INT64_C(7) * 86400000);
    CHECK_EQ(topic->retention.size_bytes, 1000000000);
    CHECK_EQ(topic->when_full, 2);
    CHECK_EQ(topic->compression, 4);
    CHECK_STR(topic->fsync, "250ms");
    CHECK_EQ(config_topic_find(config, "c")->compression, -1);
    CHECK_EQ(config->sinks[0].topics.count, 2);
    CHECK_EQ(config->sinks[0].retry.delay_ms_max, 60000);
    CHECK_EQ(config->sinks[0].retry.delay_ms_min, 100);
    CHECK_EQ(config->sources[0].headers.count, 2);
    config_free(config);
}

TEST(config, says_where_and_what_to_write_instead)
{
    check_problem("node: {data: /x}\nlisten:\n  - {adress: 127.0.0.1:1}\n",
                  "3:6: unknown key 'adress' in listen[0]; did you mean 'address'?");
    check_problem("nodes: {data: /x}\n", "1:1: unknown key 'nodes'; did you mean 'node'?");
    check_problem(MINIMAL "qqqqqqqq: 1\n",
                  "2:1: unknown key 'qqqqqqqq'; `millrace config explain`");
    check_problem("listen: []\n", "node.data is missing");
    check_problem(MINIMAL "topics: {a: {retentoin: {time: 1d}}}\n", "did you mean 'retention'?");
    check_problem(MINIMAL "topics: {a: {when_full: dropnew}}\n",
                  "2:25: topics.a.when_full: 'dropnew' is not one of block, drop_oldest, drop_new; "
                  "did you mean 'drop_new'?");
    check_problem(MINIMAL "sources: {s: {type: fil, topic: t}}\n",
                  "2:21: sources.s: there is no type 'fil', did you mean 'file'; there are");
    check_problem(MINIMAL "sources: {s: {topic: t}}\n", "sources.s.type is missing");
    check_problem(MINIMAL "sources: {s: {type: file, topic: t}}\n", "sources.s.paths is missing");
    check_problem(MINIMAL "sources: {s: {type: file, topic: t, paths: [/x], pahts: 1}}\n",
                  "did you mean 'paths'?");
    check_problem(MINIMAL "sources: {s: [1]}\n", "sources.s: a map is wanted here, not a list");
    check_problem(MINIMAL "sources: 5\n", "2:10: sources: a map from ids to maps");
    check_problem(MINIMAL "sources: {'a b': {type: file, topic: t, paths: /x}}\n",
                  "an id has 1 to");
    check_problem(MINIMAL "mesh: {}\n", "mesh: this version runs single nodes");
}

TEST(config, is_strict_about_values)
{
    check_problem("node: {data: /x, id: 0}\n", "node.id: '0' is not between 1 and 2147483647");
    check_problem("node: {data: /x, id: 1.5}\n", "a whole number is wanted here, not '1.5'");
    check_problem("node: {data: /x, id: [1]}\n", "a number is wanted here, not a list");
    check_problem("node: {data: {a: b}}\n", "node.data: text is wanted here, not a map");
    check_problem("node: [data]\n", "node: a map is wanted here, not a list");
    check_problem("node: {data: /x, name: 'a b'}\n", "only letters, digits");
    check_problem(MINIMAL "disk: {limit: 10G}\n", "a size such as 64MiB is wanted here, not '10G'");
    check_problem(MINIMAL "disk: {limit: -1}\n", "a size such as");
    check_problem(MINIMAL "disk: {keep: 5}\n", "a duration such as 5s");
    check_problem(MINIMAL "disk: {keep: 5 s}\n", "a duration such as 5s");
    check_problem(MINIMAL "shutdown: 1ms\n", "shutdown: '1ms' is not between 100ms and 1h");
    check_problem(MINIMAL "broker: {auto_create_topics: maybe}\n", "true or false");
    check_problem(MINIMAL "topics: {a: {fsync: sometimes}}\n", "'never', 'always' or a duration");
    check_problem(MINIMAL "topics: {a: {replicas: 3}}\n", "exactly one replica");
    check_problem(MINIMAL "topics: {'a/b': {}}\n", "a topic's name has 1 to 249");
    check_problem(MINIMAL "topics: {'..': {}}\n", "a topic's name has 1 to 249");
    check_problem(MINIMAL "topics: {a: {message_size: 1024}}\n", "is not between 16KiB and 100MiB");
    check_problem(MINIMAL "workers: 2\n", "only 1 is possible");
    check_problem(MINIMAL "listen: {address: x}\n", "listen: a list of maps is wanted here");
    check_problem(MINIMAL "sources: {s: {type: file, topic: '../x', paths: /x}}\n",
                  "sources.s.topic: a topic's name");
    check_problem(MINIMAL "sources: {s: {type: file, topic: __x, paths: /x}}\n",
                  "topics that begin with __");
    check_problem(MINIMAL "sources: {s: {type: file, topic: t, paths: [x]}}\n", "is not absolute");
    check_problem(MINIMAL
                  "sources: {s: {type: file, topic: t, paths: /x, multiline: {start: '('}}}\n",
                  "sources.s.multiline.start: ");
    check_problem(MINIMAL "sinks: {n: {type: null, topics: t, retry: {min: 5s, max: 1s}}}\n",
                  "max is shorter than min");
}

/* Nothing is open by accident. */
TEST(config, refuses_addresses_that_nothing_protects)
{
    check_problem(MINIMAL "listen: [{address: 0.0.0.0:9092}]\n", "write 'insecure: true'");
    check_problem(MINIMAL "listen: [{address: 'hub-1'}]\n", "write 'insecure: true'");
    check_problem(MINIMAL "admin: {address: '10.0.0.1:1'}\n", "admin.address: '10.0.0.1:1' can be");
    check_problem(MINIMAL "listen: [{address: '127.0.0.1:99999'}]\n", "listen[0].address: ");
    config_free(load(MINIMAL "listen: [{address: 0.0.0.0:9092, insecure: true}]\n"));
    config_free(load(MINIMAL "listen: [{address: '[::1]:9092'}, {address: localhost}]\n"));
}

TEST(config, is_strict_about_yaml)
{
    check_problem("node: {data: /x}\nnode: {data: /y}\n",
                  "2:1: 'node' stands here twice; first in line 1");
    check_problem("node: {data: /x, data: /y}\n", "1:18: 'data' stands here twice");
    check_problem("node: {data: /x\n", "not valid YAML");
    check_problem("node:\n\tdata: /x\n", "2:1: not valid YAML");
    check_problem("- a\n", "a configuration is a map of sections, not a list");
    check_problem("hello\n", "a configuration is a map of sections");
    check_problem(MINIMAL "---\na: b\n", "only one YAML document");
    check_problem("? [a]\n: b\n", "a key must be a plain word");
    check_problem("node: {data: *x}\n", "this alias names an anchor that does not exist");
    check_problem("node: &x {data: *x}\n", "this alias names an anchor that does not exist");
    check_problem("node: {data: !!str /x}\n", "1:14: tags ('!...') are not used here");
    check_problem("node: !node {data: /x}\n", "tags");
    check_problem("node: {data: \"a\\0b\"}\n", "NUL");
    check_problem("node: {\"da\\0ta\": x}\n", "NUL");
    check_problem("", "node.data is missing");
    check_problem("# nothing\n", "node.data is missing");
    struct config *config = load("node: &n {data: /x}\n# a comment\nlisten:\ndisk: ~\n");
    CHECK_EQ(config->listen.count, 0);
    config_free(config);
}

static char *repeat(const char *text, int count, const char *before, const char *after)
{
    struct mr_bytes out;

    mr_bytes_init(&out);
    mr_bytes_text(&out, before);
    for (int i = 0; i < count; i++) {
        mr_bytes_printf(&out, text, i);
    }
    mr_bytes_text(&out, after);
    mr_bytes_append(&out, "", 1);
    return (char *)out.data;
}

TEST(config, has_bounds)
{
    char *deep = repeat("{a%d: ", 100, "node: ", "\n");
    char *keys = repeat("k%d: 1\n", 6000, MINIMAL, "");
    char *wide = repeat("- %d\n", 250000, "listen:\n", "");
    char *wrong = repeat("x%d: 1\n", 300, MINIMAL, "");

    check_problem(deep, "nested too deeply");
    check_problem(keys, "more keys than one map may have");
    check_problem(wide, "too large, or no memory is left");
    check_problem(wrong, "unknown key 'x0'");
    mr_free(deep);
    mr_free(keys);
    mr_free(wide);
    mr_free(wrong);
}

TEST(config, puts_values_in_after_yaml_was_read)
{
    char *secret = test_path("secret");
    struct mr_error error = {0};
    struct config *config;
    char text[1024];

    setenv("MR_TEST_A", "va:l{ue} # $1 ${X}", 1);
    setenv("MR_TEST_ID", "42", 1);
    setenv("MR_TEST_EMPTY", "", 1);
    unsetenv("MR_TEST_NOT");
    CHECK_OK(mr_disk_write_file(mr_disk_system(), secret, "s3cret: $1\r\n", 12, &error), &error);
    (void)snprintf(text, sizeof text,
                   "node: {data: \"/${MR_TEST_A}/$$/$1/$\", id: \"${MR_TEST_ID}\"}\n"
                   "listen: [{address: \"${MR_TEST_NOT:-127.0.0.1:1}\"},\n"
                   "         {address: \"${MR_TEST_EMPTY:-127.0.0.1:2}\"}]\n"
                   "sources: {s: {type: file, topic: t, paths: [\"/${file:%s}\"]}}\n",
                   secret);
    config = load(text);
    CHECK_STR(config->node.data, "/va:l{ue} # $1 ${X}/$/$1/$");
    CHECK_EQ(config->node.id, 42);
    CHECK_STR(((const struct config_listen *)config->listen.items)[0].address, "127.0.0.1:1");
    CHECK_STR(((const struct config_listen *)config->listen.items)[1].address, "127.0.0.1:2");
    config_free(config);

    setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
    config = load("node: {data: \"/x/${cred:secret}\"}\n");
    CHECK_STR(config->node.data, "/x/s3cret: $1");
    config_free(config);
    check_problem("node: {data: \"${cred:../secret}\"}\n", "not the name of a credential");
    check_problem("node: {data: \"${cred:missing}\"}\n", "cannot be read");
    unsetenv("CREDENTIALS_DIRECTORY");
    check_problem("node: {data: \"${cred:secret}\"}\n", "needs $CREDENTIALS_DIRECTORY");
    check_problem("node: {data: \"${file:/does/not/exist}\"}\n",
                  "1:14: ${file:...} cannot be read");
    check_problem("node: {data: \"${MR_TEST_NOT}\"}\n", "is not set (write ${NAME:-default}");
    check_problem("node: {data: \"${MR_TEST_NOT:?say where}\"}\n", "say where 'MR_TEST_NOT'");
    check_problem("node: {data: \"${MR_TEST_EMPTY:?}\"}\n", "must be set");
    check_problem("node: {data: \"${MR_TEST_A\"}\n", "a '}' is missing");
    check_problem("node: {data: \"${a b}\"}\n", "not a reference");
    check_problem("node: {data: /x, id: \"${MR_TEST_A}\"}\n", "a whole number is wanted here");
    mr_free(secret);
}

static char *show(const struct config *config)
{
    struct mr_bytes out;

    mr_bytes_init(&out);
    config_show(config, &out);
    CHECK_EQ(out.failed, 0);
    mr_bytes_append(&out, "", 1);
    return (char *)out.data;
}

/* What came out of a file is in no message and in no listing. */
TEST(config, keeps_secrets)
{
    char *secret = test_path("secret");
    struct mr_error error = {0};
    char text[1024];

    CHECK_OK(mr_disk_write_file(mr_disk_system(), secret, "/hunter2", 8, &error), &error);
    (void)snprintf(text, sizeof text,
                   MINIMAL "sources: {s: {type: file, topic: t, paths: [\"${file:%s}\", /y]}}\n",
                   secret);
    struct config *config = load(text);
    char *shown = show(config);
    CHECK_STR(config->sources[0].id, "s");
    CHECK_HAS(shown, "paths: [\"(hidden)\", \"/y\"]");
    CHECK(strstr(shown, "hunter2") == NULL);
    mr_free(shown);
    config_free(config);
    (void)snprintf(text, sizeof text,
                   "node: {data: /x, id: \"${file:%s}\"}\nshutdown: \"${file:%s}\"\n"
                   "topics: {a: {when_full: \"${file:%s}\"}}\n",
                   secret, secret, secret);
    char *found = problems_of(text, strlen(text), NULL);
    CHECK_HAS(found, "not '(hidden)'");
    CHECK(strstr(found, "hunter2") == NULL);
    mr_free(found);
    mr_free(secret);
}

static void check_secret(struct mr_secret *secret, const char *want)
{
    struct mr_secret_text *text = mr_secret_take(secret);

    CHECK_STR(mr_secret_chars(text), want);
    mr_secret_drop(text);
}

/* A text that is a secret here and an ordinary one there, by an alias, in either order. */
TEST(config, keeps_a_secret_that_is_used_twice)
{
    struct config *config = load("node: {cluster_key: &a 0123456789abcdef, data: *a, name: *a}\n");
    char *shown = show(config);

    CHECK_HAS(shown, "cluster_key: \"(hidden)\"");
    CHECK_HAS(shown, "data: \"0123456789abcdef\"");
    CHECK_STR(config->node.name, "0123456789abcdef");
    check_secret(config->node.cluster_key, "0123456789abcdef");
    mr_free(shown);
    config_free(config);
    config = load("node: {data: &a 0123456789abcdef, cluster_key: *a, rack: *a}\n");
    CHECK_STR(config->node.data, "0123456789abcdef");
    CHECK_STR(config->node.rack, "0123456789abcdef");
    check_secret(config->node.cluster_key, "0123456789abcdef");
    config_free(config);
    config = load("node: {data: /x, cluster_key: &a 0123456789abcdef}\nsinks:\n"
                  "  s: {type: peer, topics: [t], nodes: [a], sasl: {user: *a, password: *a}}\n");
    check_secret(config->node.cluster_key, "0123456789abcdef");
    config_free(config);
}

/* What is shown is a configuration, and the same one. */
TEST(config, shows_what_can_be_loaded)
{
    struct config *config =
        load("node: {data: \"/x\\\"\\\\ \\u00e9\", name: a}\n"
             "listen: [{address: 127.0.0.1:1}]\n"
             "topics: {t: {partitions: 3, fsync: 5s, compression: gzip}}\n" SOURCE
             "sinks: {n: {type: null, topics: [t]}}\n");
    char *first = show(config);
    config_free(config);
    config = load(first);
    char *second = show(config);
    CHECK_STR(second, first);
    CHECK_HAS(first, "compression: gzip");
    config_free(config);
    mr_free(first);
    mr_free(second);
}

/* ---- conf.d ---- */

static void write_file(const char *name, const char *text)
{
    char *path = test_path(name);
    struct mr_error error = {0};

    CHECK_OK(mr_disk_write_file(mr_disk_system(), path, text, strlen(text), &error), &error);
    mr_free(path);
}

static char *load_directory(struct config **ret_config)
{
    char *path = test_path("millrace.yaml");
    struct config_problems problems;
    struct mr_bytes out;

    config_problems_init(&problems);
    mr_bytes_init(&out);
    *ret_config = config_load(mr_disk_system(), path, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        const char *file = problems.items[i].place.file;
        mr_bytes_printf(&out, "%s:%d: %s\n", file + strlen(test_tmpdir()) + 1,
                        problems.items[i].place.line, problems.items[i].text);
    }
    mr_bytes_append(&out, "", 1);
    config_problems_done(&problems);
    mr_free(path);
    return (char *)out.data;
}

TEST(config, merges_conf_d)
{
    char *directory = test_path("conf.d");
    struct mr_error error = {0};
    struct config *config;

    CHECK_OK(mr_disk_make_directories(mr_disk_system(), directory, 0755, &error), &error);
    write_file("millrace.yaml", MINIMAL SOURCE);
    write_file("conf.d/20.yaml", "sources: {b: {type: file, topic: t, paths: /b}}\n");
    write_file("conf.d/10.yaml",
               "sources: {a: {type: file, topic: t, paths: /a}}\ndisk: {keep: 2h}\n");
    write_file("conf.d/.hidden.yaml", "nonsense");
    write_file("conf.d/readme.txt", "nonsense");
    char *found = load_directory(&config);
    CHECK_STR(found, "");
    CHECK_EQ(config->source_count, 3);
    CHECK_STR(config->sources[1].id, "a");
    CHECK_STR(config->sources[2].id, "b");
    CHECK_EQ(config->disk.keep_ms, 7200000);
    config_free(config);
    mr_free(found);

    write_file("conf.d/30.yaml", "# one more\nsources: {a: {type: file, topic: t, paths: /c}}\n"
                                 "disk: {keep: 3h}\nnode: {data: /z}\n");
    write_file("conf.d/40.yaml", "sources: {d: {tpye: file}}\n");
    found = load_directory(&config);
    CHECK(config == NULL);
    CHECK_HAS(found, "conf.d/30.yaml:2: sources.a stands in two files; first in ");
    CHECK_HAS(found, "conf.d/30.yaml:3: 'disk' stands in two files");
    CHECK_HAS(found, "conf.d/30.yaml:4: 'node' stands in two files");
    CHECK_HAS(found, "conf.d/40.yaml:1: sources.d.type is missing");
    mr_free(found);

    write_file("conf.d/40.yaml", "sources: {d: [\n");
    found = load_directory(&config);
    CHECK_HAS(found, "conf.d/40.yaml:2: not valid YAML");
    mr_free(found);
    mr_free(directory);
}

/* ---- words from the tables ---- */

TEST(config, explains_every_key)
{
    struct mr_error error = {0};
    struct mr_bytes out;

    mr_bytes_init(&out);
    CHECK_EQ(config_explain("topics.NAME.fsync", &out, &error), 0);
    mr_bytes_append(&out, "", 1);
    CHECK_HAS((char *)out.data, "topics.NAME.fsync\n    text; example 1s\n    When written bytes");
    mr_bytes_clear(&out);
    CHECK_EQ(config_explain("topics.web.segment", &out, &error), 0);
    mr_bytes_append(&out, "", 1);
    CHECK_HAS((char *)out.data, "topics.NAME.segment.age");
    mr_bytes_clear(&out);
    CHECK_EQ(config_explain("listen[3].address", &out, &error), 0);
    CHECK_EQ(config_explain("sources.s.paths", &out, &error), 0);
    CHECK_EQ(config_explain(NULL, &out, &error), 0);
    CHECK_EQ(config_explain("disk.limti", &out, &error), MR_ENOENT);
    CHECK_HAS(error.text, "did you mean 'disk.limit'?");
    CHECK_EQ(config_explain("disk.limit.more", &out, &error), MR_ENOENT);
    mr_bytes_done(&out);
}

TEST(config, has_a_schema_and_a_reference)
{
    struct mr_bytes out;
    json_error_t error;
    struct config *config;

    mr_bytes_init(&out);
    config_schema(&out);
    json_t *schema = json_loadb((const char *)out.data, out.size_bytes, 0, &error);
    CHECK(schema != NULL);
    CHECK(json_object_get(json_object_get(schema, "properties"), "sources") != NULL);
    json_decref(schema);
    mr_bytes_clear(&out);
    config_reference(&out);
    char *found = problems_of((const char *)out.data, out.size_bytes, &config);
    CHECK_STR(found, "");
    CHECK_EQ(config->source_count, 0);
    config_free(config);
    mr_free(found);
    mr_bytes_done(&out);
}

/* A failed allocation anywhere gives a problem, never half a configuration. */
TEST(config, survives_failing_allocations)
{
    static const char text[] =
        "node: {data: \"/${MR_TEST_A:-x}\", name: a, cluster_key: \"${file:/proc/sys/kernel/ostype}"
        " 0123456789abcdef\"}\nlisten: [{address: 127.0.0.1:1}]\n"
        "topics: {t: {partitions: 3}}\n" SOURCE "sinks: {n: {type: null, topics: [t]}}\n";
    struct fault heap;
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct config_problems problems;
        config_problems_init(&problems);
        fault_set(&heap, nth, MR_ENOMEM);
        fault_heap(&heap);
        struct config *config =
            config_load_text(mr_disk_system(), text, sizeof text - 1, &problems);
        fault_heap_off();
        fired = fault_fired(&heap);
        if (config != NULL) {
            CHECK_EQ(config->source_count, 1);
            CHECK_EQ(config->sinks[0].topics.count, 1);
            CHECK_STR(config->sources[0].topic, "t");
            CHECK_EQ(config_topic_find(config, "t")->partitions, 3);
            CHECK_EQ(config->listen.count, 1);
        }
        config_free(config);
        config_problems_done(&problems);
    }
}
