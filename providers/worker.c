#include "providers/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "controller/base/log.h"
#include "providers/provider.h"

/* The agent's pid, 0 outside a worker. A worker is one process for one descriptor. */
static pid_t agent;

void provider_worker_rearm(void)
{
    if (agent == 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have died before the call: then nobody will send the signal. */
    if (getppid() != agent)
        _exit(EXIT_FAILURE);
}

static void free_request(Rf__ProviderRequest **request)
{
    rf__provider_request__free_unpacked(*request, NULL);
}

static void free_reply(Rf__ProviderReply **reply)
{
    rf__provider_reply__free_unpacked(*reply, NULL);
}

static int serve_one(int fd, struct provider_slot *slot, struct err *err)
{
    AUTO(free_request) Rf__ProviderRequest *request = NULL;
    AUTO(free_reply) Rf__ProviderReply *reply = NULL;
    AUTO(auto_free) uint8_t *data = NULL;
    size_t len;

    if (provider_frame_read(fd, &data, &len, (struct mono){0}, err) != 0)
        return err->code;
    if (provider_request_decode(data, len, &request, err) != 0)
        return err_wrap(err, "request of the agent");
    if (provider_serve(slot, request, &reply, err) != 0)
        return err_wrap(err, "request %llu", (unsigned long long)request->id);
    return provider_frame_write(fd, &reply->base, (struct mono){0}, err);
}

int provider_worker_main(int fd)
{
    struct provider_slot slot = {0};
    struct err err;
    int status;

    agent = getppid();
    provider_worker_rearm();
    signal(SIGPIPE, SIG_IGN);
    /* A name server that is away may not hold a step for longer than this: libpq resolves
     * names without a deadline. */
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 0);

    do {
        status = serve_one(fd, &slot, &err);
    } while (status == 0);
    provider_slot_close(&slot);
    if (status == ERR_CLOSED)
        return EXIT_SUCCESS;
    log_error("provider worker: %s", err.text);
    return EXIT_FAILURE;
}
