/* Arguments -> subcommand. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "base/text/nearest.h"

static void print_help(FILE *file)
{
    fprintf(file, "millrace collects logs, keeps them in a partitioned log that speaks the Kafka\n"
                  "protocol, and forwards them between nodes that all run this program.\n\n"
                  "  millrace run -c hub.yaml\n"
                  "  millrace check -c hub.yaml\n\n");
    for (int i = 0; cli_at(i) != NULL; i++) {
        fprintf(file, "  %-10s %s\n", cli_at(i)->name, cli_at(i)->help);
    }
    fprintf(file, "\nmillrace COMMAND -h tells more.\n");
}

static int unknown_command(const char *word)
{
    const char *words[64];
    size_t count = 0;

    for (; count < 64 && cli_at((int)count) != NULL; count++) {
        words[count] = cli_at((int)count)->name;
    }
    const char *nearest = mr_nearest(word, words, count);
    fprintf(stderr, "millrace: there is no command '%s'%s%s%s\n", word,
            nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
            nearest == NULL ? "" : "'?");
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    const struct cli_command *command;

    /* A reader of our output that goes away is no accident; sockets report it as an error. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    command = cli_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    return command == NULL ? unknown_command(argv[1]) : command->run(argc - 1, argv + 1);
}
