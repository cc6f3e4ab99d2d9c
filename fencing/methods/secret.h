/* fencing/methods/secret.h -- a password in a file of its own, and out of every message.
 *
 * Read each time it is needed, so that a new one needs no restart. The file is root's or
 * this user's, and nobody else may read or change it: no others, and of groups only the one
 * that this process runs as (root:ringfence, 0640, as the keys of the certificates). Where
 * its directory may be written by others it is no symbolic link.
 *
 * Owner:   the caller wipes what was read: secret_wipe().
 * Threads: any; reads a file.
 * Errors:  ERR_NOTFOUND, ERR_REFUSED (who may do what, and how to mend it), ERR_INVAL (what
 *          it holds), ERR_IO. No text ever holds a part of it.
 */
#ifndef RF_METHODS_SECRET_H
#define RF_METHODS_SECRET_H

#include <stddef.h>

#include "controller/base/err.h"

enum { SECRET_SIZE = 1024 }; /* with the 0 */

/* Its one line, without the end of the line. */
MUST_USE int secret_read(const char *path, char ret_secret[SECRET_SIZE], struct err *err);
void secret_wipe(char secret[SECRET_SIZE]);

/* Replace each occurrence of `secret` in `text` by "***", also where it was written as in a
 * URL (%40 for @). `size` is that of the text's array; what does not fit is cut. */
void secret_hide(const char *secret, char *text, size_t size);

#endif
