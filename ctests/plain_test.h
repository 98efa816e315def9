/* What the tests of plain files share. Include state_test.h first. */
#ifndef PLAIN_TEST_H
#define PLAIN_TEST_H

#include <sys/xattr.h>

/* Can a file there have attributes? It is made, and left. */
static inline int has_attributes(const char *path)
{
    write_text(path, "");
    return (test_absent() & STEADFAST_ABSENT_XATTR) == 0 && setxattr(path, "user.steadfast", "x", 1, 0) == 0;
}

static inline int is_exactly(const char *what, const char *text)
{
    size_t len = 0;
    if (!exists(what))
        return 0;
    char *bytes = read_file(what, &len);
    int same = len == strlen(text) && memcmp(bytes, text, len) == 0;
    free(bytes);
    return same;
}

/* Writes in place, as somebody who knows nothing of us; the time stays, or it changes. */
static inline void write_in_place(const char *what, const char *text, int keep_time)
{
    struct stat st;
    if (stat(what, &st) != 0)
        bail_out("stat");
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
    if (!keep_time)
        times[1].tv_sec -= 10;
    write_file(what, text, strlen(text));
    if (utimensat(AT_FDCWD, what, times, 0) != 0)
        bail_out("utimensat");
}

#endif
