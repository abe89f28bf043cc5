/* Compiling: braces are expanded into alternatives, each of which is cut into components. */
#include "base/text/glob.h"

#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/glob_internal.h"

/* ---- braces ---- */

/* Steps over one element of a pattern: an escape, a set or a byte. */
static size_t step(const char *text, size_t size, size_t at)
{
    size_t set_end;

    if (text[at] == '\\' && at + 1 < size) {
        return at + 2;
    }
    if (text[at] == '[') {
        set_end = glob_set_end(text, size, at);
        return set_end != 0 ? set_end : size;
    }
    return at + 1;
}

static int check_set(const char *text, size_t size, size_t at, struct mr_error *error)
{
    size_t end = glob_set_end(text, size, at);

    if (end == 0) {
        return mr_fail_text(error, MR_EINVAL, "column %zu: '[' without ']'", at + 1);
    }
    if (memchr(text + at, '/', end - at) != NULL) {
        return mr_fail_text(error, MR_EINVAL, "column %zu: a set matches no slash", at + 1);
    }
    return 0;
}

/* Every bracket and brace has its end; columns count from 1. */
static int check(const char *text, size_t size, struct mr_error *error)
{
    size_t open_column = 0;
    int depth = 0;

    if (size == 0) {
        return mr_fail_text(error, MR_EINVAL, "the pattern is empty");
    }
    if (size > MR_GLOB_SIZE_MAX) {
        return mr_fail_text(error, MR_ETOOLARGE, "the pattern is longer than %d bytes",
                            MR_GLOB_SIZE_MAX);
    }
    for (size_t at = 0; at < size; at = step(text, size, at)) {
        if (text[at] == '[' && check_set(text, size, at, error) != 0) {
            return MR_EINVAL;
        }
        if (text[at] == '\\' && at + 1 == size) {
            return mr_fail_text(error, MR_EINVAL, "column %zu: '\\' at the end escapes nothing",
                                at + 1);
        }
        if (text[at] == '{') {
            open_column = depth == 0 ? at + 1 : open_column;
            depth++;
        } else if (text[at] == '}') {
            if (depth == 0) {
                return mr_fail_text(error, MR_EINVAL, "column %zu: '}' without '{'", at + 1);
            }
            depth--;
        }
    }
    if (depth != 0) {
        return mr_fail_text(error, MR_EINVAL, "column %zu: '{' without '}'", open_column);
    }
    return 0;
}

static size_t find_brace(const char *text, size_t size)
{
    size_t at = 0;

    while (at < size && text[at] != '{') {
        at = step(text, size, at);
    }
    return at;
}

/* From inside a brace, the next comma or closing brace of the same depth. */
static size_t find_branch_end(const char *text, size_t size, size_t at)
{
    int depth = 0;

    for (; at < size; at = step(text, size, at)) {
        if (depth == 0 && (text[at] == ',' || text[at] == '}')) {
            return at;
        }
        depth += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
    }
    return size;
}

static int add_alternative(struct mr_glob *glob, char *text, struct mr_error *error)
{
    if (glob->count == MR_GLOB_ALTERNATIVES_MAX) {
        mr_free(text);
        return mr_fail_text(error, MR_ETOOLARGE, "the braces make more than %d alternatives",
                            MR_GLOB_ALTERNATIVES_MAX);
    }
    if (mr_grow(&glob->alternatives, &glob->capacity, glob->count + 1,
                sizeof *glob->alternatives) != 0) {
        mr_free(text);
        return mr_fail(error, MR_ENOMEM, "pattern");
    }
    glob->alternatives[glob->count++] = (struct glob_alternative){.text = text};
    return 0;
}

/* Expands the first brace and puts what comes of it back on the list of texts to expand: a loop
 * instead of recursion, since patterns come from outside. `pending` is a stack, so the order stays.
 */
struct pending {
    char **texts;
    size_t count;
    size_t capacity;
};

static int push(struct pending *pending, char *text)
{
    if (text == NULL || mr_grow(&pending->texts, &pending->capacity, pending->count + 1,
                                sizeof *pending->texts) != 0) {
        mr_free(text);
        return MR_ENOMEM;
    }
    pending->texts[pending->count++] = text;
    return 0;
}

static void reverse(char **texts, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        char *text = texts[i];

        texts[i] = texts[count - 1 - i];
        texts[count - 1 - i] = text;
    }
}

static char *join(const char *head, size_t head_size, const char *branch, size_t branch_size,
                  const char *tail)
{
    size_t tail_size = strlen(tail);
    char *text = mr_malloc(head_size + branch_size + tail_size + 1);

    if (text != NULL) {
        memcpy(text, head, head_size);
        memcpy(text + head_size, branch, branch_size);
        memcpy(text + head_size + branch_size, tail, tail_size + 1);
    }
    return text;
}

static int expand_first(struct pending *pending, const char *text, size_t brace,
                        struct mr_error *error)
{
    size_t size = strlen(text);
    size_t first = pending->count;
    size_t end = find_branch_end(text, size, brace + 1);

    while (text[end] == ',') {
        end = find_branch_end(text, size, end + 1);
    }
    for (size_t at = brace + 1; at <= end;) {
        size_t branch_end = find_branch_end(text, size, at);

        if (pending->count > MR_GLOB_ALTERNATIVES_MAX) {
            return mr_fail_text(error, MR_ETOOLARGE, "the braces make more than %d alternatives",
                                MR_GLOB_ALTERNATIVES_MAX);
        }
        if (push(pending, join(text, brace, text + at, branch_end - at, text + end + 1)) != 0) {
            return mr_fail(error, MR_ENOMEM, "pattern");
        }
        at = branch_end + 1;
    }
    reverse(pending->texts + first, pending->count - first);
    return 0;
}

static int expand(struct mr_glob *glob, const char *pattern, struct mr_error *error)
{
    struct pending pending = {0};
    int rc = push(&pending, mr_strdup(pattern));

    if (rc != 0) {
        (void)mr_fail(error, rc, "pattern");
    }
    while (rc == 0 && pending.count > 0) {
        char *text = pending.texts[--pending.count];
        size_t brace = find_brace(text, strlen(text));

        if (text[brace] == '\0') {
            rc = add_alternative(glob, text, error);
        } else {
            rc = expand_first(&pending, text, brace, error);
            mr_free(text);
        }
    }
    while (pending.count > 0) {
        mr_free(pending.texts[--pending.count]);
    }
    mr_free(pending.texts);
    return rc;
}

/* ---- components ---- */

static bool is_literal(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '*' || text[i] == '?' || text[i] == '[') {
            return false;
        }
        i += text[i] == '\\';
    }
    return true;
}

static void append_unescaped(struct mr_bytes *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        i += text[i] == '\\' && i + 1 < size;
        mr_bytes_append(out, text + i, 1);
    }
}

/* The slash that ends a component; sets cannot hold one. */
static size_t component_end(const char *text, size_t at)
{
    while (text[at] != '\0' && text[at] != '/') {
        at += text[at] == '\\' && text[at + 1] != '\0' && text[at + 1] != '/';
        at++;
    }
    return at;
}

static int cut_components(struct glob_alternative *alternative)
{
    const char *text = alternative->text;
    size_t capacity = 0;

    for (size_t at = 0; text[at] != '\0';) {
        struct glob_component *component;
        size_t end;

        if (text[at] == '/') {
            at++;
            continue;
        }
        end = component_end(text, at);
        if (mr_grow(&alternative->components, &capacity, alternative->count + 1,
                    sizeof *alternative->components) != 0) {
            return MR_ENOMEM;
        }
        component = &alternative->components[alternative->count++];
        component->text = text + at;
        component->size = end - at;
        component->is_any = end - at == 2 && memcmp(text + at, "**", 2) == 0;
        component->is_literal = is_literal(text + at, end - at);
        at = end;
    }
    return 0;
}

/* "/a/b" of the first `count` components; `none` for a relative path of none. */
static char *path_of(const struct glob_alternative *alternative, size_t count, const char *none)
{
    struct mr_bytes path;
    char *copy;

    mr_bytes_init(&path);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 || alternative->is_absolute) {
            mr_bytes_append(&path, "/", 1);
        }
        append_unescaped(&path, alternative->components[i].text, alternative->components[i].size);
    }
    if (count == 0) {
        mr_bytes_text(&path, alternative->is_absolute ? "/" : none);
    }
    copy = path.failed ? NULL : mr_strndup((const char *)path.data, path.size_bytes);
    mr_bytes_done(&path);
    return copy;
}

static int finish_path(struct glob_alternative *alternative)
{
    size_t literal_count = 0;

    alternative->is_absolute = alternative->text[0] == '/';
    alternative->is_name_only = strchr(alternative->text, '/') == NULL;
    if (cut_components(alternative) != 0) {
        return MR_ENOMEM;
    }
    while (literal_count < alternative->count &&
           alternative->components[literal_count].is_literal) {
        literal_count++;
    }
    if (literal_count == alternative->count) {
        alternative->literal = path_of(alternative, literal_count, ".");
        if (alternative->literal == NULL) {
            return MR_ENOMEM;
        }
        literal_count -= literal_count > 0; /* the last one is the file */
    }
    alternative->prefix = path_of(alternative, literal_count, ".");
    return alternative->prefix != NULL ? 0 : MR_ENOMEM;
}

static int finish_topic(struct glob_alternative *alternative)
{
    alternative->components = mr_calloc(1, sizeof *alternative->components);
    if (alternative->components == NULL) {
        return MR_ENOMEM;
    }
    alternative->count = 1;
    alternative->components[0].text = alternative->text;
    alternative->components[0].size = strlen(alternative->text);
    alternative->components[0].is_literal =
        is_literal(alternative->text, alternative->components[0].size);
    if (alternative->components[0].is_literal) {
        alternative->literal = path_of(alternative, 1, "");
        return alternative->literal != NULL ? 0 : MR_ENOMEM;
    }
    return 0;
}

int mr_glob_compile(enum mr_glob_kind kind, const char *pattern, struct mr_glob **ret_glob,
                    struct mr_error *error)
{
    struct mr_glob *glob;
    int rc = check(pattern, strlen(pattern), error);

    if (rc != 0) {
        return rc;
    }
    glob = mr_calloc(1, sizeof *glob);
    if (glob == NULL) {
        return mr_fail(error, MR_ENOMEM, "pattern");
    }
    glob->kind = kind;
    rc = expand(glob, pattern, error);
    for (size_t i = 0; rc == 0 && i < glob->count; i++) {
        struct glob_alternative *alternative = &glob->alternatives[i];

        rc = kind == MR_GLOB_TOPIC ? finish_topic(alternative) : finish_path(alternative);
        if (rc != 0) {
            (void)mr_fail(error, rc, "pattern");
        }
    }
    if (rc != 0) {
        mr_glob_free(glob);
        return rc;
    }
    *ret_glob = glob;
    return 0;
}

void mr_glob_free(struct mr_glob *glob)
{
    if (glob == NULL) {
        return;
    }
    for (size_t i = 0; i < glob->count; i++) {
        struct glob_alternative *alternative = &glob->alternatives[i];

        mr_free(alternative->components);
        mr_free(alternative->prefix);
        mr_free(alternative->literal);
        mr_free(alternative->text);
    }
    mr_free(glob->alternatives);
    mr_free(glob);
}

size_t mr_glob_count(const struct mr_glob *glob)
{
    return glob->count;
}

const char *mr_glob_prefix(const struct mr_glob *glob, size_t index)
{
    mr_assert(index < glob->count);
    return glob->alternatives[index].prefix;
}

const char *mr_glob_literal(const struct mr_glob *glob, size_t index)
{
    mr_assert(index < glob->count);
    return glob->alternatives[index].literal;
}

bool mr_glob_is_recursive(const struct mr_glob *glob)
{
    for (size_t i = 0; i < glob->count; i++) {
        for (size_t j = 0; j < glob->alternatives[i].count; j++) {
            if (glob->alternatives[i].components[j].is_any) {
                return true;
            }
        }
    }
    return false;
}
