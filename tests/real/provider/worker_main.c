/* A provider child process, as the agent starts it. */
#include <stdlib.h>

#include "controller/base/log.h"
#include "providers/worker.h"

int main(int argc, char **argv)
{
    if (argc != 2)
        return EXIT_FAILURE;
    log_begin("provider-worker", "test");
    return provider_worker_main(atoi(argv[1]));
}
