/* What the tests of state files share: a directory, a context, a save and a look. Include tap.h first. */
#ifndef STATE_TEST_H
#define STATE_TEST_H

#include "faults.h"

#include <signal.h>
#include <sys/vfs.h>

static char *dir;
static steadfast_context *context;

#define NO_DIR_FSYNC ((test_absent() & STEADFAST_ABSENT_DIR_FSYNC) != 0)
#define NO_FLOCK ((test_absent() & STEADFAST_ABSENT_FLOCK) != 0)
#define NO_LINK ((test_absent() & STEADFAST_ABSENT_LINK) != 0)
#define SAVED (NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : STEADFAST_OK)

static steadfast_report report;

static inline int save_with(const steadfast_context *c, const char *path, const char *text, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    report.size = sizeof report;
    return steadfast_state_save(c, path, text, strlen(text), &o, &report);
}

static inline int save(const char *path, const char *text, uint32_t flags)
{
    return save_with(context, path, text, flags);
}

static inline int holds(const char *path, const char *text)
{
    steadfast_state state = { .size = sizeof state };
    int same =
        steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    return same;
}

/* Does the message of a save say this? One that is not durable says that first. */
static inline int says(const char *what)
{
    return NO_DIR_FSYNC ? strstr(report.message, "cannot sync a directory") != NULL : strstr(report.message, what) != NULL;
}

/* Can two files take turns in this directory? Where not, STEADFAST_SAVE_ALTERNATE makes ordinary saves. */
static inline int can_alternate(void)
{
    /* ext2 to ext4, xfs, btrfs, f2fs, bcachefs, tmpfs. */
    static const unsigned long known[] = { 0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0xca451a4e, 0x01021994 };
    struct statfs fs;
    if (NO_FLOCK || NO_DIR_FSYNC || statfs(dir, &fs) != 0)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((unsigned long)fs.f_type == known[i])
            return 1;
    return 0;
}

/* An empty directory of its own for a test. */
static inline const char *fresh(const char *name)
{
    const char *path = in(dir, name);
    if (mkdir(path, 0700) != 0)
        bail_out("mkdir %s: %s", path, strerror(errno));
    return path;
}

#endif
