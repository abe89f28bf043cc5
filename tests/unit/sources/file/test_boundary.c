/* A host may end a batch at any event, and die there: the position that the source gives for it
 * must bring exactly the rest, in the same file or, if that was copied and truncated meanwhile, in
 * the copy.
 *
 * Method: one content is read as a whole, for reference; then, for each n, it is read up to a crash
 * at which n events are durable, and to its end after that. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

enum meanwhile { NOTHING, COPIED, MEANWHILE_COUNT };

struct content {
    const char *text;
    int format;
    const char *start; /* of multiline */
    int64_t line_size_bytes_max;
    int64_t event_size_bytes_max;
    int64_t lines_max;
};

static struct file_fixture *fixture_of(const struct content *content, const char *glob)
{
    struct file_fixture *f = file_fixture_new(glob, NULL);

    f->options->format = content->format;
    f->options->multiline.start = content->start;
    f->options->line_size_bytes_max = content->line_size_bytes_max;
    f->options->multiline.size_bytes_max = content->event_size_bytes_max;
    f->options->multiline.lines_max = content->lines_max;
    return f;
}

/* All events with their flags and times, in one text. */
static char *shown(struct file_fixture *f)
{
    struct mr_bytes out;
    char *text;

    mr_bytes_init(&out);
    for (size_t i = 0; i < f->fake->event_count; i++) {
        const struct fake_event *event = &f->fake->events[i];

        mr_bytes_printf(&out, "%u %lld %s|", event->flags, (long long)event->timestamp_ms,
                        event->text);
    }
    CHECK_EQ(out.failed, 0);
    text = mr_strndup((const char *)out.data, out.size_bytes);
    mr_bytes_done(&out);
    return text;
}

static void crash_once(const struct content *content, size_t kept, enum meanwhile meanwhile,
                       size_t count, const char *expected)
{
    struct file_fixture *f = fixture_of(content, "a.log*");
    char *got;

    put("a.log", "");
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 40);
    f->fake->holds = true;
    f->fake->taken_max = 1000;
    append("a.log", content->text);
    fake_source_pass_ms(f->fake, 60);
    f->fake->crash_keeps = kept;
    fake_source_crash(f->fake);
    CHECK_LE(f->fake->event_count, kept);
    if (meanwhile == COPIED) {
        copy("a.log", "a.log.1");
        cut("a.log", 0);
    }
    f->fake->holds = false;
    file_fixture_start(f);
    fake_source_until_events(f->fake, count);
    fake_source_pass_ms(f->fake, 60);
    CHECK_EQ(f->fake->event_count, count);
    got = shown(f);
    if (strcmp(got, expected) != 0) {
        test_fail(__FILE__, __LINE__, "crash behind %zu events, then %d: %s, where %s was due",
                  kept, (int)meanwhile, got, expected);
    }
    mr_free(got);
    file_fixture_free(f);
    gone("a.log");
    if (meanwhile == COPIED) {
        gone("a.log.1");
    }
}

static void crash_everywhere(const struct content *content)
{
    struct file_fixture *f = fixture_of(content, "a.log");
    size_t count;
    char *expected;

    put("a.log", content->text);
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 3000); /* time-outs, too */
    expected = shown(f);
    count = f->fake->event_count;
    CHECK_GT(count, 3);
    file_fixture_free(f);
    gone("a.log");
    for (int meanwhile = NOTHING; meanwhile < MEANWHILE_COUNT; meanwhile++) {
        for (size_t kept = 1; kept <= count; kept++) {
            crash_once(content, kept, (enum meanwhile)meanwhile, count, expected);
        }
    }
    mr_free(expected);
}

static const char plain_lines[] =
    "one\ntwo\r\n\nfour\nfive, which is too long and comes in parts\nsix\n"
    "seven is long as well, like five\neight is, too: \xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\nend\n";

static const char events[] =
    "A one\n two\n three\nB four\nC five\n six\nD seven\n eight, which makes it too large\n"
    " nine\nE ten is by itself already larger than an event may be\n eleven\nF twelve\n"
    " 1\n 2\n 3\n 4\n 5\nG\nH\n";

static const char long_lines[] =
    "A one is long and is cut\n two is long and is cut\nB three is long and is cut\nC 1\nD\n";

static const char container_lines[] =
    "2026-03-01T12:00:01Z stdout F one\n"
    "2026-03-01T12:00:02Z stdout P two-\n"
    "2026-03-01T12:00:03Z stderr F three\n"
    "2026-03-01T12:00:04Z stdout P two-\n"
    "2026-03-01T12:00:05Z stdout F two\n"
    "2026-03-01T12:00:06Z stderr P this is a line that is ra\n"
    "2026-03-01T12:00:07Z stderr P ther long and comes in pieces\n"
    "2026-03-01T12:00:08Z stdout F four\n"
    "2026-03-01T12:00:09Z stderr F and parts of all kinds of sizes\n"
    "2026-03-01T12:00:10Z stdout F five\n"
    "no frame\n";

static const char container_events[] =
    "2026-03-01T12:00:01Z stdout F A one\n"
    "2026-03-01T12:00:02Z stdout F  two\n"
    "2026-03-01T12:00:03Z stderr F B three\n"
    "2026-03-01T12:00:04Z stdout P  and four comes in\n"
    "2026-03-01T12:00:05Z stdout F pieces\n"
    "2026-03-01T12:00:06Z stderr F C\n"
    "2026-03-01T12:00:07Z stdout F D\n"
    "2026-03-01T12:00:08Z stdout F E\n"
    "2026-03-01T12:00:09Z stderr F F is long enough to be cut in two\n"
    "2026-03-01T12:00:10Z stderr F G\n";

TEST(file_boundary, is_exact_in_plain_lines)
{
    const struct content content = {.text = plain_lines,
                                    .line_size_bytes_max = 16,
                                    .event_size_bytes_max = 1024,
                                    .lines_max = 1000};

    crash_everywhere(&content);
}

TEST(file_boundary, is_exact_where_lines_are_joined)
{
    const struct content content = {.text = events,
                                    .start = "^[A-Z]",
                                    .line_size_bytes_max = 256,
                                    .event_size_bytes_max = 24,
                                    .lines_max = 3};

    crash_everywhere(&content);
}

TEST(file_boundary, is_exact_where_each_line_is_cut)
{
    const struct content content = {.text = long_lines,
                                    .start = "^[A-Z]",
                                    .line_size_bytes_max = 8,
                                    .event_size_bytes_max = 12,
                                    .lines_max = 1};

    crash_everywhere(&content);
}

TEST(file_boundary, is_exact_in_container_lines)
{
    const struct content content = {.text = container_lines,
                                    .format = FORMAT_CRI,
                                    .line_size_bytes_max = 64,
                                    .event_size_bytes_max = 1024,
                                    .lines_max = 1000};

    crash_everywhere(&content);
}

TEST(file_boundary, is_exact_in_container_lines_that_are_joined)
{
    const struct content content = {.text = container_events,
                                    .format = FORMAT_CRI,
                                    .start = "^[A-Z]",
                                    .line_size_bytes_max = 256,
                                    .event_size_bytes_max = 24,
                                    .lines_max = 3};

    crash_everywhere(&content);
}
