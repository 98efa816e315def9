/* While an alternating save writes, another saver gives PATH to a file of its own: it has not seen that the state alternates, so that
 * no flock keeps it back. */
#include "tap.h"
#include "state_test.h"

static char path[300], previous[310], prepared[310];
static enum { NOTHING, REPLACE, REMOVE, TAKE_PREVIOUS } its_deed;

/* The write in place is done; before its save looks at the names again, the other saver acts. */
static int64_t act_after_write(void *user, int32_t fd, const void *data, size_t len, uint64_t offset)
{
    (void)user;
    int64_t written = REAL->pwrite(NULL, fd, data, len, offset);
    switch (its_deed) {
    case NOTHING: return written;
    case REPLACE: rename(prepared, path); break;
    case REMOVE: unlink(path); break;
    case TAKE_PREVIOUS: unlink(previous); break;
    }
    its_deed = NOTHING;
    return written;
}

static steadfast_context *acting(void)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *c = NULL;
    hooks.pwrite = act_after_write;
    hooks.absent = test_absent();
    return steadfast_context_new(&hooks, &c) == 0 ? c : NULL;
}

static void begin(int saves)
{
    unlink(path), unlink(previous);
    for (int i = 0; i < saves; i++)
        save_with(context, path, "older", STEADFAST_SAVE_ALTERNATE);
}

/* A state of this generation, that its saver has yet to give a name. */
static void prepare(uint64_t generation, const char *content)
{
    unlink(prepared);
    for (uint64_t i = 0; i < generation; i++)
        save_with(context, prepared, content, 0);
}

/* The save of "mine" beside the deed, and what a load gives then. */
static void saves(int before, int deed, const char *what, uint64_t generation, const char *left, uint64_t left_generation)
{
    steadfast_context *c = acting();
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_ALTERNATE };
    steadfast_report r = { .size = sizeof r };
    steadfast_state s = { .size = sizeof s };
    begin(before);
    its_deed = deed;
    is_int(steadfast_state_save(c, path, "mine", 4, &options, &r), 0, "%s, of %d saves: saved", what, before);
    ok(its_deed == NOTHING && r.on_disk == STEADFAST_ON_DISK_NEW, "on the disk");
    /* Where nothing has the number any more, the clock gives one. */
    if (generation == 0)
        ok((left_generation = r.generation) > 1000, "as a generation that was never there");
    else
        is_int((long)r.generation, (long)generation, "as generation %d", (int)generation);
    is_int(steadfast_state_load(context, path, NULL, &s, NULL), 0, "%s, of %d saves: loaded", what, before);
    ok(s.len == strlen(left) && memcmp(s.data, left, s.len) == 0, "\"%s\" is left", left);
    ok(s.generation == left_generation, "and its generation");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

static int others;

/* Another saver would let two files take turns now: it is to wait, until the first one has kept what it looked at and published. */
static int32_t alternate_at_link(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_ALTERNATE, .timeout_ms = 1 };
    if (strstr(np, ".prev.tmp") != NULL && others == 0)
        others = steadfast_state_save(context, path, "others", 6, &options, NULL);
    return REAL->linkat(NULL, od, op, nd, np, flags);
}

static void keeps(void)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *c = NULL;
    hooks.linkat = alternate_at_link;
    hooks.absent = test_absent();
    is_int(steadfast_context_new(&hooks, &c), 0, "a context");
    unlink(path), unlink(previous);
    save_with(context, path, "kept", 0);
    is_int(save_with(c, path, "mine", STEADFAST_SAVE_KEEP_PREVIOUS), 0, "a save with KEEP_PREVIOUS");
    if (NO_LINK)
        skip("no links here", "an alternating save while it keeps");
    else
        is_int(others, STEADFAST_E_BUSY, "an alternating save while it keeps has to wait");
    is_int(save_with(context, path, "after", STEADFAST_SAVE_ALTERNATE), 0, "and is made afterwards");
    ok(holds(path, "after"), "and loaded");
    steadfast_context_free(c);
}

int main(void)
{
    dir = make_temp_dir("late");
    context = test_context(NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s.prev", path);
    snprintf(prepared, sizeof prepared, "%s/prepared", dir);
    if (!can_alternate()) {
        skip("no two files take turns here", "saves beside a late saver");
    } else {
        /* After three saves the next one is written to PATH, and after four to PATH.prev. */
        for (int before = 3; before <= 4; before++) {
            uint64_t next = (uint64_t)before + 1;
            prepare(next + 2, "theirs");
            saves(before, REPLACE, "a newer one takes PATH", next, "theirs", next + 2);
            prepare(next, "theirs");
            saves(before, REPLACE, "one of the same number takes PATH", next, "theirs", next);
            prepare(1, "theirs");
            uint64_t again = before == 3 ? next : next + 1;
            saves(before, REPLACE, "an older one takes PATH", again, "mine", again);
        }
        saves(3, REMOVE, "PATH is removed", 0, "mine", 0);
        saves(4, TAKE_PREVIOUS, "PATH.prev is removed", 5, "mine", 5);
        keeps();
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
