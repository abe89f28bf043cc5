/* The table of subcommands, and what they share. */
#include "agent/cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/core/disk.h"
#include "base/text/nearest.h"

static const struct cli_command commands[] = {
    {"run", "run this node", cli_run,
     "  millrace run -c /etc/millrace/millrace.yaml\n\n"
     "  -c, --config FILE   the configuration (default /etc/millrace/millrace.yaml)\n"},
    {"check", "check a configuration and print every problem", cli_check,
     "  millrace check -c millrace.yaml\n\n"
     "  -c, --config FILE   the configuration (default /etc/millrace/millrace.yaml)\n"
     "  -q, --quiet         say nothing if all is well\n\n"
     "  Exits 0 if the configuration can be run, 78 if not.\n"},
    {"config", "explain, show, schema, reference", cli_config,
     "  millrace config explain topics.NAME.fsync\n"
     "  millrace config explain                    everything\n"
     "  millrace config show -c millrace.yaml      what is in force, secrets hidden\n"
     "  millrace config schema > millrace.schema.json\n"
     "  millrace config reference > millrace.yaml\n"},
    {"dump", "print segments, indexes and checkpoints", cli_dump,
     "  millrace dump /var/lib/millrace/web-0\n"
     "  millrace dump --records /var/lib/millrace/web-0/00000000000000000000.log\n\n"
     "  --records   also every record\n"
     "  --index     also every index entry\n"
     "  -o json     one JSON object per line\n"},
    {"version", "print the version", cli_version, "  millrace version\n"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

const struct cli_command *cli_at(int place)
{
    return place >= 0 && place < COMMAND_COUNT ? &commands[place] : NULL;
}

const struct cli_command *cli_find(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

int cli_fail(const char *command, int exit_code, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "millrace %s: ", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return exit_code;
}

static void unknown_option(const char *command, const char *word, const struct cli_option *options)
{
    const char *words[64];
    size_t count = 0;

    for (; options->name != NULL && count < 63; options++) {
        words[count++] = options->name;
    }
    words[count++] = "help";
    const char *nearest =
        word[0] == '-' && word[1] == '-' ? mr_nearest(word + 2, words, count) : NULL;
    (void)cli_fail(command, CLI_USAGE, "there is no option '%s'%s%s%s (-h shows what there is)",
                   word, nearest == NULL ? "" : "; did you mean --", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
}

static void take(const struct cli_option *option)
{
    if (option->value != NULL) {
        *option->value = optarg;
    } else if (option->flag != NULL) {
        *option->flag = true;
    } else {
        (*option->count)++;
    }
}

static void print_usage(const char *name)
{
    const struct cli_command *command = cli_find(name);

    printf("millrace %s: %s\n\n%s", name, command == NULL ? "" : command->help,
           command == NULL ? "" : command->usage);
}

int cli_parse(const char *command, int argc, char **argv, const struct cli_option *options)
{
    enum { OPTIONS_MAX = 62 };
    struct option longs[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 4] = ":h";
    int count = 0;
    int got;

    for (; options[count].name != NULL && count < OPTIONS_MAX; count++) {
        bool has_value = options[count].value != NULL;
        longs[count] = (struct option){
            options[count].name, has_value ? required_argument : no_argument, NULL, 1000 + count};
        if (options[count].letter != '\0') {
            char letter[3] = {options[count].letter, has_value ? ':' : '\0', '\0'};
            strncat(letters, letter, sizeof letters - strlen(letters) - 1);
        }
    }
    longs[count] = (struct option){"help", no_argument, NULL, 'h'};
    longs[count + 1] = (struct option){0};
    opterr = 0;
    optind = 1;
    for (int word = optind; (got = getopt_long(argc, argv, letters, longs, NULL)) != -1;
         word = optind) {
        if (got == 'h') {
            print_usage(command);
            exit(CLI_OK);
        }
        if (got == '?' || got == ':') {
            if (got == ':') {
                (void)cli_fail(command, CLI_USAGE, "'%s' needs a value", argv[optind - 1]);
            } else {
                unknown_option(command, argv[word], options);
            }
            return -1;
        }
        for (int i = 0; i < count; i++) {
            if (got == 1000 + i || (got == options[i].letter && got != '\0')) {
                take(&options[i]);
            }
        }
    }
    return optind;
}

struct config *cli_load_config(const char *path)
{
    struct config_problems problems;
    struct config *config;

    config_problems_init(&problems);
    config = config_load(mr_disk_system(), path, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        const struct config_place *place = &problems.items[i].place;
        fprintf(stderr, "%s", place->file == NULL ? path : place->file);
        if (place->line > 0) {
            fprintf(stderr, ":%d:%d", place->line, place->column);
        }
        fprintf(stderr, ": %s\n", problems.items[i].text);
    }
    if (problems.is_overflown) {
        fprintf(stderr, "%s: more problems than can be shown\n", path);
    }
    config_problems_done(&problems);
    return config;
}

bool cli_is_json(const char *output)
{
    return output != NULL && strcmp(output, "json") == 0;
}
