/* One pass from left to right over a value; what is put in is not looked at again. */
#include "agent/config/interpolate.h"

#include <stdlib.h>
#include <string.h>

#include "agent/config/problem.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/secret.h"

enum { REFERENCED_FILE_SIZE_MAX = 64 << 10 };

struct interpolation {
    const struct node *node;
    struct mr_disk *disk;
    struct config_problems *problems;
    char *out; /* secret memory, whatever comes in */
    size_t size;
    size_t capacity;
    bool is_secret;
    bool is_failed;
};

static void put(struct interpolation *run, const char *text, size_t size)
{
    if (run->is_failed) {
        return;
    }
    if (size + 1 > run->capacity - run->size) {
        size_t capacity = 2 * (run->size + size) + 256;
        char *grown = mr_secret_alloc(capacity);
        if (grown == NULL) {
            run->is_failed = true;
            return;
        }
        if (run->out != NULL) {
            memcpy(grown, run->out, run->size);
        }
        mr_secret_free(run->out);
        run->out = grown;
        run->capacity = capacity;
    }
    memcpy(run->out + run->size, text, size);
    run->size += size;
}

static void fail(struct interpolation *run, const char *what, const char *subject)
{
    config_problem_add(run->problems, &run->node->place, "%s '%s'", what, subject);
    run->is_failed = true;
}

/* Secrets end with a newline more often than they contain one: one line end is taken off. */
static void put_file(struct interpolation *run, const char *path)
{
    struct mr_error error = {0};
    char *text = NULL;
    size_t size = 0;

    if (mr_disk_read_file(run->disk, path, REFERENCED_FILE_SIZE_MAX, &text, &size, &error) != 0) {
        fail(run, "${file:...} cannot be read:", error.text);
        return;
    }
    if (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    if (size > 0 && text[size - 1] == '\r') {
        size--;
    }
    if (memchr(text, '\0', size) != NULL) {
        fail(run, "${file:...} holds a NUL character:", path);
    } else {
        put(run, text, size);
        run->is_secret = true;
    }
    explicit_bzero(text, size);
    mr_free(text);
}

static void put_credential(struct interpolation *run, const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char *path;

    if (directory == NULL) {
        fail(run,
             "${cred:...} needs $CREDENTIALS_DIRECTORY, which systemd sets for LoadCredential=:",
             name);
        return;
    }
    if (name[0] == '\0' || strchr(name, '/') != NULL) {
        fail(run, "not the name of a credential:", name);
        return;
    }
    path = mr_asprintf("%s/%s", directory, name);
    if (path != NULL) {
        put_file(run, path);
    }
    run->is_failed = run->is_failed || path == NULL;
    mr_free(path);
}

static bool is_variable_name(const char *name)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return size > 0 && name[size] == '\0' && !(name[0] >= '0' && name[0] <= '9');
}

static void put_variable(struct interpolation *run, char *reference)
{
    char *operator= strstr(reference, ":-");
    char *message = operator== NULL ? strstr(reference, ":?") : NULL;
    const char *value;

    if (operator!= NULL) {
        *operator= '\0';
    } else if (message != NULL) {
        *message = '\0';
    }
    if (!is_variable_name(reference)) {
        fail(run, "not a reference (write $$ for a dollar sign): ${...} with", reference);
        return;
    }
    value = getenv(reference);
    if (operator!= NULL &&(value == NULL || value[0] == '\0')) {
        value = operator+ 2;
    }
    if (message != NULL && (value == NULL || value[0] == '\0')) {
        fail(run, message[2] == '\0' ? "this environment variable must be set:" : message + 2,
             reference);
        return;
    }
    if (value == NULL) {
        fail(run, "this environment variable is not set (write ${NAME:-default} to allow that):",
             reference);
        return;
    }
    put(run, value, strlen(value));
}

static void put_reference(struct interpolation *run, const char *start, size_t size)
{
    char *reference = mr_strndup(start, size);

    if (reference == NULL) {
        run->is_failed = true;
    } else if (strncmp(reference, "file:", 5) == 0) {
        put_file(run, reference + 5);
    } else if (strncmp(reference, "cred:", 5) == 0) {
        put_credential(run, reference + 5);
    } else {
        put_variable(run, reference);
    }
    mr_free(reference);
}

static void interpolate_text(struct interpolation *run, const char *text)
{
    while (*text != '\0') {
        size_t plain = strcspn(text, "$");
        put(run, text, plain);
        text += plain;
        if (text[0] == '$' && text[1] == '$') {
            put(run, "$", 1);
            text += 2;
        } else if (text[0] == '$' && text[1] == '{') {
            const char *end = strchr(text, '}');
            if (end == NULL) {
                fail(run, "a '}' is missing (write $$ for a dollar sign) in", text);
                return;
            }
            put_reference(run, text + 2, (size_t)(end - text) - 2);
            text = end + 1;
        } else if (text[0] == '$') {
            put(run, "$", 1);
            text++;
        }
    }
}

/* The new text in secret memory, or NULL and a problem. */
static char *interpolate(struct interpolation *run, const char *text)
{
    size_t problems_before = run->problems->count;

    put(run, "", 0);
    interpolate_text(run, text);
    if (!run->is_failed) {
        return run->out;
    }
    if (run->problems->count == problems_before) {
        config_problem_add(run->problems, &run->node->place, "no memory is left");
    }
    mr_secret_free(run->out);
    return NULL;
}

char *config_interpolate_again(const struct node *node, struct mr_disk *disk,
                               struct config_problems *problems)
{
    struct interpolation run = {.node = node, .disk = disk, .problems = problems};

    return interpolate(&run, node->written);
}

/* Texts of the configuration stand on the heap, unless they are secrets. False without memory. */
static bool take_text(struct node *node, char *text, bool is_secret)
{
    size_t size = strlen(node->text);
    char *written = is_secret ? mr_secret_alloc(size + 1) : mr_strdup(text);

    if (written == NULL) {
        return false;
    }
    if (is_secret) {
        memcpy(written, node->text, size);
        node->written = written;
        node->is_secret = true;
        node_set_text(node, text, true);
    } else {
        node_set_text(node, written, false);
        mr_secret_free(text);
    }
    return true;
}

void config_interpolate(struct node *node, struct mr_disk *disk, struct config_problems *problems)
{
    struct interpolation run = {.node = node, .disk = disk, .problems = problems};
    char *text;

    if (node->is_interpolated || node->kind != NODE_SCALAR || strchr(node->text, '$') == NULL) {
        return;
    }
    node->is_interpolated = true;
    text = interpolate(&run, node->text);
    if (text != NULL && !take_text(node, text, run.is_secret)) {
        mr_secret_free(text);
        config_problem_add(problems, &node->place, "no memory is left");
    }
}
