/* A template is an array of parts: literal text, a field, or one strftime conversion. */
#include "base/text/template.h"

#include <inttypes.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/nearest.h"
#include "base/text/time.h"

enum part_type { PART_TEXT, PART_FIELD, PART_TIME };

struct part {
    enum part_type type;
    int field;       /* FIELD: index, or -1 */
    char conversion; /* TIME: the letter */
    size_t size;
    char *text; /* TEXT; FIELD: the name */
};

struct mr_template {
    struct part *parts;
    size_t count;
    size_t capacity;
};

static const char conversions[] = "YymdejHIMSpbBaAuwFTRDszZ";

static struct part *add_part(struct mr_template *template, enum part_type type, const char *text,
                             size_t size)
{
    struct part *part;
    char *copy;

    if (mr_grow(&template->parts, &template->capacity, template->count + 1,
                sizeof *template->parts) != 0) {
        return NULL;
    }
    copy = mr_strndup(text, size);
    if (copy == NULL) {
        return NULL;
    }
    part = &template->parts[template->count++];
    *part = (struct part){.type = type, .field = -1, .size = size, .text = copy};
    return part;
}

static int find_field(const char *const *fields, const char *name)
{
    for (int i = 0; fields[i] != NULL; i++) {
        if (strcmp(fields[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static int fail_unknown_field(struct mr_error *error, const char *const *fields, const char *name,
                              size_t column)
{
    const char *nearest = mr_nearest_word(name, fields);

    if (nearest != NULL) {
        return mr_fail_text(error, MR_EINVAL,
                            "column %zu: there is no field '{%s}' here; did you mean '{%s}'?",
                            column, name, nearest);
    }
    return mr_fail_text(error, MR_EINVAL, "column %zu: there is no field '{%s}' here", column,
                        name);
}

/* "{name}" at `at`. Moves *at behind it. */
static int parse_field(struct mr_template *template, const char *text, const char **at,
                       const char *const *fields, struct mr_error *error)
{
    size_t column = (size_t)(*at - text) + 1;
    const char *name = *at + 1;
    size_t size = strcspn(name, "{}");
    struct part *part;

    if (name[size] != '}') {
        return mr_fail_text(error, MR_EINVAL,
                            "column %zu: '{' without '}' (write '{{' for the character itself)",
                            column);
    }
    if (size == 0) {
        return mr_fail_text(error, MR_EINVAL, "column %zu: '{}' names no field", column);
    }
    part = add_part(template, PART_FIELD, name, size);
    if (part == NULL) {
        return mr_fail(error, MR_ENOMEM, "template");
    }
    if (fields != NULL) {
        part->field = find_field(fields, part->text);
        if (part->field < 0) {
            return fail_unknown_field(error, fields, part->text, column);
        }
    }
    *at = name + size + 1;
    return 0;
}

/* "%Y" at `at`. */
static int parse_time(struct mr_template *template, const char *text, const char **at,
                      struct mr_error *error)
{
    char conversion = (*at)[1];
    struct part *part;

    if (conversion == '\0' || strchr(conversions, conversion) == NULL) {
        return mr_fail_text(error, MR_EINVAL,
                            "column %zu: '%%%.1s' is no time conversion (those of strftime: %%Y "
                            "%%m %%d %%H ...; write '%%%%' for the character itself)",
                            (size_t)(*at - text) + 1, *at + 1);
    }
    part = add_part(template, PART_TIME, *at, 2);
    if (part == NULL) {
        return mr_fail(error, MR_ENOMEM, "template");
    }
    part->conversion = conversion;
    *at += 2;
    return 0;
}

/* Literal text up to the next field or conversion; doubled characters end it too, with one of both.
 */
static int parse_text(struct mr_template *template, const char *text, const char **at,
                      struct mr_error *error)
{
    size_t size = strcspn(*at, "{}%");
    size_t skip = size;

    if (size == 0 || ((*at)[size] != '\0' && (*at)[size] == (*at)[size + 1])) {
        /* Here, or behind the text, stands the first of two. */
        if ((*at)[size] != (*at)[size + 1]) {
            return mr_fail_text(error, MR_EINVAL,
                                "column %zu: '}' without '{' (write '}}' for the character itself)",
                                (size_t)(*at - text) + 1);
        }
        size++;
        skip += 2;
    }
    if (add_part(template, PART_TEXT, *at, size) == NULL) {
        return mr_fail(error, MR_ENOMEM, "template");
    }
    *at += skip;
    return 0;
}

int mr_template_parse(const char *text, const char *const *fields,
                      struct mr_template **ret_template, struct mr_error *error)
{
    struct mr_template *template = mr_calloc(1, sizeof *template);
    const char *at = text;
    int rc = 0;

    if (template == NULL) {
        return mr_fail(error, MR_ENOMEM, "template");
    }
    while (rc == 0 && *at != '\0') {
        if (*at == '{' && at[1] != '{') {
            rc = parse_field(template, text, &at, fields, error);
        } else if (*at == '%' && at[1] != '%') {
            rc = parse_time(template, text, &at, error);
        } else {
            rc = parse_text(template, text, &at, error);
        }
    }
    if (rc != 0) {
        mr_template_free(template);
        return rc;
    }
    *ret_template = template;
    return 0;
}

void mr_template_free(struct mr_template *template)
{
    if (template == NULL) {
        return;
    }
    for (size_t i = 0; i < template->count; i++) {
        mr_free(template->parts[i].text);
    }
    mr_free(template->parts);
    mr_free(template);
}

static void render_name(const char *const *names, int index, size_t size, struct mr_bytes *out)
{
    const char *name = names[index];

    mr_bytes_append(out, name, size != 0 ? size : strlen(name));
}

static void render_time(char conversion, int64_t time_us, const struct mr_civil *civil,
                        struct mr_bytes *out)
{
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    int hour12 = civil->hour % 12 == 0 ? 12 : civil->hour % 12;

    switch (conversion) {
    case 'Y':
        mr_bytes_printf(out, "%04d", civil->year);
        return;
    case 'y':
        mr_bytes_printf(out, "%02d", civil->year % 100);
        return;
    case 'm':
        mr_bytes_printf(out, "%02d", civil->month);
        return;
    case 'd':
        mr_bytes_printf(out, "%02d", civil->day);
        return;
    case 'e':
        mr_bytes_printf(out, "%2d", civil->day);
        return;
    case 'j':
        mr_bytes_printf(out, "%03d", civil->year_day + 1);
        return;
    case 'H':
        mr_bytes_printf(out, "%02d", civil->hour);
        return;
    case 'I':
        mr_bytes_printf(out, "%02d", hour12);
        return;
    case 'M':
        mr_bytes_printf(out, "%02d", civil->minute);
        return;
    case 'S':
        mr_bytes_printf(out, "%02d", civil->second);
        return;
    case 'p':
        mr_bytes_text(out, civil->hour < 12 ? "AM" : "PM");
        return;
    case 'b':
        render_name(months, civil->month - 1, 3, out);
        return;
    case 'B':
        render_name(months, civil->month - 1, 0, out);
        return;
    case 'a':
        render_name(days, civil->weekday, 3, out);
        return;
    case 'A':
        render_name(days, civil->weekday, 0, out);
        return;
    case 'u':
        mr_bytes_printf(out, "%d", civil->weekday == 0 ? 7 : civil->weekday);
        return;
    case 'w':
        mr_bytes_printf(out, "%d", civil->weekday);
        return;
    case 'F':
        mr_bytes_printf(out, "%04d-%02d-%02d", civil->year, civil->month, civil->day);
        return;
    case 'T':
        mr_bytes_printf(out, "%02d:%02d:%02d", civil->hour, civil->minute, civil->second);
        return;
    case 'R':
        mr_bytes_printf(out, "%02d:%02d", civil->hour, civil->minute);
        return;
    case 'D':
        mr_bytes_printf(out, "%02d/%02d/%02d", civil->month, civil->day, civil->year % 100);
        return;
    case 's':
        mr_bytes_printf(out, "%" PRId64, time_us / 1000000 - (time_us % 1000000 < 0));
        return;
    case 'z':
        mr_bytes_text(out, "+0000");
        return;
    default:
        mr_assert(conversion == 'Z');
        mr_bytes_text(out, "UTC");
    }
}

void mr_template_render(const struct mr_template *template, int64_t time_us,
                        mr_template_field_cb on_field, void *owner, struct mr_bytes *out)
{
    struct mr_civil civil;
    bool has_civil = false;

    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];

        switch (part->type) {
        case PART_TEXT:
            mr_bytes_append(out, part->text, part->size);
            break;
        case PART_FIELD:
            on_field(owner, part->field, part->text, out);
            break;
        case PART_TIME:
            if (!has_civil) {
                mr_civil_from_us(time_us, &civil);
                has_civil = true;
            }
            render_time(part->conversion, time_us, &civil, out);
            break;
        }
    }
}

bool mr_template_has_time(const struct mr_template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].type == PART_TIME) {
            return true;
        }
    }
    return false;
}

bool mr_template_has_field(const struct mr_template *template, int field)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].type == PART_FIELD && template->parts[i].field == field) {
            return true;
        }
    }
    return false;
}

bool mr_template_is_constant(const struct mr_template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].type != PART_TEXT) {
            return false;
        }
    }
    return true;
}
