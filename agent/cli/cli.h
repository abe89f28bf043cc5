/* Subcommands: a plain table in cli.c, one file each. Data goes to stdout, notes and progress to
 * stderr. */
#ifndef AGENT_CLI_CLI_H
#define AGENT_CLI_CLI_H

#include <stdbool.h>

struct config;
struct config_problems;
struct mr_error;

/* sysexits where they say something: the same for all subcommands. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 69,
    CLI_BAD_CONFIG = 78,
    CLI_INTERRUPTED = 130,
};

struct cli_command {
    const char *name;
    const char *help; /* one line */
    /* argv[0] is the subcommand's name. */
    int (*run)(int argc, char **argv);
    const char *usage; /* examples first, then options; printed by -h */
};

/* NULL if unknown. */
const struct cli_command *cli_find(const char *name);
const struct cli_command *cli_at(int place);

/* ---- what subcommands share ---- */

enum { CLI_LIST_MAX = 64 };

/* The arguments of an option that may be given several times. */
struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
};

/* One option of a subcommand: long name, letter (0: none), where its argument goes. */
struct cli_option {
    const char *name;
    char letter;
    const char **value; /* takes an argument */
    bool *flag;         /* or is a flag */
    int *count;         /* or counts */
    struct cli_list
        *list; /* or takes an argument each time; beyond CLI_LIST_MAX the last one stays */
};

/* Parses argv against the table; -h prints `command`'s usage and exits 0. What is left (positional)
 * stays in argv from the returned index on (they are permuted to the end). -1: wrong, told on
 * stderr with the nearest word: return CLI_USAGE. */
int cli_parse(const char *command, int argc, char **argv, const struct cli_option *options);
/* "millrace topics: <text>" on stderr; returns `exit_code`. */
int cli_fail(const char *command, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Loads a configuration, or prints every problem ("file:line:column: text") and returns NULL. */
struct config *cli_load_config(const char *path);
/* The problems of a file, one a line. */
void cli_print_problems(const char *path, const struct config_problems *problems);
bool cli_is_json(const char *output); /* "-o json" */

int cli_acls(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_completion(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_consume(int argc, char **argv);
int cli_dump(int argc, char **argv);
int cli_files(int argc, char **argv);
int cli_groups(int argc, char **argv);
int cli_health(int argc, char **argv);
int cli_ledger(int argc, char **argv);
int cli_produce(int argc, char **argv);
int cli_quotas(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_sinks(int argc, char **argv);
int cli_tls(int argc, char **argv);
int cli_tokens(int argc, char **argv);
int cli_topics(int argc, char **argv);
int cli_users(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
