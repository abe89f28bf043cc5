/* Passwords from where `ps` does not show them: a file's first line, the environment, a terminal.
 */
#ifndef AGENT_CLI_PASSWORD_H
#define AGENT_CLI_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum { CLI_PASSWORD_SIZE = 512 };

/* The first line of the file, or of standard input ("-"). CLI_OK, or told on stderr. */
int cli_password_read(const char *command, const char *path, char text[CLI_PASSWORD_SIZE]);
/* Asks on the terminal, and shows nothing of it. False: no terminal, or an empty answer. */
bool cli_password_ask(const char *words, char text[CLI_PASSWORD_SIZE]);

#endif
