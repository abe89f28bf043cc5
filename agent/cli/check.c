/* `millrace check` and `millrace version`. */
#include <stdio.h>

#include "agent/cli/cli.h"
#include "agent/config/config.h"

int cli_check(int argc, char **argv)
{
    const char *path = "/etc/millrace/millrace.yaml";
    bool is_quiet = false;
    const struct cli_option options[] = {{.name = "config", .letter = 'c', .value = &path},
                                         {.name = "quiet", .letter = 'q', .flag = &is_quiet},
                                         {0}};
    int rest = cli_parse(argv[0], argc, argv, options);
    struct config *config;

    if (rest < 0 || argc - rest > 1) {
        return CLI_USAGE;
    }
    if (rest < argc) {
        path = argv[rest];
    }
    config = cli_load_config(path);
    if (config == NULL) {
        return CLI_BAD_CONFIG;
    }
    if (!is_quiet) {
        printf("%s: %zu sources, %zu sinks, %zu listeners: all is well\n", path,
               config->source_count, config->sink_count, config->listen.count);
    }
    config_free(config);
    return CLI_OK;
}

int cli_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("millrace " MR_VERSION "\n");
    return CLI_OK;
}
