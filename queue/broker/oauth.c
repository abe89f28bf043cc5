#include "queue/broker/oauth.h"

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwks.h"

struct oauth {
    struct mr_jwks *jwks;
    struct mr_jwt_policy policy;
    char *issuer;
    char *subject_claim;
    char *scope_claim;
    char **audiences;
    char **scopes;
    size_t audience_count;
    size_t scope_count;
};

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++) {
        mr_free(list[i]);
    }
    mr_free(list);
}

void oauth_free(struct oauth *oauth)
{
    if (oauth == NULL) {
        return;
    }
    mr_jwks_close(oauth->jwks);
    free_list(oauth->audiences, oauth->audience_count);
    free_list(oauth->scopes, oauth->scope_count);
    mr_free(oauth->issuer);
    mr_free(oauth->subject_claim);
    mr_free(oauth->scope_claim);
    mr_free(oauth);
}

static int copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text != NULL ? mr_strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL ? 0 : MR_ENOMEM;
}

static int copy_list(const char *const *list, size_t count, char ***ret_copy, size_t *ret_count)
{
    *ret_copy = mr_calloc(count + 1, sizeof **ret_copy);
    if (*ret_copy == NULL) {
        return MR_ENOMEM;
    }
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        if (copy_text(list[i], &(*ret_copy)[i]) != 0) {
            return MR_ENOMEM;
        }
    }
    return 0;
}

static int copy_policy(struct oauth *oauth, const struct broker_oauth *config)
{
    if (copy_text(config->issuer, &oauth->issuer) != 0 ||
        copy_text(config->subject_claim, &oauth->subject_claim) != 0 ||
        copy_text(config->scope_claim, &oauth->scope_claim) != 0 ||
        copy_list(config->audiences, config->audience_count, &oauth->audiences,
                  &oauth->audience_count) != 0 ||
        copy_list(config->scopes, config->scope_count, &oauth->scopes, &oauth->scope_count) != 0) {
        return MR_ENOMEM;
    }
    oauth->policy = (struct mr_jwt_policy){
        .issuer = oauth->issuer,
        .audiences = (const char *const *)oauth->audiences,
        .audience_count = oauth->audience_count,
        .subject_claim = oauth->subject_claim,
        .scope_claim = oauth->scope_claim,
        .scopes = (const char *const *)oauth->scopes,
        .scope_count = oauth->scope_count,
        .skew_ms = config->skew_ms,
    };
    return 0;
}

int oauth_new(const struct broker_config *config, struct oauth **ret_oauth, struct mr_error *error)
{
    const struct broker_oauth *options = &config->security.oauth;
    const struct mr_jwks_config jwks = {.loop = config->loop,
                                        .disk = config->disk,
                                        .metrics = config->metrics,
                                        .source = options->keys,
                                        .ca = options->ca,
                                        .refresh_ms = options->refresh_ms};
    struct oauth *oauth = mr_calloc(1, sizeof *oauth);
    int rc;

    if (oauth == NULL || copy_policy(oauth, options) != 0) {
        oauth_free(oauth);
        return mr_fail(error, MR_ENOMEM, "broker");
    }
    rc = mr_jwks_open(&jwks, &oauth->jwks, error);
    if (rc != 0) {
        oauth_free(oauth);
        (void)mr_error_context(error, "authentication.oauth.keys");
        return rc;
    }
    *ret_oauth = oauth;
    return 0;
}

struct mr_jwks *oauth_jwks(const struct oauth *oauth)
{
    return oauth->jwks;
}

const struct mr_jwt_policy *oauth_policy(const struct oauth *oauth)
{
    return &oauth->policy;
}
