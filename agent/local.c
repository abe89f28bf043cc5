/* Paths, links, and how to reach what is too long for a socket address; see local.h. */
#include "agent/local.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/logger.h"

static const char *const socket_names[] = {
    [LOCAL_NODE] = "node.sock", [LOCAL_ADMIN] = "admin.sock"};
static const char *const link_endings[] = {[LOCAL_NODE] = ".sock", [LOCAL_ADMIN] = ".admin.sock"};

int local_address(const char *data_directory, enum local_socket socket,
                  struct mr_address *ret_address, struct mr_error *error)
{
    struct mr_address address = {.is_unix = true};
    size_t bound = sizeof((struct sockaddr_un *)0)->sun_path;
    int size =
        snprintf(address.host, sizeof address.host, "%s/%s", data_directory, socket_names[socket]);

    if (size < 0 || (size_t)size >= bound) {
        int fd = open(data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            return mr_fail_text(error, MR_ENOENT, "%s cannot be opened", data_directory);
        }
        (void)snprintf(address.host, sizeof address.host, "/proc/%d/fd/%d/%s", (int)getpid(), fd,
                       socket_names[socket]);
    }
    *ret_address = address;
    return 0;
}

static bool link_path(const char *run_directory, const char *node_name, enum local_socket socket,
                      char *path, size_t size)
{
    int written = snprintf(path, size, "%s/%s%s", run_directory, node_name, link_endings[socket]);

    return written > 0 && (size_t)written < size;
}

void local_link(const char *run_directory, const char *node_name, const char *data_directory)
{
    char data[PATH_MAX];
    char target[PATH_MAX + 32];
    char path[PATH_MAX];

    if (realpath(data_directory, data) == NULL) {
        return;
    }
    (void)mkdir(run_directory, 0755); /* systemd made it; by hand we may */
    for (int i = LOCAL_NODE; i <= LOCAL_ADMIN; i++) {
        (void)snprintf(target, sizeof target, "%s/%s", data, socket_names[i]);
        if (!link_path(run_directory, node_name, (enum local_socket)i, path, sizeof path)) {
            continue;
        }
        (void)unlink(
            path); /* of an earlier run, or another node of this name: the last one has it */
        if (symlink(target, path) != 0) {
            mr_debug("no link to the local socket", KV_STR("path", path));
        }
    }
}

void local_unlink(const char *run_directory, const char *node_name)
{
    char path[PATH_MAX];

    for (int i = LOCAL_NODE; i <= LOCAL_ADMIN; i++) {
        if (link_path(run_directory, node_name, (enum local_socket)i, path, sizeof path)) {
            (void)unlink(path);
        }
    }
}

static bool is_link_of(const char *name, enum local_socket socket)
{
    const char *ending = link_endings[socket];
    size_t size = strlen(name);
    size_t ending_size = strlen(ending);

    if (size <= ending_size || strcmp(name + size - ending_size, ending) != 0) {
        return false;
    }
    return socket == LOCAL_ADMIN || size <= strlen(link_endings[LOCAL_ADMIN]) ||
           strcmp(name + size - strlen(link_endings[LOCAL_ADMIN]), link_endings[LOCAL_ADMIN]) != 0;
}

int local_find(const char *run_directory, enum local_socket socket, struct mr_address *ret_address,
               struct mr_error *error)
{
    DIR *directory = opendir(run_directory);
    struct dirent *entry;
    char found[PATH_MAX] = "";
    char names[512] = "";
    int count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct stat status;
        char path[PATH_MAX];
        if (!is_link_of(entry->d_name, socket)) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", run_directory, entry->d_name);
        if (stat(path, &status) != 0) {
            continue; /* a link that a killed node left */
        }
        count++;
        if (realpath(path, found) == NULL) {
            found[0] = '\0';
        }
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%.*s", used == 0 ? "" : ", ",
                       (int)(strlen(entry->d_name) - strlen(link_endings[socket])), entry->d_name);
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    if (count == 0) {
        return mr_fail_text(error, MR_ENOENT,
                            "no node runs here that %s knows of; name one with -c or --node",
                            run_directory);
    }
    if (count > 1) {
        return mr_fail_text(error, MR_EINVAL,
                            "several nodes run here (%s); name one with -c or --node", names);
    }
    char *slash = strrchr(found, '/');
    if (slash == NULL) {
        return mr_fail_text(error, MR_ENOENT, "the link in %s leads nowhere", run_directory);
    }
    *slash = '\0';
    return local_address(found, socket, ret_address, error);
}
