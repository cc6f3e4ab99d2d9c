/* Files that people write: a group's, a controller's, an agent's. Whatever stands in them,
 * the answer is values or one sentence that names the file (house-style.md, "Errors"). */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controller/cli/group_file.h"
#include "controller/config/config.h"
#include "controller/daemon/settings.h"
#include "controller/http/document.h"
#include "fencing/agent/agent_settings.h"
#include "tests/fuzz/fuzz.h"

static void claim_explained(const char *path, const struct err *err)
{
    CLAIM(strncmp(err->text, path, strlen(path)) == 0 || err->code == ERR_NOMEM,
          "the file is not named: '%s'", err->text);
}

static void try_group(const char *path)
{
    AUTO(config_free) struct config *file = NULL;
    json_t *document = NULL;
    struct err err = {0};
    struct group spec;

    if (group_file_load(path, &document, &file, &err) != 0) {
        claim_explained(path, &err);
        return;
    }
    /* What the command line takes, the API reads or refuses in words. */
    if (document_parse(document, &spec, &err) != 0)
        CLAIM(err.text[0] != '\0', "a refusal without a word");
    json_decref(document);
}

static void try_controller(const char *path)
{
    struct settings s = {0};
    struct err err = {0};

    if (settings_load(&s, path, NULL, &err) != 0)
        claim_explained(path, &err);
    settings_free(&s);
}

static void try_agent(const char *path)
{
    struct agent_settings s;
    struct err err = {0};

    if (agent_settings_load(&s, path, NULL, &err) != 0)
        claim_explained(path, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void try_path(const char *path);
    static try_path *const tries[] = {try_group, try_controller, try_agent};
    char path[64];
    int fd;

    if (size == 0)
        return 0;
    fd = memfd_create("fuzz.yaml", MFD_CLOEXEC);
    CLAIM(fd >= 0, "no memory file");
    CLAIM(write(fd, data + 1, size - 1) == (ssize_t)(size - 1), "not written");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tries[data[0] % 3](path);
    close(fd);
    return 0;
}
