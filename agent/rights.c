#include "agent/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/core/error.h"

enum { ENTRY_SIZE = 64 * 1024 };

/* A number is taken as it is; the largest one means "no change" to chown. */
static bool is_number(const char *text, uint32_t *ret_number)
{
    int64_t number;

    if (mr_parse_int(text, &number) != 0 || number < 0 || number >= UINT32_MAX) {
        return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}

static int find_owner(const char *name, uid_t *ret_owner, struct mr_error *error)
{
    static char buffer[ENTRY_SIZE];
    struct passwd entry;
    struct passwd *found = NULL;

    if (is_number(name, ret_owner)) {
        return 0;
    }
    if (getpwnam_r(name, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "socket.owner: there is no user '%s'", name);
    }
    *ret_owner = found->pw_uid;
    return 0;
}

static int find_group(const char *name, gid_t *ret_group, struct mr_error *error)
{
    static char buffer[ENTRY_SIZE];
    struct group entry;
    struct group *found = NULL;

    if (is_number(name, ret_group)) {
        return 0;
    }
    if (getgrnam_r(name, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "socket.group: there is no group '%s'", name);
    }
    *ret_group = found->gr_gid;
    return 0;
}

int rights_find(const struct config_socket *socket, struct queue_socket_rights *ret_rights,
                struct mr_error *error)
{
    struct queue_socket_rights rights = {.has_owner = socket->owner != NULL,
                                         .has_group = socket->group != NULL};
    int rc = 0;

    rights.mode = (mode_t)strtoul(socket->mode, NULL, 8); /* the checker has seen it */
    if (rights.has_owner) {
        rc = find_owner(socket->owner, &rights.owner, error);
    }
    if (rc == 0 && rights.has_group) {
        rc = find_group(socket->group, &rights.group, error);
    }
    if (rc == 0) {
        *ret_rights = rights;
    }
    return rc;
}
