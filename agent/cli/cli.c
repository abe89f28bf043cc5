/* The table of subcommands, and what they share. */
#include "agent/cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/target.h"
#include "agent/config/config.h"
#include "base/core/disk.h"
#include "base/text/nearest.h"

#define CLI_STATUS_USAGE                                                                           \
    CLI_TARGET_ADMIN_USAGE                                                                         \
    "  -o, --output json  instead of a table\n"                                                    \
    "  --no-header        no line of titles\n"

/* --config is the topic's there, so the node's file has its letter and another word. */
#define CLI_TOPICS_USAGE                                                                           \
    "  -b, --node HOST:PORT  any node, or Kafka broker\n"                                          \
    "  -c, --config-file FILE  the node of this configuration, by its own socket\n"                \
    "  --data DIR            the node with this data directory, likewise\n"                        \
    "                        (none of them: the only node that runs on this "                      \
    "host)\n" CLI_LOGIN_USAGE "  -o, --output json     instead of a table\n"                       \
    "  --no-header           no line of titles\n"

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
    {"files", "the files that a node reads: position, size, lag, state", cli_files,
     "  millrace files\n"
     "  millrace files --data /var/lib/millrace -o json\n"
     "  millrace files --node https://hub-1:9692 --token-file ops.token --ca "
     "ca.pem\n\n" CLI_STATUS_USAGE},
    {"sinks", "the sinks of a node: state, lag, last error", cli_sinks,
     "  millrace sinks\n"
     "  millrace sinks -c edge.yaml -o json\n\n" CLI_STATUS_USAGE},
    {"ledger", "the books of a node: in = out + queued + dropped", cli_ledger,
     "  millrace ledger\n"
     "  millrace ledger --quiet || echo 'something is missing'\n\n" CLI_STATUS_USAGE
     "  -q, --quiet        no table\n\n"
     "  Exits 0 if the books balance, 1 if not.\n"},
    {"health", "whether a node is well", cli_health,
     "  millrace health\n"
     "  millrace health --quiet && echo fine\n\n" CLI_STATUS_USAGE
     "  -q, --quiet        no table\n\n"
     "  Exits 0 if all is well, 1 if not, 69 if no node answers.\n"},
    {"topics", "list, describe, create, delete, alter topics", cli_topics,
     "  millrace topics\n"
     "  millrace topics describe nginx.access\n"
     "  millrace topics create web --partitions 6 --config retention.ms=3600000\n"
     "  millrace topics alter web --partitions 12 --config retention.bytes=1073741824\n"
     "  millrace topics alter web --unset retention.bytes\n"
     "  millrace topics delete web --yes\n\n"
     "  -a, --all             list also those that begin with __\n"
     "  --partitions N        create, alter: how many (alter: only more)\n"
     "  --replicas N          create: on how many nodes\n"
     "  --config KEY=VALUE    create, alter: may be given several times\n"
     "  --unset KEY           alter: back to the default\n"
     "  --dry-run             check, and change nothing\n"
     "  --yes                 delete without a question\n" CLI_TOPICS_USAGE},
    {"produce", "write lines of standard input to a topic", cli_produce,
     "  tail -f app.log | millrace produce -t app\n"
     "  echo 'user1:hello' | millrace produce -t web -k : --compression zstd -b hub-1:9092\n\n"
     "  -t, --topic NAME      must be written\n"
     "  -p, --partition N     unless written: by the key as Kafka's clients do, else by turns\n"
     "  -k, --key SEPARATOR   what stands before it on a line is the key\n"
     "  --acks all|1          what counts as written (default all)\n"
     "  --compression CODEC   none, gzip, snappy, lz4 (default), zstd\n" CLI_TARGET_ANY_USAGE},
    {"consume", "print the records of a topic", cli_consume,
     "  millrace consume -t nginx.access -o beginning -e\n"
     "  millrace consume -t nginx.access -o -10 -f json\n"
     "  millrace consume -t web -p 3 -o @2025-01-31T12:00:00Z -n 100 -b hub-1:9092\n\n"
     "  -t, --topic NAME      must be written\n"
     "  -p, --partition N     only this one\n"
     "  -o, --offset WHERE    beginning, end (default), an offset, -N: the last N of each\n"
     "                        partition, @TIME: RFC 3339 or milliseconds since 1970\n"
     "  -n, --count N         end after so many records\n"
     "  -e, --exit            end when there is nothing more\n"
     "  -f, --format value|json  the value alone (default), or all that is known of a "
     "record\n" CLI_TARGET_ANY_USAGE},
    {"groups", "who reads what, and how far behind", cli_groups,
     "  millrace groups\n"
     "  millrace groups describe sink.hub\n"
     "  millrace groups members web-readers\n"
     "  millrace groups delete old-reader --yes -b hub-1:9092\n\n"
     "  --yes                 delete: it forgets where the readers stand\n" CLI_TARGET_ANY_USAGE
     "  -o, --output json     instead of a table\n"
     "  --no-header           no line of titles\n"},
    {"users", "list, create, delete users", cli_users,
     "  millrace users\n"
     "  millrace users create alice                asks for the password\n"
     "  millrace users create edge-7 --password-file /etc/millrace/edge-7\n"
     "  millrace users delete alice\n\n"
     "  --password-file FILE  its first line; '-' or no terminal: the first line of standard "
     "input\n"
     "  --mechanism NAME      SCRAM-SHA-512 or SCRAM-SHA-256, may be given twice (default: both)\n"
     "  --iterations N        4096 to 16384 (default 4096)\n"
     "  -o, --output json     instead of a table\n"
     "  --no-header           no line of titles\n" CLI_TARGET_ANY_USAGE_TLS
     "  --login-password-file FILE, --login-mechanism NAME   one's own, not the new user's\n"},
    {"acls", "list, add, remove rights", cli_acls,
     "  millrace acls\n"
     "  millrace acls add --allow alice --operation read --topic web. --prefixed\n"
     "  millrace acls add --allow alice --operation read --group dashboards\n"
     "  millrace acls add --deny 'User:*' --operation write --topic frozen\n"
     "  millrace acls remove --allow alice --topic web. --prefixed\n\n"
     "  --allow, --deny WHO    a user's name, or a principal such as User:alice; may be given "
     "several\n"
     "                         times. list: only of this one (--allow)\n"
     "  --operation WORD       all (default of add), read, write, create, delete, alter, "
     "describe,\n"
     "                         describe-configs, alter-configs, cluster-action, "
     "idempotent-write;\n"
     "                         may be given several times\n"
     "  --topic NAME, --group NAME, --transactional-id NAME, --cluster   with what\n"
     "  --prefixed             everything whose name begins like this\n"
     "  --host ADDRESS         only from there\n"
     "  -o, --output json      instead of a table\n"
     "  --no-header            no line of titles\n" CLI_TARGET_ANY_USAGE},
    {"tls", "make a small authority and certificates; show and check them", cli_tls,
     "  millrace tls init -d /etc/millrace/tls             ca.pem and ca.key: whom all trust\n"
     "  millrace tls issue -d /etc/millrace/tls hub-1 hub-1.example.net 10.0.0.1\n"
     "                                                     hub-1.pem and hub-1.key, for these "
     "names\n"
     "  millrace tls issue -d /etc/millrace/tls --client alice\n"
     "  millrace tls revoke -d /etc/millrace/tls alice.pem  adds to crl.pem\n"
     "  millrace tls show hub-1.pem\n"
     "  millrace tls check --cert hub-1.pem --key hub-1.key --ca ca.pem hub-1\n\n"
     "  -d, --dir DIR         where the authority is, and what is written (default: here)\n"
     "  --days N              how long it is good (authority 3650, certificate 825, list 365)\n"
     "  --name NAME           the subject's common name (default: the first name)\n"
     "  --organization NAME   the subject's organization\n"
     "  --client              issue, check: for who connects only\n"
     "  --cert, --key, --ca, --crl FILE   check: of what\n\n"
     "  Keys are EC P-256 and readable by their owner alone. Nothing is written over but crl.pem.\n"
     "  Keep ca.key away from the nodes: they need ca.pem and their own pair.\n"},
    {"quotas", "list, set, remove limits of clients", cli_quotas,
     "  millrace quotas\n"
     "  millrace quotas set --for user=alice producer_byte_rate=1048576\n"
     "  millrace quotas set --for user=alice --for client-id=batch request_percentage=25\n"
     "  millrace quotas set --for client-id producer_byte_rate=1048576 --dry-run\n"
     "  millrace quotas set --for ip connection_creation_rate=20\n"
     "  millrace quotas remove --for user=alice producer_byte_rate\n\n"
     "  --for user=NAME, client-id=NAME, ip=ADDRESS   whose; user and client-id also together.\n"
     "                         Without a name: everybody who has none of his own. list: only "
     "these\n"
     "  --dry-run              check, and change nothing\n"
     "  -o, --output json      instead of a table\n"
     "  --no-header            no line of titles\n"
     "\n"
     "  producer_byte_rate, consumer_byte_rate   bytes a second\n"
     "  request_percentage                       of the broker's time\n"
     "  controller_mutation_rate                 partitions created or deleted a second\n"
     "  connection_creation_rate                 (of addresses) connections a "
     "second\n" CLI_TARGET_ANY_USAGE},
    {"tokens", "list, create, revoke tokens of the admin API", cli_tokens,
     "  millrace tokens\n"
     "  millrace tokens create prometheus --role read > /etc/prometheus/millrace.token\n"
     "  millrace tokens create ops --role admin --expires 30d\n"
     "  millrace tokens revoke ops\n"
     "  millrace ledger --node https://hub-1:9692 --token-file ops.token\n\n"
     "  --role read|admin  what it may: look at files, sinks, the ledger; or also make tokens\n"
     "  --expires TIME     30d, 12h; never unless written\n" CLI_STATUS_USAGE "\n"
     "  create prints the token on standard output, this one time.\n"},
    {"completion", "complete commands in bash, zsh, fish", cli_completion,
     "  source <(millrace completion bash)\n"
     "  millrace completion zsh > \"${fpath[1]}/_millrace\"\n"
     "  millrace completion fish > ~/.config/fish/completions/millrace.fish\n"},
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
    } else if (option->list != NULL) {
        struct cli_list *list = option->list;
        list->items[list->count < CLI_LIST_MAX ? list->count++ : CLI_LIST_MAX - 1] = optarg;
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
        bool has_value = options[count].value != NULL || options[count].list != NULL;
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

void cli_print_problems(const char *path, const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_place *place = &problems->items[i].place;
        fprintf(stderr, "%s", place->file == NULL ? path : place->file);
        if (place->line > 0) {
            fprintf(stderr, ":%d:%d", place->line, place->column);
        }
        fprintf(stderr, ": %s\n", problems->items[i].text);
    }
    if (problems->is_overflown) {
        fprintf(stderr, "%s: more problems than can be shown\n", path);
    }
}

struct config *cli_load_config(const char *path)
{
    struct config_problems problems;
    struct config *config;

    config_problems_init(&problems);
    config = config_load(mr_disk_system(), path, &problems);
    cli_print_problems(path, &problems);
    config_problems_done(&problems);
    return config;
}

bool cli_is_json(const char *output)
{
    return output != NULL && strcmp(output, "json") == 0;
}
