/*
 * Two savers, one of them in the midst of a KEEP_PREVIOUS save: neither loses its file, and a save that fails puts back what was at
 * PATH.prev, however it is kept on this platform.
 */
#include "tap.h"
#include "state_test.h"
#include "record.h"

#include <signal.h>

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS

static const struct {
    uint32_t absent;
    const char *name;
} WAYS[] = { { 0, "links and exchanges" },
             { STEADFAST_ABSENT_RENAMEAT2, "no exchange" },
             { STEADFAST_ABSENT_LINK, "no hard links" },
             { STEADFAST_ABSENT_LINK | STEADFAST_ABSENT_RENAMEAT2, "neither" } };
enum { WAY_COUNT = 4 };

static char path[320], previous[330];
static struct record current, before;

/* What happens before the rename that publishes, and its error, or 0. */
static void (*meanwhile)(void);
static int publish_error;

static int32_t publish(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    void (*now)(void) = meanwhile;
    (void)user;
    if (strcmp(np, "s") != 0)
        return REAL->renameat(NULL, od, op, nd, np, flags);
    meanwhile = NULL;
    if (now != NULL)
        now();
    return publish_error != 0 ? -publish_error : REAL->renameat(NULL, od, op, nd, np, flags);
}

static steadfast_context *context_of(int way, int hooked)
{
    steadfast_hooks h = test_hooks();
    h.absent |= WAYS[way].absent;
    if (hooked)
        h.renameat = publish;
    return test_context(&h);
}

/* A whole save of another context. */
static steadfast_context *other;
static int other_status;
static uint32_t other_flags;

static void save_beside(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = other_flags };
    other_status = steadfast_state_save(other, path, "beside", 6, &o, NULL);
}

static void whole_save(int way, const char *d)
{
    for (int fails = 0; fails < 2; fails++) {
        steadfast_context *c = context_of(way, 1);
        other = context_of(way, 0);
        put_record(path, &current);
        put_record(previous, &before);
        publish_error = fails ? EIO : 0;
        meanwhile = save_beside;
        other_flags = 0;
        int status = save_with(c, path, "new", KEEP);
        ok(other_status == SAVED && status == (fails ? -EIO : SAVED) && holds(path, fails ? "beside" : "new"),
           "%s: another save comes before the last rename, which then %s", WAYS[way].name, fails ? "fails" : "is made");
        /* Whether the other save relies on what is at PATH.prev by now cannot be known: it may stay. */
        ok(is_record(previous, &current) || (fails && is_record(previous, &before)), "%s: PATH.prev is the last state but one%s",
           WAYS[way].name, fails ? ", or as it was" : "");
        ok(*leftovers(d, "s s.prev") == '\0', "%s: nothing is left over%s", WAYS[way].name, leftovers(d, "s s.prev"));

        /* Another one that keeps, too: what it kept is not undone. */
        put_record(path, &current);
        put_record(previous, &before);
        meanwhile = save_beside;
        other_flags = KEEP;
        status = save_with(c, path, "new", KEEP);
        steadfast_state state = { .size = sizeof state };
        ok(other_status == SAVED && status == (fails ? -EIO : SAVED) && steadfast_state_load(NULL, previous, NULL, &state, NULL) == 0
               && is_record(previous, &current),
           "%s: beside one with KEEP_PREVIOUS: PATH.prev is the last generation but one", WAYS[way].name);
        steadfast_state_free(&state);
        steadfast_context_free(other);
        steadfast_context_free(c);
    }
}

/* Another process stops just before its last rename, and goes on when the first save is over. */
static int at_rename[2], go_on[2];
static pid_t stopped;
static steadfast_context *stops;

static void stop_here(void)
{
    char byte = 0;
    if (write(at_rename[1], &byte, 1) != 1 || read(go_on[0], &byte, 1) != 1)
        _exit(97);
}

static void start_beside(void)
{
    char byte;
    stopped = fork_child();
    if (stopped == 0) {
        publish_error = 0;
        meanwhile = stop_here;
        alarm(60);
        _exit(save_with(stops, path, "beside", other_flags) == SAVED ? 0 : 1);
    }
    if (read(at_rename[0], &byte, 1) != 1)
        bail_out("the other saver does not come to its rename");
}

static void save_in_flight(int way, const char *d)
{
    for (uint32_t flags = 0; flags <= KEEP; flags += KEEP) {
        steadfast_context *c = context_of(way, 1);
        stops = context_of(way, 1);
        if (pipe(at_rename) != 0 || pipe(go_on) != 0)
            bail_out("pipe: %s", strerror(errno));
        put_record(path, &current);
        put_record(previous, &before);
        publish_error = 0;
        meanwhile = start_beside;
        other_flags = flags;
        int status = save_with(c, path, "new", KEEP);
        if (write(go_on[1], "", 1) != 1)
            bail_out("write: %s", strerror(errno));
        int ended = wait_for(stopped);
        ok(status == SAVED && ended == 0 && holds(path, "beside"),
           "%s: a save that began during another one, and ends after it%s, is there", WAYS[way].name,
           flags != 0 ? ", both with KEEP_PREVIOUS" : "");
        ok(*leftovers(d, "s s.prev") == '\0', "%s: nothing is left over%s", WAYS[way].name, leftovers(d, "s s.prev"));
        close(at_rename[0]), close(at_rename[1]), close(go_on[0]), close(go_on[1]);
        steadfast_context_free(stops);
        steadfast_context_free(c);
    }
}

/* The first saver's file has no flock (the system was out of locks for a moment): another one takes it for an orphan, and has its name now. */
static int flocks;
static int32_t no_first_lock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    return flocks++ == 0 ? -ENOLCK : REAL->flock(NULL, fd, operation);
}

static int32_t start_in_fsync(void *user, int32_t fd)
{
    void (*now)(void) = meanwhile;
    (void)user, (void)fd;
    meanwhile = NULL;
    if (now != NULL)
        now();
    return 0;
}

static void without_flock(const char *d)
{
    steadfast_hooks h = test_hooks();
    h.flock = no_first_lock;
    h.fsync = start_in_fsync;
    steadfast_context *c = test_context(&h);
    stops = context_of(0, 1);
    if (pipe(at_rename) != 0 || pipe(go_on) != 0)
        bail_out("pipe: %s", strerror(errno));
    put_record(path, &current);
    publish_error = flocks = 0;
    meanwhile = start_beside;
    other_flags = 0;
    int status = save_with(c, path, "new", 0);
    int published = holds(path, "new");
    if (write(go_on[1], "", 1) != 1)
        bail_out("write: %s", strerror(errno));
    int ended = wait_for(stopped);
    ok(status < 0 || published, "a file without a flock is taken for an orphan: its saver does not publish another one's file (%s)",
       steadfast_status_name(status));
    ok(ended == 0 && holds(path, "beside") && *leftovers(d, "s s.prev") == '\0', "the other save is done, nothing is left over%s",
       leftovers(d, "s s.prev"));
    close(at_rename[0]), close(at_rename[1]), close(go_on[0]), close(go_on[1]);
    steadfast_context_free(stops);
    steadfast_context_free(c);
}

int main(void)
{
    char d[300];
    dir = make_temp_dir("beside");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    current = make_record(1, 5, " head=00000000", "current");
    before = make_record(1, 4, " head=00000000", "previous");
    int fds = count_fds();
    for (int way = 0; way < WAY_COUNT; way++) {
        whole_save(way, d);
        save_in_flight(way, d);
    }
    if (NO_FLOCK)
        skip("flock is absent", "a file without a flock is taken for an orphan");
    else
        without_flock(d);
    is_int(count_fds(), fds, "no descriptor stays open");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
