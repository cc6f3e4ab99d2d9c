/* controller/http/openapi.h -- the document of the API (openapi.json), compiled in. */
#ifndef RF_HTTP_OPENAPI_H
#define RF_HTTP_OPENAPI_H

#include <stddef.h>

const char *openapi_document(size_t *ret_len);

#endif
