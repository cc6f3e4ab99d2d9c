#include "controller/cli/secret.h"

#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Byte by byte: what comes behind the line is not ours. */
static int read_line(char *ret, size_t size, struct err *err)
{
    size_t n = 0;
    char c;

    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
        if (n + 1 == size)
            return err_set(err, ERR_INVAL, "a code has less than %zu characters", size);
        if (c != '\r' && c != ' ')
            ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0 ? 0 : err_set(err, ERR_INVAL, "no code was given");
}

int secret_ask(const char *prompt, char *ret, size_t size, struct err *err)
{
    struct termios before, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    int status;

    if (!terminal)
        return read_line(ret, size, err);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fputs(prompt, stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    status = read_line(ret, size, err);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return status;
}
