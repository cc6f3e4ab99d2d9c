#include "controller/cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Byte by byte: what comes behind the line is not ours. */
static int read_line(int fd, char *ret, size_t size, struct err *err)
{
    size_t n = 0;
    char c;

    while (read(fd, &c, 1) == 1 && c != '\n') {
        if (n + 1 == size)
            return err_set(err, ERR_INVAL, "less than %zu characters are expected", size);
        if (c != '\r' && c != ' ')
            ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0 ? 0 : err_set(err, ERR_INVAL, "nothing was given");
}

int secret_ask(const char *prompt, char *ret, size_t size, struct err *err)
{
    struct termios before, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    int status;

    if (!terminal)
        return read_line(STDIN_FILENO, ret, size, err);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fputs(prompt, stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    status = read_line(STDIN_FILENO, ret, size, err);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return status;
}

int secret_from_file(const char *path, char *ret, size_t size, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;
    struct stat st;

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    if (fstat(fd, &st) != 0)
        status = err_errno(err, errno, "%s", path);
    else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        status = err_set(err, ERR_REFUSED,
                         "%s can be used by others (mode %04o): `chmod 0600 %s`, and have "
                         "the token revoked if somebody else may have read it",
                         path, st.st_mode & 07777, path);
    else
        status = read_line(fd, ret, size, err);
    (void)close(fd);
    return status;
}
