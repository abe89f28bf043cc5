#include "queue/meta/users.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"

static void user_free(struct user *user)
{
    if (user != NULL) {
        mr_free(user->name);
        mr_scram_wipe(user, sizeof *user);
        mr_free(user);
    }
}

void users_init(struct users *users)
{
    memset(users, 0, sizeof *users);
    mr_map_init(&users->by_name);
}

void users_done(struct users *users)
{
    size_t cursor = 0;
    const struct mr_map_entry *entry;

    while ((entry = mr_map_next(&users->by_name, &cursor)) != NULL) {
        user_free(entry->value);
    }
    mr_map_done(&users->by_name);
    mr_scram_wipe(users, sizeof *users);
}

struct user *users_find(const struct users *users, const char *name, size_t name_size)
{
    return mr_map_get(&users->by_name, name, name_size);
}

const struct mr_scram_credential *users_credential(const struct users *users, const char *name,
                                                   size_t name_size,
                                                   enum mr_scram_mechanism mechanism)
{
    struct user *user = users_find(users, name, name_size);
    int place = (int)mechanism - 1;

    return user != NULL && user->has[place] ? &user->credentials[place] : NULL;
}

/* A real credential whose form strangers' are to have: any, as long as it stays the same. */
static const struct mr_scram_credential *pattern_of(const struct users *users,
                                                    enum mr_scram_mechanism mechanism)
{
    const struct user *user;
    size_t cursor = 0;

    while ((user = users_next(users, &cursor)) != NULL) {
        if (user->has[(int)mechanism - 1]) {
            return &user->credentials[(int)mechanism - 1];
        }
    }
    return NULL;
}

bool users_challenge(const struct users *users, const char *name, size_t name_size,
                     enum mr_scram_mechanism mechanism, struct mr_scram_credential *ret_credential)
{
    const struct mr_scram_credential *real = users_credential(users, name, name_size, mechanism);
    struct mr_scram_credential fake;

    /* Made in either case, so that the time is the same. */
    mr_scram_fake(mechanism, users->secret, name, name_size, pattern_of(users, mechanism), &fake);
    *ret_credential = real != NULL ? *real : fake;
    return real != NULL;
}

int users_set(struct users *users, const char *name, size_t name_size,
              const struct mr_scram_credential *credential)
{
    struct user *user = users_find(users, name, name_size);
    int place = (int)credential->mechanism - 1;

    mr_assert(place >= 0 && place < USER_MECHANISMS);
    if (user == NULL) {
        user = mr_calloc(1, sizeof *user);
        if (user == NULL) {
            return MR_ENOMEM;
        }
        user->name = mr_strndup(name, name_size);
        if (user->name == NULL || mr_map_put(&users->by_name, name, name_size, user, NULL) != 0) {
            user_free(user);
            return MR_ENOMEM;
        }
    }
    user->credentials[place] = *credential;
    user->has[place] = true;
    return 0;
}

bool users_remove(struct users *users, const char *name, size_t name_size,
                  enum mr_scram_mechanism mechanism)
{
    struct user *user = users_find(users, name, name_size);
    int place = (int)mechanism - 1;

    if (user == NULL || !user->has[place]) {
        return false;
    }
    user->has[place] = false;
    mr_scram_wipe(&user->credentials[place], sizeof user->credentials[place]);
    if (!user->has[0] && !user->has[1]) {
        (void)mr_map_remove(&users->by_name, name, name_size);
        user_free(user);
    }
    return true;
}

const struct user *users_next(const struct users *users, size_t *cursor)
{
    const struct mr_map_entry *entry = mr_map_next(&users->by_name, cursor);

    return entry != NULL ? entry->value : NULL;
}
