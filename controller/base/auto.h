/* controller/base/auto.h -- ownership that the compiler ends for us.
 *
 * AUTO(fn) on a local calls fn(&local) when it leaves its scope, on every path; TAKE(p)
 * hands the value over and leaves NULL behind, so that fn finds nothing to free.
 */
#ifndef RF_BASE_AUTO_H
#define RF_BASE_AUTO_H

#define AUTO(fn) __attribute__((cleanup(fn)))

#define TAKE(p)                                                                            \
    __extension__({                                                                        \
        __typeof__(p) taken_ = (p);                                                        \
        (p) = NULL;                                                                        \
        taken_;                                                                            \
    })

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

/* `outer` from a pointer to the `member` embedded in it. */
#define CONTAINER_OF(ptr, outer, member)                                                   \
    ((outer *)(void *)((char *)(ptr) - __builtin_offsetof(outer, member)))

/* For AUTO() on memory from malloc(). */
void auto_free(void *pointer_to_pointer);
/* For AUTO() on a file descriptor; -1 is fine. */
void auto_close(int *fd);

#endif
