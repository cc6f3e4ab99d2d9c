/* A bundle that anybody may have written, checked with a key that everybody knows: words,
 * and never intact unless that key has signed it. */
#include <stdlib.h>
#include <string.h>

#include "controller/audit/verify.h"
#include "tests/fuzz/fuzz.h"

struct heard {
    unsigned bad;
};

static void on_finding(void *owner, unsigned line, bool bad, const char *text)
{
    struct heard *h = owner;

    CLAIM(text[0] != '\0', "a finding in line %u without a word", line);
    h->bad += bad;
}

/* What is read comes out again as it came in. */
static void try_line(const char *text, size_t len)
{
    struct bundle_line line;
    struct err err = {0};
    AUTO(auto_free) char *again = NULL;

    if (bundle_read(&line, text, len, &err) != 0) {
        CLAIM(err.text[0] != '\0', "a refusal without a word");
        return;
    }
    again = bundle_text(&line);
    CLAIM(again != NULL && strlen(again) == len && memcmp(again, text, len) == 0,
          "another spelling");
    if (line.kind == BUNDLE_HEAD)
        (void)bundle_head_holds(&line.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(audit_keys_free) struct audit_keys keys = {0};
    AUTO(verify_close) struct verify *v = NULL;
    const char *text = (const char *)data, *end = text + size;
    struct heard heard = {0};
    struct verify_result r;
    struct err err = {0};

    CLAIM(audit_keys_parse(
              &keys,
              "demo east ed25519:mzOHMVI+ZKGlYGW/zkD/m0II2DBneWHAvMxva81t1AA=", &err) == 0,
          "%s", err.text);
    CLAIM(verify_open(&v, &keys, on_finding, &heard, &err) == 0, "%s", err.text);
    while (text < end) {
        const char *at = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((at != NULL ? at : end) - text);

        try_line(text, len);
        CLAIM(verify_line(v, text, len, at != NULL, &err) == 0, "%s", err.text);
        text += len + (at != NULL);
    }
    verify_end(v);
    verify_result(v, &r);
    CLAIM(r.bad == heard.bad, "%u told, %u counted", heard.bad, r.bad);
    CLAIM(r.bad > 0, "intact, and nobody has signed it"); /* the key's owner is no more */
    return 0;
}
