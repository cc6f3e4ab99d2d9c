/* controller/core/sizes.h -- how much of everything there may be.
 *
 * Pure: constants.
 */
#ifndef RF_CORE_SIZES_H
#define RF_CORE_SIZES_H

enum {
    NAME_SIZE = 24,    /* names of groups, agents, regions, controllers, with the 0 */
    ADDRESS_SIZE = 64, /* host or address, no port */
    PATH_SIZE = 160,
    TEXT_SIZE = 512, /* sentences for people: as long as an error's, so that none is cut */
    GROUP_MAX = 64,
    INSTANCE_MAX = 5, /* per group; the bits of a member_set */
    REGION_MAX = 5,
    TAG_MAX = 4,
    ALSO_MAX = 3,        /* ports of an instance beside its own */
    EXCEPTION_MAX = 8,   /* per group */
    EXCEPTION_SIZE = 46, /* an address as text, with the 0 */
    AGENT_MAX = 32,
    CONTROLLER_MAX = 5,
    TOMBSTONE_MAX = 64,
    TOMBSTONE_TOLD_MAX = 48, /* beyond, agents' words make none: the rest is for removals */
    NO_INSTANCE = 255,
    USER_MAX = 32,
    USER_GROUPS_MAX = 8, /* that one user may be limited to */
    USER_TOKENS_MAX = 4,
    TOKEN_HASH_SIZE = 32,  /* SHA-256 */
    SEED_SEALED_SIZE = 48, /* AES-256-GCM: nonce 12, seed 20, tag 16 */
    RECOVERY_MAX = 10,
    KEY_HASH_SIZE = 32, /* SHA-256 */
    /* Requests whose key is remembered (answered.h): the newest, and none that is older
     * than that by the log's time. A client asks again within seconds; what is asked again
     * later than this is another request. */
    ANSWERED_MAX = 128,
    ANSWERED_HOURS = 24,
};

#endif
