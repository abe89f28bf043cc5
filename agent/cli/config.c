/* `millrace config explain|show|schema|reference`. */
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/config/config.h"
#include "base/core/buffer.h"
#include "base/core/error.h"

static int print_and_free(struct mr_bytes *out, int rc)
{
    if (rc == CLI_OK && out->failed == 0 &&
        fwrite(out->data, 1, out->size_bytes, stdout) != out->size_bytes) {
        rc = CLI_FAILED;
    }
    mr_bytes_done(out);
    return rc;
}

static int explain(int argc, char **argv, struct mr_bytes *out)
{
    struct mr_error error = {0};

    if (argc > 2) {
        return cli_fail("config", CLI_USAGE, "explain takes one key at the most");
    }
    if (config_explain(argc == 2 ? argv[1] : NULL, out, &error) != 0) {
        return cli_fail("config", CLI_USAGE, "%s", error.text);
    }
    return CLI_OK;
}

static int show(int argc, char **argv, struct mr_bytes *out)
{
    const char *path = "/etc/millrace/millrace.yaml";
    const struct cli_option options[] = {{.name = "config", .letter = 'c', .value = &path}, {0}};
    struct config *config;

    if (cli_parse("config", argc, argv, options) < 0) {
        return CLI_USAGE;
    }
    config = cli_load_config(path);
    if (config == NULL) {
        return CLI_BAD_CONFIG;
    }
    config_show(config, out);
    config_free(config);
    return CLI_OK;
}

int cli_config(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "-h";
    struct mr_bytes out;
    int rc = CLI_OK;

    mr_bytes_init(&out);
    if (strcmp(word, "explain") == 0) {
        rc = explain(argc - 1, argv + 1, &out);
    } else if (strcmp(word, "show") == 0) {
        rc = show(argc - 1, argv + 1, &out);
    } else if (strcmp(word, "schema") == 0) {
        config_schema(&out);
    } else if (strcmp(word, "reference") == 0) {
        config_reference(&out);
    } else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        printf("millrace config: %s\n\n%s", cli_find("config")->help, cli_find("config")->usage);
    } else {
        rc = cli_fail("config", CLI_USAGE,
                      "there is no '%s'; there are explain, show, schema, reference", word);
    }
    return print_and_free(&out, rc);
}
