/* What daemons find of their own on the disk at a start: an agent's epochs and steps, the
 * table of the voters' stores, lists of members, the rows of raft.db, what the resolver
 * said. It may be damaged, of
 * another version or made by a person; the answer is what was written, or a sentence. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/auto.h"
#include "controller/consensus/kin.h"
#include "controller/net/names_text.h"
#include "fencing/agent/agent_state.h"
#include "fencing/agent/steps_state.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/rows.h"

/* `text` and the line that makes it whole, as the file `name` of the scratch directory. */
static void put_file(const char *name, const uint8_t *text, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char path[128];
    unsigned n = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", fuzz_scratch(), name);
    f = fopen(path, "w");
    CLAIM(f != NULL, "no file %s", path);
    CLAIM(EVP_Digest(text, len, digest, &n, EVP_sha256(), NULL) == 1, "no digest");
    fwrite(text, 1, len, f);
    fputs("sha256 ", f);
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%02x", digest[i]);
    CLAIM(fputc('\n', f) != EOF && fclose(f) == 0, "not written: %s", path);
}

/* Both are static and filled by the same reader: what lies between members is zero. */
static bool is_same(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

static void claim_epochs(const struct epoch_table *t)
{
    for (unsigned i = 0; i < t->count; i++)
        for (unsigned j = 0; j < i; j++)
            CLAIM(strcmp(t->of[i].group, t->of[j].group) != 0, "I3: two epochs of group %s",
                  t->of[i].group);
}

static void try_agent_state(const uint8_t *data, size_t size)
{
    static const struct agent_contents self = {.cluster = "fuzz", .agent = "pg-east"};
    static struct agent_contents c, again;
    struct agent_state s;
    struct err err = {0};

    put_file("agent.state", data, size);
    if (agent_state_open(&s, fuzz_scratch(), &c, &self, &err) != 0) {
        CLAIM(err.text[0] != '\0', "refused without a word");
        return;
    }
    claim_epochs(&c.epochs);
    CLAIM(agent_state_write(&s, &c, &err) == 0, "read, not written: %s", err.text);
    agent_state_close(&s);
    CLAIM(agent_state_open(&s, fuzz_scratch(), &again, &self, &err) == 0, "%s", err.text);
    agent_state_close(&s);
    CLAIM(is_same(&c, &again, sizeof c), "not what was written");
}

static void try_steps_state(const uint8_t *data, size_t size)
{
    static struct step_records r, again;
    AUTO(auto_close)
    int fd = open(fuzz_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct durable_dir dir = {fd, fuzz_scratch()};
    struct err err = {0};

    put_file("steps.state", data, size);
    if (steps_state_read(&dir, &r, &err) != 0) {
        CLAIM(err.text[0] != '\0', "refused without a word");
        return;
    }
    for (unsigned i = 0; i < r.count; i++)
        CLAIM(steps_state_of(&r, r.of[i].group) == &r.of[i], "two records of group %s",
              r.of[i].group);
    CLAIM(steps_state_write(&dir, &r, &err) == 0, "read, not written: %s", err.text);
    CLAIM(steps_state_read(&dir, &again, &err) == 0, "%s", err.text);
    CLAIM(is_same(&r, &again, sizeof r), "not what was written");
}

static void claim_same(const struct buf *now, const uint8_t *data, size_t size)
{
    CLAIM(now->len == size && memcmp(now->data, data, size) == 0,
          "%zu bytes read, %zu others written", size, now->len);
}

static void try_kin(const uint8_t *data, size_t size)
{
    AUTO(buf_free) struct buf out = {0};
    struct kin_hello hello;
    struct err err = {0};
    struct kin k;

    if (kin_decode(data, size, &k, &err) != 0)
        return;
    CLAIM(kin_encode(&k, &out, &err) == 0, "%s", err.text);
    claim_same(&out, data, size);
    kin_say(&k, 1, &hello);
    (void)kin_hear(&k, "somebody", 1, &hello, &err);
}

static void try_members(const uint8_t *data, size_t size)
{
    AUTO(buf_free) struct buf out = {0};
    struct members m;
    struct err err = {0};

    if (members_decode(data, size, &m, &err) != 0)
        return;
    CLAIM(members_encode(&m, &out, &err) == 0, "%s", err.text);
    claim_same(&out, data, size);
    for (unsigned i = 0; i < m.n; i++)
        CLAIM(members_find(&m, m.list[i].id) == &m.list[i], "two of one id");
}

static void put_raw(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *f = fopen(path, "w");

    CLAIM(f != NULL, "no file %s", path);
    fwrite(bytes, 1, len, f);
    CLAIM(fclose(f) == 0, "not written: %s", path);
}

static void write_names(const struct names_line *lines, unsigned count, struct buf *out)
{
    struct err err = {0};

    CLAIM(names_text_begin(out, &err) == 0, "%s", err.text);
    for (unsigned i = 0; i < count; i++)
        CLAIM(names_text_add(out, &lines[i], &err) == 0, "%s", err.text);
}

static void try_names(const uint8_t *data, size_t size)
{
    static struct names_line lines[NAMES_MAX];
    AUTO(buf_free) struct buf out = {0};
    AUTO(buf_free) struct buf again = {0};
    char path[128], said[NAMES_ADDRESSES_TEXT];
    unsigned count = 0;
    struct err err = {0};

    snprintf(path, sizeof path, "%s/names", fuzz_scratch());
    put_raw(path, data, size);
    if (names_text_read(path, lines, &count, &err) != 0) {
        CLAIM(strncmp(err.text, path, strlen(path)) == 0, "which file? %s", err.text);
        return;
    }
    CLAIM(count <= NAMES_MAX, "%u lines", count);
    for (unsigned i = 0; i < count; i++) {
        names_text_say(&lines[i].answer, said);
        CLAIM(lines[i].host[0] != '\0' && said[0] != '\0', "line %u says nothing", i);
    }
    write_names(lines, count, &out);
    put_raw(path, out.data, out.len);
    CLAIM(names_text_read(path, lines, &count, &err) == 0, "%s", err.text);
    write_names(lines, count, &again);
    claim_same(&again, out.data, out.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void try_bytes(const uint8_t *data, size_t size);
    static try_bytes *const tries[] = {try_agent_state, try_steps_state, try_kin,
                                       try_members,     rows_try,        try_names};

    if (size > 0)
        tries[data[0] % ARRAY_LEN(tries)](data + 1, size - 1);
    return 0;
}
