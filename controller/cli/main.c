#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>

#include "controller/base/wipe.h"
#include "controller/cli/cli.h"

int main(int argc, char **argv)
{
    json_malloc_t allocate;
    enum cli_exit result;

    /* A reader that went away (`ringfence log | head`) ends a stream through ferror(). */
    (void)signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return CLI_UNREACHABLE;
    json_get_alloc_funcs(&allocate, NULL); /* answers have tokens and seeds in them */
    json_set_alloc_funcs(allocate, wipe_free);
    result = cli_main(argc, argv, stdout, stderr);
    if (fflush(stdout) != 0 && result == CLI_OK)
        result = CLI_NO;
    curl_global_cleanup();
    return (int)result;
}
