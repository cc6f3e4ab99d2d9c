#include "controller/config/tell.h"

#include <stdio.h>

#include "controller/base/log.h"

void config_tell(void *teller, bool is_error, const char *key, const char *text)
{
    const struct config_teller *t = teller;
    struct err err = {0};

    (void)config_bad(t->config, key, &err, "%s", text);
    if (t->terminal != NULL)
        (void)fprintf(stderr, "%s: %s%s\n", t->terminal,
                      is_error ? "" : "warning: ", err.text);
    else
        log_at(is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%s", err.text);
}
