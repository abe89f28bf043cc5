/* A pattern, a line feed, a path: compiling, matching and pruning never crash and never take long;
 * a path that matches lies below directories that may contain it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parents(const struct mr_glob *glob, char *path)
{
    for (char *slash = strrchr(path, '/'); slash != NULL && slash != path;
         slash = strrchr(path, '/')) {
        *slash = '\0';
        mr_assert(mr_glob_may_contain(glob, path));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mr_strndup((const char *)data, size);
    char *path = strchr(text, '\n');
    struct mr_glob *glob = NULL;
    struct mr_error error;

    if (path == NULL) {
        mr_free(text);
        return 0;
    }
    *path++ = '\0';
    for (int kind = MR_GLOB_PATH; kind <= MR_GLOB_TOPIC; kind++) {
        if (mr_glob_compile((enum mr_glob_kind)kind, text, &glob, &error) != 0) {
            continue;
        }
        (void)mr_glob_is_recursive(glob);
        if (mr_glob_match(glob, path) && kind == MR_GLOB_PATH && strchr(text, '/') != NULL &&
            strchr(text, '{') == NULL && path[0] == '/' && strstr(path, "//") == NULL &&
            path[strlen(path) - 1] != '/') {
            check_parents(glob, path);
        }
        mr_glob_free(glob);
    }
    mr_free(text);
    return 0;
}
