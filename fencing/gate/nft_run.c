#include "fencing/gate/nft_run.h"

#include <arpa/inet.h> /* before linux/netfilter.h */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>

enum {
    FD_SCAN_MAX = 1024,
    MESSAGE_MAX = 512,
    TABLE_OWNED_FOR_EVER = 2 | 4, /* NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST (Linux 6.9) */
};

struct nft_run {
    struct nft_ctx *ctx;
    int fd; /* the library's netlink socket: an owned table obeys only that one */
};

static bool is_netfilter_socket(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) != 0 || value != AF_NETLINK)
        return false;
    size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0 &&
           value == NETLINK_NETFILTER;
}

/* The library does not show its socket: it is the one that was not there before. */
int nft_run_open(struct nft_run **ret_run, struct err *err)
{
    struct nft_run *run = calloc(1, sizeof *run);
    bool before[FD_SCAN_MAX];

    if (run == NULL)
        return err_set(err, ERR_NOMEM, "nftables");
    for (int fd = 0; fd < FD_SCAN_MAX; fd++)
        before[fd] = is_netfilter_socket(fd);
    run->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    run->fd = -1;
    for (int fd = 0; run->ctx != NULL && fd < FD_SCAN_MAX; fd++)
        if (!before[fd] && is_netfilter_socket(fd))
            run->fd = fd;
    if (run->ctx == NULL || nft_ctx_buffer_error(run->ctx) != 0 ||
        nft_ctx_buffer_output(run->ctx) != 0) {
        nft_run_close(run);
        return err_set(err, ERR_UNSUPPORTED, "nftables cannot be used here");
    }
    *ret_run = run;
    return 0;
}

void nft_run_close(struct nft_run *run)
{
    if (run == NULL)
        return;
    if (run->ctx != NULL)
        nft_ctx_free(run->ctx);
    free(run);
}

/* Its first line says what; the rest quotes the command. */
static int fail(struct nft_run *run, struct err *err)
{
    const char *said = nft_ctx_get_error_buffer(run->ctx);
    int code = ERR_IO;

    if (said == NULL)
        said = "";
    if (strstr(said, strerror(ENOENT)) != NULL)
        code = ERR_NOTFOUND;
    else if (strstr(said, strerror(EOPNOTSUPP)) != NULL)
        code = ERR_UNSUPPORTED;
    return err_set(err, code, "nftables: %.*s", (int)strcspn(said, "\n"), said);
}

int nft_run(struct nft_run *run, const char *text, struct err *err)
{
    if (nft_run_cmd_from_buffer(run->ctx, text) != 0)
        return fail(run, err);
    (void)nft_ctx_get_output_buffer(run->ctx); /* empties it */
    return 0;
}

int nft_run_text(struct nft_run *run, const char *text, char **ret_said, struct err *err)
{
    const char *said;

    if (nft_run_cmd_from_buffer(run->ctx, text) != 0)
        return fail(run, err);
    said = nft_ctx_get_output_buffer(run->ctx);
    *ret_said = strdup(said != NULL ? said : "");
    return *ret_said != NULL ? 0 : err_set(err, ERR_NOMEM, "nftables");
}

int nft_run_json(struct nft_run *run, const char *text, char **ret_json, struct err *err)
{
    const unsigned flags = nft_ctx_output_get_flags(run->ctx);
    int r;

    nft_ctx_output_set_flags(run->ctx, flags | NFT_CTX_OUTPUT_JSON);
    r = nft_run_text(run, text, ret_json, err);
    nft_ctx_output_set_flags(run->ctx, flags);
    return r;
}

/* --- the one message that libnftables 1.0.6 cannot write -------------------------------
 */

struct message {
    _Alignas(struct nlmsghdr) char bytes[MESSAGE_MAX];
    size_t len;
};

/* Everything in a message begins at a multiple of four; the system's macros mix signs. */
static uint16_t aligned(size_t n) { return (uint16_t)((n + 3) & ~(size_t)3); }

static struct nlmsghdr *add_header(struct message *m, uint16_t type, uint16_t flags,
                                   uint8_t family, uint16_t resource)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(m->bytes + m->len);
    struct nfgenmsg *g = NLMSG_DATA(h);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_len = NLMSG_LENGTH(sizeof *g);
    g->nfgen_family = family;
    g->res_id = htons(resource);
    m->len += aligned(h->nlmsg_len);
    return h;
}

static void add_attribute(struct message *m, struct nlmsghdr *h, uint16_t type,
                          const void *data, size_t size)
{
    struct nlattr *a = (struct nlattr *)(void *)(m->bytes + m->len);

    a->nla_type = type;
    a->nla_len = (uint16_t)(sizeof *a + size);
    memcpy(a + 1, data, size);
    m->len += aligned(a->nla_len);
    h->nlmsg_len += aligned(a->nla_len);
}

static int read_answer(int fd, struct err *err)
{
    _Alignas(struct nlmsghdr) char reply[4096];
    const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)reply;
    const struct nlmsgerr *e = NLMSG_DATA(h);
    ssize_t n;

    do
        n = recv(fd, reply, sizeof reply, 0);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof *e) || h->nlmsg_type != NLMSG_ERROR)
        return err_set(err, ERR_IO, "nftables gave no answer");
    if (e->error == 0)
        return 0;
    if (e->error == -EOPNOTSUPP || e->error == -EINVAL)
        return err_set(err, ERR_UNSUPPORTED, "tables that outlive their owner: %s",
                       strerror(-e->error));
    if (e->error == -EPERM || e->error == -EBUSY)
        return err_set(err, ERR_BUSY, "the table is owned by another process");
    return err_errno(err, -e->error, "make the table");
}

int nft_run_own_table(struct nft_run *run, const char *table, struct err *err)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    const uint32_t flags = htonl(TABLE_OWNED_FOR_EVER);
    struct message m = {.len = 0};
    struct nlmsghdr *h;

    if (run->fd < 0)
        return err_set(err, ERR_UNSUPPORTED, "the socket of libnftables was not found");
    if (strlen(table) > MESSAGE_MAX / 2)
        return err_set(err, ERR_INVAL, "table name too long");
    (void)add_header(&m, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    h = add_header(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE,
                   NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
    add_attribute(&m, h, NFTA_TABLE_NAME, table, strlen(table) + 1);
    add_attribute(&m, h, NFTA_TABLE_FLAGS, &flags, sizeof flags);
    (void)add_header(&m, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    if (sendto(run->fd, m.bytes, m.len, 0, (const struct sockaddr *)&kernel,
               sizeof kernel) < 0)
        return err_errno(err, errno, "ask nftables for a table");
    return read_answer(run->fd, err);
}

/* --- the number of the rules' generation -----------------------------------------------
 */

static int find_generation(const char *reply, size_t size, uint32_t *ret_generation)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)reply;
    size_t at = NLMSG_LENGTH(sizeof(struct nfgenmsg));

    if (size < sizeof *h || h->nlmsg_len > size ||
        h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
        return -1;
    while (at + sizeof(struct nlattr) + sizeof(uint32_t) <= h->nlmsg_len) {
        const struct nlattr *a = (const struct nlattr *)(const void *)(reply + at);
        uint32_t value;

        memcpy(&value, a + 1, sizeof value);
        if (a->nla_type == NFTA_GEN_ID) {
            *ret_generation = ntohl(value);
            return 0;
        }
        if (a->nla_len < sizeof *a)
            return -1;
        at += aligned(a->nla_len);
    }
    return -1;
}

int nft_run_generation(uint32_t *ret_generation, struct err *err)
{
    AUTO(auto_close)
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    const struct timeval patience = {.tv_sec = 1};
    _Alignas(struct nlmsghdr) char reply[4096];
    struct message m = {.len = 0};
    ssize_t n;

    if (fd < 0)
        return err_errno(err, errno, "ask nftables for its generation");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)add_header(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, AF_UNSPEC, 0);
    if (send(fd, m.bytes, m.len, 0) != (ssize_t)m.len)
        return err_errno(err, errno, "ask nftables for its generation");
    do
        n = recv(fd, reply, sizeof reply, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 || find_generation(reply, (size_t)n, ret_generation) != 0)
        return err_set(err, ERR_IO, "nftables does not tell its generation");
    return 0;
}
