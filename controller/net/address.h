/* controller/net/address.h -- "host:port" as it stands in configuration files.
 *
 * Accepted: "10.0.0.2:7400", "[fd00::2]:7400", "east.example.org:7400". The port is
 * mandatory; 0 lets the kernel choose where one listens (tests), and links refuse it.
 *
 * Limits:  a host shorter than ADDRESS_HOST_SIZE, of printable ASCII without blanks and
 *          without any of /[]@?#"'; a port of five digits, 65535 at most. Else it is
 *          ERR_INVAL, with 80 characters of what was given.
 * Pure:    no name is looked up here.
 * Threads: any.
 * Errors:  on error ret_ arguments are untouched.
 */
#ifndef RF_NET_ADDRESS_H
#define RF_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct sockaddr_storage;

enum { ADDRESS_HOST_SIZE = 256, ADDRESS_TEXT_SIZE = 272 };

struct address {
    char host[ADDRESS_HOST_SIZE]; /* without brackets */
    uint16_t port;
};

/*   ERR_INVAL  the text names what is wrong and shows an example */
MUST_USE int address_parse(struct address *ret_address, const char *text, struct err *err);

/* "10.0.0.2:7400" or "[fd00::2]:7400" */
void address_format(const struct address *a, char text[ADDRESS_TEXT_SIZE]);

/* The socket address of a numeric host.
 *   ERR_NOTFOUND  the host is a name, not a number */
MUST_USE int address_numeric(struct sockaddr_storage *ret_sa, const struct address *a,
                             struct err *err);

/* What a socket address looks like to people; "?" for families we do not speak. */
void address_of_sockaddr(const struct sockaddr_storage *sa, char text[ADDRESS_TEXT_SIZE]);

#endif
