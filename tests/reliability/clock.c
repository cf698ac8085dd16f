/* Preloaded: the calendar is CLOCK_OFFSET seconds off; how long things take is as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    const char *offset = getenv("CLOCK_OFFSET");
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME && offset)
        now->tv_sec += atoll(offset);
    return result;
}
