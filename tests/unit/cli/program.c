#include "tests/unit/cli/program.h"

#include <stdint.h>
#include <stdlib.h>

void outcome_free(struct outcome *o)
{
    free(o->out);
    free(o->errors);
}

struct fake server;

int server_start(void **unused)
{
    (void)unused;
    fake_start(&server);
    return 0;
}

int server_stop(void **unused)
{
    (void)unused;
    fake_stop(&server);
    return 0;
}

struct outcome run(const char *const *words)
{
    struct outcome o = {0};
    char *argv[WORDS_MAX + 5] = {"ringfence", "--socket", (char *)(uintptr_t)server.socket,
                                 "--timeout=300ms"};
    int argc = 4;
    size_t size;
    FILE *out = open_memstream(&o.out, &size), *errors = open_memstream(&o.errors, &size);

    while (argc < WORDS_MAX + 4 && *words != NULL)
        argv[argc++] = (char *)(uintptr_t)*words++;
    o.exit = cli_main(argc, argv, out, errors);
    fclose(out);
    fclose(errors);
    return o;
}
