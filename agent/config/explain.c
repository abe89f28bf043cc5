/* `millrace config explain` and conf/millrace.yaml: the option tables in words. */
#include <stdio.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/walk.h"
#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/text/nearest.h"

enum { EXPLAIN_KEYS_MAX = 512, EXPLAIN_KEY_SIZE = 128 };

struct explain {
    struct mr_bytes *out;
    const char *key; /* NULL: everything */
    int matches;
    char keys[EXPLAIN_KEYS_MAX][EXPLAIN_KEY_SIZE];
    size_t key_count;
};

/* A user's key fits a path if each part is the same, or the path's part is a name's place:
 * 'topics.app.fsync', 'topics.*.fsync' and 'topics.NAME.fsync' are one. What lies below a key is
 * explained with it. */
static bool key_fits(const char *key, const char *path)
{
    while (*key != '\0' && *path != '\0') {
        size_t key_size = strcspn(key, ".[");
        size_t path_size = strcspn(path, ".[");
        bool is_name = strncmp(path, "NAME", path_size) == 0 || strncmp(path, "ID", path_size) == 0;
        if (!is_name && (key_size != path_size || strncmp(key, path, key_size) != 0)) {
            return false;
        }
        key += key_size;
        path += path_size;
        if (*key == '[') {
            key += strcspn(key, "]");
            key += *key == ']';
        }
        if (*path == '[') {
            path += 2;
        }
        key += *key == '.';
        path += *path == '.';
    }
    return *key == '\0';
}

static void explain_step(void *owner, const struct walk_step *step)
{
    struct explain *explain = owner;
    const struct mr_option *option = step->option;
    char type[256];

    if (option == NULL) {
        return; /* a heading */
    }
    if (explain->key_count < EXPLAIN_KEYS_MAX) {
        (void)snprintf(explain->keys[explain->key_count++], EXPLAIN_KEY_SIZE, "%s", step->path);
    }
    if (explain->key != NULL && !key_fits(explain->key, step->path)) {
        return;
    }
    explain->matches++;
    option_type_text(option, type, sizeof type);
    mr_bytes_printf(explain->out, "%s", step->path);
    if (step->plugin != NULL) {
        mr_bytes_printf(explain->out, "  (%s)", step->plugin);
    }
    mr_bytes_printf(explain->out, "\n    %s", type);
    if (option->is_required) {
        mr_bytes_text(explain->out, "; must be written");
    } else if (option->fallback != NULL) {
        mr_bytes_printf(explain->out, "; default %s", option->fallback);
    }
    if (option->example != NULL) {
        mr_bytes_printf(explain->out, "; example %s", option->example);
    }
    mr_bytes_printf(explain->out, "\n    %s\n\n", option->help);
}

int config_explain(const char *key, struct mr_bytes *out, struct mr_error *error)
{
    static const struct explain empty; /* large: kept off the stack of this call's caller */
    struct explain explain = empty;
    const char *words[EXPLAIN_KEYS_MAX];

    explain.out = out;
    explain.key = key;
    config_walk(explain_step, &explain);
    if (explain.matches > 0) {
        return out->failed;
    }
    for (size_t i = 0; i < explain.key_count; i++) {
        words[i] = explain.keys[i];
    }
    const char *nearest = mr_nearest(key, words, explain.key_count);
    return mr_fail_text(error, MR_ENOENT, "there is no option '%s'%s%s%s", key,
                        nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}

/* ---- the reference file ---- */

static void put_indent(struct mr_bytes *out, int depth)
{
    mr_bytes_printf(out, "%*s", depth * 2, "");
}

/* Sentences wrapped at 100 columns behind "# ". */
static void put_comment(struct mr_bytes *out, int depth, const char *text)
{
    int width = 96 - depth * 2;

    while (*text != '\0') {
        int size = (int)strlen(text);
        if (size > width) {
            size = width;
            while (size > 0 && text[size] != ' ') {
                size--;
            }
            size = size == 0 ? width : size;
        }
        put_indent(out, depth);
        mr_bytes_printf(out, "# %.*s\n", size, text);
        text += size;
        text += strspn(text, " ");
    }
}

static void put_option(struct mr_bytes *out, const struct walk_step *step)
{
    const struct mr_option *option = step->option;
    char type[256];
    int depth = step->depth;

    option_type_text(option, type, sizeof type);
    mr_bytes_text(out, "\n");
    put_comment(out, depth, option->help);
    if (!step->is_leaf) {
        put_indent(out, depth);
        mr_bytes_printf(out, "%s%s:\n", strcmp(step->path, "node") == 0 ? "" : "#", option->name);
        if (option->type == MR_OPT_TABLE_MAP) {
            put_indent(out, depth + 1);
            mr_bytes_text(out, "#NAME:\n");
        } else if (option->type == MR_OPT_TABLE_LIST) {
            put_indent(out, depth + 1);
            mr_bytes_text(out, "#- # each with:\n");
        }
        return;
    }
    put_comment(out, depth, type);
    put_indent(out, depth);
    const char *value = option->fallback != NULL      ? option->fallback
                        : option->example != NULL     ? option->example
                        : option->type == MR_OPT_BOOL ? "false"
                                                      : "";
    bool is_example = option->fallback == NULL && option->example != NULL;
    mr_bytes_printf(out, "%s%s:%s%s%s\n", strcmp(step->path, "node.data") == 0 ? "" : "#",
                    option->name, value[0] == '\0' ? "" : " ", value,
                    option->is_required ? "  # must be written"
                    : is_example        ? "  # an example; no default"
                                        : "");
}

static void reference_step(void *owner, const struct walk_step *step)
{
    struct mr_bytes *out = owner;

    if (step->option != NULL) {
        put_option(out, step);
        return;
    }
    if (strncmp(step->plugin, "every", 5) == 0) {
        mr_bytes_printf(out, "\n\n# %s\n#%s:\n  #ID:\n", step->help, step->path);
    }
    mr_bytes_printf(out, "\n    # ---- %s ----\n", step->plugin);
    if (strncmp(step->plugin, "every", 5) != 0) {
        put_comment(out, 2, step->help);
    }
}

void config_reference(struct mr_bytes *out)
{
    mr_bytes_text(
        out, "# Every option of millrace, with its default. Made by `millrace config reference`.\n"
             "# Take the hash away from what you want to change; only node.data must be there.\n");
    config_walk(reference_step, out);
}
