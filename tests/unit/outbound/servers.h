/* tests/unit/outbound/servers.h -- somebody else's server: a process of servers.py over a
 * directory, which ends with the test.
 *
 * `web` (`webs` with TLS) serves the files of the directory, each with the status in
 * NAME.status if there is one, and writes what is posted into posts, one line of JSON each.
 * `mail` (`mails`: with STARTTLS, and a password) is a strict SMTP server and writes mails
 * into mails. Its certificate, for 127.0.0.1, is DIR/ca.pem.
 */
#ifndef RF_TESTS_UNIT_OUTBOUND_SERVERS_H
#define RF_TESTS_UNIT_OUTBOUND_SERVERS_H

#include <stdint.h>
#include <sys/types.h>

struct server {
    pid_t pid;
    uint16_t port;
};

/* `port` 0: the kernel chooses. */
struct server server_start(const char *kind, const char *dir, uint16_t port);
void server_stop(struct server *s);

/* The whole of DIR/NAME into a static text; "" where there is none. */
const char *server_wrote(const char *dir, const char *name);
void server_write(const char *dir, const char *name, const char *text);

#endif
