/* Completion scripts for shells, made from the table of subcommands: what -h prints is what is
 * completed. Verbs stand in no table that all subcommands share, so they are here; a test tries
 * each. */
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"

static const struct {
    const char *command;
    const char *verbs;
} verbs[] = {
    {"acls", "list add remove"},
    {"completion", "bash zsh fish"},
    {"config", "explain show schema reference"},
    {"groups", "list describe members delete"},
    {"quotas", "list set remove"},
    {"tls", "init issue revoke show check"},
    {"tokens", "list create revoke"},
    {"topics", "list describe create delete alter"},
    {"users", "list create delete"},
};

/* Options whose argument is a file or a directory. */
#define FILE_OPTIONS                                                                               \
    "-c|--config|--config-file|--client|--password-file|--token-file|--ca|--cert|--data|-d"

static const char *verbs_of(const char *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].command, command) == 0) {
            return verbs[i].verbs;
        }
    }
    return "";
}

/* The size of the option that begins here: "-" or "--", then letters and dashes; 0: none does. */
static size_t option_size(const char *at)
{
    size_t dashes = strspn(at, "-");
    size_t size = dashes + strspn(at + dashes, "abcdefghijklmnopqrstuvwxyz-");

    return (dashes == 2 && size > 3) || (dashes == 1 && size == 2) ? size : 0;
}

/* Calls `put` for each option of a usage text: in lines that begin with one, up to the description,
 * which two blanks set apart. */
static void each_option(const char *usage, void (*put)(const char *option, size_t size))
{
    for (const char *line = usage; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        const char *at = line + strspn(line, " ");
        const char *end = line + length;
        while (*at == '-' && at < end) {
            size_t size = option_size(at);
            const char *gap;
            if (size > 0) {
                put(at, size);
            }
            gap = strstr(at, "  ");
            at = strstr(at, ", -");
            if (at == NULL || at > end || (gap != NULL && at > gap)) {
                break;
            }
            at += 2;
        }
        line = *end == '\n' ? end + 1 : end;
    }
}

static void put_word(const char *option, size_t size)
{
    printf(" %.*s", (int)size, option);
}

static void put_words(const struct cli_command *command)
{
    printf("%s -h --help", verbs_of(command->name));
    each_option(command->usage, put_word);
}

static void put_commands(void)
{
    const struct cli_command *command;

    for (int i = 0; (command = cli_at(i)) != NULL; i++) {
        printf("%s%s", i == 0 ? "" : " ", command->name);
    }
}

static void put_bash(void)
{
    const struct cli_command *command;

    printf("# bash: source <(millrace completion bash)\n"
           "_millrace() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} known=\n"
           "    COMPREPLY=()\n"
           "    case $prev in " FILE_OPTIONS ") return ;; esac\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        known='");
    put_commands();
    printf("'\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (int i = 0; (command = cli_at(i)) != NULL; i++) {
        printf("        %s) known='", command->name);
        put_words(command);
        printf("' ;;\n");
    }
    printf("        esac\n    fi\n"
           "    COMPREPLY=($(compgen -W \"$known\" -- \"$cur\"))\n"
           "}\n"
           "complete -o default -F _millrace millrace\n");
}

static void put_zsh(void)
{
    const struct cli_command *command;

    printf("#compdef millrace\n"
           "# zsh: millrace completion zsh > \"${fpath[1]}/_millrace\"\n"
           "_millrace() {\n"
           "    local -a known\n"
           "    case ${words[CURRENT-1]} in " FILE_OPTIONS ") _files; return ;; esac\n"
           "    if (( CURRENT == 2 )); then\n"
           "        known=(\n");
    for (int i = 0; (command = cli_at(i)) != NULL; i++) {
        printf("            '%s:%s'\n", command->name, command->help);
    }
    printf("        )\n        _describe 'command' known\n        return\n    fi\n"
           "    case ${words[2]} in\n");
    for (int i = 0; (command = cli_at(i)) != NULL; i++) {
        printf("    %s) known=(", command->name);
        put_words(command);
        printf(") ;;\n");
    }
    printf("    esac\n"
           "    compadd -- $known\n"
           "    _files\n"
           "}\n"
           "if [ \"${funcstack[1]}\" = _millrace ]; then _millrace; else compdef _millrace "
           "millrace; fi\n");
}

static void put_fish_option(const char *option, size_t size)
{
    if (option[1] == '-') {
        printf(" -l %.*s", (int)(size - 2), option + 2);
    } else {
        printf(" -s %c", option[1]);
    }
}

static void put_fish(void)
{
    const struct cli_command *command;

    printf("# fish: millrace completion fish > ~/.config/fish/completions/millrace.fish\n");
    for (int i = 0; (command = cli_at(i)) != NULL; i++) {
        printf("complete -c millrace -n __fish_use_subcommand -a %s -d '%s'\n", command->name,
               command->help);
        if (verbs_of(command->name)[0] != '\0') {
            printf("complete -c millrace -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                   command->name, verbs_of(command->name));
        }
        printf("complete -c millrace -n '__fish_seen_subcommand_from %s' -s h -l help",
               command->name);
        each_option(command->usage, put_fish_option);
        printf("\n");
    }
}

int cli_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    const struct cli_option options[] = {{0}};
    int rest = cli_parse("completion", argc, argv, options);

    if (rest < 0) {
        return CLI_USAGE;
    }
    for (size_t i = 0; rest + 1 == argc && i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(argv[rest], shells[i].name) == 0) {
            shells[i].put();
            return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
        }
    }
    return cli_fail("completion", CLI_USAGE, "for which shell: bash, zsh or fish?");
}
