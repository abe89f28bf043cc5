/* `millrace tls init|issue|revoke|show|check`: a small authority and its certificates. Keys are
 * written for their owner alone (0600), and nothing that is there is written over, but the
 * revocation list, which grows. */
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/option.h"
#include "base/net/tls_make.h"
#include "base/text/time.h"

enum {
    PATH_SIZE = 4096,
    AUTHORITY_DAYS = 3650,
    CERTIFICATE_DAYS = 825,
    LIST_DAYS = 365,
    NAMES_MAX = 100
};

struct tls {
    const char *directory;
    const char *name;
    const char *organization;
    const char *days_word;
    int64_t days;
    bool is_client;
    const char *cert;
    const char *key;
    const char *ca;
    const char *crl;
    char **words; /* behind the verb */
    int word_count;
};

static int fail(int rc, const struct mr_error *error)
{
    return cli_fail("tls", rc == MR_EINVAL ? CLI_USAGE : CLI_FAILED, "%s", error->text);
}

static bool path_of(const struct tls *tls, const char *name, const char *suffix, char *path)
{
    int size = snprintf(path, PATH_SIZE, "%s/%s%s", tls->directory, name, suffix);

    if (size > 0 && size < PATH_SIZE) {
        return true;
    }
    (void)cli_fail("tls", CLI_USAGE, "the path is too long");
    return false;
}

/* ---- writing ---- */

static int create(const char *path, mode_t mode, const struct mr_bytes *text)
{
    struct mr_disk *disk = mr_disk_system();
    int fd = -1;
    int rc =
        disk->ops->open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_EXCLUSIVE, mode, &fd);

    if (rc == MR_EEXIST) {
        return cli_fail("tls", CLI_FAILED, "'%s' is there already, and is not written over", path);
    }
    if (rc == 0) {
        rc = mr_disk_pwrite(disk, fd, text->data, text->size_bytes, 0);
        if (rc == 0) {
            rc = mr_disk_fsync(disk, fd);
        }
        mr_disk_close(disk, fd);
        if (rc != 0) {
            (void)mr_disk_unlink(disk, path);
        }
    }
    return rc == 0 ? CLI_OK : cli_fail("tls", CLI_FAILED, "'%s': %s", path, mr_code_text(rc));
}

/* The key first: who sees the certificate finds its key. */
static int write_pair(const struct tls *tls, const char *name, const struct mr_bytes *cert,
                      const struct mr_bytes *key)
{
    char cert_path[PATH_SIZE];
    char key_path[PATH_SIZE];
    int rc;

    if (!path_of(tls, name, ".pem", cert_path) || !path_of(tls, name, ".key", key_path)) {
        return CLI_USAGE;
    }
    rc = create(key_path, 0600, key);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = create(cert_path, 0644, cert);
    if (rc != CLI_OK) {
        (void)mr_disk_unlink(mr_disk_system(), key_path);
    }
    return rc;
}

static void tell(const struct tls *tls, const char *name, int64_t ends_ms)
{
    char time[MR_TIME_TEXT_SIZE];

    (void)mr_time_format(ends_ms * 1000, MR_TIME_SECONDS, time);
    fprintf(stderr, "%s/%s.pem and %s/%s.key: until %.10s\n", tls->directory, name, tls->directory,
            name, time);
}

static int make(const struct tls *tls, const char *file, const struct mr_tls_make *what)
{
    struct mr_error error = {0};
    struct mr_bytes cert;
    struct mr_bytes key;
    int64_t ends_ms = 0;
    int exit_code;
    int rc;

    mr_bytes_init(&cert);
    mr_bytes_init(&key);
    rc = mr_bytes_reserve(&key, 4096); /* so that no copy of it is left behind by growing */
    if (rc == 0) {
        rc = mr_tls_make(mr_disk_system(), what, &cert, &key, &ends_ms, &error);
    }
    exit_code = rc != 0 ? fail(rc, &error) : write_pair(tls, file, &cert, &key);
    if (exit_code == CLI_OK) {
        tell(tls, file, ends_ms);
    }
    if (key.data != NULL) {
        explicit_bzero(key.data, key.capacity_bytes);
    }
    mr_bytes_done(&key);
    mr_bytes_done(&cert);
    return exit_code;
}

/* ---- the verbs ---- */

static int do_init(struct tls *tls)
{
    const struct mr_tls_make what = {.role = MR_TLS_AUTHORITY,
                                     .name = tls->name != NULL ? tls->name : "millrace authority",
                                     .organization = tls->organization,
                                     .days = tls->days > 0 ? tls->days : AUTHORITY_DAYS};
    struct mr_error error = {0};
    int rc;

    if (tls->word_count > 0) {
        return cli_fail("tls", CLI_USAGE, "init: what is '%s'? The authority's name is --name",
                        tls->words[0]);
    }
    rc = mr_disk_make_directories(mr_disk_system(), tls->directory, 0700, &error);
    return rc != 0 ? fail(rc, &error) : make(tls, "ca", &what);
}

static int do_issue(struct tls *tls)
{
    struct mr_tls_make what = {.role = tls->is_client ? MR_TLS_CLIENT : MR_TLS_NODE,
                               .organization = tls->organization,
                               .days = tls->days > 0 ? tls->days : CERTIFICATE_DAYS};
    char cert[PATH_SIZE];
    char key[PATH_SIZE];
    const char *file = tls->word_count > 0 ? tls->words[0] : "";

    if (file[0] == '\0' || tls->word_count > NAMES_MAX) {
        return cli_fail("tls", CLI_USAGE, "issue: a name is wanted, and at most %d", NAMES_MAX);
    }
    if (strchr(file, '/') != NULL || file[0] == '.' || strcmp(file, "ca") == 0) {
        return cli_fail("tls", CLI_USAGE, "'%s' cannot be the name of the files", file);
    }
    if (!path_of(tls, "ca", ".pem", cert) || !path_of(tls, "ca", ".key", key)) {
        return CLI_USAGE;
    }
    what.name = tls->name != NULL ? tls->name : file;
    what.authority = (struct mr_tls_authority){cert, key};
    /* A client's first word is its name and the files'; it has no address unless more is written.
     */
    what.names = (const char *const *)tls->words + (tls->is_client ? 1 : 0);
    what.name_count = (size_t)(tls->word_count - (tls->is_client ? 1 : 0));
    return make(tls, file, &what);
}

static int do_revoke(struct tls *tls)
{
    struct mr_disk *disk = mr_disk_system();
    struct mr_disk_stat stat;
    struct mr_error error = {0};
    struct mr_bytes list;
    char cert[PATH_SIZE];
    char key[PATH_SIZE];
    char path[PATH_SIZE];
    const struct mr_tls_authority authority = {cert, key};
    int rc;

    if (!path_of(tls, "ca", ".pem", cert) || !path_of(tls, "ca", ".key", key) ||
        !path_of(tls, "crl", ".pem", path)) {
        return CLI_USAGE;
    }
    mr_bytes_init(&list);
    rc = mr_tls_revoke(disk, &authority, mr_disk_stat(disk, path, &stat) == 0 ? path : NULL,
                       (const char *const *)tls->words, (size_t)tls->word_count,
                       tls->days > 0 ? tls->days : LIST_DAYS, &list, &error);
    if (rc == 0) {
        rc = mr_disk_write_file(disk, path, list.data, list.size_bytes, &error);
    }
    mr_bytes_done(&list);
    if (rc != 0) {
        return fail(rc, &error);
    }
    fprintf(stderr, "%s: written; nodes take it with 'crl: %s'\n", path, path);
    return CLI_OK;
}

static int do_show(struct tls *tls)
{
    struct mr_error error = {0};
    struct mr_bytes text;
    int exit_code = CLI_OK;

    if (tls->word_count == 0) {
        return cli_fail("tls", CLI_USAGE, "show: which files?");
    }
    for (int i = 0; i < tls->word_count && exit_code == CLI_OK; i++) {
        int rc;

        mr_bytes_init(&text);
        rc = mr_tls_show(mr_disk_system(), tls->words[i], &text, &error);
        if (rc != 0) {
            exit_code = fail(rc, &error);
        } else if (fwrite(text.data, 1, text.size_bytes, stdout) != text.size_bytes) {
            exit_code = CLI_FAILED;
        }
        mr_bytes_done(&text);
    }
    return fflush(stdout) == 0 ? exit_code : CLI_FAILED;
}

static int do_check(struct tls *tls)
{
    const struct mr_tls_check check = {.cert = tls->cert,
                                       .key = tls->key,
                                       .ca = tls->ca,
                                       .crl = tls->crl,
                                       .name = tls->word_count > 0 ? tls->words[0] : NULL,
                                       .role = tls->is_client ? MR_TLS_CLIENT : MR_TLS_NODE};
    struct mr_error error = {0};

    if (tls->cert == NULL || tls->word_count > 1) {
        return cli_fail("tls", CLI_USAGE, "check: --cert, and at most one host");
    }
    if (mr_tls_check(mr_disk_system(), &check, &error) != 0) {
        return cli_fail("tls", CLI_FAILED, "%s", error.text);
    }
    fprintf(stderr, "%s: fine\n", tls->cert);
    return CLI_OK;
}

static const struct verb {
    const char *name;
    int (*run)(struct tls *tls);
} verbs[] = {{"init", do_init},
             {"issue", do_issue},
             {"revoke", do_revoke},
             {"show", do_show},
             {"check", do_check}};

int cli_tls(int argc, char **argv)
{
    struct tls tls = {.directory = "."};
    const struct cli_option options[] = {{.name = "dir", .letter = 'd', .value = &tls.directory},
                                         {.name = "name", .value = &tls.name},
                                         {.name = "organization", .value = &tls.organization},
                                         {.name = "days", .value = &tls.days_word},
                                         {.name = "client", .flag = &tls.is_client},
                                         {.name = "cert", .value = &tls.cert},
                                         {.name = "key", .value = &tls.key},
                                         {.name = "ca", .value = &tls.ca},
                                         {.name = "crl", .value = &tls.crl},
                                         {0}};
    int rest = cli_parse("tls", argc, argv, options);

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (tls.days_word != NULL &&
        (mr_parse_int(tls.days_word, &tls.days) != 0 || tls.days < 1 || tls.days > 36500)) {
        return cli_fail("tls", CLI_USAGE, "--days %s: a number from 1 to 36500 is wanted",
                        tls.days_word);
    }
    for (size_t i = 0; rest < argc && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[rest], verbs[i].name) == 0) {
            tls.words = argv + rest + 1;
            tls.word_count = argc - rest - 1;
            return verbs[i].run(&tls);
        }
    }
    return cli_fail("tls", CLI_USAGE, "init, issue, revoke, show or check (-h says more)");
}
