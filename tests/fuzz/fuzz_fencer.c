/* What a fence agent says: its metadata, which is held against a device, and its last
 * words, which are quoted. It may be broken, or somebody else's program; and it knows a
 * secret. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/findings.h"
#include "fencing/methods/metadata.h"
#include "fencing/methods/power.h"
#include "fencing/methods/secret.h"
#include "fencing/methods/words.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 2048, WORDS_SIZE = 200 };

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    (void)owner;
    (void)is_error;
    CLAIM(strncmp(key, "fencers[0].", 11) == 0, "no place: '%s'", key);
    CLAIM(strncmp(text, "fencer bmc: ", 12) == 0, "no fencer is named: '%s'", text);
    for (; *text != '\0'; text++)
        CLAIM(!iscntrl((unsigned char)*text) && !iscntrl((unsigned char)*key),
              "byte %02x reaches a terminal", (unsigned char)*text);
}

static void try_metadata(const char *text, size_t len)
{
    static const struct power_device device = {
        .name = "bmc",
        .agent = "fence_x",
        .deadline_ms = 40000,
        .option_count = 4,
        .options = {{"ip", "10.0.1.9"}, {"auth", "md5"}, {"wait", "2s"}, {"login", "x"}},
        .secret_count = 1,
        .secrets = {{"password", "/etc/s"}},
    };
    struct findings f = {.say = on_finding};
    struct metadata *m = NULL;
    struct err err = {0};

    if (metadata_parse(&m, text, len, &err) == 0)
        power_device_match(&device, m, "fencers[0]", &f);
    else
        CLAIM(err.code == ERR_BADMSG && err.text[0] != '\0', "%s without a word",
              err_name(err.code));
    metadata_free(m);
}

static void try_words(const char *said, size_t len)
{
    char text[TEXT_MAX + 1], secret[SECRET_SIZE], words[WORDS_SIZE];
    const size_t secret_len = len > 0 ? (size_t)(unsigned char)said[0] % 16 : 0;

    if (len < 1 + secret_len)
        return;
    snprintf(secret, sizeof secret, "%.*s", (int)secret_len, said + 1);
    snprintf(text, sizeof text, "%.*s", (int)(len - 1 - secret_len), said + 1 + secret_len);
    secret_hide(secret, text, sizeof text);
    /* The stars that stand for it can be a part of one. */
    CLAIM(secret[0] == '\0' || strchr(secret, '*') != NULL || strstr(text, secret) == NULL,
          "a secret in '%s'", text);
    words_last(text, words, sizeof words);
    for (const char *at = words; *at != '\0'; at++)
        CLAIM(!iscntrl((unsigned char)*at), "byte %02x reaches a terminal",
              (unsigned char)*at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] % 2 == 0)
        try_metadata((const char *)data + 1, size - 1);
    else
        try_words((const char *)data + 1, size - 1);
    return 0;
}
