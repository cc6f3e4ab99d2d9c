#include <curl/curl.h>
#include <signal.h>

#include "controller/cli/cli.h"

int main(int argc, char **argv)
{
    enum cli_exit result;

    /* A reader that went away (`ringfence log | head`) ends a stream through ferror(). */
    (void)signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return CLI_UNREACHABLE;
    result = cli_main(argc, argv, stdout, stderr);
    if (fflush(stdout) != 0 && result == CLI_OK)
        result = CLI_NO;
    curl_global_cleanup();
    return (int)result;
}
