#include "agent/cli/password.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/cli.h"

static bool read_line(FILE *file, char text[CLI_PASSWORD_SIZE])
{
    size_t length;

    if (fgets(text, CLI_PASSWORD_SIZE, file) == NULL) {
        return false;
    }
    length = strcspn(text, "\r\n");
    if (text[length] == '\0' && length == CLI_PASSWORD_SIZE - 1) {
        return false; /* longer than we take: half a password is none */
    }
    text[length] = '\0';
    return length > 0;
}

bool cli_password_ask(const char *words, char text[CLI_PASSWORD_SIZE])
{
    struct termios before;
    struct termios quiet;
    bool is_read;

    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    fprintf(stderr, "%s", words);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    is_read = read_line(stdin, text);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return is_read;
}

int cli_password_read(const char *command, const char *path, char text[CLI_PASSWORD_SIZE])
{
    FILE *file = stdin;
    bool is_read;

    if (strcmp(path, "-") != 0) {
        file = fopen(path, "re");
        if (file == NULL) {
            return cli_fail(command, CLI_FAILED, "%s cannot be read", path);
        }
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* no buffer that keeps it */
    is_read = read_line(file, text);
    if (file != stdin) {
        (void)fclose(file);
    }
    return is_read ? CLI_OK
                   : cli_fail(command, CLI_USAGE,
                              "the first line must be the password, of at most %d bytes",
                              CLI_PASSWORD_SIZE - 2);
}
