/* Secrets that change while the node runs: their files are read again when somebody asks for it.
 * Each for itself: one that cannot be read does not keep the others back. */
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/fill.h"
#include "agent/config/interpolate.h"
#include "base/core/error.h"
#include "base/core/secret.h"

/* What the option's own check says of a text, before anybody sees it. */
static const char *check_text(const struct mr_option *option, const char *text)
{
    struct mr_secret *tried;
    const char *problem;

    if (option->check == NULL) {
        return NULL;
    }
    tried = mr_secret_new(text, strlen(text));
    problem = tried == NULL ? "no memory is left" : option->check(&tried);
    mr_secret_unref(tried);
    return problem;
}

static void take_secret(const struct fill_reference *reference, const char *text,
                        const struct config_reread *reread)
{
    const char *problem = check_text(reference->option, text);
    int rc = problem == NULL ? mr_secret_replace(reference->node->secret, text, strlen(text)) : 0;

    if (problem != NULL || rc < 0) {
        reread->on_failed(reread->owner, reference->path,
                          problem != NULL ? problem : "no memory is left");
    } else if (rc > 0) {
        reread->on_changed(reread->owner, reference->path);
    }
}

static void read_again(const struct fill_reference *reference, struct mr_disk *disk,
                       const struct config_reread *reread)
{
    struct config_problems problems;
    char *text;

    config_problems_init(&problems);
    text = config_interpolate_again(reference->node, disk, &problems);
    if (text == NULL) {
        reread->on_failed(reread->owner, reference->path,
                          problems.count > 0 ? problems.items[0].text : "no memory is left");
    } else if (reference->option != NULL) {
        take_secret(reference, text, reread);
    } else if (strcmp(text, reference->node->text) != 0) {
        reread->on_restart(reread->owner, reference->path);
    }
    mr_secret_free(text);
    config_problems_done(&problems);
}

void config_reread_secrets(const struct config *config, struct mr_disk *disk,
                           const struct config_reread *reread)
{
    for (size_t i = 0; fill_reference_at(config->fill, i) != NULL; i++) {
        read_again(fill_reference_at(config->fill, i), disk, reread);
    }
}
