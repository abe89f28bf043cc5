/* Templates and times: what parses can be rendered, and a time that was read can be written and
 * read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/utf8.h"
#include "base/text/json.h"
#include "base/text/template.h"
#include "base/text/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_field(void *owner, int field, const char *name, struct mr_bytes *out)
{
    (void)owner;
    (void)field;
    mr_bytes_text(out, name);
}

static void fuzz_template(const char *text, const char *const *fields)
{
    struct mr_template *template = NULL;
    struct mr_error error;
    struct mr_bytes out;

    mr_bytes_init(&out);
    if (mr_template_parse(text, fields, &template, &error) == 0) {
        mr_template_render(template, 0, on_field, NULL, &out);
        mr_template_free(template);
    }
    mr_bytes_done(&out);
}

static void fuzz_time(const uint8_t *data, size_t size)
{
    char text[MR_TIME_TEXT_SIZE];
    int64_t time_us;
    int64_t again_us;
    size_t read;

    if (mr_time_parse((const char *)data, size, &time_us, &read) == 0) {
        size_t written = mr_time_format(time_us, MR_TIME_MICROS, text);

        mr_assert(read <= size);
        mr_assert(mr_time_parse(text, written, &again_us, &read) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fields[] = {"topic", "partition", NULL};
    char *text = mr_strndup((const char *)data, size);
    struct mr_bytes out;
    size_t cut;

    fuzz_template(text, fields);
    fuzz_template(text, NULL);
    fuzz_time(data, size);
    mr_bytes_init(&out);
    mr_json_escape(&out, data, size);
    mr_assert(mr_utf8_is_valid(out.data, out.size_bytes));
    cut = mr_utf8_cut(data, size, size / 2);
    mr_assert(cut <= size / 2 || size == 0);
    mr_assert(!mr_utf8_is_valid(data, size) || mr_utf8_is_valid(data, cut));
    mr_bytes_done(&out);
    mr_free(text);
    return 0;
}
