/* Bad places for the user's own files: names at their limit, full and read-only disks. Nothing is lost, nothing is left over. */
#include "tap.h"
#include "util.h"

#include <sched.h>
#include <sys/mount.h>

enum { LARGE = 200000 };

static char *dir;
static char path[700];
static steadfast_report report;
static char large[LARGE];

static int save(const char *text, size_t len, uint32_t flags, uint64_t expected)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .expected_generation = expected };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_save(NULL, path, text, len, &o, &report);
}

/* Where a file cannot have the attribute, that is all that is missing. */
static int saves(const char *text, uint32_t flags, uint64_t expected)
{
    int status = save(text, strlen(text), flags | STEADFAST_SAVE_PLAIN, expected);
    return status == STEADFAST_UNVERIFIED ? 0 : status;
}

static int writes(const char *data, size_t len)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_PLAIN };
    steadfast_writer *writer;
    report = (steadfast_report){ .size = sizeof report };
    int status = steadfast_writer_open(NULL, path, &o, &writer, &report);
    if (status < 0)
        return status;
    steadfast_writer_write(writer, data, len, NULL);
    status = steadfast_writer_commit(writer, &report);
    return status == STEADFAST_UNVERIFIED ? 0 : status;
}

static size_t to_save;
static int32_t callback(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    (void)user, (void)old;
    *data = large, *len = to_save;
    return 0;
}

static int updates(size_t len)
{
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_save_options s = { .size = sizeof s, .flags = STEADFAST_SAVE_PLAIN };
    to_save = len;
    report = (steadfast_report){ .size = sizeof report };
    int status = steadfast_state_update(NULL, path, &l, &s, callback, NULL, &report);
    return status == STEADFAST_UNVERIFIED ? 0 : status;
}

static int watches(void)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_watch *watch;
    int status = steadfast_watch_open(NULL, path, &o, &watch, NULL);
    if (status < 0)
        return status;
    status = steadfast_watch_wait(watch, 0, 0, NULL);
    steadfast_watch_close(watch);
    return status;
}

static int removes(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_PLAIN };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_remove(NULL, path, &o, &report);
}

static uint64_t generation_of(const char *text)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_state state = { .size = sizeof state };
    uint64_t generation = 0;
    if (steadfast_state_load(NULL, path, &o, &state, NULL) >= 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0)
        generation = state.generation;
    steadfast_state_free(&state);
    return generation;
}

static void names(void)
{
    char name[300];
    for (size_t n = 225; n <= 256; n++) {
        int expected = n > 255 ? -ENAMETOOLONG : 0, nothing = n > 255 ? -ETIMEDOUT : 0, wrong = 0;
        memset(name, 'n', n), name[n] = '\0';
        snprintf(path, sizeof path, "%s/%s", dir, name);
        wrong |= (saves("first", 0, 0) != expected) << 0;
        wrong |= (saves("swapped", STEADFAST_SAVE_IF_GENERATION, generation_of("first")) != expected) << 1;
        wrong |= ((generation_of("swapped") == 0) != (expected != 0)) << 2;
        wrong |= (writes("written", 7) != expected || updates(10) != expected) << 3;
        wrong |= (watches() != nothing && watches() != expected) << 4;
        wrong |= (removes() != (expected ? -ENOENT : 0) && removes() != expected) << 5;
        if (wrong != 0 || *leftovers(dir, "") != '\0') {
            ok(0, "a name of %zu bytes: %#x: %s; left:%s", n, wrong, report.message, leftovers(dir, ""));
            return;
        }
    }
    ok(1, "names up to 255 bytes are saved, swapped, written, updated, watched and removed; 256 is -ENAMETOOLONG");
}

#define STEP(holds) \
    do { \
        step++; \
        if (!(holds)) \
            return step; \
    } while (0)

/* On a file system of 64 KiB, in a mount namespace of its own. 77: there is none to be had; else the number of the step that went wrong. */
static int bad_disk(void)
{
    int step = 0;
    char place[600];
    snprintf(place, sizeof place, "%s/place", dir);
    mkdir(place, 0700);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount("steadfast-test", place, "tmpfs", 0, "size=64k") != 0)
        return 77;
    snprintf(path, sizeof path, "%s/state", place);
    STEP(saves("old", 0, 0) == 0 && generation_of("old") != 0);
    STEP(save(large, LARGE, STEADFAST_SAVE_PLAIN, 0) == -ENOSPC && report.step == STEADFAST_STEP_WRITE);
    STEP(report.on_disk == STEADFAST_ON_DISK_OLD && generation_of("old") != 0 && *leftovers(place, "state") == '\0');
    STEP(writes(large, LARGE) == -ENOSPC && report.step == STEADFAST_STEP_WRITE && report.on_disk == STEADFAST_ON_DISK_OLD);
    STEP(generation_of("old") != 0 && *leftovers(place, "state") == '\0');
    STEP(updates(LARGE) == -ENOSPC && report.on_disk == STEADFAST_ON_DISK_OLD);
    STEP(generation_of("old") != 0 && *leftovers(place, "state") == '\0');
    if (mount("none", place, "none", MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return 77;
    STEP(saves("new", 0, 0) == -EROFS && writes("new", 3) == -EROFS && updates(3) == -EROFS && removes() == -EROFS);
    STEP(saves("new", STEADFAST_SAVE_IN_PLACE, 0) == -EROFS && report.on_disk == STEADFAST_ON_DISK_OLD);
    STEP(generation_of("old") != 0 && watches() == 0 && *leftovers(place, "state") == '\0');
    return 0;
}

int main(void)
{
    static const char what[] = "a full disk: -ENOSPC; a read-only one: -EROFS; the old file stands";
    dir = make_temp_dir("bad-files");
    int fds = count_fds();
    names();
    if (geteuid() == 0) {
        pid_t child = fork_child();
        if (child == 0)
            _exit(bad_disk());
        int status = wait_for(child);
        if (status == 77)
            skip("no mount namespaces here", what);
        else
            is_int(status, 0, what);
    } else {
        skip("needs root", what);
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
