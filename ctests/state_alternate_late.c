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
    steadfast_hooks hooks = test_hooks();
    hooks.pwrite = act_after_write;
    ;
    return test_context(&hooks);
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

static int others, saved, refuses;
static const char *moment;

/* Three more saves of another process, which let two files take turns: the last one is written to PATH.prev. */
static void save_others(void)
{
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_ALTERNATE, .timeout_ms = 1 };
    for (saved = 0, others = 0; saved < 3 && others == 0; saved += others == 0)
        others = steadfast_state_save(context, path, "others", 6, &options, NULL);
}

static int32_t at_link(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    if (moment != NULL && strcmp(moment, "link") == 0 && strstr(np, ".prev.tmp") != NULL)
        moment = NULL, save_others();
    return REAL->linkat(NULL, od, op, nd, np, flags);
}

static int32_t at_rename(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    size_t len = strlen(np);
    if (moment != NULL && strcmp(moment, "rename") == 0 && len > 5 && strcmp(np + len - 5, ".prev") == 0)
        moment = NULL, save_others();
    return REAL->renameat(NULL, od, op, nd, np, flags);
}

/* The sync of the new file comes before what is there is kept, and may fail. */
static int32_t at_sync(void *user, int32_t fd)
{
    (void)user;
    struct stat st;
    if (moment != NULL && strcmp(moment, "sync") == 0)
        moment = NULL, save_others();
    return refuses == 1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? -EIO : REAL->fsync(NULL, fd);
}

static int64_t at_statfs(void *user, int32_t fd)
{
    (void)user;
    return refuses == 2 ? -EIO : REAL->fstatfs(NULL, fd);
}

static steadfast_context *beside_others(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.linkat = at_link, hooks.renameat = at_rename, hooks.fsync = at_sync, hooks.fstatfs = at_statfs;
    ;
    unlink(path), unlink(previous);
    save_with(context, path, "oldest", 0);
    save_with(context, path, "old", STEADFAST_SAVE_KEEP_PREVIOUS);
    return test_context(&hooks);
}

/* The others wait while a call takes what it has looked at away. */
static void waits(const char *what, const char *when, int removes, uint32_t flags, int fails, int expected)
{
    steadfast_context *c = beside_others();
    steadfast_save_options options = { .size = sizeof options };
    moment = when, refuses = fails, others = 1;
    int result = removes ? steadfast_state_remove(c, path, &options, NULL) : save_with(c, path, "mine", flags);
    refuses = 0;
    is_int(result, expected, "%s", what);
    ok(moment == NULL && others == STEADFAST_E_BUSY && saved == 0, "two files that would take turns meanwhile have to wait");
    is_int(save_with(context, path, "after", STEADFAST_SAVE_ALTERNATE), 0, "and are there afterwards");
    ok(holds(path, "after"), "and loaded");
    steadfast_context_free(c);
}

/* The others have saved since the call looked: it finds that out before it takes anything away. */
static void begins_again(const char *what, uint32_t flags, int fails, int expected)
{
    steadfast_context *c = beside_others();
    moment = "sync", refuses = fails, others = 1;
    is_int(save_with(c, path, "mine", flags), expected, "%s, when others have let two files take turns", what);
    refuses = 0;
    ok(others == 0 && saved == 3 && report.generation == 6, "counts from what they have saved");
    ok(holds(path, "mine"), "and replaces it");
    unlink(path);
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_RECOVER };
    steadfast_state s = { .size = sizeof s };
    is_int(steadfast_state_load(context, path, &o, &s, NULL), STEADFAST_RECOVERED, "which is at PATH.prev");
    ok(s.generation == 5 && s.len == 6, "the newest of theirs");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

static void others_alternate(void)
{
    uint32_t keeps = STEADFAST_SAVE_KEEP_PREVIOUS;
    if (!NO_LINK) {
        waits("a save that keeps", "link", 0, keeps, 0, 0);
        waits("one that is not synced", "link", 0, keeps | STEADFAST_SAVE_NO_SYNC, 0, STEADFAST_NOT_DURABLE);
        waits("one whose sync fails", "link", 0, 0, 1, STEADFAST_NOT_DURABLE);
        waits("one where the file system cannot be asked", "link", 0, keeps | STEADFAST_SAVE_NO_SYNC, 2, STEADFAST_NOT_DURABLE);
        begins_again("a save whose sync fails", 0, 1, STEADFAST_NOT_DURABLE);
    } else {
        skip("no links here", "saves that keep by a link");
    }
    begins_again("a save that keeps", keeps, 0, 0);
    waits("a removal", "rename", 1, 0, 0, 0);
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
        others_alternate();
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
