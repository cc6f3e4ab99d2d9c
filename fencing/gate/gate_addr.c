#include "fencing/gate/gate.h"

#include <arpa/inet.h>
#include <string.h>

int gate_addr_parse(struct gate_addr *ret_addr, const char *text, struct err *err)
{
    struct gate_addr addr = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};

    if (inet_pton(AF_INET, text, addr.ip + 12) != 1 &&
        inet_pton(AF_INET6, text, addr.ip) != 1)
        return err_set(err, ERR_INVAL, "'%s' is not an IP address", text);
    *ret_addr = addr;
    return 0;
}
