#include "controller/http/openapi.h"

/* The file as it is; CMakeLists.txt says where, and that this depends on it. */
__asm__(".pushsection .rodata\n"
        ".local openapi_begin, openapi_end\n"
        "openapi_begin: .incbin \"" OPENAPI "\"\n"
        "openapi_end: .byte 0\n"
        ".popsection");

extern const char openapi_begin[], openapi_end[];

const char *openapi_document(size_t *ret_len)
{
    *ret_len = (size_t)(openapi_end - openapi_begin);
    return openapi_begin;
}
