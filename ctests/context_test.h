/* What the tests of contexts share: contexts that begin at a directory, and their own descriptors. Include state_test.h first. */
#ifndef CONTEXT_TEST_H
#define CONTEXT_TEST_H

/* A context for this run that begins at `dirfd`; `hooks` NULL for real calls. NULL when there is none, and why in *status. */
static inline steadfast_context *context_at(int dirfd, uint32_t flags, const steadfast_hooks *hooks, int *status)
{
    steadfast_hooks table = hooks == NULL ? test_hooks() : *hooks;
    steadfast_context_options o = { .size = sizeof o, .flags = STEADFAST_CONTEXT_AT | flags, .dirfd = dirfd, .hooks = &table };
    steadfast_context *made = NULL;
    int result = steadfast_context_new_with(&o, &made);
    if (status != NULL)
        *status = result;
    else if (result != 0)
        bail_out("no context: %s", steadfast_status_name(result));
    return made;
}

static inline int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        bail_out("%s: %s", path, strerror(errno));
    return fd;
}

/* The highest descriptor at or above `from` that is open on this directory, or -1: of a context that was made last, its own. */
static inline int descriptor_of(const char *path, int from)
{
    struct stat wanted, st;
    int found = -1;
    if (stat(path, &wanted) != 0)
        return -1;
    for (int fd = from; fd < 256; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == wanted.st_ino && st.st_dev == wanted.st_dev)
            found = fd;
    return found;
}

#endif
