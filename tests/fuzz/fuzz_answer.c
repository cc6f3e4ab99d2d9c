/* What a controller or an agent answers, as `ringfence` reads and shows it. The other end
 * may be of another version, or somebody else's program on that socket; and what an agent
 * reports has words of PostgreSQL's in it, which its users can choose. No answer ends the
 * program, and none sends a terminal anything but text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/cli/answer.h"
#include "controller/cli/cli.h"
#include "controller/cli/show.h"
#include "tests/fuzz/fuzz.h"

static void claim_text(const char *shown, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)shown[i];

        CLAIM((c >= ' ' && c != 0x7f) || c == '\n', "byte %02x reaches a terminal", c);
    }
}

static void show_refused(const char *data, size_t len, long status, FILE *out)
{
    struct cli cli = {.http = {.socket = "fuzz.sock"}, .out = out, .errors = out};
    struct http_answer answer = {.status = status};
    struct err err = {0};

    CLAIM(buf_append(&answer.body, data, len, &err) == 0, "%s", err.text);
    (void)cli_refused(&cli, &answer);
    http_answer_free(&answer);
}

static void show_log(const json_t *lines, FILE *out)
{
    struct show_log_memory memory = {{0}, {0}};
    const json_t *line;
    size_t i;

    show_log_line(lines, out);
    json_array_foreach(lines, i, line)
    {
        show_log_line(line, out);
        if (show_log_is_told(line))
            show_log_told(line, i % 2 == 0, &memory, out);
    }
}

static void show(uint8_t how, const json_t *document, FILE *out)
{
    switch (how % 5) {
    case 0:
        show_status(document, out);
        return;
    case 1:
        show_why(document, out);
        return;
    case 2:
        show_log(document, out);
        return;
    case 3:
        show_diff(document, out);
        return;
    default:
        (void)show_doctor(document, out);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = {400, 404, 409, 503, 200, 0};
    AUTO(auto_free) char *shown = NULL;
    json_t *document;
    size_t len = 0;
    FILE *out;

    if (size < 2)
        return 0;
    out = open_memstream(&shown, &len);
    CLAIM(out != NULL, "no memory");
    if (data[0] % 6 == 5) {
        show_refused((const char *)data + 2, size - 2, statuses[data[1] % 6], out);
    } else {
        document = answer_read(data + 2, size - 2, false);
        if (document != NULL)
            show(data[0] % 6, document, out);
        json_decref(document);
    }
    fclose(out);
    claim_text(shown, len);
    return 0;
}
