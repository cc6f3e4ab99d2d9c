/* By itself, so that the simulator can let older and newer programs meet (--wrap). */
#include "proto/entry_codec.h"

struct format_range entry_formats(void)
{
    return (struct format_range){ENTRY_FORMAT_MIN, ENTRY_FORMAT_MAX};
}
