/* The one template language, for file names, keys, indexes: `{field}` plus strftime.
 *
 *     {topic}/%Y/%m/%d/{partition}-{offset}.zst
 *
 * `{{`, `}}` and `%%` stand for the characters themselves. Times are UTC; of strftime it knows
 * %Y %y %m %d %e %j %H %I %M %S %p %b %B %a %A %u %w %F %T %R %D %s %z %Z. Parsed once, rendered
 * often. */
#ifndef BASE_TEXT_TEMPLATE_H
#define BASE_TEXT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_error;
struct mr_template;

/* Appends the value of a field; `field` is its index in the table of names, or -1 for a name that
 * only mr_template_parse without a table lets through. What may not stand in a value (a slash in a
 * file name) is the callback's to replace. */
typedef void (*mr_template_field_cb)(void *owner, int field, const char *name,
                                     struct mr_bytes *out);

/* fields: the known names, ended by NULL; NULL: every name is known. MR_EINVAL with a text that
 * names the column and, for an unknown field, the nearest known one; or MR_ENOMEM. */
int mr_template_parse(const char *text, const char *const *fields,
                      struct mr_template **ret_template, struct mr_error *error);
void mr_template_free(struct mr_template *template);

/* Appends to out; memory failures show in out->failed. on_field may be NULL without fields. */
void mr_template_render(const struct mr_template *template, int64_t time_us,
                        mr_template_field_cb on_field, void *owner, struct mr_bytes *out);

bool mr_template_has_time(const struct mr_template *template);
/* By its index in the table. */
bool mr_template_has_field(const struct mr_template *template, int field);
/* The same text whatever is rendered. */
bool mr_template_is_constant(const struct mr_template *template);

#endif
