/* tests/unit/net/craft.h -- certificates, chains and revocation lists as no `ringfence pki`
 * makes them. All names are of files in DIR; whatever fails fails the test. */
#ifndef RF_TEST_NET_CRAFT_H
#define RF_TEST_NET_CRAFT_H

#include "tests/unit/net/raw.h"

struct craft {
    const char *stem;   /* STEM.crt and .key are made */
    const char *issuer; /* a stem; NULL: it signs itself */
    const char *san;    /* NULL: none */
    int from_s, to_s;   /* from now on */
    bool is_ca;         /* may sign certificates and lists */
    const char *behind; /* a stem whose certificate follows in the file; NULL: none */
};
void craft_cert(const char *dir, const struct craft *c);

struct craft_list {
    const char *file, *issuer; /* the list goes behind what is in the file */
    int from_s, to_s;          /* to_s 0: it does not say */
    const char *revoked;       /* a stem; NULL: nothing is */
};
void craft_crl(const char *dir, const struct craft_list *l);

/* TO gets what is in FROM; by rename(2), as those do it who know how. */
void craft_copy(const char *dir, const char *from, const char *to);
void craft_write(const char *dir, const char *file, const char *text);

#endif
