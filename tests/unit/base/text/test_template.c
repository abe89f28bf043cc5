/* Templates: what they render, and what they say of mistakes. */
#include "base/text/template.h"

#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/text/time.h"
#include "tests/lib/test.h"

static const char *const fields[] = {"topic", "partition", "offset", NULL};

static void on_field(void *owner, int field, const char *name, struct mr_bytes *out)
{
    const char *const *values = owner;

    mr_bytes_text(out, field >= 0 ? values[field] : name);
}

static void check_renders(const char *text, const char *want)
{
    static const char *values[] = {"web", "3", "42"};
    const struct mr_civil civil = {
        .year = 2024, .month = 2, .day = 9, .hour = 15, .minute = 4, .second = 5};
    struct mr_template *template = NULL;
    struct mr_bytes out;

    mr_bytes_init(&out);
    CHECK_EQ(mr_template_parse(text, fields, &template, NULL), 0);
    mr_template_render(template, mr_civil_to_us(&civil), on_field, values, &out);
    CHECK_EQ(out.size_bytes, strlen(want));
    CHECK(out.size_bytes == 0 || memcmp(out.data, want, out.size_bytes) == 0);
    mr_bytes_done(&out);
    mr_template_free(template);
}

TEST(template, renders_fields_and_times)
{
    check_renders("{topic}/%Y/%m/%d/{partition}-{offset}.zst", "web/2024/02/09/3-42.zst");
    check_renders("", "");
    check_renders("plain", "plain");
    check_renders("{{{topic}}} 100%%{{}}", "{web} 100%{}");
    check_renders("%F %T|%y %e %j %I %p|%b %B|%a %A|%u %w|%R|%D|%s|%z %Z|%H%M%S",
                  "2024-02-09 15:04:05|24  9 040 03 PM|Feb February|Fri Friday|5 5|15:04|02/09/24|"
                  "1707491045|+0000 UTC|150405");
}

TEST(template, knows_what_it_depends_on)
{
    struct mr_template *template = NULL;

    CHECK_EQ(mr_template_parse("{topic}-{offset}", fields, &template, NULL), 0);
    CHECK(mr_template_has_field(template, 0));
    CHECK(!mr_template_has_field(template, 1));
    CHECK(!mr_template_has_time(template));
    CHECK(!mr_template_is_constant(template));
    mr_template_free(template);
    CHECK_EQ(mr_template_parse("a%%{{", fields, &template, NULL), 0);
    CHECK(mr_template_is_constant(template));
    mr_template_free(template);
    CHECK_EQ(mr_template_parse("{any.thing}%d", NULL, &template, NULL), 0);
    CHECK(mr_template_has_time(template));
    CHECK(mr_template_has_field(template, -1));
    mr_template_free(template);
}

static void check_refused(const char *text, const char *part)
{
    struct mr_template *template = NULL;
    struct mr_error error = {0};

    CHECK_EQ(mr_template_parse(text, fields, &template, &error), MR_EINVAL);
    CHECK(template == NULL);
    CHECK(strstr(error.text, part) != NULL);
}

TEST(template, explains_mistakes)
{
    check_refused("ab{topik}",
                  "column 3: there is no field '{topik}' here; did you mean '{topic}'?");
    check_refused("{zzz}", "there is no field '{zzz}' here");
    check_refused("a{topic", "column 2: '{' without '}'");
    check_refused("a{to{pic}", "column 2");
    check_refused("a}", "column 2: '}' without '{'");
    check_refused("{}", "names no field");
    check_refused("ab%Q", "column 3: '%Q'");
    check_refused("ab%", "column 3");
}
