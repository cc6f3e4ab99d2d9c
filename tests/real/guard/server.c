/* A server as the guard sees one: a postmaster and its backends, which work in one
 * directory and wait. `server DIR BACKENDS FROZEN`: with FROZEN 1 one backend is stopped;
 * their pids go to descriptor 3. Without sanitizers, so that its end costs what a server's
 * does. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKENDS_MAX = 200, TELL = 3 };

static pid_t backend(void)
{
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

int main(int argc, char **argv)
{
    unsigned n = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    pid_t pids[BACKENDS_MAX];

    if (n > BACKENDS_MAX || chdir(argv[1]) != 0)
        return 1;
    for (unsigned i = 0; i < n; i++)
        pids[i] = backend();
    if (n > 0 && argv[3][0] == '1')
        (void)kill(pids[0], SIGSTOP);
    if (write(TELL, pids, n * sizeof pids[0]) != (ssize_t)(n * sizeof pids[0]))
        return 1;
    (void)close(TELL);
    for (;;)
        pause();
}
