#include "fencing/gate/bpf_cell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "controller/base/assert.h"
#include "fencing/gate/gate_abi.h"
#include "fencing/gate/gate_rules.h"

/* The kernel shows the frozen mark only in /proc. */
static int is_frozen(int fd, bool *ret_frozen, struct err *err)
{
    char path[64], line[128];
    int frozen = -1;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    if (file == NULL)
        return err_errno(err, errno, "%s", path);
    while (frozen < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "frozen:", 7) == 0)
            frozen = strchr(line + 7, '1') != NULL;
    (void)fclose(file);
    if (frozen < 0)
        return err_set(err, ERR_UNSUPPORTED, "%s does not say whether the map is frozen",
                       path);
    *ret_frozen = frozen != 0;
    return 0;
}

static int map_cell(struct gate_port *p, struct err *err)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *cell = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p->cell_fd, 0);

    if (cell == MAP_FAILED)
        return err_errno(err, errno, "map the lease of port %u", p->port);
    /* A provider that outlives us must neither hold up a freeze nor be able to write. */
    if (madvise(cell, size, MADV_DONTFORK) != 0) {
        (void)munmap(cell, size);
        return err_errno(err, errno, "keep the lease of port %u from children", p->port);
    }
    p->cell = cell;
    return 0;
}

static void unmap_cell(struct gate_port *p)
{
    if (p->cell != NULL)
        (void)munmap(p->cell, (size_t)sysconf(_SC_PAGESIZE));
    p->cell = NULL;
}

/* Once: no two maps of a boot that are alive have the same one, and we hold this one. */
static int note_id(struct gate_port *p, struct err *err)
{
    struct bpf_map_info info = {0};
    __u32 size = sizeof info;

    if (bpf_obj_get_info_by_fd(p->cell_fd, &info, &size) != 0)
        return err_errno(err, errno, "look at the lease of port %u", p->port);
    if (info.value_size != sizeof(struct gate_cell))
        return err_set(err, ERR_CORRUPT, "the lease of port %u has another layout",
                       p->port);
    p->cell_id = info.id;
    return 0;
}

void cell_close(struct gate_port *p)
{
    unmap_cell(p);
    auto_close(&p->cell_fd);
    p->cell_fd = -1;
}

int cell_new(struct gate_port *p, const struct gate_state *state, struct err *err)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
    int r;

    ASSERT(!state->fenced);
    p->cell = NULL;
    p->cell_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "rf_cell", sizeof(__u32),
                                sizeof(struct gate_cell), 1, &opts);
    if (p->cell_fd < 0)
        return err_errno(err, errno, "make the lease of port %u", p->port);
    r = note_id(p, err);
    if (r == 0)
        r = map_cell(p, err);
    if (r != 0) {
        cell_close(p);
        return r;
    }
    ASSERT(p->cell != NULL);
    p->cell->epoch = state->epoch;
    p->cell->port = p->port;
    p->cell->flags =
        (state->opened ? GATE_CELL_OPENED : 0) | (p->spare ? GATE_CELL_SPARE : 0);
    cell_write(p, gate_word(state->mode, state->deadline));
    return 0;
}

int cell_adopt(struct gate_port *p, uint32_t map_id, uint16_t *ret_own, struct err *err)
{
    struct gate_cell cell = {.word = 0};
    bool frozen = false;
    __u32 key = 0;
    int r;

    p->cell = NULL;
    p->cell_fd = bpf_map_get_fd_by_id(map_id);
    if (p->cell_fd < 0)
        return err_errno(err, errno, "find the lease of port %u", p->port);
    r = note_id(p, err);
    if (r == 0)
        r = is_frozen(p->cell_fd, &frozen, err);
    if (r == 0 && bpf_map_lookup_elem(p->cell_fd, &key, &cell) != 0)
        r = err_errno(err, errno, "read the lease of port %u", p->port);
    if (r == 0 && !frozen)
        r = map_cell(p, err);
    if (r != 0)
        cell_close(p);
    p->word = cell.word; /* whoever wrote it before us */
    *ret_own = (uint16_t)cell.port;
    p->spare = (cell.flags & GATE_CELL_SPARE) != 0;
    return r;
}

void cell_write(struct gate_port *p, uint64_t word)
{
    if (p->cell != NULL)
        __atomic_store_n(&p->cell->word, word, __ATOMIC_SEQ_CST);
    else
        ASSERT(word == 0);
    p->word = word;
}

void cell_mark_opened(struct gate_port *p)
{
    ASSERT(p->cell != NULL);
    __atomic_store_n(&p->cell->flags, p->cell->flags | GATE_CELL_OPENED, __ATOMIC_SEQ_CST);
}

int cell_read(const struct gate_port *p, struct gate_state *ret_state, struct err *err)
{
    struct gate_cell cell;
    __u32 key = 0;

    /* Through the kernel, not through our mapping: this is also what a proof reads. */
    if (bpf_map_lookup_elem(p->cell_fd, &key, &cell) != 0)
        return err_errno(err, errno, "read the lease of port %u", p->port);
    *ret_state = (struct gate_state){
        .epoch = cell.epoch,
        .mode = gate_word_mode(cell.word),
        .deadline = gate_word_deadline(cell.word),
        .fenced = p->cell == NULL,
        .opened = (cell.flags & GATE_CELL_OPENED) != 0,
    };
    return 0;
}

/* What must be refused from now on: a write of the very value that is there, so that even
 * a kernel that let it through would change nothing. */
static int refuses_writes(const struct gate_port *p, const struct gate_cell *cell)
{
    __u32 key = 0;

    return bpf_map_update_elem(p->cell_fd, &key, cell, BPF_ANY) != 0 && errno == EPERM;
}

int cell_freeze(struct gate_port *p, struct err *err)
{
    struct gate_cell cell = {.word = UINT64_MAX};
    bool frozen = false;
    __u32 key = 0;
    int r;

    /* Closed first: if we die right here it is closed, and the next life freezes it. */
    cell_write(p, 0);
    unmap_cell(p);
    if (bpf_map_freeze(p->cell_fd) != 0 && errno != EPERM && errno != EBUSY)
        r = err_errno(err, errno, "freeze the lease of port %u", p->port);
    else /* EPERM: frozen before; EBUSY: that, or another writer */
        r = is_frozen(p->cell_fd, &frozen, err);
    if (r == 0 && !frozen)
        r = err_set(err, ERR_UNPROVEN,
                    "the lease of port %u does not freeze: somebody else holds it writable",
                    p->port);
    if (r != 0 && !frozen) {
        /* Stay able to try again: without a mapping the cell would count as fenced. */
        struct err mapping;

        if (map_cell(p, &mapping) != 0)
            return err_wrap(err, "%s", mapping.text);
    }
    if (r != 0)
        return r;
    if (bpf_map_lookup_elem(p->cell_fd, &key, &cell) != 0)
        return err_errno(err, errno, "read back the lease of port %u", p->port);
    if (cell.word != 0 || !refuses_writes(p, &cell))
        return err_set(err, ERR_UNPROVEN, "port %u: frozen, but not closed for good",
                       p->port);
    return 0;
}

int cell_check(const struct gate_port *p, struct err *err)
{
    struct gate_cell cell;
    __u32 key = 0;

    if (bpf_map_lookup_elem(p->cell_fd, &key, &cell) != 0)
        return err_errno(err, errno, "read the lease of port %u", p->port);
    if (cell.word != p->word)
        return err_set(err, ERR_UNPROVEN, "somebody else wrote the lease of port %u",
                       p->port);
    return 0;
}
