/* What belongs to an instance beside its own port: more ports, and guests. */
#include <string.h>

#include "controller/base/assert.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/gate_internal.h"

uint16_t gate_port_at(const struct gate_port *p, size_t i)
{
    if (i == 0)
        return p->port;
    return i <= p->n_also ? p->also[i - 1] : 0;
}

bool gate_has_port(const uint16_t *ports, size_t n, uint16_t port)
{
    for (size_t i = 0; i < n; i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* --- ports beside it --------------------------------------------------------------------
 */

static int may_stand_beside(struct gate *gate, const struct gate_port *p, uint16_t port,
                            struct err *err)
{
    const struct gate_port *own = gate_port_of(gate, port);
    struct gate_state state;
    int r;

    for (size_t i = 0; i < gate->n_ports; i++) {
        const struct gate_port *other = &gate->ports[i];

        if (other != p && gate_has_port(other->also, other->n_also, port))
            return err_set(err, ERR_CONFLICT, "port %u belongs to port %u", port,
                           other->port);
    }
    if (own == NULL)
        return 0;
    r = gate->ops->read(gate, own, &state, err);
    if (r == 0 && (state.mode != GATE_CLOSED || own->n_also != 0))
        return err_set(err, ERR_CONFLICT, "port %u has a gate of its own", port);
    return r;
}

static int check_also(struct gate *gate, const struct gate_port *p, const uint16_t *also,
                      size_t n, struct err *err)
{
    int r = 0;

    if (n > GATE_ALSO_MAX)
        return err_set(err, ERR_FULL, "port %u: %zu ports beside it, at most %d", p->port,
                       n, GATE_ALSO_MAX);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (also[i] == 0 || also[i] == p->port || gate_has_port(also, i, also[i]))
            return err_set(err, ERR_INVAL, "port %u beside port %u", also[i], p->port);
        r = may_stand_beside(gate, p, also[i], err);
    }
    return r;
}

/* The entries of ports that have come under another one. */
static void forget_own(struct gate *gate, const uint16_t *also, size_t n)
{
    for (size_t i = gate->n_ports; i-- > 0;)
        if (gate_has_port(also, n, gate->ports[i].port))
            gate->ports[i] = gate->ports[--gate->n_ports];
}

/* Of ports that are let go: they would be found there by whatever has the port next. */
static int drop_guests(struct gate *gate, struct gate_port *p, const uint16_t *also,
                       size_t n, struct err *err)
{
    struct gate_guest left[GATE_GUESTS_MAX];
    size_t n_left = 0;

    for (size_t i = 0; i < p->n_guests; i++)
        if (p->guests[i].port == p->port || gate_has_port(also, n, p->guests[i].port))
            left[n_left++] = p->guests[i];
    return n_left == p->n_guests ? 0 : gate_set_guests(gate, p->port, left, n_left, err);
}

int gate_set_also(struct gate *gate, uint16_t port, const uint16_t *also, size_t n,
                  struct err *err)
{
    struct gate_port *p = gate_port_of(gate, port);
    int r;

    if (p == NULL)
        return err_set(err, ERR_NOTFOUND, "port %u is not managed", port);
    r = check_also(gate, p, also, n, err);
    if (r == 0)
        r = drop_guests(gate, p, also, n, err);
    if (r == 0)
        r = gate->ops->set_also(gate, p, also, n, err);
    if (r != 0)
        return err_wrap(err, "ports beside port %u", port);
    for (size_t i = 0; gate->courtesy != NULL && i < p->n_also; i++)
        if (!gate_has_port(also, n, p->also[i]))
            courtesy_drop(gate->courtesy, p->also[i]);
    if (n > 0)
        memcpy(p->also, also, n * sizeof *also);
    p->n_also = n;
    forget_own(gate, also, n);
    gate_courtesy_about(gate, gate_port_of(gate, port));
    return 0;
}

size_t gate_also(const struct gate *gate, uint16_t port, uint16_t *ret_also, size_t max)
{
    const struct gate_port *p = gate_port_of(gate, port);
    const size_t n = p != NULL ? p->n_also : 0;

    for (size_t i = 0; i < n && i < max; i++)
        ret_also[i] = p->also[i];
    return n;
}

/* --- guests -----------------------------------------------------------------------------
 */

int gate_set_guests(struct gate *gate, uint16_t port, const struct gate_guest *guests,
                    size_t n, struct err *err)
{
    struct gate_port *p = gate_port_of(gate, port);
    int r;

    if (p == NULL)
        return err_set(err, ERR_NOTFOUND, "port %u is not managed", port);
    if (n > GATE_GUESTS_MAX)
        return err_set(err, ERR_FULL, "port %u: %zu guests, at most %d", port, n,
                       GATE_GUESTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (guests[i].port != port && !gate_has_port(p->also, p->n_also, guests[i].port))
            return err_set(err, ERR_INVAL, "port %u: a guest of port %u", port,
                           guests[i].port);
    r = gate->ops->set_guests(gate, p, guests, n, err);
    if (r != 0)
        return err_wrap(err, "guests of port %u", port);
    if (n > 0)
        memcpy(p->guests, guests, n * sizeof *guests);
    p->n_guests = n;
    gate_courtesy_about(gate, p);
    return 0;
}

size_t gate_guest_count(const struct gate *gate, uint16_t port)
{
    const struct gate_port *p = gate_port_of(gate, port);

    return p != NULL ? p->n_guests : 0;
}
