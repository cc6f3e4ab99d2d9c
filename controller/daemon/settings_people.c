/* `secrets_key`: what seeds of second factors are sealed under. */
#include "controller/base/log.h"
#include "controller/daemon/settings_private.h"
#include "controller/base/findings.h"
#include "fencing/methods/secret.h"

int settings_read_key(const struct settings *s, struct secrets_key *ret_key,
                      struct err *err)
{
    char text[SECRET_SIZE] = "";
    int status;

    *ret_key = (struct secrets_key){0};
    if (s->secrets_key[0] == '\0')
        return 0;
    status = secret_read(s->secrets_key, text, err);
    if (status == 0)
        status = key_parse(ret_key, text, err);
    secret_wipe(text);
    return status != 0 ? err_wrap(err, "%s", s->secrets_key) : 0;
}

/* A start goes on without it: who asks with a second factor is refused then, and a failover
 * waits for nobody's code. */
void settings_check_key(const struct settings *s, bool starting, struct findings *f)
{
    struct secrets_key key;
    struct err err = {0};

    if (settings_read_key(s, &key, &err) != 0)
        (starting ? findings_warn : findings_error)(f, "secrets_key", "%s", err.text);
    key_wipe(&key);
}
